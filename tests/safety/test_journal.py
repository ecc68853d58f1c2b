"""The undo journal and its replay."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import sys
import threading

import pytest

from chaosaws_kms_ext.aws import Aws, AwsError
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.safety import journal, watchdog
from chaosaws_kms_ext.safety.journal import JournalDamaged
from chaosaws_kms_ext.safety.replay import NotPutBack, replay
from chaosaws_kms_ext.safety.signals import deferred
from chaosaws_kms_ext.safety.undo import Undo
from tests.conftest import client

pytestmark = pytest.mark.common_lab

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"


def an_entry(**more):
    told = {
        "run": "r1", "target": "aws", "region": "eu-west-1", "endpoint": "", "lab": "",
        "cluster": "orders", "key": KEY, "undo": DisableKey(KEY).undo(),
    }  # fmt: skip
    return journal.write(journal.new_entry(**{**told, **more}))


def test_an_entry_is_open_until_it_is_closed():
    first, second = an_entry(), an_entry()
    assert journal.open_entries() == [first, second]
    first.close()
    first.close()
    assert journal.open_entries() == [second]


def test_an_entry_whose_folder_is_gone_is_closed():
    entry = an_entry()
    shutil.rmtree(entry.path.parent)
    assert not entry.is_open
    entry.close()
    assert journal.open_entries() == []


def test_an_entry_whose_key_is_back_stands_for_the_cluster_and_undoes_nothing():
    entry = an_entry().key_is_back()
    assert entry.undo.calls == ()
    assert journal.open_entries() == [entry]


def test_an_undo_survives_the_disk():
    undo = DisableKey(KEY).undo()
    assert Undo.of_json(json.loads(json.dumps(undo.as_json()))) == undo


def test_a_damaged_entry_is_said_and_never_passed_over():
    an_entry().path.write_text('{"schema": 1, "run"')
    with pytest.raises(JournalDamaged, match=r"r1-1\.json cannot be read"):
        journal.open_entries()


def test_half_an_entry_is_no_entry():
    entry = an_entry()
    entry.path.rename(entry.path.with_suffix(".new"))
    assert journal.open_entries() == []


def test_the_journal_lies_where_the_next_run_finds_it(tmp_path, monkeypatch):
    assert journal.directory({"XDG_STATE_HOME": "/x"}).as_posix() == "/x/chaosaws-kms"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unusable in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert journal.directory(unusable) == tmp_path / ".local" / "state" / "chaosaws-kms"


def test_replaying_puts_the_key_back_and_sees_it(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    door = Aws(lab.region, lab.endpoint, lab=True)
    for _ in range(2):
        replay(door, DisableKey(key).undo())
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_that_does_not_come_back_is_said(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.schedule_key_deletion(KeyId=key)
    door = Aws(lab.region, lab.endpoint, lab=True)
    with pytest.raises(NotPutBack, match="KMSInvalidStateException"):
        replay(door, DisableKey(key).undo())


def test_a_refusal_that_passes_does_not_keep_the_key_away(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    door = Aws(lab.region, lab.endpoint, lab=True)
    call, failures = door.call, iter([True, True])

    def flaky(*asked):
        if next(failures, False):
            raise AwsError("throttled", "ThrottlingException")
        return call(*asked)

    door.call = flaky
    replay(door, DisableKey(key).undo())
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_signals_wait_until_the_key_is_back():
    steps = []
    # In a background job of a shell SIGINT is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            with deferred():
                os.kill(os.getpid(), signal.SIGINT)
                steps.append("put back")
            steps.append("never reached")
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ["put back"]


def test_outside_the_main_thread_nothing_is_deferred_and_nothing_breaks():
    done = []

    def work():
        with deferred():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_the_next_entry_of_a_run_never_takes_the_place_of_an_open_one():
    first, second = an_entry(), an_entry()
    first.close()
    assert an_entry().path not in (first.path, second.path)


def test_a_watchdog_that_can_say_nothing_still_puts_back(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    entry, restored = an_entry(), []
    monkeypatch.setattr(
        watchdog, "restore", lambda aws, entry, say, **_: restored.append(say("done"))
    )
    monkeypatch.setattr(sys, "stderr", Full())
    assert watchdog._put_back([entry], watchdog.Memory(entry.run)) == []
    monkeypatch.undo()
    assert restored == [None]
