"""Makes encrypted clusters and snapshots, written down first, and waits until they are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from chaosaws_kms_ext import aws
from chaosaws_kms_ext.aurora import api
from chaosaws_kms_ext.aurora.api import Cluster, Snapshot
from chaosaws_kms_ext.aurora.masters import MasterPasswords
from chaosaws_kms_ext.aurora.probes import go_on_after
from chaosaws_kms_ext.aurora.statuses import AVAILABLE
from chaosaws_kms_ext.aws import AwsError
from chaosaws_kms_ext.kms import api as kms_api
from chaosaws_kms_ext.run import Happened, Instant, Refused, Run
from chaosaws_kms_ext.safety import made, removing
from chaosaws_kms_ext.safety.made import TAG, Kind, Thing
from chaosaws_kms_ext.waiting import Observer, Wait

__all__ = ["copy", "create", "instance_of", "limit", "no_cluster", "refusal", "restore", "snapshot"]

Answer = TypeVar("Answer")

CLASS = "db.t4g.medium"
"""Of an instance for which neither a setting nor a source names one."""

TAKEN = frozenset({
    "DBClusterAlreadyExistsFault", "DBClusterSnapshotAlreadyExistsFault", "DBInstanceAlreadyExists",
})  # fmt: skip
NO_KEY = "KMSKeyNotAccessibleFault"
"""API reference, RestoreDBClusterFromSnapshot: "An error occurred accessing an AWS KMS key"."""

HOPELESS = ("failed", "inaccessible-", "incompatible-")
"""What the statuses begin with from which nothing becomes available by waiting."""


def create(run: Run, key_id: str, name: str) -> Cluster:
    """A new encrypted cluster with one instance. Raises AwsError, Refused, TimedOut, OSError."""
    key = kms_api.describe(aws.of(run), key_id).arn
    cluster_id = _created(run, key, name)
    cluster, _ = _with_instance(run, cluster_id, key, run.settings.instance_class or CLASS)
    return cluster


def snapshot(run: Run, cluster_id: str, name: str) -> Snapshot:
    """A snapshot of a cluster, under the cluster's own key. Raises as `create`."""
    snapshot_id = made.name_of(run, name)
    _order(
        run,
        "snapshot",
        snapshot_id,
        lambda: api.create_snapshot(aws.of(run), snapshot_id, cluster_id, _tags(run)),
    )
    return _available_snapshot(run, snapshot_id)


def copy(run: Run, source_id: str, key_id: str, name: str) -> Snapshot:
    """A copy of a snapshot under another key. Raises as `create`, also if it is under another."""
    key = kms_api.describe(aws.of(run), key_id)
    snapshot_id = made.name_of(run, name)
    _order(
        run,
        "snapshot",
        snapshot_id,
        lambda: api.copy_snapshot(aws.of(run), snapshot_id, source_id, key.arn, _tags(run)),
    )
    found = _available_snapshot(run, snapshot_id)
    _check_key(f"the copy {found.id}", found.key, key.arn)
    return found


def restore(run: Run, snapshot_id: str, key_id: str, name: str, like: str) -> Cluster:
    """A cluster with one instance from a snapshot, in the surroundings of the cluster `like`.

    Raises as `create`, also if it is under another key.
    """
    door = aws.of(run)
    source = api.describe_snapshot(door, snapshot_id)
    key = kms_api.describe(door, key_id).arn if key_id else ""
    model = api.describe(door, like)
    cluster_id = _restored(run, source, key, name, model)
    cluster, before = _with_instance(
        run, cluster_id, key or source.key, run.settings.instance_class or _class_of(run, model)
    )
    run.event(Happened.RESTORED, Instant.now(before), cluster=cluster.id)
    return cluster


def refusal(run: Run, snapshot_id: str, name: str, like: str) -> tuple[str, str]:
    """Why RDS does not restore a snapshot, and its code or what became of the cluster.

    Raises Refused when it restores it; what was made is removed in any case. Else as `create`.
    """
    door = aws.of(run)
    source = api.describe_snapshot(door, snapshot_id)
    model = api.describe(door, like)
    what = f"{snapshot_id} was restored"
    return _refusal(run, name, source.key, what, lambda: _restored(run, source, "", name, model))


def no_cluster(run: Run, key_id: str, name: str) -> tuple[str, str]:
    """Why RDS makes no cluster under a key; else as `refusal`."""
    key = kms_api.describe(aws.of(run), key_id).arn
    what = f"a cluster was made under {key}"
    return _refusal(run, name, key, what, lambda: _created(run, key, name))


def instance_of(cluster_id: str) -> str:
    """What the one instance of a cluster is called that a run makes."""
    return f"{cluster_id}-1"


def limit(run: Run) -> float:
    """Seconds to wait for what is made, or removed."""
    return run.settings.real(run.settings.provision_timeout)


# Internals


def _created(run: Run, key: str, name: str) -> str:
    """Orders a cluster, and says its id."""
    cluster_id = made.name_of(run, name)
    settings = run.settings
    network: dict[str, Any] = {}
    if settings.subnet_group:
        network["DBSubnetGroupName"] = settings.subnet_group
    if settings.security_groups:
        network["VpcSecurityGroupIds"] = list(settings.security_groups)
    master = run.part(MasterPasswords, MasterPasswords).new(cluster_id)
    _order(
        run,
        "cluster",
        cluster_id,
        lambda: api.create_cluster(aws.of(run), cluster_id, key, master, _tags(run), **network),
    )
    return cluster_id


def _refusal(
    run: Run, name: str, key: str, what: str, order: Callable[[], object]
) -> tuple[str, str]:
    """`what`: that it was done all the same, in words."""
    door = aws.of(run)
    cluster_id = made.name_of(run, name)
    try:
        order()
    except AwsError as problem:
        if problem.code == NO_KEY:
            return str(problem), problem.code
        raise
    try:
        until = f"{cluster_id} not to become available"
        cluster = _until(run, until, lambda: _end(run, cluster_id))
    finally:
        left = _removed(run, cluster_id)
    if left:
        raise Refused("; ".join(left))
    if cluster.status == AVAILABLE:
        state = kms_api.describe(door, key).state if key else "none"
        raise Refused(f"{what}, whose key is {state}: it should not have been possible")
    return f"the cluster {cluster_id} became {cluster.status}", cluster.status


def _restored(run: Run, source: Snapshot, key: str, name: str, model: Cluster) -> str:
    """Orders the restore, and says the new cluster's id."""
    cluster_id, surroundings = made.name_of(run, name), _surroundings(model)
    answered = _order(
        run,
        "cluster",
        cluster_id,
        lambda: api.restore(aws.of(run), cluster_id, source.id, key, _tags(run), **surroundings),
    )
    run.event(Happened.RESTORE_ORDERED, answered, cluster=cluster_id, snapshot=source.id)
    run.part(MasterPasswords, MasterPasswords).inherit(cluster_id, source.cluster)
    return cluster_id


def _surroundings(model: Cluster) -> dict[str, Any]:
    """What a restored cluster does not have by itself (API reference, RestoreDBClusterFromSnapshot:
    "a default configuration" and "the default security group")."""
    groups = [each["VpcSecurityGroupId"] for each in model.said.get("VpcSecurityGroups", [])]
    found = {
        "DBSubnetGroupName": model.said.get("DBSubnetGroup"),
        "DBClusterParameterGroupName": model.said.get("DBClusterParameterGroup"),
        "EnableIAMDatabaseAuthentication": model.said.get("IAMDatabaseAuthenticationEnabled"),
        "VpcSecurityGroupIds": groups,
    }
    return {name: value for name, value in found.items() if value}


def _with_instance(run: Run, cluster_id: str, key: str, instance_class: str) -> tuple[Cluster, int]:
    """Adds the instance once the cluster is there, and waits for both: as `Wait.found`.

    API reference, RestoreDBClusterFromSnapshot: "You can create DB instances only after [it] has
    completed and the DB cluster is available".
    """
    _until(run, f"{cluster_id} to be available", lambda: _available(run, cluster_id, 0))
    instance_id = instance_of(cluster_id)
    _order(
        run,
        "instance",
        instance_id,
        lambda: api.create_instance(
            aws.of(run), instance_id, cluster_id, instance_class, _tags(run)
        ),
    )
    cluster, before = _found(
        run, f"{instance_id} to be available", lambda: _available(run, cluster_id, 1)
    )
    _check_key(f"the cluster {cluster.id}", cluster.key, key)
    return cluster, before


def _order(run: Run, kind: Kind, name: str, call: Callable[[], None]) -> Instant:
    """Writes it down, and then asks for it: when AWS answered.

    An earlier try of the very call may have made it, whose answer was lost: then it is there, and
    carries this run's tag.
    """
    ledger = made.of(run)
    with made.asked_for(ledger, kind, name) as thing:
        asked = time.monotonic_ns()
        try:
            call()
        except AwsError as problem:
            there = removing.look(aws.of(run), kind, name) if problem.code in TAKEN else None
            if there is None or there.tags.get(TAG) != run.id:
                raise
        answered = Instant.now(asked)
        ledger.heard(thing)
    return answered


def _available(run: Run, cluster_id: str, instances: int) -> Cluster | None:
    """The cluster, if it is available with so many instances.

    Raises Refused if it never will be.
    """
    cluster = api.describe(aws.of(run), cluster_id)
    for what, status in {f"the cluster {cluster.id}": cluster.status, **cluster.instances}.items():
        if status.startswith(HOPELESS):
            raise Refused(f"{what} became {status}")
    return cluster if cluster.available and len(cluster.instances) >= instances else None


def _end(run: Run, cluster_id: str) -> Cluster | None:
    """The cluster, once it is available or never will be."""
    cluster = api.describe(aws.of(run), cluster_id)
    return cluster if cluster.status.startswith((AVAILABLE, *HOPELESS)) else None


def _available_snapshot(run: Run, snapshot_id: str) -> Snapshot:
    def there() -> Snapshot | None:
        found = api.describe_snapshot(aws.of(run), snapshot_id)
        if found.status.startswith(HOPELESS):
            raise Refused(f"the snapshot {snapshot_id} became {found.status}")
        return found if found.status == AVAILABLE else None

    return _until(run, f"{snapshot_id} to be available", there)


def _until(run: Run, what: str, look: Callable[[], Answer | None]) -> Answer:
    return _found(run, what, look)[0]


def _found(run: Run, what: str, look: Callable[[], Answer | None]) -> tuple[Answer, int]:
    """As `Wait.found`."""

    def looked() -> Answer | None:
        try:
            return look()
        except AwsError as problem:
            go_on_after(run, problem)
            return None

    wait = Wait(what, limit(run), run.settings.status_poll, run.part(Observer, Observer))
    return wait.found(looked)


def _check_key(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise Refused(f"{what} is encrypted under {found or 'no key'}, and not under {wanted}")


def _class_of(run: Run, cluster: Cluster) -> str:
    """The class of a cluster's instances; of the first, should they differ."""
    for instance in cluster.instances:
        found = api.describe_instance(aws.of(run), instance).get("DBInstanceClass")
        if found:
            return str(found)
    return CLASS


def _removed(run: Run, cluster_id: str) -> list[str]:
    """Removes a cluster that was made for a moment; what is left of it."""
    return removing.databases(
        aws.of(run),
        made.of(run),
        [Thing("cluster", cluster_id)],
        lambda said: None,
        limit(run),
        run.settings.status_poll,
        run.part(Observer, Observer),
    )


def _tags(run: Run) -> dict[str, str]:
    return {TAG: run.id}
