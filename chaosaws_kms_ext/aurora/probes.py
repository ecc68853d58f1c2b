"""Probes of the cluster: its encryption, its status, and waiting for it to be lost."""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import kms, rds, rds_events
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.statuses import RECOVERABLE_DAYS, TERMINAL
from chaosaws_kms_ext.guard.inventory import databases_under
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject import by_others
from chaosaws_kms_ext.inject.key_away import KeyStaysAway, time_left
from chaosaws_kms_ext.inject.recovery import Recovery, wait_for_all
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.loads import MAIN, until_as_fast_as_before
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = [
    "cluster_is_available",
    "cluster_is_inaccessible",
    "clusters_using_key",
    "encrypted_under",
    "encryption_state",
    "snapshot_encryption",
    "stays_terminal",
    "wait_until_inaccessible",
    "wait_until_key_is_back",
    "wait_until_key_is_taken",
    "wait_until_recovered",
    "wait_until_terminal",
]

logger = logging.getLogger("chaostoolkit")


def encryption_state(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """How a cluster is encrypted, and what became of it.

    Returns `cluster`, `status`, `instances` (id → status), `meaning` (`accessible`, `recoverable`,
    `terminal` or `changing`: the worst of all), `encrypted`, `encryption_type` (`none`, `sse-kms`,
    `sse-rds`), `key` (ARN), `key_manager` (`CUSTOMER`, `AWS`), `key_state`, and for a recoverable
    cluster `terminal_not_before` (UTC): 7 days after RDS was first seen to have lost the key. AWS
    does not say when those days began, so it is null where no event tells, and an estimate always.
    IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, rds:DescribeEvents, kms:DescribeKey.
    Source: Aurora User Guide, Overview.Encryption.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        cluster = rds.describe(aws, cluster_id or activities.cluster_id(run))
        state = {
            "cluster": cluster.id,
            "status": cluster.status,
            "instances": dict(cluster.instances),
            "meaning": cluster.meaning,
            "encrypted": cluster.encrypted,
            "encryption_type": cluster.encryption_type,
            "key": cluster.key,
            "key_manager": "",
            "key_state": "",
            "terminal_not_before": None,
        }
        if cluster.key:
            key = kms.describe(aws, cluster.key)
            state |= {"key_manager": key.manager, "key_state": key.state}
        if cluster.meaning == "recoverable":
            state["terminal_not_before"] = _terminal_not_before(aws, list(cluster.instances))
        return state


def encrypted_under(
    cluster_id: str, key_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether a cluster is encrypted, and under that very key; the log says what is otherwise.

    `key_id` is an id, an ARN or an alias. Where the Region reports it, the encryption type has to
    be `sse-kms`. IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id)
        key = kms.describe(Aws.of(run), key_id).arn
        if not cluster.encrypted:
            why = "not encrypted"
        elif cluster.key != key:
            why = f"encrypted under {cluster.key or 'no KMS key'}, not {key}"
        elif cluster.encryption_type not in ("", "sse-kms"):
            why = f"encrypted as {cluster.encryption_type}, not sse-kms"
        else:
            return True
        logger.warning(f"{cluster.in_words} is {why}")
        return False


def snapshot_encryption(
    snapshot_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """How a cluster snapshot is encrypted.

    Returns `snapshot`, `status`, `encrypted` (bool), `key` (ARN; empty if none) and `key_manager`
    (`CUSTOMER`, `AWS`; empty without a key). IAM: rds:DescribeDBClusterSnapshots, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        snapshot = rds.describe_snapshot(Aws.of(run), snapshot_id)
        return {
            "snapshot": snapshot.id,
            "status": snapshot.status,
            "encrypted": bool(snapshot.raw.get("StorageEncrypted")),
            "key": snapshot.key,
            "key_manager": (
                kms.describe(Aws.of(run), snapshot.key).manager if snapshot.key else ""
            ),
        }


def clusters_using_key(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> list[str]:
    """The DB clusters of the Region that a key encrypts, in whole or in part: their ids.

    Of DB instances that are no cluster's `db:` and the id.

    In part: Performance Insights, an activity stream, the master user's secret. `key_id` is an id,
    an ARN or an alias; by default the key of this run's cluster.
    IAM: rds:DescribeDBClusters, rds:DescribeDBInstances, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        key = kms.describe(Aws.of(run), key_id or activities.key_id(run))
        return databases_under(Aws.of(run), key.arn)


def cluster_is_available(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the cluster and every instance of it are `available`."""
    with activities.plainly(configuration) as run:
        return rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run)).available


def cluster_is_inaccessible(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the cluster, or an instance of it, has lost its key: recoverable or terminal."""
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run))
        return cluster.meaning in ("recoverable", "terminal")


def wait_until_inaccessible(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Wait until the cluster has lost its key, at most `impact_timeout` AWS seconds.

    AWS promises no time: for Aurora 5 to 10 minutes were seen, for RDS two hours are documented.
    Ends at once when this run has taken no key away, when somebody enables it meanwhile, and when
    the key was unusable for `max_key_unusable`. Raises ActivityFailed.
    """
    with activities.plainly(configuration) as run:
        name = cluster_id or activities.cluster_id(run)
        limit = min(run.settings.real(run.settings.impact_timeout), time_left(run))
        stays = KeyStaysAway(run)

        def inaccessible() -> bool:
            try:
                cluster = rds.describe(Aws.of(run), name)
            except AwsError as problem:
                go_on_after(run, problem)
                return False
            if cluster.meaning in ("recoverable", "terminal"):
                return True
            stays.look()
            return False

        return Wait(
            f"{name} to become inaccessible",
            limit,
            run.settings.status_poll,
            run.observer,
        ).until(inaccessible)


def wait_until_key_is_taken(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until somebody else takes the key of this run's cluster away; nothing is changed.

    At most `impact_timeout` AWS seconds. What shows it: the key's state, its policy (if that no
    longer lets Aurora use it), or else the cluster's status. On the lab, the lab's own somebody is
    told to do it (`lab_somebody`). That nobody does is no failure: the verdict says so.

    Returns `taken` (bool), `seen_by` (`key-state`, `key-policy`, `cluster-status`, or null) and
    `within_seconds`: how much earlier it can have been. Raises ActivityFailed. IAM:
    kms:GetKeyPolicy, kms:DescribeKey, rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        answered = partial(loads.are_answered, run, loads.of_target(run))
        taken = by_others.wait_until_taken(run, answered)
        if taken is None:
            return {"taken": False, "seen_by": None, "within_seconds": None}
        said = taken.details
        return {"taken": True} | {name: said[name] for name in ("seen_by", "within_seconds")}


def wait_until_key_is_back(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until the key that somebody else took away is back; nothing is changed.

    At most `return_timeout` AWS seconds after it was taken away. Where only the cluster's status
    showed that, only its status shows this.

    Returns `back` (bool; false: nobody had taken it), `seen_by` and `within_seconds` as
    `wait_until_key_is_taken`. Raises ActivityFailed: not in time, or the cluster is lost for good.
    IAM: as `wait_until_key_is_taken`.
    """
    with activities.plainly(configuration) as run:
        taken = run.last(EventName.INJECTED, by=by_others.OTHERS)
        if taken is None:
            return {"back": False, "seen_by": None, "within_seconds": None}
        said = by_others.wait_until_back(run, taken).details
        return {"back": True} | {name: said[name] for name in ("seen_by", "within_seconds")}


def wait_until_recovered(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until the cluster has recovered, whoever starts it; this run never does.

    As `wait_for_recovery`, but for that: at most `recovery_timeout` AWS seconds after the key is
    back, then until answers are as fast as before.

    Returns `recovered` (false: there was nothing to wait for) and `as_fast_as_before`. Raises
    ActivityFailed: not in time, or the cluster is lost for good. IAM: rds:DescribeDBClusters,
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        back = run.last(EventName.PUT_BACK, by=by_others.OTHERS)
        if back is None:
            return {"recovered": False, "as_fast_as_before": False}
        answered = partial(loads.are_answered, run, loads.of_target(run))
        name = activities.cluster_id(run)
        wait_for_all(run, [Recovery(run, name, back, answered, "self-only")], back)
        main = run.loads.get(MAIN)
        fast = main is not None and until_as_fast_as_before(run, main)
        return {"recovered": True, "as_fast_as_before": fast}


def wait_until_terminal(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Wait until the cluster is lost for good: `inaccessible-encryption-credentials`. Lab only.

    On AWS that comes 7 days after the loss of the key (Aurora User Guide, Overview.Encryption), and
    nothing brings the cluster back: an experiment with this probe is refused there. The lab takes
    `lab_recoverable_for` AWS seconds. At most `impact_timeout` more are waited.

    Records `cluster-terminal`. Ends at once when somebody enables the key meanwhile. Raises
    ActivityFailed.
    """
    with activities.plainly(configuration) as run:
        _only_on_the_lab(run, "wait_until_terminal")
        name = cluster_id or activities.cluster_id(run)
        stays = KeyStaysAway(run)
        limit = run.settings.real(run.settings.lab_recoverable_for + run.settings.impact_timeout)

        def terminal() -> bool:
            try:
                cluster = rds.describe(Aws.of(run), name)
            except AwsError as problem:
                go_on_after(run, problem)
                return False
            if cluster.meaning == "terminal":
                return True
            stays.look()
            return False

        what = f"{name} to be lost for good"
        _, before = Wait(
            what, min(limit, time_left(run)), run.settings.status_poll, run.observer
        ).found(terminal)
        run.event(EventName.TERMINAL, Instant.now(before), cluster=name)
        return True


def stays_terminal(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """See that a cluster that is lost for good stays so although its key is back. Lab only.

    Watches it for `self_restart_within` AWS seconds after the key was put back; then StartDBCluster
    has to be refused as illegal in that state.

    Records `cluster-stayed-terminal`. Returns `cluster`, `seconds` (from the key's return) and
    `start_refused_with` (RDS' error code). Raises ActivityFailed when the cluster leaves the state,
    or StartDBCluster is taken.
    """
    with activities.plainly(configuration) as run:
        _only_on_the_lab(run, "stays_terminal")
        name, aws = cluster_id or activities.cluster_id(run), Aws.of(run)
        back = run.last(EventName.PUT_BACK)
        if back is None:
            raise Refused("the key has not been put back, so nothing could come back")
        limit = run.settings.real(run.settings.self_restart_within) - run.seconds_since(back)

        def left() -> str:
            try:
                status = rds.describe(aws, name).status
            except AwsError as problem:
                go_on_after(run, problem)
                return ""
            return "" if status == TERMINAL else status

        with contextlib.suppress(TimedOut):
            status = Wait(
                f"{name} to stay lost", max(limit, 0.0), run.settings.status_poll, run.observer
            ).until(lambda: left() or None)
            raise Refused(
                f"{name} was {TERMINAL}, and is {status} now that its key is back: AWS documents "
                "that only a restore helps"
            )
        seconds = round(run.seconds_since(back), 3)
        code = _refused_start(aws, name)
        run.event(
            EventName.STAYED_TERMINAL,
            Instant.now(time.monotonic_ns()),
            cluster=name,
            seconds=seconds,
            start_refused_with=code,
        )
        return {"cluster": name, "seconds": seconds, "start_refused_with": code}


def _refused_start(aws: Aws, cluster_id: str) -> str:
    """The code with which a start is refused; raises Refused if it is taken."""
    kind = rds.kind_of(cluster_id)
    try:
        rds.start(aws, cluster_id)
    except AwsError as problem:
        if problem.code != kind.wrong_state:
            raise
        return problem.code
    raise Refused(f"{kind.start_operation} was taken for {cluster_id}, which is lost for good")


def _only_on_the_lab(run: Run, what: str) -> None:
    """Raises Refused on AWS."""
    if run.settings.target != "lab":
        raise Refused(f"{what} is for the lab only: on AWS such a cluster is lost for good")


def _terminal_not_before(aws: Aws, instances: list[str]) -> str | None:
    """7 days after the first event of the present loss, as far as events tell."""
    since = datetime.now(UTC) - timedelta(days=RECOVERABLE_DAYS)
    lost: list[datetime] = []
    for instance in instances:
        present: list[datetime] = []
        for event in rds_events.of_instance(aws, instance, since):
            if event.id in rds_events.LOST:
                present.append(event.date)
            else:
                present.clear()
        lost += present
    return (min(lost) + timedelta(days=RECOVERABLE_DAYS)).isoformat() if lost else None
