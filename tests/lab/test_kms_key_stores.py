"""Custom key stores: their states, what AWS answers in each, and their keys meanwhile."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

from chaosaws_kms_lab.data_misbehaviours import ERROR_CODES, order
from chaosaws_kms_lab.kms.key_stores import CONNECTS_IN, DISCONNECTS_IN, MOST, NEEDED
from tests.support.document import deviates, shows
from tests.support.kms_world import DAY, OTHER_ACCOUNT, RDS, Caller, Kms, errors, user

pytestmark = pytest.mark.common_lab

CLOUDHSM, EXTERNAL = "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"
BACKING = {
    CLOUDHSM: {
        "CloudHsmClusterId": "cluster-a2b3c4defgh",
        "KeyStorePassword": "kmsPswd",
        "TrustAnchorCertificate": "certificate",
    },
    EXTERNAL: {
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": "https://keys.example.com",
        "XksProxyUriPath": "/kms/xks/v1",
        "XksProxyAuthenticationCredential": {
            "AccessKeyId": "ABCDE234567EXAMPLEKEY",
            "RawSecretAccessKey": "DXjSUawnel2fr6SKC7G25CNxTyWKE5PF9XX6H/u9pSo=",
        },
    },
}
"""Type → what a store of it is made with."""

LIKE_A_USER = ("Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")


@pytest.fixture
def lab() -> Kms:
    return Kms()


def make(lab, kind=EXTERNAL, name="store", **more):
    asked = {"CustomKeyStoreName": name, "CustomKeyStoreType": kind, **BACKING[kind], **more}
    return lab.ask("CreateCustomKeyStore", **asked)["CustomKeyStoreId"]


def connected(lab, kind=EXTERNAL):
    store = make(lab, kind)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[kind])
    assert state(lab, store) == "CONNECTED"
    return store


def in_state(lab, wanted):
    """A store with a key in it, in this state of its connection, and the key."""
    store = connected(lab)
    key = new_key(lab, store)
    if wanted == "CONNECTED":
        return store, key
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    if wanted != "DISCONNECTING":
        lab.pass_time(DISCONNECTS_IN)
    if wanted in ("CONNECTING", "FAILED"):
        if wanted == "FAILED":
            order(lab.world, {"kind": "key-store-fails", "code": "XKS_PROXY_NOT_REACHABLE"})
        lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
        lab.pass_time(CONNECTS_IN[EXTERNAL] if wanted == "FAILED" else 0)
    assert state(lab, store) == wanted
    return store, key


def new_key(lab, store, external="key-1", **more):
    asked = {"Origin": EXTERNAL, "CustomKeyStoreId": store, "XksKeyId": external, **more}
    return lab.ask("CreateKey", **asked)["KeyMetadata"]["KeyId"]


def described(lab, store):
    (found,) = lab.ask("DescribeCustomKeyStores", CustomKeyStoreId=store)["CustomKeyStores"]
    return found


def state(lab, store):
    return described(lab, store)["ConnectionState"]


STATES = ["CONNECTED", "CONNECTING", "DISCONNECTED", "DISCONNECTING", "FAILED"]


@pytest.mark.parametrize("wanted", STATES)
def test_the_keys_of_a_store_can_be_used_while_it_is_connected_and_only_then(lab, wanted):
    store, key = in_state(lab, wanted)
    usable = wanted == "CONNECTED"
    said = lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert said["KeyState"] == ("Enabled" if usable else "Unavailable")
    assert said["Enabled"] is usable
    for operation in LIKE_A_USER:
        params = {"Plaintext": b"x"} if operation == "Encrypt" else {"KeySpec": "AES_256"}
        if usable:
            lab.ask(operation, KeyId=key, **params)
            continue
        refused = lab.refusal(operation, KeyId=key, **params)
        assert refused.code == "KMSInvalidStateException"
        assert refused.message == f"{lab.arn(key)} is unavailable."
    if not usable:
        refused = lab.refusal(
            "CreateKey", Origin=EXTERNAL, CustomKeyStoreId=store, XksKeyId="key-2"
        )
        assert refused.code == "CustomKeyStoreInvalidStateException"


# API reference, CustomKeyStoreInvalidStateException.
TAKEN_IN = {
    "ConnectCustomKeyStore": {"CONNECTED", "CONNECTING", "DISCONNECTED"},
    "DisconnectCustomKeyStore": {"CONNECTED", "CONNECTING", "FAILED"},
    "UpdateCustomKeyStore": {"DISCONNECTED"},
    "DeleteCustomKeyStore": {"DISCONNECTED"},
}


@pytest.mark.parametrize("wanted", STATES)
@pytest.mark.parametrize("operation", TAKEN_IN)
def test_a_store_takes_what_aws_takes_in_each_of_its_states(lab, wanted, operation):
    store, key = in_state(lab, wanted)
    params = {"CustomKeyStoreId": store}
    if operation == "UpdateCustomKeyStore":
        params["XksProxyUriPath"] = "/other/kms/xks/v1"
    if operation == "DeleteCustomKeyStore":
        del lab.world.region("eu-west-1").keys[key]
    if wanted in TAKEN_IN[operation]:
        assert lab.ask(operation, **params) == {}
    else:
        refused = lab.refusal(operation, **params)
        assert refused.code == "CustomKeyStoreInvalidStateException"
        assert (
            refused.message == f"The connection state of the custom key store {store} is {wanted}."
        )


@pytest.mark.parametrize("kind", BACKING)
def test_connecting_takes_as_long_as_aws_says_and_a_second_call_does_not_begin_again(lab, kind):
    store = make(lab, kind)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[kind] - 1)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    assert state(lab, store) == "CONNECTING"
    lab.pass_time(1)
    assert state(lab, store) == "CONNECTED"
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    assert state(lab, store) == "CONNECTED"
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(DISCONNECTS_IN - 1)
    assert state(lab, store) == "DISCONNECTING"
    lab.pass_time(1)
    assert state(lab, store) == "DISCONNECTED"


def test_a_store_that_fails_says_why_and_connects_after_it_was_disconnected(lab):
    store, key = in_state(lab, "FAILED")
    assert described(lab, store)["ConnectionErrorCode"] == "XKS_PROXY_NOT_REACHABLE"
    assert lab.state(key) == "Unavailable"
    lab.world.data_misbehaviours.clear()
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    assert "ConnectionErrorCode" not in described(lab, store)
    lab.pass_time(DISCONNECTS_IN)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[EXTERNAL])
    assert lab.state(key) == "Enabled"


def test_every_code_that_can_be_ordered_is_one_of_aws(lab):
    from botocore.session import get_session

    shape = get_session().get_service_model("kms").shape_for("ConnectionErrorCodeType")
    assert set(ERROR_CODES) == set(shape.enum)


def test_a_store_that_is_ordered_to_be_slow_is_so_until_the_order_is_over(lab):
    slow = order(lab.world, {"kind": "key-store-slow", "seconds": 1000})
    store = make(lab)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[EXTERNAL])
    assert state(lab, store) == "CONNECTING"
    lab.pass_time(1000)
    assert state(lab, store) == "CONNECTED"
    slow.over = True
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(DISCONNECTS_IN)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[EXTERNAL])
    assert state(lab, store) == "CONNECTED"


def test_what_is_done_to_a_key_meanwhile_shows_when_it_is_available(lab):
    store, key = in_state(lab, "DISCONNECTED")
    lab.ask("DisableKey", KeyId=key)
    assert lab.state(key) == "Unavailable"
    lab.ask("TagResource", KeyId=key, Tags=[{"TagKey": "a", "TagValue": "b"}])
    grant = lab.ask("CreateGrant", KeyId=key, GranteePrincipal=RDS.arn, Operations=["Decrypt"])
    lab.ask("RevokeGrant", KeyId=key, GrantId=grant["GrantId"])
    lab.ask("PutKeyPolicy", KeyId=key, Policy=lab.ask("GetKeyPolicy", KeyId=key)["Policy"])
    refused = lab.refusal("CancelKeyDeletion", KeyId=key)
    assert (refused.code, refused.message) == (
        "KMSInvalidStateException",
        f"{lab.arn(key)} is not pending deletion.",
    )
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[EXTERNAL])
    assert lab.state(key) == "Disabled"


def test_a_key_that_is_to_be_deleted_says_so_whatever_its_store_does(lab):
    store, key = in_state(lab, "DISCONNECTED")
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert lab.state(key) == "PendingDeletion"
    lab.ask("CancelKeyDeletion", KeyId=key)
    assert lab.state(key) == "Unavailable"
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert lab.refusal("DeleteCustomKeyStore", CustomKeyStoreId=store).code == (
        "CustomKeyStoreHasCMKsException"
    )
    lab.pass_time(7 * DAY)
    lab.ask("DeleteCustomKeyStore", CustomKeyStoreId=store)
    assert lab.ask("DescribeCustomKeyStores")["CustomKeyStores"] == []


def test_what_was_sealed_before_opens_when_the_store_is_connected_again(lab):
    store = connected(lab)
    key = new_key(lab, store)
    sealed = lab.ask("Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    assert lab.refusal("Decrypt", CiphertextBlob=sealed).code == "KMSInvalidStateException"
    lab.pass_time(DISCONNECTS_IN)
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[EXTERNAL])
    assert lab.ask("Decrypt", CiphertextBlob=sealed)["Plaintext"] == b"x"


def test_a_key_says_which_store_it_is_in(lab):
    external, cluster = connected(lab), connected_beside(lab)
    said = lab.ask("DescribeKey", KeyId=new_key(lab, external))["KeyMetadata"]
    assert said["Origin"] == EXTERNAL
    assert said["CustomKeyStoreId"] == external
    assert said["XksKeyConfiguration"] == {"Id": "key-1"}
    assert not {"CloudHsmClusterId", "CurrentKeyMaterialId"} & said.keys()
    said = lab.ask("CreateKey", Origin=CLOUDHSM, CustomKeyStoreId=cluster)["KeyMetadata"]
    assert said["Origin"] == CLOUDHSM
    assert said["CloudHsmClusterId"] == "cluster-a2b3c4defgh"
    assert "XksKeyConfiguration" not in said
    assert "CustomKeyStoreId" not in lab.ask("CreateKey")["KeyMetadata"]


def connected_beside(lab):
    store = make(lab, CLOUDHSM, name="hsm")
    lab.ask("ConnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(CONNECTS_IN[CLOUDHSM])
    return store


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"Origin": EXTERNAL, "XksKeyId": "key-2"}, "ValidationException"),
        ({"CustomKeyStoreId": "…"}, "ValidationException"),
        ({"CustomKeyStoreId": "…", "Origin": "EXTERNAL"}, "ValidationException"),
        ({"CustomKeyStoreId": "…", "Origin": EXTERNAL}, "ValidationException"),
        ({"CustomKeyStoreId": "…", "Origin": CLOUDHSM}, "UnsupportedOperationException"),
        (
            {"CustomKeyStoreId": "…", "Origin": EXTERNAL, "XksKeyId": "key-1"},
            "XksKeyAlreadyInUseException",
        ),
        (
            {"CustomKeyStoreId": "cks-0", "Origin": EXTERNAL, "XksKeyId": "key-2"},
            "CustomKeyStoreNotFoundException",
        ),
        (
            {
                "CustomKeyStoreId": "…",
                "Origin": EXTERNAL,
                "XksKeyId": "key-2",
                "MultiRegion": True,
            },
            "UnsupportedOperationException",
        ),
    ],
)
def test_a_key_that_cannot_be_in_the_store_is_not_made(lab, asked, code):
    store = connected(lab)
    new_key(lab, store)
    asked = {name: store if value == "…" else value for name, value in asked.items()}
    assert lab.refusal("CreateKey", **asked).code == code
    assert len(lab.ask("ListKeys")["Keys"]) == 1


def test_a_key_in_a_store_does_not_rotate_and_makes_no_key_pairs(lab):
    key = new_key(lab, connected(lab))
    for operation, params in {
        "EnableKeyRotation": {},
        "DisableKeyRotation": {},
        "GetKeyRotationStatus": {},
        "RotateKeyOnDemand": {},
        "GenerateDataKeyPair": {"KeyPairSpec": "RSA_2048"},
        "GetParametersForImport": {
            "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
            "WrappingKeySpec": "RSA_3072",
        },
    }.items():
        assert lab.refusal(operation, KeyId=key, **params).code == "UnsupportedOperationException"


@pytest.mark.parametrize(
    ("kind", "missing"), [(kind, name) for kind, names in NEEDED.items() for name in names]
)
def test_a_store_that_lacks_something_is_not_made(lab, kind, missing):
    asked = {k: v for k, v in BACKING[kind].items() if k != missing}
    refused = lab.refusal(
        "CreateCustomKeyStore", CustomKeyStoreName="s", CustomKeyStoreType=kind, **asked
    )
    assert refused.code == "ValidationException"
    assert missing in refused.message


@pytest.mark.parametrize(("kind", "other"), [(CLOUDHSM, EXTERNAL), (EXTERNAL, CLOUDHSM)])
def test_what_only_the_other_type_has_is_refused(lab, kind, other):
    for name, value in BACKING[other].items():
        asked = {"CustomKeyStoreType": kind, **BACKING[kind], name: value}
        refused = lab.refusal("CreateCustomKeyStore", CustomKeyStoreName="s", **asked)
        assert refused.code == "ValidationException"
        assert refused.message == f"{name} is not valid for a custom key store of type {kind}."
    store = make(lab, kind)
    if "KeyStorePassword" in BACKING[other]:
        refused = lab.refusal(
            "UpdateCustomKeyStore", CustomKeyStoreId=store, KeyStorePassword="kmsPswd"
        )
        assert refused.code == "ValidationException"


def test_a_proxy_behind_an_endpoint_service_needs_its_name(lab):
    by_vpc = {"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE"}
    asked = {**BACKING[EXTERNAL], **by_vpc, "CustomKeyStoreType": EXTERNAL}
    refused = lab.refusal("CreateCustomKeyStore", CustomKeyStoreName="s", **asked)
    assert "XksProxyVpcEndpointServiceName" in refused.message
    name = "com.amazonaws.vpce.eu-west-1.vpce-svc-example"
    store = make(lab, **by_vpc, XksProxyVpcEndpointServiceName=name)
    proxy = described(lab, store)["XksProxyConfiguration"]
    assert proxy["VpcEndpointServiceName"] == name


def test_each_store_has_a_name_and_a_key_manager_of_its_own(lab):
    make(lab), make(lab, CLOUDHSM, name="hsm")
    other = {"XksProxyUriPath": "/other/kms/xks/v1"}

    def refused(kind, name, **more):
        asked = {"CustomKeyStoreName": name, "CustomKeyStoreType": kind, **BACKING[kind], **more}
        return lab.refusal("CreateCustomKeyStore", **asked).code

    assert refused(EXTERNAL, "store", **other) == "CustomKeyStoreNameInUseException"
    assert refused(EXTERNAL, "third") == "XksProxyUriInUseException"
    assert refused(CLOUDHSM, "third") == "CloudHsmClusterInUseException"
    for number in range(MOST - 2):
        make(lab, name=f"store-{number}", XksProxyUriPath=f"/{number}/kms/xks/v1")
    assert refused(EXTERNAL, "third", **other) == "LimitExceededException"


def test_the_name_of_a_connected_store_can_be_changed_and_nothing_else_of_it(lab):
    store = connected(lab)
    lab.ask("UpdateCustomKeyStore", CustomKeyStoreId=store, NewCustomKeyStoreName="other")
    found = lab.ask("DescribeCustomKeyStores", CustomKeyStoreName="other")["CustomKeyStores"]
    assert [each["CustomKeyStoreId"] for each in found] == [store]
    lab.ask("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    lab.pass_time(DISCONNECTS_IN)
    new = {"XksProxyUriEndpoint": "https://other.example.com"}
    lab.ask("UpdateCustomKeyStore", CustomKeyStoreId=store, **new)
    proxy = described(lab, store)["XksProxyConfiguration"]
    assert proxy["UriEndpoint"] == "https://other.example.com"
    assert proxy["UriPath"] == "/kms/xks/v1"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"CustomKeyStoreId": "cks-0"}, "CustomKeyStoreNotFoundException"),
        ({"CustomKeyStoreName": "nobody's"}, "CustomKeyStoreNotFoundException"),
        ({"CustomKeyStoreId": "cks-0", "CustomKeyStoreName": "s"}, "ValidationException"),
        ({"Marker": "x"}, "InvalidMarkerException"),
    ],
)
def test_a_question_that_names_no_store_is_refused(lab, asked, code):
    make(lab)
    assert lab.refusal("DescribeCustomKeyStores", **asked).code == code


@pytest.mark.parametrize("operation", [*TAKEN_IN, "DescribeCustomKeyStores"])
def test_another_account_has_no_stores_and_whom_iam_denies_may_nothing(lab, operation):
    store = make(lab)
    other = Caller(f"arn:aws:iam::{OTHER_ACCOUNT}:root", OTHER_ACCOUNT)
    refused = lab.refusal(operation, other, CustomKeyStoreId=store)
    assert refused.code == "CustomKeyStoreNotFoundException"
    refused = lab.refusal(operation, user(), CustomKeyStoreId=store)
    assert refused.code == "AccessDeniedException"
    assert f"kms:{operation} on resource: * " in refused.message
    assert "CustomKeyStoreInvalidStateException" not in errors("DescribeCustomKeyStores")


# With boto3, for docs/lab.md


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@shows(
    "kms:ConnectCustomKeyStore",
    "kms:CreateKey",
    "kms:DeleteCustomKeyStore",
    "kms:DescribeCustomKeyStores",
    "kms:DescribeKey",
    "kms:DisconnectCustomKeyStore",
    "kms:GenerateRandom",
    "kms:UpdateCustomKeyStore",
)
def test_a_store_is_made_connected_used_disconnected_and_deleted(kms, own_lab):
    store = kms.create_custom_key_store(CustomKeyStoreName="ExampleKeyStore", **BACKING[CLOUDHSM])[
        "CustomKeyStoreId"
    ]
    assert re.fullmatch(r"cks-[0-9a-f]{17}", store)
    named = {"CustomKeyStoreId": store}

    def said():
        (found,) = kms.describe_custom_key_stores(**named)["CustomKeyStores"]
        return found

    # KMS Developer Guide, disconnect-keystore: the answer that is shown there.
    assert said() | {"CreationDate": None} == {
        "CustomKeyStoreId": store,
        "CustomKeyStoreName": "ExampleKeyStore",
        "CustomKeyStoreType": CLOUDHSM,
        "CloudHsmClusterId": "cluster-a2b3c4defgh",
        "TrustAnchorCertificate": "certificate",
        "CreationDate": None,
        "ConnectionState": "DISCONNECTED",
    }
    kms.connect_custom_key_store(**named)
    own_lab.pass_time(CONNECTS_IN[CLOUDHSM])
    assert said()["ConnectionState"] == "CONNECTED"
    key = kms.create_key(Origin=CLOUDHSM, **named)["KeyMetadata"]["KeyId"]
    assert len(kms.generate_random(NumberOfBytes=8, **named)["Plaintext"]) == 8
    kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.disconnect_custom_key_store(**named)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Unavailable"
    with pytest.raises(ClientError, match="CustomKeyStoreInvalidStateException"):
        kms.generate_random(NumberOfBytes=8, **named)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    own_lab.pass_time(7 * DAY)
    kms.update_custom_key_store(NewCustomKeyStoreName="Other", **named)
    assert said()["CustomKeyStoreName"] == "Other"
    kms.delete_custom_key_store(**named)
    with pytest.raises(ClientError, match="CustomKeyStoreNotFoundException"):
        said()


def made(kms, **asked):
    """How a new store is named in a call."""
    return {"CustomKeyStoreId": kms.create_custom_key_store(**asked)["CustomKeyStoreId"]}


@deviates("kms:CreateCustomKeyStore", "asks no CloudHSM cluster and no key manager: any will do")
@deviates("kms:ConnectCustomKeyStore", "fails only if that is ordered")
def test_nothing_is_behind_a_store(kms, own_lab):
    asked = {**BACKING[EXTERNAL], "XksProxyUriEndpoint": "https://nobody.invalid"}
    store = made(kms, CustomKeyStoreName="s", CustomKeyStoreType=EXTERNAL, **asked)
    kms.connect_custom_key_store(**store)
    own_lab.pass_time(CONNECTS_IN[EXTERNAL])
    (found,) = kms.describe_custom_key_stores(**store)["CustomKeyStores"]
    assert found["ConnectionState"] == "CONNECTED"


@deviates("kms:UpdateCustomKeyStore", "takes a CloudHSM cluster that is not related to the first")
def test_a_store_may_go_to_another_cluster(kms):
    store = made(kms, CustomKeyStoreName="s", **BACKING[CLOUDHSM])
    kms.update_custom_key_store(**store, CloudHsmClusterId="cluster-b2b3c4defgh")
    (found,) = kms.describe_custom_key_stores(**store)["CustomKeyStores"]
    assert found["CloudHsmClusterId"] == "cluster-b2b3c4defgh"


@deviates("kms:DisconnectCustomKeyStore", "stands in CloudTrail without additionalEventData")
def test_a_record_does_not_name_what_is_behind_the_store(kms, own_lab):
    store = made(kms, CustomKeyStoreName="s", **BACKING[CLOUDHSM])
    kms.connect_custom_key_store(**store)
    kms.disconnect_custom_key_store(**store)
    own_lab.pass_time(3600)
    trail = own_lab.client("cloudtrail")
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "DisconnectCustomKeyStore"}]
    (found,) = trail.lookup_events(LookupAttributes=wanted)["Events"]
    assert f'"customKeyStoreId": "{store["CustomKeyStoreId"]}"' in found["CloudTrailEvent"]
    assert "additionalEventData" not in found["CloudTrailEvent"]
    assert "kmsPswd" not in str(trail.lookup_events()["Events"])
