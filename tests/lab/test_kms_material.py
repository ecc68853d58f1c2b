"""Key material: imported, expired, deleted, imported again; rotated; and keys that go for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.kms_world import (
    DAY,
    DOES_NOT,
    EXPIRES,
    MATERIAL,
    Kms,
    bring,
    imported,
    parameters,
    wrap,
)

pytestmark = pytest.mark.common_lab

ALGORITHMS = [
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256",
]


@pytest.fixture
def lab() -> Kms:
    return Kms()


def seal(lab: Kms, key: str, plaintext: bytes = b"row") -> bytes:
    blob: bytes = lab.ask("Encrypt", KeyId=key, Plaintext=plaintext)["CiphertextBlob"]
    return blob


def opened(lab: Kms, blob: bytes) -> Any:
    return lab.ask("Decrypt", CiphertextBlob=blob)


# Import


def test_a_key_for_imported_material_waits_for_it(lab):
    key = lab.key(Origin="EXTERNAL")
    described = lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert (described["KeyState"], described["Origin"]) == ("PendingImport", "EXTERNAL")
    assert described["Enabled"] is False
    assert "CurrentKeyMaterialId" not in described
    answer = bring(lab, key)
    described = lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert described["KeyState"] == "Enabled"
    assert described["ExpirationModel"] == DOES_NOT
    assert described["CurrentKeyMaterialId"] == answer["KeyMaterialId"]
    assert opened(lab, seal(lab, key))["KeyMaterialId"] == answer["KeyMaterialId"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_material_travels_under_every_wrapping_algorithm(lab, algorithm):
    key = lab.key(Origin="EXTERNAL")
    sent = wrap(lab, key, WrappingAlgorithm=algorithm)
    lab.ask("ImportKeyMaterial", KeyId=key, ExpirationModel=DOES_NOT, **sent)
    assert lab.state(key) == "Enabled"


@pytest.mark.parametrize("spec", ["RSA_3072", "RSA_4096"])
def test_material_travels_under_longer_wrapping_keys(lab, spec):
    key = lab.key(Origin="EXTERNAL")
    sent = wrap(lab, key, WrappingKeySpec=spec)
    assert len(sent["EncryptedKeyMaterial"]) == int(spec[-4:]) // 8
    lab.ask("ImportKeyMaterial", KeyId=key, ExpirationModel=DOES_NOT, **sent)
    assert lab.state(key) == "Enabled"


@pytest.mark.parametrize(
    "chosen",
    [parameters("SM2"), parameters(algorithm="RSAES_PKCS1_V1_5"), parameters("SM2", "SM2PKE")],
)
def test_wrapping_that_the_lab_does_not_do_is_said(lab, chosen):
    key = lab.key(Origin="EXTERNAL")
    refused = lab.refusal("GetParametersForImport", KeyId=key, **chosen)
    assert refused.code == "UnsupportedOperationException"


def test_what_was_wrapped_otherwise_cannot_be_unwrapped(lab):
    key = lab.key(Origin="EXTERNAL")
    good = wrap(lab, key)
    other = wrap(lab, key, WrappingAlgorithm="RSAES_OAEP_SHA_1")
    for blob in (b"x", other["EncryptedKeyMaterial"], good["EncryptedKeyMaterial"] + b"x"):
        refused = lab.refusal(
            "ImportKeyMaterial",
            KeyId=key,
            ExpirationModel=DOES_NOT,
            ImportToken=good["ImportToken"],
            EncryptedKeyMaterial=blob,
        )
        assert refused.code == "InvalidCiphertextException"
    assert lab.state(key) == "PendingImport"


def test_a_token_is_for_one_key_and_for_a_day(lab):
    key, other = lab.key(Origin="EXTERNAL"), lab.key(Origin="EXTERNAL")
    sent = {"ExpirationModel": DOES_NOT, **wrap(lab, key)}
    until = lab.ask("GetParametersForImport", KeyId=key, **parameters())["ParametersValidTo"]
    assert until == lab.real(hours=24 / lab.clock.speed)
    assert (
        lab.refusal("ImportKeyMaterial", KeyId=other, **sent).code == "InvalidImportTokenException"
    )
    forged = {**sent, "ImportToken": b"nonsense"}
    assert (
        lab.refusal("ImportKeyMaterial", KeyId=key, **forged).code == "InvalidImportTokenException"
    )
    lab.pass_time(DAY)
    assert lab.refusal("ImportKeyMaterial", KeyId=key, **sent).code == "ExpiredImportTokenException"
    bring(lab, key)


@pytest.mark.parametrize("size", [16, 31, 33])
def test_material_has_32_bytes(lab, size):
    key = lab.key(Origin="EXTERNAL")
    sent = wrap(lab, key, bytes(size))
    refused = lab.refusal("ImportKeyMaterial", KeyId=key, ExpirationModel=DOES_NOT, **sent)
    assert refused.code == "IncorrectKeyMaterialException"


def test_only_the_same_material_comes_back_and_opens_what_it_sealed(lab):
    key = imported(lab)
    blob = seal(lab, key)
    known = lab.ask("DeleteImportedKeyMaterial", KeyId=key)["KeyMaterialId"]
    assert lab.state(key) == "PendingImport"
    assert lab.refusal("Decrypt", CiphertextBlob=blob).code == "KMSInvalidStateException"
    other = {"ExpirationModel": DOES_NOT, **wrap(lab, key, bytes(32))}
    refused = lab.refusal("ImportKeyMaterial", KeyId=key, **other)
    assert refused.code == "IncorrectKeyMaterialException"
    assert lab.state(key) == "PendingImport"
    assert bring(lab, key, KeyMaterialId=known)["KeyMaterialId"] == known
    assert lab.state(key) == "Enabled"
    assert opened(lab, blob)["Plaintext"] == b"row"


def test_the_import_type_says_what_is_expected(lab):
    key = lab.key(Origin="EXTERNAL")

    def refusal(material=MATERIAL, **more):
        sent = {"ExpirationModel": DOES_NOT, **wrap(lab, key, material), **more}
        return lab.refusal("ImportKeyMaterial", KeyId=key, **sent).code

    assert refusal(ImportType="EXISTING_KEY_MATERIAL") == "IncorrectKeyMaterialException"
    assert refusal(KeyMaterialId="0" * 64) == "IncorrectKeyMaterialException"
    known = bring(lab, key, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert refusal(ImportType="NEW_KEY_MATERIAL") == "IncorrectKeyMaterialException"
    new = {"ImportType": "NEW_KEY_MATERIAL", "KeyMaterialId": known}
    assert refusal(**new) == "ValidationException"
    bring(lab, key, ImportType="EXISTING_KEY_MATERIAL")


@pytest.mark.parametrize(
    "expiry",
    [
        lambda lab: {},
        lambda lab: {"ExpirationModel": EXPIRES},
        lambda lab: {"ExpirationModel": DOES_NOT, "ValidTo": lab.real(days=1)},
        lambda lab: {"ValidTo": lab.real(seconds=-1)},
        lambda lab: {"ValidTo": lab.real(seconds=0)},
        lambda lab: {"ValidTo": lab.real(days=365, seconds=1)},
    ],
)
def test_an_expiry_that_is_none_is_refused(lab, expiry):
    key = lab.key(Origin="EXTERNAL")
    refused = lab.refusal("ImportKeyMaterial", KeyId=key, **wrap(lab, key), **expiry(lab))
    assert refused.code == "ValidationException"


def test_material_expires_on_its_date_of_the_wall_clock(lab):
    key = lab.key(Origin="EXTERNAL")
    until = lab.real(seconds=100)
    sent = {"ValidTo": until, **wrap(lab, key)}
    lab.ask("ImportKeyMaterial", KeyId=key, **sent)
    blob = seal(lab, key)
    described = lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert (described["ValidTo"], described["ExpirationModel"]) == (until, EXPIRES)
    lab.pass_time(99 * lab.clock.speed)
    assert lab.state(key) == "Enabled"
    lab.pass_time(1 * lab.clock.speed)
    assert lab.state(key) == "PendingImport"
    assert "ValidTo" not in lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert lab.refusal("Decrypt", CiphertextBlob=blob).message.endswith("is pending import.")
    bring(lab, key)
    assert opened(lab, blob)["Plaintext"] == b"row"


def test_material_that_goes_while_the_key_is_to_be_deleted_is_missing_afterwards(lab):
    key = imported(lab)
    lab.ask("ScheduleKeyDeletion", KeyId=key)
    lab.ask("DeleteImportedKeyMaterial", KeyId=key)
    assert lab.state(key) == "PendingDeletion"
    lab.ask("CancelKeyDeletion", KeyId=key)
    assert lab.state(key) == "PendingImport"
    bring(lab, key)
    assert lab.state(key) == "Enabled"


def test_deleting_material_that_is_not_there_is_no_error_and_another_s_is(lab):
    key = lab.key(Origin="EXTERNAL")
    assert lab.ask("DeleteImportedKeyMaterial", KeyId=key) == {"KeyId": lab.arn(key)}
    known = bring(lab, key)["KeyMaterialId"]
    refused = lab.refusal("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId="0" * 64)
    assert refused.code == "NotFoundException"
    lab.ask("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=known)
    assert lab.state(key) == "PendingImport"


EVERYTHING = {"IncludeKeyMaterial": "ALL_KEY_MATERIAL"}


def with_another(lab: Kms, **more: Any) -> tuple[str, list[str]]:
    """A key with imported material, and the ids of that and of one that waits for a rotation."""
    key = lab.key(Origin="EXTERNAL")
    first = bring(lab, key)["KeyMaterialId"]
    second = bring(lab, key, bytes(32), ImportType="NEW_KEY_MATERIAL", **more)["KeyMaterialId"]
    return key, [first, second]


def materials(lab: Kms, key: str) -> dict[str, tuple[str, str]]:
    """Id → state and state of the import, of all that a key has."""
    listed = lab.ask("ListKeyRotations", KeyId=key, **EVERYTHING)["Rotations"]
    return {m["KeyMaterialId"]: (m["KeyMaterialState"], m["ImportState"]) for m in listed}


def test_further_material_waits_for_a_rotation_on_demand(lab):
    key, (first, second) = with_another(lab, KeyMaterialDescription="of 2026")
    old = seal(lab, key)
    waiting = {first: ("CURRENT", "IMPORTED"), second: ("PENDING_ROTATION", "IMPORTED")}
    assert materials(lab, key) == waiting
    listed = lab.ask("ListKeyRotations", KeyId=key, **EVERYTHING)["Rotations"]
    assert listed[1]["KeyMaterialDescription"] == "of 2026"
    assert "RotationDate" not in listed[1]
    assert lab.ask("ListKeyRotations", KeyId=key)["Rotations"] == []
    assert lab.ask("RotateKeyOnDemand", KeyId=key) == {"KeyId": lab.arn(key)}
    rotated = {first: ("NON_CURRENT", "IMPORTED"), second: ("CURRENT", "IMPORTED")}
    assert materials(lab, key) == rotated
    (rotation,) = lab.ask("ListKeyRotations", KeyId=key)["Rotations"]
    assert (rotation["KeyMaterialId"], rotation["RotationType"]) == (second, "ON_DEMAND")
    assert opened(lab, old)["KeyMaterialId"] == first
    assert opened(lab, seal(lab, key))["KeyMaterialId"] == second
    refused = lab.refusal("RotateKeyOnDemand", KeyId=key)
    assert refused.code == "KMSInvalidStateException"


def test_material_that_waits_for_a_rotation_goes_for_good_and_the_key_stays(lab):
    key, (first, second) = with_another(lab)
    lab.ask("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=second)
    assert materials(lab, key) == {first: ("CURRENT", "IMPORTED")}
    assert lab.state(key) == "Enabled"
    third = bring(lab, key, b"3" * 32, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    lab.ask("RotateKeyOnDemand", KeyId=key)
    assert materials(lab, key)[third] == ("CURRENT", "IMPORTED")


def test_a_key_needs_every_material_that_it_was_ever_rotated_to(lab):
    key, (first, second) = with_another(lab)
    lab.ask("RotateKeyOnDemand", KeyId=key)
    named = lab.ask("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=first)
    assert named["KeyMaterialId"] == first
    assert lab.state(key) == "PendingImport"
    assert lab.ask("DeleteImportedKeyMaterial", KeyId=key)["KeyMaterialId"] == second
    bring(lab, key, bytes(32))
    assert materials(lab, key)[first] == ("NON_CURRENT", "PENDING_IMPORT")
    assert lab.state(key) == "PendingImport"
    bring(lab, key, KeyMaterialId=first)
    assert lab.state(key) == "Enabled"


def test_the_first_date_of_a_key_s_materials_is_the_key_s(lab):
    key = lab.key(Origin="EXTERNAL")
    early, late = lab.real(seconds=100), lab.real(seconds=200)
    bring(lab, key, ExpirationModel=EXPIRES, ValidTo=late)
    second = bring(
        lab, key, bytes(32), ImportType="NEW_KEY_MATERIAL", ExpirationModel=EXPIRES, ValidTo=early
    )["KeyMaterialId"]
    described = lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]
    assert described["ValidTo"] == late, "what waits for a rotation is not the key's yet"
    lab.ask("RotateKeyOnDemand", KeyId=key)
    assert lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]["ValidTo"] == early
    lab.pass_time(100 * lab.clock.speed)
    assert lab.state(key) == "PendingImport"
    assert materials(lab, key)[second] == ("CURRENT", "PENDING_IMPORT")


def test_material_that_waits_for_a_rotation_may_expire_and_the_key_stays(lab):
    until = lab.real(seconds=100)
    key, (first, _) = with_another(lab, ExpirationModel=EXPIRES, ValidTo=until)
    lab.pass_time(100 * lab.clock.speed)
    assert materials(lab, key) == {first: ("CURRENT", "IMPORTED")}
    assert lab.state(key) == "Enabled"


def test_the_list_of_materials_tells_whether_one_is_there(lab):
    key = imported(lab)

    def listed():
        return lab.ask("ListKeyRotations", KeyId=key, **EVERYTHING)["Rotations"]

    assert [m["ImportState"] for m in listed()] == ["IMPORTED"]
    assert listed()[0]["ExpirationModel"] == DOES_NOT
    lab.ask("DeleteImportedKeyMaterial", KeyId=key)
    assert [m["ImportState"] for m in listed()] == ["PENDING_IMPORT"]
    assert lab.ask("ListKeyRotations", KeyId=key)["Rotations"] == []


# Deletion


def test_a_deleted_key_is_gone_when_the_clock_has_passed_it(lab):
    key = lab.key()
    lab.ask("CreateAlias", AliasName="alias/gone", TargetKeyId=key)
    blob = seal(lab, key)
    answer = lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert answer["DeletionDate"] == lab.clock.utc() + timedelta(days=7) / lab.clock.speed
    lab.pass_time(7 * DAY - 1)
    assert lab.state(key) == "PendingDeletion"
    lab.pass_time(1)
    for gone in (key, lab.arn(key), "alias/gone"):
        assert lab.refusal("DescribeKey", KeyId=gone).code == "NotFoundException"
    refused = lab.refusal("Decrypt", CiphertextBlob=blob)
    assert refused.code == "AccessDeniedException"
    assert "does not exist in this region" in refused.message
    assert lab.refusal("Decrypt", CiphertextBlob=blob, KeyId=key).code == "NotFoundException"


def test_a_cancelled_deletion_never_happens(lab):
    key = lab.key()
    lab.ask("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    lab.pass_time(7 * DAY - 1)
    lab.ask("CancelKeyDeletion", KeyId=key)
    lab.pass_time(100 * DAY)
    assert lab.state(key) == "Disabled"
    assert "DeletionDate" not in lab.ask("DescribeKey", KeyId=key)["KeyMetadata"]


# Rotation


def status(lab: Kms, key: str) -> Any:
    return lab.ask("GetKeyRotationStatus", KeyId=key)


def rotations(lab: Kms, key: str, **more: Any) -> Any:
    return lab.ask("ListKeyRotations", KeyId=key, **more)["Rotations"]


def test_automatic_rotation_comes_every_period_and_old_ciphertexts_open(lab):
    key = lab.key()
    assert status(lab, key) == {"KeyId": lab.arn(key), "KeyRotationEnabled": False}
    first = seal(lab, key)
    lab.ask("EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    said = status(lab, key)
    assert (said["KeyRotationEnabled"], said["RotationPeriodInDays"]) == (True, 90)
    assert said["NextRotationDate"] == lab.real(days=90 / lab.clock.speed)
    lab.pass_time(90 * DAY - 1)
    assert rotations(lab, key) == []
    for count in (1, 2):
        lab.pass_time(1 if count == 1 else 90 * DAY)
        assert [r["RotationType"] for r in rotations(lab, key)] == ["AUTOMATIC"] * count
    second = seal(lab, key)
    materials = {opened(lab, blob)["KeyMaterialId"] for blob in (first, second)}
    everything = rotations(lab, key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    assert materials == {everything[0]["KeyMaterialId"], everything[-1]["KeyMaterialId"]}
    assert [m["KeyMaterialState"] for m in everything] == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
    assert "RotationType" not in everything[0]


def test_the_period_is_a_year_unless_it_is_said_and_rotation_can_be_ended(lab):
    key = lab.key()
    lab.ask("EnableKeyRotation", KeyId=key)
    assert status(lab, key)["RotationPeriodInDays"] == 365
    lab.ask("DisableKeyRotation", KeyId=key)
    assert status(lab, key)["KeyRotationEnabled"] is False
    lab.pass_time(400 * DAY)
    assert rotations(lab, key) == []


def test_a_disabled_key_is_rotated_when_it_is_enabled_again(lab):
    key = lab.key()
    lab.ask("EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    lab.ask("DisableKey", KeyId=key)
    lab.pass_time(200 * DAY)
    assert rotations(lab, key) == []
    lab.ask("EnableKey", KeyId=key)
    lab.pass_time(1)
    assert len(rotations(lab, key)) == 1
    assert status(lab, key)["NextRotationDate"] == lab.real(days=90 / lab.clock.speed)


def test_rotation_is_off_while_deletion_is_pending_and_then_as_before(lab):
    key = lab.key()
    lab.ask("EnableKeyRotation", KeyId=key)
    lab.ask("ScheduleKeyDeletion", KeyId=key)
    assert status(lab, key)["KeyRotationEnabled"] is False
    lab.ask("CancelKeyDeletion", KeyId=key)
    assert status(lab, key)["KeyRotationEnabled"] is True


def test_a_key_is_rotated_on_demand_25_times_and_the_schedule_stays(lab):
    key = lab.key()
    lab.ask("EnableKeyRotation", KeyId=key)
    planned, first = status(lab, key), seal(lab, key)
    for _ in range(25):
        assert lab.ask("RotateKeyOnDemand", KeyId=key) == {"KeyId": lab.arn(key)}
    assert lab.refusal("RotateKeyOnDemand", KeyId=key).code == "LimitExceededException"
    assert status(lab, key) == planned
    assert {r["RotationType"] for r in rotations(lab, key)} == {"ON_DEMAND"}
    assert opened(lab, first)["Plaintext"] == b"row"
    page = lab.ask("ListKeyRotations", KeyId=key, Limit=20)
    rest = lab.ask("ListKeyRotations", KeyId=key, Limit=20, Marker=page["NextMarker"])
    assert (len(page["Rotations"]), len(rest["Rotations"]), rest["Truncated"]) == (20, 5, False)
    bad = lab.refusal("ListKeyRotations", KeyId=key, Marker="nonsense")
    assert bad.code == "InvalidMarkerException"


def test_the_aws_managed_key_is_rotated_every_year_and_by_nobody_else(lab):
    key = lab.ask("DescribeKey", KeyId="alias/aws/rds")["KeyMetadata"]["KeyId"]
    assert status(lab, key)["RotationPeriodInDays"] == 365
    for operation in ("EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"):
        assert lab.refusal(operation, KeyId=key).code == "AccessDeniedException"
    lab.pass_time(365 * DAY)
    assert len(rotations(lab, key)) == 1
