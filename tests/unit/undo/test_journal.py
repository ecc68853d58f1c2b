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

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.guard import leftovers
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal, store, watchdog
from chaosaws_kms_ext.undo.deferred_signals import deferred
from chaosaws_kms_ext.undo.replay import NotPutBack, replay
from chaosaws_kms_ext.undo.store import JournalDamaged
from chaosaws_kms_ext.undo.undo import Undo
from tests.support.labs import client

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"


def an_entry(**more):
    told = {
        "run": "r1", "region": "eu-west-1", "lab": None,
        "cluster": "orders", "key": KEY, "undo": DisableKey(KEY).undo(),
    }  # fmt: skip
    return journal.write(journal.new_entry(**{**told, **more}))


def test_an_entry_is_open_until_it_is_closed():
    first, second = an_entry(), an_entry()
    assert journal.open_entries() == [first, second]
    first.close()
    first.close()
    assert journal.open_entries() == [second]


def on_disk(path):
    return json.loads(path.read_text())["state"]


def test_what_became_of_an_entry_is_written_in_it_by_name():
    entry = an_entry()
    closed = entry.path.with_suffix(".closed")
    assert (entry.state, on_disk(entry.path)) == ("key-away", "key-away")
    back = entry.key_is_back()
    assert (back.state, on_disk(entry.path)) == ("key-back", "key-back")
    assert journal.read(entry.path) == back
    back.close()
    assert on_disk(closed) == "closed"
    with pytest.raises(ValueError, match="closed does not become key-back"):
        journal.read(closed).without_calls()


def test_an_entry_whose_closing_was_cut_off_is_closed():
    entry = an_entry()
    entry.close()
    entry.path.with_suffix(".closed").rename(entry.path)
    memory = watchdog.Memory("r1")
    assert journal.open_entries() == memory.look() == []
    assert not entry.key_is_away
    assert leftovers.readable(()) == ([], [])
    assert entry.was_closed


def test_an_entry_is_closed_although_the_disk_is_full(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    entry = an_entry()
    monkeypatch.setattr(store, "write_whole", full)
    entry.close()
    assert journal.open_entries() == []
    assert not entry.key_is_away


@pytest.mark.parametrize("schema", [1, 2, 3])
@pytest.mark.parametrize("away", [True, False])
def test_of_an_older_entry_the_calls_say_where_it_is(schema, away):
    entry = an_entry() if away else an_entry().key_is_back()
    said = json.loads(entry.path.read_text())
    del said["others"]
    if schema < 3:
        del said["state"]
    if schema == 1:
        del said["credentials"]
        said["undo"]["checks"] = []
    entry.path.write_text(json.dumps(said | {"schema": schema}))
    assert journal.read(entry.path) == entry


def test_an_entry_keeps_the_other_clusters_under_its_key():
    entry = an_entry(others=["carts", "invoices"])
    assert journal.read(entry.path) == entry
    assert entry.clusters == ("orders", "carts", "invoices")
    assert entry.key_is_back().others == ("carts", "invoices")
    assert an_entry().clusters == ("orders",)
    assert an_entry(cluster="").clusters == ()


@pytest.mark.parametrize(
    ("others", "why"),
    [
        (["carts; rm -rf"], "names no other cluster: 'carts; rm -rf'"),
        (["carts", "carts"], "names a cluster twice"),
        (["orders"], "names a cluster twice"),
        ([f"c{number}" for number in range(20)], "names 20 other clusters, and a run brings back"),
        ("carts", "has a field others that is no list of names"),
        ([["carts"]], "has a field others that is no list of names"),
        ({"carts": 1}, "has a field others that is no list of names"),
        (None, "has a field others that is no list of names"),
    ],
)
def test_other_clusters_that_cannot_be_are_not_believed(others, why):
    entry = an_entry()
    entry.path.write_text(json.dumps(json.loads(entry.path.read_text()) | {"others": others}))
    with pytest.raises(JournalDamaged) as caught:
        journal.read(entry.path)
    assert why in str(caught.value)


def test_an_entry_for_a_key_alone_has_no_other_clusters():
    with pytest.raises(JournalDamaged, match="names other clusters, and none of its own"):
        an_entry(cluster="", others=["carts"])


def test_nobody_takes_a_cluster_that_another_run_has_to_bring_back():
    an_entry(others=["carts"])
    with pytest.raises(Refused, match="open entry for carts"):
        leftovers.refuse_if_left_open("carts")
    (found,) = leftovers.look(["carts"])
    assert found.state == "refused"


def test_an_entry_that_is_lost_is_not_taken_for_one_that_was_closed():
    closed, lost = an_entry(), an_entry()
    closed.close()
    lost.path.unlink()
    assert not closed.key_is_away
    assert lost.key_is_away
    shutil.rmtree(lost.path.parent)
    assert lost.key_is_away
    lost.close()
    assert journal.open_entries() == []


def test_what_was_closed_is_forgotten_after_a_while():
    entry = an_entry()
    entry.close()
    journal.forget_closed()
    assert entry.was_closed
    os.utime(entry.path.with_suffix(".closed"), (0, 0))
    journal.forget_closed()
    assert not entry.was_closed
    assert list(store.directory().iterdir()) == []


def test_a_journal_that_nobody_may_read_is_not_an_empty_one(monkeypatch):
    an_entry()

    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError):
        journal.paths()
    entries, problems = leftovers.readable(())
    assert entries == []
    assert "cannot be read" in problems[0]
    with pytest.raises(JournalDamaged):
        leftovers.refuse_if_left_open("orders")


def test_what_cannot_be_written_whole_leaves_no_entry(monkeypatch):
    def refuse(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store, "sync_folder", refuse)
    with pytest.raises(OSError, match="Input/output"):
        an_entry()
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
    with pytest.raises(JournalDamaged, match=r"r1-\d+\.json cannot be read"):
        journal.open_entries()


def test_half_an_entry_is_no_entry():
    entry = an_entry()
    entry.path.rename(entry.path.with_suffix(".new"))
    assert journal.open_entries() == []


def test_the_journal_lies_where_the_next_run_finds_it(tmp_path, monkeypatch):
    assert store.directory({"XDG_STATE_HOME": "/x"}).as_posix() == "/x/chaosaws-kms"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unusable in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert store.directory(unusable) == tmp_path / ".local" / "state" / "chaosaws-kms"


def test_replaying_puts_the_key_back_and_sees_it(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    for _ in range(2):
        replay(aws, DisableKey(key).undo())
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_that_does_not_come_back_is_said(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.schedule_key_deletion(KeyId=key)
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    with pytest.raises(NotPutBack, match="KMSInvalidStateException"):
        replay(aws, DisableKey(key).undo())


def test_a_refusal_that_passes_does_not_keep_the_key_away(lab):
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    call, failures = aws.call, iter([True, True])

    def flaky(*asked):
        if next(failures, False):
            raise AwsError("throttled", "ThrottlingException")
        return call(*asked)

    aws.call = flaky
    replay(aws, DisableKey(key).undo())
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


def test_an_entry_never_has_the_name_of_another_that_was():
    first, second = an_entry(), an_entry()
    first.close()
    third = an_entry()
    assert third.path not in (first.path, second.path)
    first.close()
    assert third.key_is_away


def test_a_watchdog_that_can_say_nothing_still_puts_back(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    an_entry()
    memory, restored = watchdog.Memory("r1"), []
    monkeypatch.setattr(
        watchdog, "restore", lambda entries, say, **_: restored.append(say("done")) or []
    )
    monkeypatch.setattr(sys, "stderr", Full())
    assert memory.put_back(memory.look()) == []
    monkeypatch.undo()
    assert restored == [None]


def test_a_watchdog_puts_nothing_back_twice_although_the_disk_says_so(monkeypatch):
    entry = an_entry()
    memory = watchdog.Memory("r1")
    memory.look()
    assert [each.path for each in memory.away_for(-1)] == [entry.path]
    monkeypatch.setattr(
        watchdog, "restore", lambda entries, say, **_: [each.without_calls() for each in entries]
    )
    (left,) = memory.put_back(memory.look())
    assert left.undo.calls == ()
    assert [each.undo.calls for each in memory.look()] == [()]  # it is open on disk as before
    assert memory.away_for(-1) == []


def test_a_watchdog_takes_a_lost_entry_for_open_and_a_closed_one_for_closed():
    closed, lost = an_entry(), an_entry()
    memory = watchdog.Memory("r1")
    memory.look()
    closed.close()
    shutil.rmtree(lost.path.parent / "made", ignore_errors=True)
    lost.path.unlink()
    assert [each.path for each in memory.look()] == [lost.path]


def test_the_second_fault_of_a_run_is_not_as_old_as_the_first(monkeypatch):
    memory = watchdog.Memory("r1")
    first = an_entry()
    memory.look()
    memory._seen[first.path] -= 100
    first.close()
    an_entry()
    memory.look()
    assert memory.away_for(50) == []
