"""Several faults on one key: which can be composed, and that every way out leads back."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from chaosaws_kms_ext import faults
from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.key_material import import_new
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject import injection
from chaosaws_kms_ext.inject.composition import MOST, Wanted, check, wanted
from chaosaws_kms_ext.inject.injection import inject_all, put_back
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo import journal, replay, restore, switch
from chaosaws_kms_ext.undo.replay import NotPutBack
from tests.support.kms_as_aws import Killed, KmsAsAws

TARGET = [name for name, each in FAULTS.items() if each.on == "target"]
OWN = ["put-key-policy", "delete-key-material"]  # an expiry takes its time
MATERIAL = bytes(range(32))
ARGUMENTS = {
    "put-key-policy": {
        "policy": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": "arn:aws:iam::123456789012:user/nobody"},
                    "Action": "kms:Decrypt",
                    "Resource": "*",
                },
            ],
        }
    }
}


def listed(*names):
    return [{"name": name, "arguments": ARGUMENTS.get(name, {})} for name in names]


def lists(names):
    every = (itertools.permutations(names, size) for size in range(1, len(names) + 1))
    return [each for sizes in every for each in sizes]


def can_be_composed(names):
    try:
        check([FAULTS[name] for name in names])
    except Refused:
        return False
    return True


REFUSED = [each for each in lists(TARGET) if not can_be_composed(each)]
COMPOSED = [each for each in [*lists(TARGET), *lists(OWN)] if can_be_composed(each)]
SEVERAL = [each for each in COMPOSED if len(each) > 1]
OFTEN = [pytest.param(e, marks=[] if len(e) == 2 else pytest.mark.soak) for e in SEVERAL]


# What an experiment may say


@pytest.mark.parametrize(
    ("name", "arguments", "several", "said"),
    [
        ("", None, None, "there is no fault ''"),
        (7, None, None, "the name of a fault is a text, not 7"),
        ("disable-key", ["x"], None, "the arguments of a fault are a JSON object"),
        ("disable-key", None, listed("deny-rds"), "one fault by `name`, or several by `faults`"),
        ("", {"a": 1}, listed("deny-rds"), "one fault by `name`, or several by `faults`"),
        ("", None, [], f"`faults` is a list of 1 to {MOST} faults"),
        ("", None, listed("disable-key") * 6, f"`faults` is a list of 1 to {MOST} faults"),
        ("", None, "disable-key", "`faults` is a list of"),
        ("", None, {"name": "disable-key"}, "`faults` is a list of"),
        ("", None, ["disable-key"], "a fault in a list is an object with its name"),
        ("", None, [{"nam": "disable-key"}], "a fault in a list is an object with its name"),
        ("", None, [{"name": "deny-rds", "key_id": "x"}], "a fault in a list is an object"),
        ("", None, [{"name": "disable-key", "arguments": 7}], "arguments of a fault are a JSON"),
        ("", None, [{"name": None}], "the name of a fault is a text, not None"),
        ("", None, listed("disable-keys"), "there is no fault 'disable-keys'"),
        ("", None, [{"name": "x" * 10_000_000}], "there is no fault 'xxx"),
        ("", None, listed("disable-key", "disable-key"), "the fault disable-key is twice in one"),
        (
            "",
            None,
            listed("disable-key", "put-key-policy"),
            "disable-key is for the key of the run's cluster, and put-key-policy for one that the "
            "run made",
        ),
        (
            "",
            None,
            listed("schedule-key-deletion", "disable-key"),
            "disable-key cannot follow schedule-key-deletion: KMS does not take kms:DisableKey for "
            "a key that is pending deletion",
        ),
        (
            "",
            None,
            listed("disconnect-key-store", "disable-key"),
            "disable-key cannot follow disconnect-key-store: KMS does not take kms:DisableKey for "
            "a key that is Unavailable, or does not show it",
        ),
        (
            "",
            None,
            listed("delete-key-material", "expire-key-material"),
            "expire-key-material cannot follow delete-key-material: ",
        ),
    ],
)
def test_what_cannot_be_composed_is_one_sentence(name, arguments, several, said):
    with pytest.raises(Refused) as refused:
        wanted(name, arguments, several)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_one_fault_and_a_list_of_one_are_the_same():
    assert wanted("disable-key", None, None) == [Wanted("disable-key")]
    assert wanted("", None, [{"name": "disable-key"}]) == [Wanted("disable-key")]


def test_two_undos_that_would_overwrite_each_other_are_refused():
    """Whichever is replayed last would decide which policy stays."""
    another = type("Another", (FAULTS["deny-rds"],), {"name": "another-policy"})
    with pytest.raises(Refused, match="each would overwrite what the other puts back"):
        check([FAULTS["deny-rds"], another])


# What is composed, on the lab's KMS


@pytest.fixture(autouse=True)
def _at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for module in (injection, restore):
        monkeypatch.setattr(module, "IN_FLIGHT", 0.0)
    monkeypatch.setattr(replay, "TRY_AGAIN", 0.0)
    monkeypatch.setattr(replay, "LOOK_AGAIN", 0.0)


class Played:
    """A run on a KMS of its own, which can be killed."""

    def __init__(self, tmp_path, names):
        self.aws = KmsAsAws()
        self.aws.kms.clock._born = datetime.now(UTC)  # an import token has its time
        own = names[0] in OWN
        if "disconnect-key-store" in names:
            made = self.aws.key_in_store()
        else:
            made = self.aws.kms.key(Origin="EXTERNAL" if own else "AWS_KMS")
        self.key = self.aws.kms.arn(made)
        if own:
            import_new(self.aws, self.key, MATERIAL)
        credentials = tmp_path / "credentials"
        credentials.write_text("{}")
        self.run = Run(Settings())
        self.run.aws = self.aws
        self.run.lab = SimpleNamespace(
            id="lab", endpoint="http://127.0.0.1:1", credentials=credentials, running=True
        )
        self.before = self.aws.as_it_is(self.key)
        self.faults = [
            faults.make(FAULTS[name], self.aws, self.key, ARGUMENTS.get(name, {}), MATERIAL)
            for name in names
        ]
        self.aws.changes.clear()

    def is_as_before(self):
        now = self.aws.as_it_is(self.key)
        return {**now, "policy": json.loads(now["policy"])} == {
            **self.before,
            "policy": json.loads(self.before["policy"]),
        }

    def restored(self, monkeypatch, **more):
        self.aws.last = None
        monkeypatch.setattr(restore, "restorer_for", lambda entry, say: self.aws)
        self.said = []
        return restore.restore(journal.open_entries(), self.said.append, **more)


@pytest.fixture(autouse=True)
def _no_run_stays():
    yield
    runs.end()


@pytest.mark.parametrize("names", COMPOSED, ids="+".join)
def test_what_may_be_composed_is_taken_by_kms_and_undone_in_reverse(tmp_path, names):
    played = Played(tmp_path, names)
    entries = inject_all(played.run, played.faults)
    assert [entry.undo for entry in entries] == [fault.undo() for fault in played.faults]
    assert journal.open_entries() == entries
    assert not played.is_as_before()
    assert all(fault.shows(played.aws) for fault in played.faults[-1:])
    done = put_back(played.run)
    assert [entry.path for entry in done] == [entry.path for entry in reversed(entries)]
    assert played.is_as_before()
    assert injection.close_recovered(played.run) == []
    assert journal.open_entries() == []


@pytest.mark.parametrize(
    "names", [e for e in lists(TARGET) if not can_be_composed(e)], ids="+".join
)
def test_what_is_refused_for_the_state_of_the_key_kms_refuses_or_does_not_show(tmp_path, names):
    played = Played(tmp_path, names)
    try:
        for fault in played.faults:
            fault.inject(played.aws)
    except AwsError as problem:
        assert "pending deletion" in str(problem)
        return
    assert "disconnect-key-store" in names
    assert not all(fault.shows(played.aws) for fault in played.faults)


@pytest.mark.parametrize("names", OFTEN, ids="+".join)
def test_whenever_the_run_is_killed_restore_puts_everything_back(tmp_path, monkeypatch, names):
    """At every changing call, made or not: while faults are injected, and while they are undone."""
    whole = Played(tmp_path, names)
    inject_all(whole.run, whole.faults)
    put_back(whole.run)
    injection.close_recovered(whole.run)
    for place in range(1, len(whole.aws.changes) + 1):
        for carried_out in (False, True):
            played = Played(tmp_path, names)
            played.aws.last = (place, carried_out)
            with pytest.raises(Killed):
                inject_all(played.run, played.faults)
                put_back(played.run)
            played.run.at_end.pop_all()
            watching = place % 2 == 0  # by its watchdog, or by somebody
            assert played.restored(monkeypatch, watching=watching) == [], (place, played.said)
            assert played.is_as_before(), (place, carried_out)
            assert journal.open_entries() == []


@pytest.mark.parametrize(
    "refused", ["EnableKey", "PutKeyPolicy", "CancelKeyDeletion", "ConnectCustomKeyStore"]
)
@pytest.mark.parametrize("names", OFTEN, ids="+".join)
def test_an_undo_that_fails_keeps_no_other_and_its_entry_stays(
    tmp_path, monkeypatch, names, refused
):
    monkeypatch.setattr(replay, "VERIFY_TIMEOUT", 0.1)
    played = Played(tmp_path, names)
    undos = [fault.undo() for fault in played.faults]
    fails = [undo for undo in undos if refused in [call.operation for call in undo.calls]]
    if refused in ("CancelKeyDeletion", "ConnectCustomKeyStore") and fails:
        # Without these KMS enables no key.
        fails = [undo for undo in undos if {"kms:EnableKey", f"kms:{refused}"} & {*undo.actions}]
    inject_all(played.run, played.faults)
    played.aws.refuse = {refused}
    if not fails:
        put_back(played.run)
        assert played.run.last(EventName.PUT_BACK)
        return
    with pytest.raises(NotPutBack):
        put_back(played.run)
    assert [entry.undo for entry in played.run.open_faults.key_away] == fails
    assert not played.run.last(EventName.PUT_BACK)
    of_others = injection.close_recovered(played.run)
    assert len(of_others) == len(undos) - len(fails)  # they wait for it
    away = [entry for entry in journal.open_entries() if entry.state == "key-away"]
    assert [entry.undo for entry in away] == fails
    played.aws.refuse = set()
    put_back(played.run)
    assert played.is_as_before()
    assert injection.close_recovered(played.run) == []
    assert journal.open_entries() == []


def test_a_policy_that_keeps_us_from_an_undo_is_put_back_and_the_undo_tried_again(
    tmp_path, monkeypatch
):
    """The material was injected last, so it comes first; and may not be imported yet."""
    played = Played(tmp_path, ("put-key-policy", "delete-key-material"))
    inject_all(played.run, played.faults)
    ask = played.aws.call

    def guarded(service, operation, params):
        denied = json.loads(played.aws.as_it_is(played.key)["policy"]) != json.loads(
            played.before["policy"]
        )
        if operation == "ImportKeyMaterial" and denied:
            raise AwsError("kms:ImportKeyMaterial is not allowed", "AccessDeniedException")
        return ask(service, operation, params)

    monkeypatch.setattr(played.aws, "call", guarded)
    kept = journal.open_entries()
    put_back(played.run)
    assert played.is_as_before()
    # And as well by whoever finds the journal.
    for fault in played.faults:
        fault.inject(played.aws)
    for entry in kept:
        journal.write(entry)
    assert played.restored(monkeypatch) == []
    assert played.is_as_before()


def test_the_key_is_back_when_the_last_of_its_faults_is_undone(tmp_path):
    played = Played(tmp_path, ("disable-key", "deny-rds"))
    inject_all(played.run, played.faults)
    put_back(played.run)
    names = [event.name for event in played.run.events]
    assert names.count(EventName.UNDONE) == names.count(EventName.PUT_BACK) == 1
    undone, back = (played.run.last(name) for name in (EventName.UNDONE, EventName.PUT_BACK))
    first = undone.at - undone.details["within_seconds"] * 1e9
    assert back.details["within_seconds"] == pytest.approx((back.at - first) / 1e9, abs=0.002)


def test_the_switch_calls_what_it_can_once_and_the_last_fault_first(tmp_path):
    played = Played(tmp_path, ("disable-key", "deny-rds", "schedule-key-deletion"))
    undos = [fault.undo() for fault in played.faults]
    assert switch.calls_of(undos).actions == ("kms:CancelKeyDeletion", "kms:EnableKey")
    assert switch.calls_of(undos[1:2]).calls == ()
    actions = [action for undo in undos for action in undo.actions]
    assert not switch.can(actions)
    assert switch.covered(actions) == ("kms:EnableKey", "kms:CancelKeyDeletion")
    assert "no switch can put this back (kms:PutKeyPolicy)" in switch.cannot(actions)


def test_of_entries_of_the_same_instant_the_later_one_comes_first(tmp_path):
    played = Played(tmp_path, ("disable-key", "deny-rds"))
    first, second = inject_all(played.run, played.faults)
    same = [journal.read(each.path) for each in (first, second)]
    object.__setattr__(same[1], "made", same[0].made)
    assert [each.path for each in restore.in_order(same)] == [second.path, first.path]
    put_back(played.run)
