"""In what the lab's KMS is not AWS': each shown, for docs/lab.md is made from it."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.support.document import deviates

ACCOUNT = "123456789012"
NOBODY = f"arn:aws:iam::{ACCOUNT}:user/nobody"
RDS = "rds.eu-west-1.amazonaws.com"
RECIPIENT = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"}


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["KeyId"]


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


def parameters(kms, key_id, spec="RSA_2048"):
    return kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec=spec
    )


@deviates("kms:CreateKey", "makes symmetric encryption keys only")
def test_the_lab_makes_no_asymmetric_and_no_hmac_keys(kms):
    for kind in (
        {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ):
        assert refusal(kms.create_key, **kind) == "UnsupportedOperationException"


@deviates("kms:CreateKey", "a principal in the policy need not exist")
@deviates("kms:PutKeyPolicy", "a principal in the policy need not exist")
def test_a_policy_may_name_whom_nobody_knows(kms, key):
    document = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    document["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"AWS": NOBODY},
            "Action": "kms:*",
            "Resource": "*",
        }
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(document))
    kms.create_key(Policy=json.dumps(document))


@deviates("kms:CreateGrant", "knows no SourceArn constraint, and asks for none with a service")
def test_a_grant_cannot_be_tied_to_a_resource(kms, key):
    params = {"KeyId": key, "Operations": ["Decrypt"], "GranteeServicePrincipal": RDS}
    kms.create_grant(**params)
    tied = {"SourceArn": f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:c"}
    assert refusal(kms.create_grant, **params, Constraints=tied) == "ValidationException"


@deviates("kms:CreateGrant", "gives a grant that was there already the same token, not a new one")
def test_a_grant_has_one_token(kms, key):
    params = {"KeyId": key, "Operations": ["Decrypt"], "GranteePrincipal": NOBODY, "Name": "n"}
    tokens = {kms.create_grant(**params)["GrantToken"] for _ in "12"}
    assert len(tokens) == 1


@deviates("kms:ListGrants", "shows a service that was granted to as GranteePrincipal, always")
def test_a_service_is_listed_as_the_grantee(kms, key):
    kms.create_grant(KeyId=key, Operations=["Decrypt"], GranteeServicePrincipal=RDS)
    (grant,) = kms.list_grants(KeyId=key)["Grants"]
    assert grant["GranteePrincipal"] == RDS
    assert "GranteeServicePrincipal" not in grant


@deviates("kms:GetParametersForImport", "one public key of each size for as long as the lab runs")
def test_the_wrapping_keys_stay(kms):
    keys = [kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"] for _ in "12"]
    assert len({parameters(kms, key)["PublicKey"] for key in keys}) == 1
    assert len({parameters(kms, keys[0])["ImportToken"] for _ in "12"}) == 2


@deviates("kms:RotateKeyOnDemand", "is over at once")
def test_a_rotation_on_demand_is_never_seen_in_progress(kms, key):
    kms.rotate_key_on_demand(KeyId=key)
    assert "OnDemandRotationStartDate" not in kms.get_key_rotation_status(KeyId=key)
    assert len(kms.list_key_rotations(KeyId=key)["Rotations"]) == 1


@deviates(
    "kms:ScheduleKeyDeletion", "the key is gone when its days are over, not up to a day later"
)
def test_a_key_goes_on_the_second(own_lab, kms, key):
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    own_lab.pass_time(7 * 86400 - 1)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    own_lab.pass_time(1)
    assert refusal(kms.describe_key, KeyId=key) == "NotFoundException"


NO_ENCLAVES = "has no enclaves: Recipient is refused"


@deviates("kms:Decrypt", NO_ENCLAVES)
@deviates("kms:GenerateDataKey", NO_ENCLAVES)
@deviates("kms:GenerateDataKeyPair", NO_ENCLAVES)
@deviates("kms:GenerateRandom", NO_ENCLAVES)
def test_nothing_is_answered_to_an_enclave(kms, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    pair = {"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}
    for call, params in (
        (kms.decrypt, {"CiphertextBlob": blob}),
        (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
        (kms.generate_data_key_pair, pair),
    ):
        call(**params)
        assert refusal(call, **params, Recipient=RECIPIENT) == "ValidationException"
    refused = refusal(kms.generate_random, NumberOfBytes=1, Recipient=RECIPIENT)
    assert refused == "UnsupportedOperationException"


NO_PAIRS = "makes no pairs of SM2 and ML-KEM"


@deviates("kms:GenerateDataKeyPair", NO_PAIRS)
@deviates("kms:GenerateDataKeyPairWithoutPlaintext", NO_PAIRS)
def test_some_kinds_of_key_pairs_are_not_made(kms, key):
    for call in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        for spec in ("SM2", "ML_KEM_768"):
            refused = refusal(call, KeyId=key, KeyPairSpec=spec)
            assert refused == "UnsupportedOperationException"


@deviates("kms:ListAliases", "gives no dates, and alias/aws/rds only once it was used")
def test_aliases_have_no_dates(kms, key):
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    (alias,) = kms.list_aliases()["Aliases"]
    assert sorted(alias) == ["AliasArn", "AliasName", "TargetKeyId"]
    kms.describe_key(KeyId="alias/aws/rds")
    assert len(kms.list_aliases()["Aliases"]) == 2


@deviates("kms:ListKeys", "ResourceOwners makes no difference: nobody shares keys with the account")
def test_all_keys_are_the_account_s(kms, key):
    assert kms.list_keys(ResourceOwners=["SELF"])["Keys"] == kms.list_keys()["Keys"]


@deviates("kms:CreateAlias", "a key may have more than 50 aliases")
def test_the_number_of_aliases_has_no_limit(kms, key):
    for number in range(51):
        kms.create_alias(AliasName=f"alias/{number}", TargetKeyId=key)
    assert len(kms.list_aliases(KeyId=key)["Aliases"]) == 51
