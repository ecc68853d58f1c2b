"""The dead man's switch: schedules of EventBridge Scheduler that put the key back if we do not.

They are made before the fault, fire from `max_key_unusable` on, every 5 minutes for a day, and are
deleted once everything is back. The first of them is the lock as well: its name is made from the
key, so that a second run on the same key finds it taken, on whatever machine it is.

EventBridge Scheduler User Guide, managing-targets-universal, schedule-types (60 s precision).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.names import GROUP, MOST_CALLS, MOST_CLUSTERS, schedules
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.undo import Call, NotAnUndo, Undo

__all__ = [
    "FOR",
    "Armed",
    "arm",
    "armed",
    "calls_of",
    "can",
    "cannot",
    "covered",
    "disarm",
    "holder",
    "is_held",
    "undo_of",
]

TARGET = "arn:{partition}:scheduler:::aws-sdk:{service}:{operation}"
REPEATED = "rate(5 minutes)"
"""One shot may meet InvalidDBClusterStateFault or KMSKeyNotAccessibleFault: both pass."""
FOR = timedelta(days=1)
MARGIN = timedelta(minutes=1)
"""Added, so that a schedule never fires before the run's own deadline in the same minute."""
LONGEST_DESCRIPTION = 512
"""API reference, CreateSchedule."""

LOOKS = 3
"""Answers, a second apart, that have to say that a schedule is not there."""

OPERATIONS = {
    "cancelKeyDeletion": "CancelKeyDeletion",
    "connectCustomKeyStore": "ConnectCustomKeyStore",
    "enableKey": "EnableKey",
    "startDBCluster": "StartDBCluster",
    "startDBInstance": "StartDBInstance",
}
"""An operation as a universal target spells it → as its service does. PutKeyPolicy is left out: a
role that may put any policy on a key could take the key away from everybody. So is
ImportKeyMaterial: no document says how a universal target's JSON has parameters that are bytes, and
its import token is worth nothing after a day."""


STARTS = frozenset(("rds", kind.start_operation) for kind in rds.KINDS)


@dataclass(frozen=True)
class Armed:
    """One schedule: the call that it makes, and for whom."""

    name: str
    call: Call
    run: str
    owner: str
    cluster: str
    """That it starts; of a call of the undo, the run's own."""
    key: str
    due: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is as `arm` makes it: schedules of others must not decide what is put back."""
        named = self.name in schedules(self.key) and self._is_about_it
        return named and re.fullmatch(r"[\w-]{1,64}", self.run, re.ASCII) is not None

    @property
    def _is_about_it(self) -> bool:
        if self.starts:
            return self.call == _start(self.cluster)
        try:
            Undo((self.call,)).check_about(self.key)
        except NotAnUndo:
            return False
        return True

    @property
    def starts(self) -> bool:
        """Whether it starts the database; else it is a call of the undo."""
        return (self.call.service, self.call.operation) in STARTS


def undo_of(found: Iterable[Armed]) -> Undo:
    """The undo that the schedules of one key would make."""
    in_order = sorted(found, key=lambda each: schedules(each.key).index(each.name))
    return Undo(tuple(each.call for each in in_order if not each.starts))


def arm(
    aws: Aws,
    role: str,
    *,
    run: str,
    owner: str,
    clusters: Sequence[str],
    key: str,
    undo: Undo,
    after: float,
) -> datetime:
    """Makes the schedules, due `after` seconds from now, and says when that is.

    `clusters`: the databases that are started, that of the run first; empty for a key alone.

    Raises Refused if another run holds the key, or AwsError; `disarm` removes what was made then.
    """
    if not can(undo.actions):
        raise Refused(cannot(undo.actions))
    due = datetime.now(UTC) + timedelta(seconds=after) + MARGIN
    if len(clusters) > MOST_CLUSTERS:
        raise Refused(f"the switch can start {MOST_CLUSTERS} databases, not {len(clusters)}")
    first, *_ = clusters = clusters or ("",)
    calls = [(call, first) for call in undo.calls]
    calls += [(_start(each), each) for each in clusters]
    told = [{"run": run, "owner": owner, "cluster": cluster, "key": key} for _, cluster in calls]
    descriptions = [json.dumps(e, separators=(",", ":"), ensure_ascii=False) for e in told]
    if max(map(len, descriptions)) > LONGEST_DESCRIPTION:
        raise Refused(f"the switch cannot name its owner in {LONGEST_DESCRIPTION} letters: {owner}")
    _make_group(aws)
    named = schedules(key, len(undo.calls), len(clusters))
    for name, (call, _), description in zip(named, calls, descriptions, strict=True):
        try:
            aws.call("scheduler", "CreateSchedule", _schedule(name, call, role, due, description))
        except AwsError as problem:
            if problem.code != "ConflictException":
                raise
            holder = _read(aws, name)
            ours = holder and (holder.run, holder.call) == (run, call) and holder.due
            if not ours or abs(ours - due) > MARGIN:  # else an answer was lost
                raise Refused(_held(name, holder)) from None
    return due


def disarm(aws: Aws, names: Sequence[str], run: str) -> list[str]:
    """Deletes those schedules that are the run's; returns in sentences what was not deleted."""
    left = []
    for name in reversed(names):  # the lock last
        try:
            found = _read(aws, name)
            if found and found.run == run:
                aws.call("scheduler", "DeleteSchedule", {"GroupName": GROUP, "Name": name})
        except AwsError as problem:
            if problem.code != "ResourceNotFoundException":
                left.append(f"the schedule {name} of group {GROUP} is still armed: {problem}")
    return left


def holder(aws: Aws, lock: str) -> str:
    """The run that holds a key by this schedule; empty if none does. Raises AwsError."""
    found = _read(aws, lock)
    return found.run if found else ""


def is_held(aws: Aws, lock: str, run: str) -> bool:
    """Whether the run holds a key by this schedule: one answer that says no may be stale.

    Raises AwsError.
    """
    for _ in range(LOOKS):
        if holder(aws, lock) == run:
            return True
        time.sleep(1)
    return False


def covered(undo: Sequence[str]) -> tuple[str, ...]:
    """Those of these calls of an undo (`kms:EnableKey`, say) that a switch can make, each by a
    universal target."""
    known = {f"kms:{operation}" for operation in OPERATIONS.values()}
    return tuple(each for each in dict.fromkeys(undo) if each in known)


def can(undo: Sequence[str]) -> bool:
    """Whether a switch can make all of these calls."""
    return 0 < len(undo) <= MOST_CALLS and set(undo) == set(covered(undo))


def cannot(undo: Sequence[str]) -> str:
    """Why it cannot, in a sentence."""
    left = ", ".join(each for each in undo if each not in covered(undo))
    return (
        f"no switch can put this back ({left}), only this machine's watchdog: set "
        "CHAOS_WITHOUT_SWITCH=yes if that will do, or leave CHAOS_SWITCH_ROLE out"
    )


def calls_of(undos: Sequence[Undo]) -> Undo:
    """What a switch can call of the undos of several faults on one key, the last fault's first,
    each call once; nothing, if it can call nothing."""
    calls = [call for undo in reversed(undos) for call in undo.calls]
    known = set(covered([f"{call.service}:{call.operation}" for call in calls]))
    unique: list[Call] = []
    for call in calls:
        if f"{call.service}:{call.operation}" in known and call not in unique:
            unique.append(call)
    return Undo(tuple(unique))


def armed(aws: Aws) -> list[Armed]:
    """Every schedule of ours that is there, the locks first, and what starts a run's own cluster
    before what starts others; raises AwsError."""
    try:
        listed = list(_pages(aws))
    except AwsError as problem:
        if problem.code == "ResourceNotFoundException":  # nobody has made the group yet
            return []
        raise
    found = [each for name in listed if (each := _read(aws, name))]
    return sorted(found, key=lambda each: schedules(each.key).index(each.name))


# Internals


def _start(reference: str) -> Call:
    """The call that starts this database."""
    kind = rds.kind_of(reference)
    return Call("rds", kind.start_operation, kind.asked(reference))


def _make_group(aws: Aws) -> None:
    try:
        aws.call("scheduler", "CreateScheduleGroup", {"Name": GROUP})
    except AwsError as problem:
        if problem.code != "ConflictException":
            raise


def _schedule(name: str, call: Call, role: str, due: datetime, description: str) -> dict[str, Any]:
    operation = next(k for k, v in OPERATIONS.items() if v == call.operation)
    arn = TARGET.format(partition=role.split(":")[1], service=call.service, operation=operation)
    return {
        "GroupName": GROUP,
        "Name": name,
        "Description": description,
        "ScheduleExpression": REPEATED,
        "StartDate": due,
        "EndDate": due + FOR,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": arn,
            "RoleArn": role,
            "Input": json.dumps(_input(call)),
            # It is repeated anyway; a call that is tried on for a day could outlive its schedule.
            "RetryPolicy": {"MaximumRetryAttempts": 0},
        },
    }


def _input(call: Call) -> dict[str, Any]:
    """Universal targets spell DB as Db."""
    return {name.replace("DB", "Db"): value for name, value in call.params.items()}


def _held(name: str, holder: Armed | None) -> str:
    by = f"run {holder.run} by {holder.owner}" if holder else "another run"
    return (
        f"the schedule {name} of group {GROUP} is there already: {by} holds this key. If that run "
        "is over, put it back with `chaos kms restore`"
    )


def _pages(aws: Aws) -> Iterator[str]:
    more: dict[str, str] = {}
    while True:
        page = aws.call("scheduler", "ListSchedules", {"GroupName": GROUP, **more})
        yield from (each["Name"] for each in page["Schedules"])
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def _read(aws: Aws, name: str) -> Armed | None:
    """The schedule of this name, if it is one that we made and still there."""
    try:
        said = aws.call("scheduler", "GetSchedule", {"GroupName": GROUP, "Name": name})
    except AwsError as problem:
        if problem.code == "ResourceNotFoundException":
            return None
        raise
    try:
        told = json.loads(said.get("Description", ""))
        service, operation = said["Target"]["Arn"].split(":")[-2:]
        params = {k.replace("Db", "DB"): v for k, v in json.loads(said["Target"]["Input"]).items()}
        call = Call(service, OPERATIONS[operation], params)
        found = Armed(
            name,
            call,
            told["run"],
            told["owner"],
            told["cluster"],
            told["key"],
            said.get("StartDate"),
        )
        return found if found.is_ours else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
