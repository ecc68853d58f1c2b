"""The ledger of what a run makes: on disk before, whole, held while its run lives."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.resources.ledger import Ledger, asked_for, leftovers
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import store
from chaosaws_kms_ext.undo.store import Held, Origin

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def ledger():
    """One that its run holds."""
    found = new("20261124T120000Z-abcdef")
    yield found
    found.release()


def new(run, **more):
    said = {
        "owner": "somebody",
        "target": "aws",
        "region": "eu-west-1",
        "endpoint": "",
        "lab": "",
        "credentials": "",
    } | more
    path = store.directory() / "made" / f"{run}.json"
    return Ledger(Origin(run=run, **said), "123456789012", path)


def on_disk(ledger):
    return [(t.kind, t.name, t.state, t.arn) for t in Ledger.read(ledger.path).things]


def test_it_is_on_disk_before_the_call_and_knows_afterwards_what_came_of_it(ledger):
    assert not ledger.path.exists()
    with asked_for(ledger, "key", "chaos-k") as resource:
        assert on_disk(ledger) == [("key", "chaos-k", "asked", "")]
        ledger.created(resource, KEY)
    with pytest.raises(AwsError), asked_for(ledger, "cluster", "chaos-c"):
        raise AwsError("no", "AccessDenied")
    with pytest.raises(AwsError), asked_for(ledger, "snapshot", "chaos-s"):
        raise AwsError("no answer")
    with pytest.raises(KeyboardInterrupt), asked_for(ledger, "instance", "chaos-i"):
        raise KeyboardInterrupt
    assert on_disk(ledger) == [
        ("key", "chaos-k", "made", KEY),
        ("cluster", "chaos-c", "answered", ""),
        ("snapshot", "chaos-s", "asked", ""),
        ("instance", "chaos-i", "asked", ""),
    ]
    assert ledger.path.parent.stat().st_mode & 0o077 == 0


def test_what_was_made_is_not_made_again_under_its_name(ledger):
    ledger.rejected(ledger.record("cluster", "c"))
    ledger.created(ledger.record("cluster", "c"))
    with pytest.raises(Refused, match="this run has made the cluster c already"):
        ledger.record("cluster", "c")
    ledger.record("instance", "c")
    assert len(ledger.things) == 2


def test_it_goes_with_the_last_thing(ledger):
    first, second = ledger.record("cluster", "a"), ledger.record("cluster", "b")
    ledger.deleted(ledger.created(first))
    assert [name for _, name, _, _ in on_disk(ledger)] == ["b"]
    ledger.deleted(second)
    ledger.deleted(second)
    assert not ledger.path.exists()
    ledger.close()
    ledger.record("cluster", "c")
    assert on_disk(ledger) == [("cluster", "c", "asked", "")]


def test_a_disk_that_is_full_stops_it_before_the_call_and_not_after(ledger, monkeypatch):
    resource = ledger.record("cluster", "a")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_whole", full)
        with pytest.raises(OSError, match="No space"):
            ledger.record("cluster", "b")
        ledger.created(resource)
    assert on_disk(ledger) == [("cluster", "a", "asked", "")]
    assert [each.state for each in ledger.things] == ["made"]


def test_only_those_of_runs_that_are_over_are_left(ledger):
    ledger.record("cluster", "a")
    assert leftovers() == ([], [])
    held = pytest.raises(Held, match=f"another process holds what run {ledger.run} made")
    with held, Ledger.read(ledger.path).held():
        pass
    ledger.release()
    (left,), problems = leftovers()
    assert problems == []
    for name in ("run", "origin", "account", "things"):
        assert getattr(left, name) == getattr(ledger, name)
    with left.held(), left.held():
        assert leftovers() == ([], [])
    assert len(leftovers()[0]) == 1


def test_a_run_that_was_killed_holds_nothing_any_more(ledger):
    ledger.record("cluster", "a")
    ledger.release()
    hold = (
        "import sys, os; from pathlib import Path;"
        "from chaosaws_kms_ext.resources.ledger import Ledger;"
        "made = Ledger.read(Path(sys.argv[1])); made.hold(); print('held', flush=True);"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", hold, str(ledger.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "held\n"
    assert leftovers() == ([], [])
    child.kill()
    child.communicate()
    assert len(leftovers()[0]) == 1


def test_one_that_cannot_be_read_does_not_hide_the_others(ledger):
    ledger.record("cluster", "a")
    ledger.release()
    for number, text in enumerate(["", "{}", "[]", '{"schema": 1, "things": [{}]}', "\0"]):
        ledger.path.with_name(f"damaged-{number}.json").write_text(text)
    found, problems = leftovers()
    assert [each.run for each in found] == [ledger.run]
    assert len(problems) == 5
    assert "damaged-0.json, cannot be read (JSONDecodeError): look into it" in problems[0]


def test_that_of_a_lab_that_is_gone_is_closed(ledger):
    gone = new(
        "20261124T130000Z-000000",
        target="lab",
        endpoint="http://127.0.0.1:1",
        lab="some-lab",
        credentials="/c",
    )
    for each in (ledger, gone):
        each.record("cluster", "a")
        each.release()
    assert [each.run for each in leftovers()[0]] == [ledger.run]
    assert not gone.path.exists()


def test_that_of_a_lab_that_runs_is_not(lab, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    for identity, count in ((lab.id, 1), ("another", 0)):
        of_lab = new(
            f"20261124T130000Z-{count}",
            target="lab",
            endpoint=lab.endpoint,
            lab=identity,
            credentials="/c",
        )
        of_lab.record("cluster", "a")
        of_lab.release()
        assert len(leftovers()[0]) == count
        of_lab.close()


def test_a_run_that_ends_lets_go_and_leaves_what_it_made(on_aws):
    ledger = Ledger.of(runs.current())
    assert (ledger.run, ledger.account, ledger.origin.region) == (
        runs.current().id,
        "123456789012",
        "eu-west-1",
    )
    ledger.record("cluster", ledgers.name_of(runs.current(), "c"))
    assert leftovers() == ([], [])
    runs.end()
    (left,), _ = leftovers()
    assert json.loads(left.path.read_text())["things"][0]["name"].startswith("chaos-2")
    assert list(left.path.parent.iterdir()) == [left.path]
