"""The lab's KMS held against answers that AWS gave and others recorded.

Symmetric encryption keys only: the lab has no others. An operation on a key of the AWS account of
the recording, in its Region, is one on a key of the lab's.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest

from tests.support.in_process_lab import InProcessLab
from tests.support.kms_world import (
    DOES_NOT,
    EXPIRES,
    ROOT,
    allow,
    parameters,
    policy,
    wrapped,
)
from tests.support.recorded import Case, Refused, Source, cases, check

ACCOUNT = "123456789012"
HERE, ELSEWHERE = "eu-west-1", "eu-central-1"
NOBODY = "134f2428-cec1-4b25-a1ae-9048164dba47"
MATERIAL_ID = re.compile("[0-9a-f]{64}")
NEW, FIRST, SECOND, THIRD = {"ImportType": "NEW_KEY_MATERIAL"}, b"1" * 32, b"2" * 32, b"3" * 32
GRANT = {"Operations": ["Decrypt", "Encrypt"], "GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:root"}


class Situation:
    """Clients of the lab, and the last key that was made: its `id`, `arn` and `region`."""

    def __init__(self, lab: InProcessLab) -> None:
        self.kms, self.kms_elsewhere = (
            lab.client("kms", region=region, validated=False) for region in (HERE, ELSEWHERE)
        )
        self.id = self.arn = self.elsewhere_arn = ""
        self.here, self.elsewhere, self.account = HERE, ELSEWHERE, ACCOUNT
        self.other = ""
        self.material = self.pending = self.refused = ""
        self.alias = ""

    def key(self, kms: Any = None, **params: Any) -> Any:
        """The metadata of a new key."""
        made = (kms or self.kms).create_key(**params)["KeyMetadata"]
        self.id, self.arn = made["KeyId"], made["Arn"]
        return made

    def key_id(self, **params: Any) -> str:
        self.key(**params)
        return self.id

    def described(self, **params: Any) -> Any:
        self.key(**params)
        return self.kms.describe_key(KeyId=self.id)["KeyMetadata"]

    def replicated(self) -> None:
        """A primary key, and a replica elsewhere."""
        self.kms.replicate_key(KeyId=self.key_id(MultiRegion=True), ReplicaRegion=ELSEWHERE)

    def state(self) -> dict[str, Any]:
        """What DescribeKey says of the last key's state."""
        said = self.kms.describe_key(KeyId=self.id)["KeyMetadata"]
        return {name: said.get(name) for name in ("Enabled", "KeyState", "DeletionDate")}

    def tagged(self, tags: dict[str, str]) -> str:
        return self.key_id(Tags=pairs(tags))

    def tags(self) -> Any:
        return self.kms.list_resource_tags(KeyId=self.id)["Tags"]

    def named(self) -> str:
        """The name of a new alias of the last key."""
        self.alias = f"alias/{self.id}"
        self.kms.create_alias(AliasName=self.alias, TargetKeyId=self.id)
        return self.alias

    def bring(self, material: bytes, **more: Any) -> Any:
        """Imports material into the last key."""
        chosen = parameters()
        got = self.kms.get_parameters_for_import(KeyId=self.id, **chosen)
        return self.kms.import_key_material(
            KeyId=self.id,
            ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrapped(got["PublicKey"], material, chosen["WrappingAlgorithm"]),
            **({"ExpirationModel": DOES_NOT} | more),
        )

    def imported(self, *materials: bytes) -> str:
        """The id of a key with one imported material, and maybe one that waits for a rotation."""
        self.key(Origin="EXTERNAL")
        self.material = self.bring(materials[0])["KeyMaterialId"]
        for material in materials[1:]:
            self.pending = self.bring(material, **NEW)["KeyMaterialId"]
        return self.id

    def sealed(self, **more: Any) -> bytes:
        blob: bytes = self.kms.encrypt(KeyId=self.id, Plaintext=b"row", **more)["CiphertextBlob"]
        return blob


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in tags.items()]


def numbered(*numbers: int, **changed: str) -> dict[str, str]:
    return {f"tag{n}": f"value{n}" for n in numbers} | changed


def localstack(test: str, on: str, of: str = "KMS") -> Source:
    """A snapshot of LocalStack's tests; S3 passes on what KMS answers it."""
    day, month, year = (int(part) for part in on.split("-"))
    return Source(f"LocalStack, tests of {of}", f"test_{test}", date(year, month, day))


def moto(test: str) -> Source:
    return Source("moto, tests of KMS, verified on AWS", f"test_{test}", date(2026, 8, 22))


METADATA: dict[str, Any] = {
    "AWSAccountId": "{account}",
    "Arn": "{arn}",
    "CreationDate": datetime,
    "CurrentKeyMaterialId": MATERIAL_ID,
    "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "Description": str,
    "Enabled": True,
    "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
    "KeyId": "{id}",
    "KeyManager": "CUSTOMER",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "KeyState": "Enabled",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "MultiRegion": False,
    "Origin": "AWS_KMS",
}
EXTERNAL = METADATA | {"Origin": "EXTERNAL", "ExpirationModel": DOES_NOT}
PENDING = METADATA | {"Origin": "EXTERNAL", "KeyState": "PendingImport", "Enabled": False}
EMPTY = {name: value for name, value in PENDING.items() if name != "CurrentKeyMaterialId"}
PRIMARY = {"Arn": "arn:aws:kms:{here}:{account}:key/{id}", "Region": "{here}"}
REPLICA = {"Arn": "arn:aws:kms:{elsewhere}:{account}:key/{id}", "Region": "{elsewhere}"}


def multi_region(kind: str, *replicas: dict[str, str]) -> dict[str, Any]:
    set_of_keys = {"MultiRegionKeyType": kind, "PrimaryKey": PRIMARY, "ReplicaKeys": [*replicas]}
    return {"MultiRegion": True, "MultiRegionConfiguration": set_of_keys}


def is_not_there(arn: str) -> Refused:
    return Refused("NotFoundException", f"Key '{arn}' does not exist")


NOT_THERE = is_not_there("{arn}")
PENDING_IMPORT = Refused("KMSInvalidStateException", "{arn} is pending import.")
WRONG_CONTEXT = Refused("InvalidCiphertextException", "")
DRY = Refused(
    "DryRunOperationException",
    "The request would have succeeded, but the DryRun option is set.",
)
RESERVED = Refused("TagException", "Tags beginning with aws: are reserved")
INVALID = "1 validation error detected: Value{} at '{}' failed to satisfy constraint: {}"


def invalid(value: str, where: str, must: str) -> Refused:
    return Refused("ValidationException", INVALID.format(value, where, f"Member must have {must}"))


OFF = {"Enabled": False, "KeyState": "Disabled", "DeletionDate": None}
REGIONS = localstack("get_key_in_different_region", "10-11-2025")
MISSING = localstack("get_key_does_not_exist", "08-09-2025")
BAD_ID = localstack("get_key_invalid_uuid", "07-11-2023")

KEYS = [
    Case("kms:CreateKey", "what a new key is like", localstack("create_key", "10-11-2025"),
         lambda s: s.key(Description="test key 123"), METADATA | {"Description": "test key 123"}),
    Case("kms:DescribeKey", "a new key", localstack("create_key", "10-11-2025"),
         lambda s: s.described(Description="test key 123"),
         METADATA | {"Description": "test key 123"}),
    Case("kms:DescribeKey", "a key of another Region, by its id", REGIONS,
         lambda s: (s.key(s.kms_elsewhere), s.kms.describe_key(KeyId=s.id)),
         is_not_there("arn:aws:kms:{here}:{account}:key/{id}")),
    Case("kms:DescribeKey", "a key of another Region, by its ARN", REGIONS,
         lambda s: (s.key(s.kms_elsewhere), s.kms.describe_key(KeyId=s.arn)),
         Refused("NotFoundException", "Invalid arn {elsewhere}")),
    Case("kms:DescribeKey", "by its ARN, in its Region", REGIONS,
         lambda s: s.kms_elsewhere.describe_key(KeyId=s.key(s.kms_elsewhere)["Arn"])["KeyMetadata"],
         METADATA),
    Case("kms:DescribeKey", "by the ARN of an alias", localstack("describe_with_alias_arn",
                                                                 "05-08-2025"),
         lambda s: (s.key(), s.kms.describe_key(
             KeyId=f"arn:aws:kms:{HERE}:{ACCOUNT}:{s.named()}"))[1]["KeyMetadata"], METADATA),
    Case("kms:DescribeKey", "an id of no key", MISSING,
         lambda s: s.kms.describe_key(KeyId=NOBODY),
         is_not_there(f"arn:aws:kms:{{here}}:{{account}}:key/{NOBODY}")),
    Case("kms:DescribeKey", "an ARN of no key", MISSING,
         lambda s: s.kms.describe_key(KeyId=f"arn:aws:kms:{HERE}:{ACCOUNT}:key/{NOBODY}"),
         is_not_there(f"arn:aws:kms:{{here}}:{{account}}:key/{NOBODY}")),
    Case("kms:DescribeKey", "an id of no multi-Region key", MISSING,
         lambda s: s.kms.describe_key(KeyId="mrk-" + "d3b95762" * 4),
         is_not_there(f"arn:aws:kms:{{here}}:{{account}}:key/mrk-{'d3b95762' * 4}")),
    *(Case("kms:DescribeKey", f"{name}, which is no id", BAD_ID,
           lambda s, name=name: s.kms.describe_key(KeyId=name),
           Refused("NotFoundException", f"Invalid keyId '{name}'"))
      for name in ("fake-key-id", NOBODY.replace("-", ""), "mrk-fake-key-id")),
    Case("kms:CreateKey", "a multi-Region key", localstack("create_multi_region_key", "10-11-2025"),
         lambda s: s.key(MultiRegion=True), METADATA | multi_region("PRIMARY")),
    Case("kms:CreateKey", "a key that is none", localstack(
        "non_multi_region_keys_should_not_have_multi_region_properties", "10-11-2025"),
         lambda s: s.key(MultiRegion=False), METADATA),
    Case("kms:DisableKey", "then the key is disabled",
         localstack("disable_and_enable_key", "11-04-2024"),
         lambda s: (s.kms.disable_key(KeyId=s.key_id()), s.state())[1], OFF),
    Case("kms:EnableKey", "then the key is enabled",
         localstack("disable_and_enable_key", "11-04-2024"),
         lambda s: (s.kms.disable_key(KeyId=s.key_id()), s.kms.enable_key(KeyId=s.id),
                    s.state())[2],
         {"Enabled": True, "KeyState": "Enabled", "DeletionDate": None}),
    Case("kms:ScheduleKeyDeletion", "then the key has a date",
         localstack("schedule_and_cancel_key_deletion", "11-04-2024"),
         lambda s: (s.kms.schedule_key_deletion(KeyId=s.key_id()), s.state())[1],
         {"Enabled": False, "KeyState": "PendingDeletion", "DeletionDate": datetime}),
    Case("kms:ScheduleKeyDeletion", "a key that has a date",
         localstack("cant_delete_deleted_key", "11-04-2024"),
         lambda s: [s.kms.schedule_key_deletion(KeyId=k) for k in [s.key_id()] * 2],
         Refused("KMSInvalidStateException")),
    Case("kms:CancelKeyDeletion", "then the key is disabled",
         localstack("schedule_and_cancel_key_deletion", "11-04-2024"),
         lambda s: (s.kms.schedule_key_deletion(KeyId=s.key_id()),
                    s.kms.cancel_key_deletion(KeyId=s.id), s.state())[2], OFF),
    Case("kms:UpdateKeyDescription", "then the key has another one",
         localstack("update_key_description", "11-04-2024"),
         lambda s: (s.kms.update_key_description(KeyId=s.key_id(), Description="new"),
                    {"is": s.kms.describe_key(KeyId=s.id)["KeyMetadata"]["Description"]})[1],
         {"is": "new"}),
]  # fmt: skip

REPLICATION = localstack("replicate_key", "10-11-2025")
DEFAULT_POLICY = re.compile(r'\s*\{\s*"Version".*"key-default-1".*"kms:\*".*', re.DOTALL)

REPLICAS = [
    Case("kms:ReplicateKey", "a primary key", REPLICATION,
         lambda s: s.kms.replicate_key(
             KeyId=s.key_id(MultiRegion=True, Description="x"), ReplicaRegion=ELSEWHERE),
         {"ReplicaKeyMetadata": {
             **{n: v for n, v in METADATA.items() if n != "CurrentKeyMaterialId"},
             "Arn": REPLICA["Arn"], "Description": "", "KeyState": "Creating", "Enabled": False,
             **multi_region("REPLICA", REPLICA)},
          "ReplicaPolicy": DEFAULT_POLICY}),
    Case("kms:ReplicateKey", "a replica", localstack("replicate_replica_key_should_fail",
                                                     "08-09-2025"),
         lambda s: (s.replicated(),
                    s.kms_elsewhere.replicate_key(KeyId=s.id, ReplicaRegion=ELSEWHERE)),
         Refused("UnsupportedOperationException",
                 "arn:aws:kms:{elsewhere}:{account}:key/{id} is not a multi-region primary key.")),
    Case("kms:DescribeKey", "a primary key, in a Region without a replica", REPLICATION,
         lambda s: s.kms_elsewhere.describe_key(KeyId=s.key_id(MultiRegion=True)),
         is_not_there(REPLICA["Arn"])),
    Case("kms:DescribeKey", "a primary key that has a replica", REPLICATION,
         lambda s: (s.replicated(),
                    s.kms.describe_key(KeyId=s.id)["KeyMetadata"])[1],
         METADATA | multi_region("PRIMARY", REPLICA)),
    Case("kms:DescribeKey", "a replica", REPLICATION,
         lambda s: (s.replicated(),
                    s.kms_elsewhere.describe_key(KeyId=s.id)["KeyMetadata"])[1],
         METADATA | {"Arn": REPLICA["Arn"], "Description": ""} | multi_region("REPLICA", REPLICA)),
]  # fmt: skip

IMPORT = localstack("import_key_symmetric", "10-11-2025")
ROTATED = localstack("rotate_key_on_demand_updates_current_key_material_for_external_keys",
                     "09-11-2025")  # fmt: skip

MATERIALS = [
    Case("kms:CreateKey", "a key for imported material", IMPORT,
         lambda s: s.key(Origin="EXTERNAL"), EMPTY),
    Case("kms:Encrypt", "a key without its material", IMPORT,
         lambda s: (s.key(Origin="EXTERNAL"), s.sealed()), PENDING_IMPORT),
    Case("kms:ImportKeyMaterial", "material that expires, no date", IMPORT,
         lambda s: (s.key(Origin="EXTERNAL"), s.bring(FIRST, ExpirationModel=EXPIRES)),
         Refused("ValidationException",
                 "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")),
    Case("kms:ImportKeyMaterial", "the first material", ROTATED,
         lambda s: (s.key(Origin="EXTERNAL"), s.bring(FIRST))[1],
         {"KeyId": "{arn}", "KeyMaterialId": MATERIAL_ID}),
    Case("kms:DescribeKey", "a key with imported material", IMPORT,
         lambda s: s.kms.describe_key(KeyId=s.imported(FIRST))["KeyMetadata"],
         EXTERNAL | {"CurrentKeyMaterialId": "{material}"}),
    Case("kms:DescribeKey", "a key whose material was deleted", IMPORT,
         lambda s: (s.kms.delete_imported_key_material(KeyId=s.imported(FIRST)),
                    s.kms.describe_key(KeyId=s.id)["KeyMetadata"])[1],
         PENDING | {"CurrentKeyMaterialId": "{material}"}),
    Case("kms:DeleteImportedKeyMaterial", "then the key encrypts nothing", IMPORT,
         lambda s: (s.kms.delete_imported_key_material(KeyId=s.imported(FIRST)), s.sealed()),
         PENDING_IMPORT),
    Case("kms:GetParametersForImport", "a key for imported material", ROTATED,
         lambda s: s.kms.get_parameters_for_import(KeyId=s.key_id(Origin="EXTERNAL"),
                                                   **parameters()),
         {"KeyId": "{arn}", "ImportToken": bytes, "PublicKey": bytes,
          "ParametersValidTo": datetime}),
    Case("kms:GetParametersForImport", "a key with material of KMS",
         localstack("get_parameters_for_import_raises_for_non_external_kms_keys", "10-11-2025"),
         lambda s: s.kms.get_parameters_for_import(KeyId=s.key_id(), **parameters("RSA_4096")),
         Refused("UnsupportedOperationException",
                 "{arn} origin is AWS_KMS which is not valid for this operation.")),
    Case("kms:ImportKeyMaterial", "a second material", ROTATED,
         lambda s: (s.imported(FIRST), s.bring(SECOND, **NEW))[1],
         {"KeyId": "{arn}", "KeyMaterialId": MATERIAL_ID}),
    Case("kms:DescribeKey", "a key whose second material waits", ROTATED,
         lambda s: s.kms.describe_key(KeyId=s.imported(FIRST, SECOND))["KeyMetadata"],
         EXTERNAL | {"CurrentKeyMaterialId": "{material}"}),
    Case("kms:ImportKeyMaterial", "a third material while the second waits",
         localstack("import_key_material_raises_if_there_is_already_key_material_pending",
                    "10-11-2025"),
         lambda s: (s.imported(FIRST, SECOND), s.bring(THIRD, **NEW)),
         Refused("KMSInvalidStateException",
                 "New key material (id: …) cannot be imported into KMS key {arn}, because "
                 "another key material (id: {pending}) is pending rotation.")),
    Case("kms:RotateKeyOnDemand", "a key whose second material waits", ROTATED,
         lambda s: s.kms.rotate_key_on_demand(KeyId=s.imported(FIRST, SECOND)),
         {"KeyId": "{arn}"}),
    Case("kms:DescribeKey", "a key that was rotated to its second material", ROTATED,
         lambda s: (s.kms.rotate_key_on_demand(KeyId=s.imported(FIRST, SECOND)),
                    s.kms.describe_key(KeyId=s.id)["KeyMetadata"])[1],
         EXTERNAL | {"CurrentKeyMaterialId": "{pending}"}),
    Case("kms:Decrypt", "what the first material encrypted, after the rotation",
         localstack("rotate_key_on_demand_for_external_keys_decrypts_with_previous_material",
                    "12-11-2025"),
         lambda s: (s.imported(FIRST, SECOND), blob := s.sealed(),
                    s.kms.rotate_key_on_demand(KeyId=s.id),
                    s.kms.decrypt(CiphertextBlob=blob, KeyId=s.id))[3],
         {"KeyId": "{arn}", "KeyMaterialId": "{material}", "Plaintext": b"row",
          "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
    Case("kms:RotateKeyOnDemand", "imported material, and none that waits",
         localstack("rotate_key_on_demand_raises_for_no_pending_key_material", "19-11-2025"),
         lambda s: s.kms.rotate_key_on_demand(KeyId=s.imported(FIRST)),
         Refused("KMSInvalidStateException",
                 "No available key material pending rotation for the key: {arn}.")),
    Case("kms:RotateKeyOnDemand", "a key that never had material",
         localstack("rotate_key_on_demand_on_external_key_with_no_key_material", "05-11-2025"),
         lambda s: s.kms.rotate_key_on_demand(KeyId=s.key_id(Origin="EXTERNAL")), PENDING_IMPORT),
]  # fmt: skip


def rotated(s: Situation, times: int, **params: Any) -> Any:
    """The answer to the last of so many rotations of a new key."""
    s.key(**params)
    return [s.kms.rotate_key_on_demand(KeyId=s.id) for _ in range(times)][-1]


ROTATION = [
    Case("kms:RotateKeyOnDemand", "a key with material of KMS",
         localstack("rotate_on_demand_returns_arn_for_key_id", "06-11-2025"),
         lambda s: rotated(s, 1), {"KeyId": "{arn}"}),
    Case("kms:RotateKeyOnDemand", "once more than a key may be",
         localstack("key_rotations_limits", "03-04-2025"), lambda s: rotated(s, 26),
         Refused("LimitExceededException",
                 "The on-demand rotations limit has been reached for the given keyId. No more "
                 "on-demand rotations can be performed for this key: {arn}")),
    Case("kms:RotateKeyOnDemand", "a disabled key",
         localstack("rotate_key_on_demand_raises_error_given_key_is_disabled", "08-03-2025"),
         lambda s: (s.kms.disable_key(KeyId=s.key_id()), s.kms.rotate_key_on_demand(KeyId=s.id)),
         Refused("DisabledException", "{arn} is disabled.")),
    Case("kms:RotateKeyOnDemand", "an id of no key",
         localstack("rotate_key_on_demand_raises_error_given_key_that_does_not_exist",
                    "08-03-2025"),
         lambda s: s.kms.rotate_key_on_demand(KeyId=NOBODY),
         is_not_there(f"arn:aws:kms:{{here}}:{{account}}:key/{NOBODY}")),
    Case("kms:GetKeyRotationStatus", "rotated on demand, else not",
         localstack("rotate_key_on_demand_with_symmetric_key_and_automatic_rotation_disabled",
                    "10-11-2025"),
         lambda s: (rotated(s, 1), s.kms.get_key_rotation_status(KeyId=s.id))[1],
         {"KeyId": "{arn}", "KeyRotationEnabled": False}),
    Case("kms:GetKeyRotationStatus", "rotated on demand, and every year",
         localstack("rotate_key_on_demand_with_symmetric_key_and_automatic_rotation_enabled",
                    "12-03-2025"),
         lambda s: (s.kms.enable_key_rotation(KeyId=s.key_id()),
                    s.kms.rotate_key_on_demand(KeyId=s.id),
                    s.kms.get_key_rotation_status(KeyId=s.id))[2],
         {"KeyId": "{arn}", "KeyRotationEnabled": True, "NextRotationDate": datetime,
          "RotationPeriodInDays": 365}),
    *(Case("kms:EnableKeyRotation", f"every {days} days",
           localstack("key_enable_rotation_status", "02-03-2025"),
           lambda s, days=days: (
               s.kms.enable_key_rotation(KeyId=s.key_id(), RotationPeriodInDays=days),
               s.kms.get_key_rotation_status(KeyId=s.id))[1],
           {"KeyId": "{arn}", "KeyRotationEnabled": True, "NextRotationDate": datetime,
            "RotationPeriodInDays": days}) for days in (90, 180)),
    Case("kms:DescribeKey", "a key that was rotated",
         localstack("key_rotation_updates_current_key_material_id_for_aws_symmetric_keys",
                    "19-11-2025"),
         lambda s: (first := s.key()["CurrentKeyMaterialId"],
                    s.kms.rotate_key_on_demand(KeyId=s.id),
                    {"other": s.described()["CurrentKeyMaterialId"] != first})[2],
         {"other": True}),
    Case("kms:Decrypt", "a damaged ciphertext of a rotated key",
         localstack("key_rotations_encryption_decryption", "09-02-2026"),
         lambda s: (s.key(), blob := s.sealed(), s.kms.rotate_key_on_demand(KeyId=s.id),
                    s.kms.decrypt(CiphertextBlob=blob[:-1] + bytes([blob[-1] ^ 1]), KeyId=s.id)),
         WRONG_CONTEXT),
]  # fmt: skip

CONTEXT = {"EncryptionContext": {"context-key": "context-value"}}
ENCRYPTION = localstack("encrypt_decrypt_encryption_context", "22-09-2025")
INCORRECT = Refused(
    "IncorrectKeyException",
    "The key ID in the request does not identify a CMK that can perform this operation.",
)
DATA_KEY = {"CiphertextBlob": bytes, "KeyId": "{arn}"}
KEY_PAIR = {"KeyId": "{arn}", "KeyPairSpec": "RSA_2048", "PublicKey": bytes,
            "PrivateKeyCiphertextBlob": bytes}  # fmt: skip
RSA, AES = {"KeyPairSpec": "RSA_2048"}, {"KeySpec": "AES_256"}


THROUGH_S3 = localstack("s3_sse_validate_kms_key(_state)", "21-02-2026", "S3")
DISABLED = Refused("DisabledException", "{arn} is disabled.")


def opened_without_context(s: Situation, operation: str, member: str, spec: dict[str, str]) -> Any:
    made = getattr(s.kms, operation)(KeyId=s.key_id(), **spec, **CONTEXT)
    return s.kms.decrypt(CiphertextBlob=made[member], KeyId=s.id)


def re_encrypted(s: Situation, source: str | None = None) -> Any:
    s.key()
    blob, s.other = s.sealed(), s.arn
    return s.kms.re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=s.key_id(), SourceKeyId=s.id if source else s.other
    )


USE = [
    Case("kms:Encrypt", "with an encryption context", ENCRYPTION,
         lambda s: s.kms.encrypt(KeyId=s.key_id(), Plaintext=b"x", **CONTEXT),
         {"CiphertextBlob": bytes, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "{arn}"}),
    Case("kms:Decrypt", "with its encryption context", ENCRYPTION,
         lambda s: (s.key(), s.kms.decrypt(CiphertextBlob=s.sealed(**CONTEXT), **CONTEXT))[1],
         {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "{arn}",
          "KeyMaterialId": MATERIAL_ID, "Plaintext": b"row"}),
    Case("kms:Decrypt", "without its encryption context", ENCRYPTION,
         lambda s: (s.key(), s.kms.decrypt(CiphertextBlob=s.sealed(**CONTEXT))), WRONG_CONTEXT),
    Case("kms:Decrypt", "what is no ciphertext", ENCRYPTION,
         lambda s: s.kms.decrypt(CiphertextBlob=b"nonsense", KeyId=s.key_id()), WRONG_CONTEXT),
    Case("kms:Decrypt", "another key is named than it was encrypted under",
         localstack("error_messaging_for_invalid_keys", "13-04-2023"),
         lambda s: (s.key(), blob := s.sealed(),
                    s.kms.decrypt(CiphertextBlob=blob, KeyId=s.key_id())), INCORRECT),
    Case("kms:Encrypt", "more than 4096 bytes", localstack("plaintext_size_for_encrypt",
                                                           "13-04-2023"),
         lambda s: s.kms.encrypt(KeyId=s.key_id(), Plaintext=bytes(4097)),
         invalid("", "plaintext", "length less than or equal to 4096")),
    Case("kms:Encrypt", "nothing", moto("encrypt_key_with_empty_content"),
         lambda s: s.kms.encrypt(KeyId=s.key_id(), Plaintext=b""),
         invalid("", "plaintext", "length greater than or equal to 1")),
    *(Case("kms:Encrypt", f"the key is named by {what}",
           localstack("all_types_of_key_id_can_be_used_for_encryption", "11-04-2024"),
           lambda s, name=name: (s.key(), s.named(), s.kms.encrypt(
               KeyId=name.format(**vars(s)), Plaintext=b"x"))[2],
           {"CiphertextBlob": bytes, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "{arn}"})
      for what, name in {"id": "{id}", "ARN": "{arn}", "alias": "{alias}",
                         "alias ARN": "arn:aws:kms:{here}:{account}:{alias}"}.items()),
    Case("kms:GenerateDataKey", "a data key", localstack("generate_data_key", "11-05-2023"),
         lambda s: s.kms.generate_data_key(KeyId=s.key_id(), **AES),
         DATA_KEY | {"Plaintext": bytes}),
    Case("kms:GenerateDataKeyWithoutPlaintext", "a data key",
         localstack("generate_data_key_without_plaintext", "11-05-2023"),
         lambda s: s.kms.generate_data_key_without_plaintext(KeyId=s.key_id(), **AES), DATA_KEY),
    Case("kms:GenerateDataKeyPair", "a key pair", localstack("generate_data_key_pair",
                                                             "11-05-2023"),
         lambda s: s.kms.generate_data_key_pair(KeyId=s.key_id(), **RSA),
         KEY_PAIR | {"PrivateKeyPlaintext": bytes}),
    Case("kms:GenerateDataKeyPairWithoutPlaintext", "a key pair",
         localstack("generate_data_key_pair_without_plaintext", "11-05-2023"),
         lambda s: s.kms.generate_data_key_pair_without_plaintext(KeyId=s.key_id(), **RSA),
         KEY_PAIR),
    *(Case(f"kms:{operation}", "opened without its encryption context",
           localstack(f"encryption_context_{method}", "16-06-2023"),
           lambda s, args=(method, member, spec): opened_without_context(s, *args), WRONG_CONTEXT)
      for operation, method, member, spec in (
          ("GenerateDataKey", "generate_data_key", "CiphertextBlob", AES),
          ("GenerateDataKeyWithoutPlaintext", "generate_data_key_without_plaintext",
           "CiphertextBlob", AES),
          ("GenerateDataKeyPair", "generate_data_key_pair", "PrivateKeyCiphertextBlob",
           {"KeyPairSpec": "ECC_NIST_P256"}),
          ("GenerateDataKeyPairWithoutPlaintext", "generate_data_key_pair_without_plaintext",
           "PrivateKeyCiphertextBlob", {"KeyPairSpec": "ECC_NIST_P256"}))),
    Case("kms:GenerateDataKeyPair", "dry run", localstack("generate_data_key_pair_dry_run",
                                                          "06-04-2025"),
         lambda s: s.kms.generate_data_key_pair(KeyId=s.key_id(), DryRun=True, **RSA), DRY),
    Case("kms:GenerateDataKeyPairWithoutPlaintext", "dry run",
         localstack("generate_data_key_pair_without_plaintext_dry_run", "07-04-2025"),
         lambda s: s.kms.generate_data_key_pair_without_plaintext(
             KeyId=s.key_id(), DryRun=True, **RSA), DRY),
    Case("kms:ReEncrypt", "from one key to another", localstack("re_encrypt", "09-06-2025"),
         re_encrypted,
         {"CiphertextBlob": bytes, "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
          "KeyId": "{arn}", "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
          "SourceKeyId": "{other}", "SourceKeyMaterialId": MATERIAL_ID,
          "DestinationKeyMaterialId": MATERIAL_ID}),
    Case("kms:ReEncrypt", "another source key is named",
         localstack("re_encrypt_incorrect_source_key", "09-06-2025"),
         lambda s: re_encrypted(s, source="the destination"), INCORRECT),
    Case("kms:GenerateDataKey", "a disabled key", THROUGH_S3,
         lambda s: (s.kms.disable_key(KeyId=s.key_id()),
                    s.kms.generate_data_key(KeyId=s.id, **AES)), DISABLED),
    Case("kms:GenerateDataKey", "a key that is to be deleted",
         localstack("cant_use_disabled_or_deleted_keys", "11-04-2024"),
         lambda s: (s.kms.schedule_key_deletion(KeyId=s.key_id()),
                    s.kms.generate_data_key(KeyId=s.id, **AES)),
         Refused("KMSInvalidStateException")),
    Case("kms:GenerateDataKey", "a key of another Region, by its ARN", THROUGH_S3,
         lambda s: (s.key(s.kms_elsewhere), s.kms.generate_data_key(KeyId=s.arn, **AES)),
         Refused("NotFoundException", "Invalid arn {elsewhere}")),
    Case("kms:Decrypt", "a disabled key", THROUGH_S3,
         lambda s: (s.key(), blob := s.sealed(), s.kms.disable_key(KeyId=s.id),
                    s.kms.decrypt(CiphertextBlob=blob)), DISABLED),
    Case("kms:Decrypt", "a key that is to be deleted", THROUGH_S3,
         lambda s: (s.key(), blob := s.sealed(), s.kms.schedule_key_deletion(KeyId=s.id),
                    s.kms.decrypt(CiphertextBlob=blob)),
         Refused("KMSInvalidStateException", "{arn} is pending deletion.")),
    Case("kms:GenerateRandom", "no length", localstack("generate_random_invalid_number_of_bytes",
                                                       "13-04-2023"),
         lambda s: s.kms.generate_random(), Refused("ValidationException",
                                                    "NumberOfBytes is required.")),
    Case("kms:GenerateRandom", "0 bytes", localstack("generate_random_invalid_number_of_bytes",
                                                     "13-04-2023"),
         lambda s: s.kms.generate_random(NumberOfBytes=0),
         invalid(" '0'", "numberOfBytes", "value greater than or equal to 1")),
    Case("kms:GenerateRandom", "1025 bytes", localstack("generate_random_invalid_number_of_bytes",
                                                        "13-04-2023"),
         lambda s: s.kms.generate_random(NumberOfBytes=1025),
         invalid(" '1025'", "numberOfBytes", "value less than or equal to 1024")),
    *(Case("kms:GenerateRandom", f"{count} bytes", localstack("generate_random", "13-04-2023"),
           lambda s, count=count: {
               "length": len(s.kms.generate_random(NumberOfBytes=count)["Plaintext"])},
           {"length": count}) for count in (1, 12, 1024)),
]  # fmt: skip

TAGS = [
    *(Case("kms:CreateKey", f"a tag that begins with {prefix}",
           localstack("create_key_with_invalid_tag_key", "22-01-2025"),
           lambda s, prefix=prefix: s.tagged({f"{prefix}x": "value1"}), RESERVED)
      for prefix in ("aws:", "AWS:")),
    Case("kms:CreateKey", "more than 50 tags",
         localstack("create_key_with_too_many_tags_raises_error", "21-01-2025"),
         lambda s: s.tagged(numbered(*range(51))), Refused("TagException", "Too many tags")),
    Case("kms:CreateKey", "a tag key that is too long",
         localstack("create_key_with_invalid_tag_key", "22-01-2025"),
         lambda s: s.tagged({"a" * 129: "x"}),
         invalid(f" '{'a' * 129}'", "tags.1.member.tagKey", "length less than or equal to 128")),
    Case("kms:CreateKey", "a tag value that is too long",
         localstack("key_with_long_tag_value_raises_error", "21-01-2025"),
         lambda s: s.tagged({"tag1": "v" * 257}),
         invalid(f" '{'v' * 257}'", "tags.1.member.tagValue", "length less than or equal to 256")),
    Case("kms:TagResource", "a tag that begins with aws:",
         localstack("tag_existing_key_with_invalid_tag_key", "21-01-2025"),
         lambda s: s.kms.tag_resource(KeyId=s.key_id(), Tags=pairs({"aws:x": "y"})), RESERVED),
    Case("kms:TagResource", "a tag key twice",
         localstack("tag_key_with_duplicate_tag_keys_raises_error", "17-01-2025"),
         lambda s: s.kms.tag_resource(KeyId=s.key_id(), Tags=pairs({"a": "1"}) * 2),
         Refused("TagException", "Duplicate tag keys")),
    Case("kms:ListResourceTags", "tags of a new key",
         localstack("create_key_with_tag_and_untag", "10-01-2025"),
         lambda s: (s.tagged(numbered(1, 2)), s.tags())[1], pairs(numbered(1, 2))),
    Case("kms:TagResource", "new tags and new values",
         localstack("update_and_add_tags_on_tagged_key", "17-01-2025"),
         lambda s: (s.tagged(numbered(1, 2, 3)),
                    s.kms.tag_resource(KeyId=s.id, Tags=pairs(numbered(4, 5, tag2="new"))),
                    s.tags())[2],
         pairs(numbered(1, 2, 3, 4, 5, tag2="new"))),
    Case("kms:UntagResource", "one of three", localstack("untag_key_partially", "10-01-2025"),
         lambda s: (s.tagged(numbered(1, 2, 3)),
                    s.kms.untag_resource(KeyId=s.id, TagKeys=["tag2"]), s.tags())[2],
         pairs(numbered(1, 3))),
    Case("kms:UntagResource", "all", localstack("tag_existing_key_and_untag", "10-01-2025"),
         lambda s: (s.tagged(numbered(1, 2)),
                    s.kms.untag_resource(KeyId=s.id, TagKeys=["tag1", "tag2"]), s.tags())[2], []),
]  # fmt: skip


def grants(s: Situation) -> Any:
    return s.kms.list_grants(KeyId=s.id)["Grants"]


def granted(s: Situation) -> Any:
    return s.kms.create_grant(KeyId=s.key_id(), **GRANT)


LISTING = policy(allow("kms:ListAliases", Principal=ROOT))


def put(s: Situation, wanted: str) -> Any:
    """Whether the key has the policy that it was given."""
    s.kms.put_key_policy(KeyId=s.key_id(), PolicyName="default", Policy=wanted)
    found = s.kms.get_key_policy(KeyId=s.id, PolicyName="default")["Policy"]
    return {"policy": "the same" if found == wanted else found}


ACCESS = [
    Case("kms:CreateAlias", "a name without alias/", localstack("create_alias", "13-04-2023"),
         lambda s: s.kms.create_alias(AliasName="invalid", TargetKeyId=s.key_id()),
         Refused("ValidationException",
                 'Alias must start with the prefix "alias/". Please see '
                 "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")),
    Case("kms:UpdateAlias", "then it names another key", localstack("update_alias", "11-04-2024"),
         lambda s: (s.key(), s.named(),
                    s.kms.update_alias(AliasName=s.alias, TargetKeyId=s.key_id()),
                    {"key": s.kms.describe_key(KeyId=s.alias)["KeyMetadata"]["KeyId"]})[3],
         {"key": "{id}"}),
    Case("kms:DeleteAlias", "then it is not listed", localstack("create_list_delete_alias",
                                                                "11-04-2024"),
         lambda s: (s.key(), s.kms.delete_alias(AliasName=s.named()),
                    s.kms.list_aliases(KeyId=s.id)["Aliases"])[2], []),
    Case("kms:CreateGrant", "a key", localstack("create_grant_with_valid_key", "11-04-2024"),
         lambda s: granted(s), {"GrantId": re.compile("[0-9a-f]{64}"), "GrantToken": str}),
    Case("kms:CreateGrant", "what is no key", localstack("create_grant_with_invalid_key",
                                                         "11-04-2024"),
         lambda s: s.kms.create_grant(KeyId="invalid", **GRANT), Refused("NotFoundException")),
    Case("kms:CreateGrant", "one name on two keys",
         localstack("create_grant_with_same_name_two_keys", "11-04-2024"),
         lambda s: [len((s.kms.create_grant(KeyId=s.key_id(), Name="n", **GRANT), grants(s))[1])
                    for _ in "12"], [1, 1]),
    Case("kms:ListGrants", "what is no key", localstack("list_grants_with_invalid_key",
                                                        "11-04-2024"),
         lambda s: s.kms.list_grants(KeyId="invalid"), Refused("NotFoundException")),
    Case("kms:RevokeGrant", "then it is not listed", localstack("revoke_grant", "11-04-2024"),
         lambda s: (grant := granted(s)["GrantId"], s.kms.revoke_grant(KeyId=s.id, GrantId=grant),
                    grants(s))[2], []),
    Case("kms:RetireGrant", "by its token", localstack("retire_grant_with_grant_token",
                                                       "11-04-2024"),
         lambda s: (s.kms.retire_grant(GrantToken=granted(s)["GrantToken"]), grants(s))[1], []),
    Case("kms:ListKeyPolicies", "there is one",
         localstack("get_put_list_key_policies", "11-04-2024"),
         lambda s: s.kms.list_key_policies(KeyId=s.key_id()),
         {"PolicyNames": ["default"], "Truncated": False}),
    Case("kms:GetKeyPolicy", "what the key was made with",
         localstack("get_put_list_key_policies", "11-04-2024"),
         lambda s: s.kms.get_key_policy(KeyId=s.key_id(Policy=LISTING), PolicyName="default"),
         {"Policy": re.compile(re.escape(LISTING)), "PolicyName": "default"}),
    Case("kms:PutKeyPolicy", "then the key has it",
         localstack("get_put_list_key_policies", "11-04-2024"),
         lambda s: put(s, policy(allow("kms:ListGrants", Principal=ROOT))),
         {"policy": "the same"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> InProcessLab:
    return InProcessLab(tmp_path_factory.mktemp("lab") / "requests.jsonl")


@pytest.fixture(scope="module")
def clients(lab: InProcessLab) -> Situation:
    return Situation(lab)


@cases([*KEYS, *REPLICAS, *MATERIALS, *ROTATION, *USE, *TAGS, *ACCESS])
def test_the_lab_s_kms_answers_as_aws_did(case: Case, clients: Situation) -> None:
    check(case, clients)
