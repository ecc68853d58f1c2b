"""Removes what a run made, in the order in which that is possible; and nothing else.

What does not carry the run's own tag is not touched, whatever its name and whoever names it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.guard.inventory import under
from chaosaws_kms_ext.resources.ledger import Kind, Ledger, Resource
from chaosaws_kms_ext.undo.store import Held
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["DAYS", "There", "databases", "look", "remove", "wrong_account"]

Say = Callable[[str], object]

DAYS = 7
"""Until a key is deleted: the fewest that KMS takes (API reference, ScheduleKeyDeletion)."""

GONE_WITHIN, LOOK = 7200.0, 2.0
"""Seconds for clusters to be deleted, and between two looks. One that is being restored has to be
there first."""

SETTLED = 60.0
"""Seconds after which a key that was made shows by its tag: assumed, AWS promises nothing."""

APPEARS = 15.0
"""Seconds after which what RDS was asked for by a process that died is there: assumed."""

UNANSWERED = 60.0
"""Seconds in which AWS has to answer at all."""

ORDER: tuple[Kind, ...] = ("instance", "cluster", "snapshot")
DELETING = "deleting"

NOT_FOUND = frozenset(
    {
        "DBClusterNotFoundFault",
        "DBClusterSnapshotNotFoundFault",
        "DBInstanceNotFound",
    }
)
PROTECTED = "InvalidParameterCombination"
"""What DeleteDBCluster says of a cluster that is protected from it."""


@dataclass(frozen=True)
class There:
    """Something of RDS that is there."""

    status: str
    tags: Mapping[str, str]
    members: frozenset[str] = frozenset()
    """A cluster's instances."""


class _Left(Exception):
    """Why something stays, in a sentence."""


def remove(
    aws: Aws,
    ledger: Ledger,
    say: Say,
    within: float = GONE_WITHIN,
    interval: float = LOOK,
    observer: Observer | None = None,
) -> list[str]:
    """Removes everything that the ledger's run made: what is left of it, each in a sentence.

    Clusters first, then their keys, whose deletion is only scheduled (`DAYS` days); not the schema
    of a load (loadgen/drop_schema.py). When nothing is left the ledger is closed. Waits at most
    `within` seconds until clusters are gone. Calls can be repeated; what is not there any more, or
    never was, is no error. Raises OSError.
    """
    try:
        with ledger.held():
            if wrong := wrong_account(aws, ledger):
                return [wrong]
            resources = [resource for resource in ledger.resources if resource.kind != "key"]
            left = databases(aws, ledger, resources, say, within, interval, observer)
            if keys := [resource for resource in ledger.things if resource.kind == "key"]:
                if left:
                    left.append(f"the keys of run {ledger.run} stay until that is gone")
                else:
                    left = _keys(aws, ledger, keys, say)
            if not left and not ledger.things:
                ledger.close()
            return left
    except Held as problem:
        return [str(problem)]


def databases(
    aws: Aws,
    ledger: Ledger,
    resources: Sequence[Resource],
    say: Say,
    within: float = GONE_WITHIN,
    interval: float = LOOK,
    observer: Observer | None = None,
) -> list[str]:
    """Removes these clusters, instances and snapshots of a run: what is left, as `remove`."""
    removal = _Removal(aws, ledger, resources, say)
    try:
        Wait(
            f"what run {ledger.run} made to be deleted", within, interval, observer or Observer()
        ).until(removal.goes_on)
    except TimedOut:
        removal.give_up(within)
    return removal.left


def look(aws: Aws, kind: Kind, name: str) -> There | None:
    """The cluster, instance or snapshot of that name, if there is one; raises AwsError."""
    try:
        return LOOKS[kind](aws, name)
    except AwsError as problem:
        if problem.code in NOT_FOUND:
            return None
        raise


def wrong_account(aws: Aws, ledger: Ledger) -> str:
    """Why these credentials cannot find what the run made; empty if they can.

    In another account nothing would be found, and that would look like being over.
    """
    try:
        account = aws.call("sts", "GetCallerIdentity", {})["Account"]
    except AwsError as problem:
        return f"what run {ledger.run} made is not removed: {problem}"
    if account == ledger.account:
        return ""
    return (
        f"what run {ledger.run} made is in account {ledger.account}, and these credentials are of "
        f"{account}"
    )


# Internals


class _Removal:
    """Clusters, instances and snapshots on their way out."""

    def __init__(self, aws: Aws, ledger: Ledger, resources: Sequence[Resource], say: Say) -> None:
        self._aws, self._ledger, self._say = aws, ledger, say
        in_order = sorted(resources, key=lambda each: ORDER.index(each.kind))
        self._pending = dict.fromkeys(in_order, "")
        """What is still there, and why."""
        self._ordered: set[Resource] = set()
        self._seen: set[Resource] = set()
        self._gone: set[str] = set()
        """Instances."""
        self._began = self._answered = time.monotonic()
        self.left: list[str] = []

    def goes_on(self) -> bool:
        """One look at each, with what can be done about it; true when there is nothing to do."""
        for resource in list(self._pending):
            try:
                why = self._step(resource)
            except _Left as problem:
                self._leave(resource, str(problem))
                continue
            except AwsError as problem:
                silent = not problem.code and time.monotonic() - self._answered > UNANSWERED
                if silent or problem.permanent or problem.code == PROTECTED:
                    self._leave(resource, f"the {resource} is not deleted: {problem}")
                    continue
                why = str(problem)
            if why:
                self._pending[resource] = why
            else:
                self._finish(resource)
        return not self._pending

    def give_up(self, after: float) -> None:
        """What is still there after so many seconds stays."""
        for resource, why in list(self._pending.items()):
            self._leave(resource, f"the {resource} is still there after {after:.0f} s: {why}")

    def _step(self, resource: Resource) -> str:
        """Why it is still there; empty if it is not. Raises _Left and AwsError."""
        there = look(self._aws, resource.kind, resource.name)
        self._answered = time.monotonic()
        if there is None:
            unseen = resource.state == "asked" and resource not in self._seen
            if unseen and not _settled(resource, self._began, APPEARS):
                return "it may still be made: AWS was asked a moment ago"
            return ""
        self._seen.add(resource)
        _check_tag(self._ledger, str(resource), there.tags)
        if there.status == DELETING:
            return f"it is {there.status}"
        if others := sorted(there.members - self._gone):
            expected = {each.name for each in self._pending if each.kind == "instance"}
            if strangers := [each for each in others if each not in expected]:
                raise _Left(
                    f"the {resource} is not deleted: it has {', '.join(strangers)}, which is not "
                    f"of run {self._ledger.run} or stays itself"
                )
            return f"it has {', '.join(others)}"
        DELETES[resource.kind](self._aws, resource.name)
        self._ordered.add(resource)
        return "it was to be deleted"

    def _finish(self, resource: Resource) -> None:
        del self._pending[resource]
        self._ledger.deleted(resource)
        if resource.kind == "instance":
            self._gone.add(resource.name)
        if resource in self._ordered:
            self._say(f"{resource} is deleted")

    def _leave(self, resource: Resource, why: str) -> None:
        del self._pending[resource]
        self.left.append(why)


def _keys(aws: Aws, ledger: Ledger, resources: Sequence[Resource], say: Say) -> list[str]:
    """Takes the aliases away and schedules the deletion of every key that the run made."""
    left = []
    try:
        found = _all_keys(aws, ledger, resources)
    except AwsError as problem:
        return [f"which keys run {ledger.run} made is not known: {problem}"]
    for resource in resources:
        try:
            found |= _without_alias(aws, ledger, resource, say)
        except (_Left, AwsError) as problem:
            left.append(str(problem))
    for arn in sorted(found):
        try:
            _schedule(aws, ledger, arn, say, new=any(_is_new(each, arn) for each in resources))
        except (_Left, AwsError) as problem:
            left.append(str(problem))
    if not left:
        for resource in resources:
            ledger.deleted(resource)
    return left


def _all_keys(aws: Aws, ledger: Ledger, resources: Sequence[Resource]) -> set[str]:
    """Those that were heard of, and those that only their tag tells of."""
    heard = {resource.arn for resource in resources if resource.arn}
    unheard = [resource for resource in resources if not resource.arn]
    began = time.monotonic()
    while True:
        by_tag = set(kms.tagged(aws, TAG, ledger.run))
        settled = all(_settled(each, began, SETTLED) for each in unheard)
        if len(by_tag - heard) >= len(unheard) or settled:
            return heard | by_tag
        time.sleep(LOOK)


def _settled(resource: Resource, began: float, within: float) -> bool:
    """Whether what AWS was asked for would be there by now; `began`: when looking began, by the
    monotonic clock, so that a wrong clock makes nobody wait longer."""
    if time.monotonic() - began > within:
        return True
    with contextlib.suppress(ValueError):
        age = (datetime.now(UTC) - datetime.fromisoformat(resource.at)).total_seconds()
        return age > within
    return False


def _without_alias(aws: Aws, ledger: Ledger, resource: Resource, say: Say) -> set[str]:
    """Removes the alias of a key of the run: the key's ARN, if there was an alias."""
    alias = f"{kms.ALIAS}{resource.name}"
    key = kms.find(aws, alias)
    if key is None:
        return set()
    _check_tag(ledger, f"key {key.arn} of {alias}", kms.tags(aws, key.arn))
    with _done_before("NotFoundException"):
        kms.delete_alias(aws, alias)
    say(f"{alias} is deleted")
    return {key.arn}


def _check_unused(aws: Aws, arn: str) -> None:
    """Raises _Left if somebody has put something under the key: they would lose it."""
    if users := under(aws, arn):
        raise _Left(
            f"the key {arn} is not scheduled for deletion: {', '.join(users)} would be lost"
        )


def _is_new(resource: Resource, arn: str) -> bool:
    """Whether it is that key, and so new that KMS may not know it everywhere."""
    return resource.arn == arn and not _settled(resource, time.monotonic(), SETTLED)


def _schedule(aws: Aws, ledger: Ledger, arn: str, say: Say, new: bool) -> None:
    key = kms.find(aws, arn)
    if key is None:
        if new:
            raise _Left(f"KMS does not know the key {arn} yet")
        return
    _check_tag(ledger, f"key {arn}", kms.tags(aws, arn))
    if key.state != "PendingDeletion":
        _check_unused(aws, arn)
        with _done_before("KMSInvalidStateException"):
            kms.schedule_deletion(aws, arn, DAYS)
        key = kms.describe(aws, arn)
        if key.state != "PendingDeletion":
            raise _Left(f"the key {arn} is {key.state}: its deletion is not scheduled")
        say(f"key {arn} will be deleted in {DAYS} days")


@contextlib.contextmanager
def _done_before(code: str) -> Iterator[None]:
    """An earlier try of the call did it, and its answer was lost: what the next one says then."""
    try:
        yield
    except AwsError as problem:
        if problem.code != code:
            raise


def _check_tag(ledger: Ledger, what: str, tags: Mapping[str, str]) -> None:
    if tags.get(TAG) != ledger.run:
        raise _Left(
            f"the {what} does not carry the tag {TAG}={ledger.run}, so it is left alone: look "
            f"whose it is, and take it out of {ledger.path}"
        )


def _cluster(aws: Aws, name: str) -> There:
    cluster = rds.describe(aws, name)
    members = cluster.raw.get("DBClusterMembers", [])
    ids = frozenset(each["DBInstanceIdentifier"] for each in members)
    return There(cluster.status, rds.tags(cluster), ids)


def _instance(aws: Aws, name: str) -> There:
    said = rds.describe_instance(aws, name)
    return There(said.get("DBInstanceStatus", ""), _tags(said))


def _snapshot(aws: Aws, name: str) -> There:
    snapshot = rds.describe_snapshot(aws, name)
    return There(snapshot.status, _tags(snapshot.raw))


def _tags(said: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in said.get("TagList", [])}


LOOKS: dict[Kind, Callable[[Aws, str], There]] = {
    "cluster": _cluster,
    "instance": _instance,
    "snapshot": _snapshot,
}
DELETES: dict[Kind, Callable[[Aws, str], None]] = {
    "cluster": rds.delete_cluster,
    "instance": rds.delete_instance,
    "snapshot": rds.delete_snapshot,
}
