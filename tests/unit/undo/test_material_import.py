"""The import that puts key material back, as data: what a file may say, and until when."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.key_material import KeyMaterial, Wrapped
from chaosaws_kms_ext.undo import replay as replays
from chaosaws_kms_ext.undo import switch
from chaosaws_kms_ext.undo.material_import import ImportedMaterial
from chaosaws_kms_ext.undo.replay import NotPutBack, replay
from chaosaws_kms_ext.undo.undo import NotAnUndo, Undo

KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"
MATERIAL = KeyMaterial(KEY, "id-of-it", b"secret" * 5 + b"!!")
SOON, AGO = timedelta(hours=1), -timedelta(seconds=1)


def undo(until=SOON):
    wrapped = Wrapped(b"\x00wrapped\xff", b"\x00token\xff", datetime.now(UTC) + until)
    return ImportedMaterial(KEY, MATERIAL, wrapped).undo()


class Kms:
    """A KMS that takes a token as often as it says."""

    def __init__(self, state="PendingImport", takes=1, refusal="InvalidImportTokenException"):
        self.state, self.takes, self.refusal = state, takes, refusal
        self.imported = []

    def call(self, service, operation, params):
        if operation == "DescribeKey":
            gone = {"KeyState": self.state, "CurrentKeyMaterialId": "id-of-it"}
            here = {**gone, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
            return {"KeyMetadata": here if self.state == "Enabled" else gone}
        self.imported.append(params)
        if self.takes < len(self.imported):
            raise AwsError(f"kms:{operation} failed with {self.refusal}", self.refusal)
        self.state = "Enabled"
        return {}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(replays, "ANSWER_TIMEOUT", 0.05)
    monkeypatch.setattr(replays, "TRY_AGAIN", 0.01)


# The file


def test_it_survives_the_disk_and_asks_kms_with_bytes():
    made = undo()
    said = json.dumps(made.as_json())
    read = Undo.of_json(json.loads(said))
    assert read == made
    read.check_about(KEY)
    assert read.calls[0].asked == {
        "KeyId": KEY,
        "KeyMaterialId": "id-of-it",
        "ImportType": "EXISTING_KEY_MATERIAL",
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        "EncryptedKeyMaterial": b"\x00wrapped\xff",
        "ImportToken": b"\x00token\xff",
    }


def test_what_is_said_of_it_holds_neither_the_material_nor_what_is_wrapped():
    call = undo().calls[0]
    said = f"{MATERIAL} {undo()} {call} {call.whole}"
    assert call.whole.startswith('kms:ImportKeyMaterial {"KeyId": "arn:')
    secret = MATERIAL.secret
    for hidden in (secret.decode(), secret.hex(), base64.b64encode(secret).decode()):
        assert hidden not in said
    assert call.params["ImportToken"] not in f"{call} {call.whole}"


def changed(**params):
    said = undo().as_json()
    said["calls"][0]["params"] |= params
    return said


FORGED = {
    "other material": changed(ImportType="NEW_KEY_MATERIAL"),
    "an expiry": changed(ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo="2030-01-01"),
    "an expiry alone": changed(ValidTo="2030-01-01T00:00:00+00:00"),
    "another key": changed(KeyId=KEY[:-1] + "x"),
    "a number for its material": changed(EncryptedKeyMaterial=7),
    "no base64": changed(EncryptedKeyMaterial="\x1b[31m<script>"),
    "a token that is no base64": changed(ImportToken="a"),
    "no instant": {**undo().as_json(), "until": "tomorrow"},
    "an instant of no zone": {**undo().as_json(), "until": "2030-01-01T00:00:00"},
    "an instant that is none in UTC": {**undo().as_json(), "until": "0001-01-01T00:00:00+23:59"},
    "a number for an instant": {**undo().as_json(), "until": 7},
    "no end": {"calls": undo().as_json()["calls"]},
    "an end of what has none": {
        "calls": [{"service": "kms", "operation": "EnableKey", "params": {"KeyId": KEY}}],
        "until": "2030-01-01T00:00:00+00:00",
    },
    "an end of nothing": {"calls": [], "until": "2030-01-01T00:00:00+00:00"},
    "more": {**undo().as_json(), "checks": []},
}


@pytest.mark.parametrize("what", FORGED)
def test_a_file_can_bring_nothing_but_what_the_key_has_had_and_no_expiry(what):
    with pytest.raises(NotAnUndo) as no:
        Undo.of_json(FORGED[what]).check_about(KEY)
    assert str(no.value).isprintable()


def test_no_schedule_on_aws_can_make_it():
    assert not switch.can(undo().actions)


# Played


def test_it_is_imported_and_seen():
    kms = Kms()
    replay(kms, undo())
    assert [params["ImportToken"] for params in kms.imported] == [b"\x00token\xff"]


def test_a_token_that_was_used_is_no_error_where_the_key_is_back():
    kms = Kms()
    for _ in range(2):
        replay(kms, undo())
    assert len(kms.imported) == 2


def test_a_token_that_was_used_is_the_reason_where_it_is_not():
    with pytest.raises(NotPutBack, match=r"PendingImport.*: kms:ImportKeyMaterial failed with Inv"):
        replay(Kms(takes=0), undo())


@pytest.mark.parametrize("code", ["ExpiredImportTokenException", "IncorrectKeyMaterialException"])
def test_what_kms_will_never_take_is_not_tried_again(code):
    kms = Kms(takes=0, refusal=code)
    with pytest.raises(NotPutBack, match=code):
        replay(kms, undo())
    assert len(kms.imported) == 1


def test_what_will_be_played_again_is_not_spent_while_nothing_is_wrong():
    """The call that took the key away may still be on its way."""
    kms = Kms("Enabled")
    replay(kms, undo(), again_soon=True)
    assert kms.imported == []
    kms.state = "PendingImport"
    replay(kms, undo())
    assert (kms.state, len(kms.imported)) == ("Enabled", 1)
    kms = Kms()
    replay(kms, undo(), again_soon=True)
    assert (kms.state, len(kms.imported)) == ("Enabled", 1)


def test_after_its_day_nothing_is_called_and_said_what_to_do_by_hand():
    kms = Kms()
    with pytest.raises(NotPutBack) as no:
        replay(kms, undo(AGO))
    assert str(no.value).startswith("its import token expired at 20")
    assert f"wrapped material of {KEY}" in str(no.value)
    assert "GetParametersForImport and ImportKeyMaterial" in str(no.value)
    assert kms.imported == []
    replay(Kms("Enabled"), undo(AGO))  # somebody has done it
