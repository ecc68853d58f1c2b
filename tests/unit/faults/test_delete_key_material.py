"""The fault of deleted key material, on a key of the run's own: verified, deleted, imported."""

from __future__ import annotations

import base64
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.key_material import KeyMaterial
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject import injection
from chaosaws_kms_ext.inject.injection import close_recovered
from chaosaws_kms_ext.kms import actions, probes
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.undo import journal, restore
from chaosaws_kms_ext.undo.undo import Undo
from tests.support.labs import FAST, client
from tests.support.own_run import own_run

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

FAULT = "delete-key-material"
CONTEXT = {"purpose": "test"}


@pytest.fixture(autouse=True)
def run(lab, monkeypatch):
    """A run in this process, on the lab, without any control."""
    monkeypatch.setattr(injection, "IN_FLIGHT", 0.1)
    with own_run(lab, monkeypatch) as run:
        yield run
        Misbehaviours.of(lab).clear()


@pytest.fixture
def key(run):
    """One that this run has made, with its material."""
    return actions.create_key("k", origin="EXTERNAL")["key"]


def described(lab, key):
    said = client(lab, "kms").describe_key(KeyId=key)["KeyMetadata"]
    told = ("KeyState", "Origin", "ExpirationModel", "CurrentKeyMaterialId")
    return {name: said[name] for name in told if name in said}


def inject(key, name=FAULT):
    return actions.inject_fault(name, key_id=key)


def deletions(lab):
    return lab.requests.read_text().count('"DeleteImportedKeyMaterial"')


def test_the_material_goes_and_the_same_comes_back(lab, run, key):
    before = described(lab, key)
    assert (before["KeyState"], before["Origin"]) == ("Enabled", "EXTERNAL")
    sealed = probes.sealed(CONTEXT, key)["ciphertext"]
    assert inject(key) == {"cluster": "", "key": key}
    assert described(lab, key)["KeyState"] == "PendingImport"
    with pytest.raises(ActivityFailed, match="KMSInvalidStateException"):
        probes.decrypts(sealed, CONTEXT)
    assert actions.undo_faults() == {"undone": [key]}
    assert described(lab, key) == before
    assert probes.decrypts(sealed, CONTEXT)
    assert close_recovered(run) == []
    assert run.last(EventName.PUT_BACK, key=key)


def test_a_second_time_too(lab, run, key):
    for _ in range(2):
        inject(key)
        actions.undo_faults()
        assert close_recovered(run) == []
    assert described(lab, key)["KeyState"] == "Enabled"


def test_the_material_is_in_no_file_and_in_no_words(lab, run, key, caplog):
    caplog.set_level("DEBUG")
    secret = run.key_materials[key]
    said = []
    inject(key)
    (entry,) = journal.open_entries()
    kept = entry.path.read_bytes() + lab.requests.read_bytes()
    assert restore.restore([entry], said.append) == []
    kept += f"{caplog.text} {said} {run.key_materials} {run.events} {entry}".encode()
    for form in (secret, secret.hex().encode(), base64.b64encode(secret), repr(secret).encode()):
        assert form not in kept
    assert any(each.startswith("  calls kms:ImportKeyMaterial {") for each in said)
    token = entry.undo.calls[0].params["ImportToken"]
    assert not any(token[:40] in each for each in said)


def test_whoever_comes_after_a_dead_run_imports_it(lab, key):
    before = described(lab, key)
    inject(key)
    (entry,) = journal.open_entries()
    assert restore.restore([entry], lambda said: None) == []
    assert described(lab, key) == before
    assert journal.open_entries() == []


def test_after_a_day_whoever_comes_is_told_and_sees_what_was_done_by_hand(lab, run, key):
    inject(key)
    (entry,) = run.open_faults.key_away
    calls = entry.undo.calls
    late = replace(entry, undo=Undo(calls, datetime.now(UTC) - timedelta(seconds=1)))
    journal.write(late)
    said = []
    assert restore.restore([late], said.append) == [late]
    assert any("NOT put back: its import token expired at " in each for each in said)
    assert described(lab, key)["KeyState"] == "PendingImport"
    by_hand = KeyMaterial(key, calls[0].params["KeyMaterialId"], run.key_materials[key])
    by_hand.import_again(Aws.of(run))
    assert restore.restore([late], said.append) == []


def test_a_deletion_without_an_answer_is_undone_as_well(lab, run, key):
    before = described(lab, key)
    Misbehaviours.of(lab).order(
        kind="cut-after", service="kms", operation="DeleteImportedKeyMaterial"
    )
    with pytest.raises(ActivityFailed, match="DeleteImportedKeyMaterial got no answer"):
        inject(key)
    assert described(lab, key)["KeyState"] == "PendingImport"
    actions.undo_faults()
    assert described(lab, key) == before


# Refused, with nothing deleted


def refused(lab, key, why):
    count, before = deletions(lab), described(lab, key)
    with pytest.raises(ActivityFailed, match=why) as no:
        inject(key)
    assert "\n" not in str(no.value)
    assert (deletions(lab), described(lab, key)) == (count, before)
    assert journal.open_entries() == []


def test_a_material_that_kms_does_not_take_is_found_before_anything_is_deleted(lab, run, key):
    run.key_materials[key] = os.urandom(32)
    refused(lab, key, f"KMS does not take the material that this run has for {key}")


def test_a_key_with_material_of_kms_own_cannot_lose_it(lab):
    key = actions.create_key("own")["key"]
    refused(lab, key, "is of origin AWS_KMS: only a key whose material was imported")


def test_a_key_whose_material_nobody_here_has_is_left(lab, run, key):
    run.key_materials.clear()
    refused(lab, key, f"this run does not have the material of {key}: make the key by create_key")


def test_a_key_that_is_not_enabled_is_left(lab, run, key):
    client(lab, "kms").disable_key(KeyId=key)
    refused(lab, key, f"the key {key} is Disabled, not Enabled: it is left as it is")
    client(lab, "kms").delete_imported_key_material(KeyId=key)
    refused(lab, key, f"the key {key} is PendingImport, not Enabled")


def test_a_key_whose_material_expires_by_itself_is_left(lab, run, key):
    said = described(lab, key)["CurrentKeyMaterialId"]
    until = datetime.now(UTC) + timedelta(days=90)
    KeyMaterial(key, said, run.key_materials[key]).import_again(Aws.of(run), until)
    refused(lab, key, f"the material of {key} expires by itself")


def test_a_key_of_somebody_elses_is_left(lab, kms):
    theirs = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    refused(lab, theirs, "this run did not make it")


def test_a_run_that_may_last_longer_than_its_token_is_refused(lab, run, key):
    run.settings = replace(run.settings, impact_timeout=86400.0)
    refused(lab, key, r"this run may leave the key away for \d+ s, and AWS takes its undo .* for ")
    run.settings = replace(run.settings, max_key_unusable=20.0)
    inject(key)
    actions.undo_faults()


@pytest.mark.parametrize("origin", ["AWS_CLOUDHSM", "external", "", None, 7, "x" * 9999])
def test_an_origin_of_a_key_that_a_run_cannot_make_is_one_sentence(origin):
    with pytest.raises(
        ActivityFailed, match="the origin of a key is one of AWS_KMS, EXTERNAL"
    ) as no:
        actions.create_key("k", origin=origin)
    assert len(str(no.value)) < 200


def test_what_is_wrapped_lasts_for_an_aws_day(lab, run, key):
    inject(key)
    (entry,) = journal.open_entries()
    left = entry.undo.until.timestamp() - time.time()
    assert left * FAST == pytest.approx(86400, abs=30 * FAST)
    actions.undo_faults()
