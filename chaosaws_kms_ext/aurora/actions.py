"""Actions on the cluster: holding it without its key, starting it, waiting for its recovery."""

from __future__ import annotations

import contextlib
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, aws
from chaosaws_kms_ext.aurora import api
from chaosaws_kms_ext.aurora.api import Cluster
from chaosaws_kms_ext.aurora.probes import KeyStaysAway, go_on_after, time_left
from chaosaws_kms_ext.aurora.recovery import Plan
from chaosaws_kms_ext.aurora.starting import start
from chaosaws_kms_ext.aws import AwsError
from chaosaws_kms_ext.checkers.outage import ANSWERED
from chaosaws_kms_ext.faults.injection import Injections, settle
from chaosaws_kms_ext.load.load import Load
from chaosaws_kms_ext.run import Happened, Refused, Run
from chaosaws_kms_ext.safety.guard import Target
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

__all__ = ["hold", "start_cluster", "wait_for_recovery"]


def hold(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Keep the key away for `hold` AWS seconds, so that the outage is seen at length.

    Not longer than `max_key_unusable` after DisableKey. Raises ActivityFailed when this run has
    taken no key away, or somebody puts it back meanwhile.
    """
    with activities.plainly(configuration) as run:
        wanted = run.settings.real(run.settings.hold)
        seconds = max(0.0, min(wanted, time_left(run)))
        observer = run.part(Observer, Observer)
        stays = KeyStaysAway(run)

        def held() -> bool:
            stays.look()
            return False

        with contextlib.suppress(TimedOut):
            Wait("the outage to last", seconds, run.settings.status_poll, observer).until(held)
        return {"seconds": seconds, "shortened": seconds < wanted}


def start_cluster(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Start a cluster that is stopped or recoverable: StartDBCluster.

    Tried again for some minutes while AWS answers that the key is not accessible or the state is
    not right: both can pass. Raises ActivityFailed. IAM: rds:StartDBCluster.
    """
    with activities.plainly(configuration) as run:
        name = cluster_id or activities.cluster_id(run)
        _start(run, name)
        return {"cluster": name}


def wait_for_recovery(
    cluster_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until the cluster is back after its key was put back, and start it if need be.

    `recovery_strategy` says how: `wait-then-start` (default) waits `self_restart_within` AWS
    seconds for it to come back by itself and then calls StartDBCluster; `start` calls it as soon
    as it is legal; `self-only` never does. Back means: cluster and instances available, and 99 %
    of the load answered. At most `recovery_timeout` AWS seconds. A run that was interrupted does
    not wait for the lab's cluster, which goes with it.

    Returns `{"recovered": …, "path": "self-restart" | "start-db-cluster" | null}`. Without a fault
    of this run nothing is waited for or called. Raises ActivityFailed: not in time, or lost for
    good (`inaccessible-encryption-credentials`: only a restore from a backup helps).
    """
    with activities.plainly(configuration) as run:
        back = run.last(Happened.PUT_BACK)
        if back is None:
            if run.part(Injections, Injections).open:
                raise Refused("the key has not been put back, so nothing can recover")
            return {"recovered": False, "path": None, "why": "nothing to wait for"}
        if run.interrupted and run.settings.target == "lab":
            return {"recovered": False, "path": None, "why": "interrupted: the lab goes with us"}
        name = cluster_id or activities.cluster_id(run)
        plan = Plan(
            run.settings.recovery_strategy,
            run.settings.real(run.settings.self_restart_within),
        )
        limit = run.settings.real(run.settings.recovery_timeout)
        seen: Cluster | None = None

        def recovered() -> bool:
            nonlocal seen
            try:
                seen = cluster = api.describe(aws.of(run), name)
            except AwsError as problem:
                go_on_after(run, problem)
                return False
            since = run.seconds_since(back)
            decision = plan.decide(
                cluster.meaning, since, run.last(Happened.START_CALLED) is not None
            )
            if decision == "lost":
                raise Refused(f"{name} is {cluster.status}: only a restore brings its data back")
            if decision == "start":
                _start(run, name)
            return decision == "recovered" and _answers(run)

        observer = run.part(Observer, Observer)
        left = max(limit - run.seconds_since(back), 0.0)
        try:
            Wait(f"{name} to recover", left, run.settings.status_poll, observer).until(recovered)
        except TimedOut as problem:
            raise TimedOut(f"{problem}; {_still(run, seen)}") from None
        settle(run)
        path = "start-db-cluster" if run.last(Happened.START_CALLED) else "self-restart"
        return {"recovered": True, "path": path}


def _start(run: Run, cluster_id: str) -> None:
    start(
        aws.of(run),
        cluster_id,
        run.part(Observer, Observer),
        lambda: run.event(Happened.START_CALLED, cluster=cluster_id),
    )


def _still(run: Run, cluster: Cluster | None) -> str:
    """What kept the cluster from counting as recovered."""
    if cluster is None:
        return "its status could not be read"
    if cluster.meaning != "accessible":
        return f"it is {cluster.status}"
    why = f"it is {cluster.status}, but the load is not answered again"
    before = run.part(Target).cluster.address if run.has(Target) else cluster.address
    if cluster.address != before:
        why += f": its endpoint is {cluster.address} now, and the load asks {before}"
    return why


def _answers(run: Run) -> bool:
    """Whether the load, if there is one that still runs, is answered again."""
    if not run.has(Load) or not run.part(Load).running:
        return True
    return run.part(Load).window(run.settings.steady_window).share >= ANSWERED
