"""Files of ours: locks that leave nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from chaosaws_kms_ext.files import lock, unlock
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.store import Held

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return store.ready_directory()


def test_a_key_that_nobody_holds_any_more_has_no_lock(state):
    with journal.held(KEY):
        (path,) = state.glob("*.lock")
        with pytest.raises(Held, match=f"{os.getpid()} holds the key"):
            journal.held(KEY).__enter__()
        assert path.exists()
    assert list(state.iterdir()) == []


def _count(path, counter, times):
    for _ in range(times):
        while True:
            try:
                file = lock(path)
                break
            except BlockingIOError:
                time.sleep(0.0005)
        before = int(counter.read_text())
        time.sleep(0.0002)
        counter.write_text(str(before + 1))
        unlock(path, file)


def test_a_lock_that_is_removed_when_it_is_let_go_of_is_still_held_by_one_at_a_time(tmp_path):
    counter, path = tmp_path / "counter", tmp_path / "lock"
    counter.write_text("0")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_count, args=(path, counter, 60)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert counter.read_text() == "180"
    assert not path.exists()


def test_the_log_of_a_watchdog_is_kept_for_a_month(state):
    for name, age in (("old", 31), ("new", 29)):
        path = state / f"{name}{journal.WATCHED}"
        path.touch(mode=0o600)
        os.utime(path, (time.time() - age * 86400,) * 2)
    journal.check_writable()
    assert [path.name for path in state.iterdir()] == [f"new{journal.WATCHED}"]
