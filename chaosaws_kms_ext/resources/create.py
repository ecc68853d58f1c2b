"""Makes encrypted clusters and snapshots, written down first, and waits until they are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.aws.rds import Cluster, Snapshot
from chaosaws_kms_ext.aws.statuses import AVAILABLE
from chaosaws_kms_ext.history import EventName, utc
from chaosaws_kms_ext.resources import delete, master_passwords
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.resources.ledger import Kind, Ledger, Resource
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.waiting import Wait

__all__ = [
    "copy",
    "create",
    "expect_create_refused",
    "expect_latest_refused",
    "expect_restore_refused",
    "instance_of",
    "limit",
    "restore",
    "restore_latest",
    "snapshot",
]

Answer = TypeVar("Answer")

CLASS = "db.t4g.medium"
"""Of an instance for which neither a setting nor a source names one."""

TAKEN = frozenset(
    {
        "DBClusterAlreadyExistsFault",
        "DBClusterSnapshotAlreadyExistsFault",
        "DBInstanceAlreadyExists",
    }
)
NO_KEY = "KMSKeyNotAccessibleFault"
"""API reference, RestoreDBClusterFromSnapshot: "An error occurred accessing an AWS KMS key"."""

HOPELESS = ("failed", "inaccessible-", "incompatible-")
"""What the statuses begin with from which nothing becomes available by waiting."""


def create(run: Run, key_id: str, name: str) -> Cluster:
    """A new encrypted cluster with one instance. Raises AwsError, Refused, TimedOut, OSError."""
    key = kms.describe(Aws.of(run), key_id).arn
    cluster_id = _created(run, key, name)
    cluster, _ = _with_instance(run, cluster_id, key, run.settings.instance_class or CLASS)
    return cluster


def snapshot(run: Run, cluster_id: str, name: str) -> Snapshot:
    """A snapshot of a cluster, under the cluster's own key. Raises as `create`."""
    snapshot_id = ledgers.name_of(run, name)
    answered = _order(
        run,
        "snapshot",
        snapshot_id,
        lambda: rds.create_snapshot(Aws.of(run), snapshot_id, cluster_id, _tags(run)),
    )
    run.event(EventName.SNAPSHOT_ORDERED, answered, snapshot=snapshot_id, cluster=cluster_id)
    return _available_snapshot(run, snapshot_id)


def copy(run: Run, source_id: str, key_id: str, name: str) -> Snapshot:
    """A copy of a snapshot under another key. Raises as `create`, also if it is under another."""
    key = kms.describe(Aws.of(run), key_id)
    snapshot_id = ledgers.name_of(run, name)
    answered = _order(
        run,
        "snapshot",
        snapshot_id,
        lambda: rds.copy_snapshot(Aws.of(run), snapshot_id, source_id, key.arn, _tags(run)),
    )
    run.event(EventName.SNAPSHOT_ORDERED, answered, snapshot=snapshot_id, source=source_id)
    found = _available_snapshot(run, snapshot_id)
    _check_key(f"the copy {found.id}", found.key, key.arn)
    return found


def restore(run: Run, snapshot_id: str, key_id: str, name: str, like: str) -> Cluster:
    """A cluster with one instance from a snapshot, in the surroundings of the cluster `like`.

    Raises as `create`, also if it is under another key.
    """
    aws = Aws.of(run)
    source = rds.describe_snapshot(aws, snapshot_id)
    key = kms.describe(aws, key_id).arn if key_id else ""
    model = rds.describe_cluster(aws, like)
    cluster_id = _restored(run, source, key, name, model)
    cluster, before = _with_instance(
        run, cluster_id, key or source.key, run.settings.instance_class or _class_of(run, model)
    )
    run.event(EventName.RESTORED, Instant.now(before), cluster=cluster.id)
    return cluster


def restore_latest(run: Run, source_id: str, key_id: str, name: str) -> Cluster:
    """A cluster with one instance and the data of another as of its latest restorable time, in the
    surroundings of that one. Raises as `restore`."""
    aws = Aws.of(run)
    source = rds.describe_cluster(aws, source_id)
    key = kms.describe(aws, key_id).arn if key_id else ""
    cluster_id = _restored_latest(run, source, key, name)
    cluster, before = _with_instance(
        run, cluster_id, key or source.key, run.settings.instance_class or _class_of(run, source)
    )
    run.event(EventName.RESTORED, Instant.now(before), cluster=cluster.id)
    return cluster


def expect_latest_refused(run: Run, source_id: str, name: str) -> tuple[str, str]:
    """Why RDS restores no point in time of a cluster; else as `expect_restore_refused`."""
    source = rds.describe_cluster(Aws.of(run), source_id)
    what = f"the latest point in time of {source.id} was restored"
    return _expect_refused(
        run, name, source.key, what, lambda: _restored_latest(run, source, "", name)
    )


def expect_restore_refused(run: Run, snapshot_id: str, name: str, like: str) -> tuple[str, str]:
    """Why RDS does not restore a snapshot, and its code or what became of the cluster.

    Raises Refused when it restores it; what was made is removed in any case. Else as `create`.
    """
    aws = Aws.of(run)
    source = rds.describe_snapshot(aws, snapshot_id)
    model = rds.describe_cluster(aws, like)
    what = f"{snapshot_id} was restored"
    return _expect_refused(
        run, name, source.key, what, lambda: _restored(run, source, "", name, model)
    )


def expect_create_refused(run: Run, key_id: str, name: str) -> tuple[str, str]:
    """Why RDS makes no cluster under a key; else as `expect_restore_refused`."""
    key = kms.describe(Aws.of(run), key_id).arn
    what = f"a cluster was made under {key}"
    return _expect_refused(run, name, key, what, lambda: _created(run, key, name))


def instance_of(cluster_id: str) -> str:
    """What the one instance of a cluster is called that a run makes."""
    return f"{cluster_id}-1"


def limit(run: Run) -> float:
    """Seconds to wait for what is made, or removed."""
    return run.settings.real(run.settings.provision_timeout)


# Internals


def _created(run: Run, key: str, name: str) -> str:
    """Orders a cluster, and says its id."""
    cluster_id = ledgers.name_of(run, name)
    settings = run.settings
    network: dict[str, Any] = {}
    if settings.subnet_group:
        network["DBSubnetGroupName"] = settings.subnet_group
    if settings.security_groups:
        network["VpcSecurityGroupIds"] = list(settings.security_groups)
    master = master_passwords.new(run, cluster_id)
    _order(
        run,
        "cluster",
        cluster_id,
        lambda: rds.create_cluster(Aws.of(run), cluster_id, key, master, _tags(run), **network),
    )
    return cluster_id


def _expect_refused(
    run: Run, name: str, key: str, what: str, order: Callable[[], object]
) -> tuple[str, str]:
    """`what`: that it was done all the same, in words."""
    aws = Aws.of(run)
    cluster_id = ledgers.name_of(run, name)
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
        state = kms.describe(aws, key).state if key else "none"
        raise Refused(f"{what}, whose key is {state}: it should not have been possible")
    return f"the cluster {cluster_id} became {cluster.status}", cluster.status


def _restored(run: Run, source: Snapshot, key: str, name: str, model: Cluster) -> str:
    """Orders the restore, and says the new cluster's id."""
    cluster_id, surroundings = ledgers.name_of(run, name), _surroundings(model)
    answered = _order(
        run,
        "cluster",
        cluster_id,
        lambda: rds.restore(Aws.of(run), cluster_id, source, key, _tags(run), **surroundings),
    )
    run.event(EventName.RESTORE_ORDERED, answered, cluster=cluster_id, snapshot=source.id)
    master_passwords.inherit(run, cluster_id, source.cluster)
    return cluster_id


def _restored_latest(run: Run, source: Cluster, key: str, name: str) -> str:
    """Orders the restore, and says the new cluster's id."""
    latest = source.raw.get("LatestRestorableTime")
    if not isinstance(latest, datetime):
        raise Refused(f"the cluster {source.id} has no automated backup that could be restored")
    cluster_id, surroundings = ledgers.name_of(run, name), _surroundings(source)
    answered = _order(
        run,
        "cluster",
        cluster_id,
        lambda: rds.restore_latest(
            Aws.of(run), cluster_id, source.id, key, _tags(run), **surroundings
        ),
    )
    run.event(
        EventName.RESTORE_ORDERED,
        answered,
        cluster=cluster_id,
        source=source.id,
        restorable=utc(latest.astimezone(UTC)),
    )
    master_passwords.inherit(run, cluster_id, source.id)
    return cluster_id


def _surroundings(model: Cluster) -> dict[str, Any]:
    """What a restored cluster does not have by itself (API reference, RestoreDBClusterFromSnapshot:
    "a default configuration" and "the default security group")."""
    groups = [each["VpcSecurityGroupId"] for each in model.raw.get("VpcSecurityGroups", [])]
    found = {
        "DBSubnetGroupName": model.raw.get("DBSubnetGroup"),
        "DBClusterParameterGroupName": model.raw.get("DBClusterParameterGroup"),
        "EnableIAMDatabaseAuthentication": model.raw.get("IAMDatabaseAuthenticationEnabled"),
        "VpcSecurityGroupIds": groups,
    }
    return {name: value for name, value in found.items() if value}


def _with_instance(run: Run, cluster_id: str, key: str, instance_class: str) -> tuple[Cluster, int]:
    """Adds the instance once the cluster is there, and waits for both: as `Wait.found`.

    API reference, RestoreDBClusterFromSnapshot: "You can create DB instances only after [it] has
    completed and the DB cluster is available".
    """
    there = _until(run, f"{cluster_id} to be available", lambda: _available(run, cluster_id, 0))
    instance_id = instance_of(cluster_id)
    _order(
        run,
        "instance",
        instance_id,
        lambda: rds.create_instance(
            Aws.of(run),
            instance_id,
            cluster_id,
            instance_class,
            _tags(run),
            there.engine or rds.ENGINE,
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
    ledger = Ledger.of(run)
    with ledgers.asked_for(ledger, kind, name) as resource:
        asked = time.monotonic_ns()
        try:
            call()
        except AwsError as problem:
            there = delete.look(Aws.of(run), kind, name) if problem.code in TAKEN else None
            if there is None or there.tags.get(TAG) != run.id:
                raise
        answered = Instant.now(asked)
        ledger.created(resource)
    return answered


def _available(run: Run, cluster_id: str, instances: int) -> Cluster | None:
    """The cluster, if it is available with so many instances.

    Raises Refused if it never will be.
    """
    cluster = rds.describe_cluster(Aws.of(run), cluster_id)
    for what, status in {f"the cluster {cluster.id}": cluster.status, **cluster.instances}.items():
        if status.startswith(HOPELESS):
            raise Refused(f"{what} became {status}")
    return cluster if cluster.available and len(cluster.instances) >= instances else None


def _end(run: Run, cluster_id: str) -> Cluster | None:
    """The cluster, once it is available or never will be."""
    cluster = rds.describe_cluster(Aws.of(run), cluster_id)
    return cluster if cluster.status.startswith((AVAILABLE, *HOPELESS)) else None


def _available_snapshot(run: Run, snapshot_id: str) -> Snapshot:
    def there() -> Snapshot | None:
        found = rds.describe_snapshot(Aws.of(run), snapshot_id)
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

    wait = Wait(what, limit(run), run.settings.status_poll, run.observer)
    return wait.found(looked)


def _check_key(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise Refused(f"{what} is encrypted under {found or 'no key'}, and not under {wanted}")


def _class_of(run: Run, cluster: Cluster) -> str:
    """The class of a cluster's instances; of the first, should they differ."""
    for instance in cluster.instances:
        found = rds.describe_instance(Aws.of(run), instance).get("DBInstanceClass")
        if found:
            return str(found)
    return CLASS


def _removed(run: Run, cluster_id: str) -> list[str]:
    """Removes a cluster that was made for a moment; what is left of it."""
    return delete.databases(
        Aws.of(run),
        Ledger.of(run),
        [Resource("cluster", cluster_id)],
        lambda said: None,
        limit(run),
        run.settings.status_poll,
        run.observer,
    )


def _tags(run: Run) -> dict[str, str]:
    return {TAG: run.id}
