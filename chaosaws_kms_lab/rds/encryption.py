"""Aurora's use of a KMS key: envelope encryption, by the very calls that anyone makes.

Everything encrypted has a grant on the key, created in the name of the caller, and a data key,
which can be decrypted only with that grant. So one question covers every cause of a lost key:
disabled, pending deletion, deleted, denied by its policy, grant revoked, material expired.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller
from chaosaws_kms_lab.data_misbehaviours import COPY_HIDES_KEY, CREATE_IGNORES_KEY
from chaosaws_kms_lab.kms.calls import ask
from chaosaws_kms_lab.world import Encryption, World

__all__ = ["opened", "opens", "release", "take", "take_again", "take_from", "unwrap"]

# Assumed: AWS does not document the operations of RDS' grants; an encrypted volume and its
# snapshots need these.
OPERATIONS = [
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo", "RetireGrant",
]  # fmt: skip

THE_KEY = "The specified KMS key"
KEY_OF_PARAMETER = {"CopyDBClusterSnapshot": "Specified KMS key"}
"""Operation → how its message calls the key of parameter KmsKeyId, if not as the others do."""

DEFAULT_KEY = "alias/aws/rds"
"""What encrypts when no key is named (Aurora User Guide, Overview.Encryption)."""


def service_principal(region: str) -> str:
    """The principal of RDS, and so of Aurora (KMS Developer Guide, kms:ViaService)."""
    return f"rds.{region}.amazonaws.com"


def aurora(region: str) -> Caller:
    """Aurora itself as caller, on behalf of the account, for what it does without a call."""
    return Caller(service_principal(region), ACCOUNT)


def through(call: Call) -> Caller:
    """The caller of RDS, as KMS sees it when RDS acts in the caller's name."""
    return replace(call.caller, via=service_principal(call.region))


def take(world: World, call: Call, reference: str | None, context: Mapping[str, str]) -> Encryption:
    """A grant on the key in the name of the call's caller, and a data key for `context`.

    The caller needs kms:DescribeKey and kms:CreateGrant (Aurora User Guide, Overview.Encryption).
    For every error of KMS, RDS answers KMSKeyNotAccessibleFault.
    """
    named = reference or DEFAULT_KEY
    if call.operation == "CreateDBCluster" and world.active_misbehaviours(CREATE_IGNORES_KEY):
        named = DEFAULT_KEY
    try:
        return _take(world, call.region, through(call), named, context)
    except AwsError as why:
        raise not_accessible(named, KEY_OF_PARAMETER.get(call.operation, THE_KEY)) from why


def take_from(
    world: World,
    call: Call,
    source: Encryption,
    reference: str | None,
    context: Mapping[str, str],
) -> Encryption:
    """As `take`, for a copy of `source`: under the same key, if no other is named."""
    wanted = take(world, call, reference or (source.said or source).key_arn, context)
    if source.keeps is None or wanted.key_arn == source.key_arn:
        return wanted
    kept = replace(take(world, call, source.key_arn, context), keeps=source.keeps)
    if source.keeps == COPY_HIDES_KEY:
        return replace(kept, said=wanted)
    release(world, wanted)
    return kept


def take_again(world: World, held: Encryption | None) -> Encryption | None:
    """A second grant and data key under the same key, which the first grant allows Aurora."""
    if held is None:
        return None
    region = held.key_arn.split(":")[3]
    again = _take(world, region, aurora(region), held.key_arn, held.context)
    return replace(again, keeps=held.keeps, said=take_again(world, held.said))


def unwrap(world: World, held: Encryption, what: str = THE_KEY) -> bytes:
    """The data key in plaintext; raises KMSKeyNotAccessibleFault if KMS does not decrypt it.

    `what`: how the message calls the key.
    """
    region = held.key_arn.split(":")[3]
    try:
        opened = ask(
            world,
            region,
            aurora(region),
            "Decrypt",
            KeyId=held.key_arn,
            CiphertextBlob=held.data_key,
            EncryptionContext=dict(held.context),
        )
    except AwsError as why:
        raise not_accessible(held.key_arn, what) from why
    plain: bytes = opened["Plaintext"]
    return plain


def opened(
    world: World, held: Encryption | None, what: str = THE_KEY
) -> tuple[bytes | None, Mapping[str, str]]:
    """The plaintext data key with its context; None and {} if there is no encryption."""
    if held is None:
        return None, {}
    return unwrap(world, held, what), held.context


def opens(world: World, held: Encryption) -> bool:
    """Whether the data key can be unwrapped now."""
    try:
        unwrap(world, held)
    except AwsError:
        return False
    return True


def release(world: World, held: Encryption) -> None:
    """Retires the grant, if the key and the grant are still there."""
    region = held.key_arn.split(":")[3]
    with contextlib.suppress(AwsError):
        ask(
            world,
            region,
            aurora(region),
            "RetireGrant",
            KeyId=held.key_arn,
            GrantId=held.grant_id,
        )
    if held.said:
        release(world, held.said)


def not_accessible(key: str, what: str) -> AwsError:
    """RDS' one error for every refusal of KMS; what KMS said stands in CloudTrail."""
    return AwsError(
        "KMSKeyNotAccessibleFault",
        f"{what} [{key}] does not exist, is not enabled or you do not have permissions to access "
        "it.",
    )


# Internals


def _take(
    world: World, region: str, caller: Caller, named: str, context: Mapping[str, str]
) -> Encryption:
    key_arn = ask(world, region, caller, "DescribeKey", KeyId=named)["KeyMetadata"]["Arn"]
    grant = ask(
        world,
        region,
        caller,
        "CreateGrant",
        KeyId=key_arn,
        GranteePrincipal=service_principal(region),
        RetiringPrincipal=service_principal(region),
        Operations=OPERATIONS,
        Constraints={"EncryptionContextSubset": dict(context)},
    )
    try:
        made = ask(
            world,
            region,
            aurora(region),
            "GenerateDataKeyWithoutPlaintext",
            KeyId=key_arn,
            KeySpec="AES_256",
            EncryptionContext=dict(context),
        )
        taken = Encryption(key_arn, grant["GrantId"], made["CiphertextBlob"], dict(context))
        unwrap(world, taken)  # if Aurora cannot decrypt it, better fail now than later
    except AwsError:
        release(world, Encryption(key_arn, grant["GrantId"], b"", context))
        raise
    return taken
