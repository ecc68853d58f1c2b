"""Waits until a cluster has recovered after its key was put back, and starts it if necessary."""

from __future__ import annotations

from collections.abc import Callable

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.rds import Cluster
from chaosaws_kms_ext.aws.start_cluster import start
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.undo.recovery_plan import Plan
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = ["Recovery", "call_start"]


def call_start(run: Run, cluster_id: str) -> None:
    """Calls StartDBCluster until AWS accepts it, and records that; raises AwsError."""
    start(
        Aws.of(run),
        cluster_id,
        run.observer,
        lambda asked: run.event(EventName.START_CALLED, Instant.now(asked), cluster=cluster_id),
    )


class Recovery:
    """The recovery of one cluster, by the settings of the run."""

    def __init__(
        self, run: Run, cluster_id: str, back: Event, answered: Callable[[], bool]
    ) -> None:
        """`back`: the event that the key was put back. `answered`: whether the load is, again."""
        self._run, self._cluster_id, self._back = run, cluster_id, back
        self._answered = answered
        settings = run.settings
        self._plan = Plan(settings.recovery_strategy, settings.real(settings.self_restart_within))
        self._seen: Cluster | None = None

    @property
    def started(self) -> bool:
        """Whether this run has called StartDBCluster since the key is back."""
        call = self._run.last(EventName.START_CALLED)
        return call is not None and call.at >= self._back.at

    def wait(self) -> None:
        """At most `recovery_timeout` AWS seconds since the key was put back.

        Raises TimedOut, AwsError, or Refused where the cluster is lost for good.
        """
        run = self._run
        limit = run.settings.real(run.settings.recovery_timeout)
        left = max(limit - run.seconds_since(self._back), 0.0)
        what, observer = f"{self._cluster_id} to recover", run.observer
        try:
            Wait(what, left, run.settings.status_poll, observer).until(self._look)
        except TimedOut as problem:
            raise TimedOut(f"{problem}; {self._why_not_recovered()}") from None

    def _look(self) -> bool:
        run, name = self._run, self._cluster_id
        try:
            self._seen = cluster = rds.describe(Aws.of(run), name)
        except AwsError as problem:
            go_on_after(run, problem)
            return False
        since = run.seconds_since(self._back)
        decision = self._plan.decide(cluster.meaning, since, self.started)
        if decision == "lost":
            raise Refused(f"{name} is {cluster.status}: only a restore brings its data back")
        if decision == "start":
            call_start(run, name)
        return decision == "recovered" and self._answered()

    def _why_not_recovered(self) -> str:
        """What kept the cluster from counting as recovered."""
        cluster, run = self._seen, self._run
        if cluster is None:
            return "its status could not be read"
        if cluster.meaning != "accessible":
            return f"it is {cluster.status}"
        why = f"it is {cluster.status}, but the load gets no answers yet"
        before = run.target.cluster.address if run.target else cluster.address
        if cluster.address != before:
            why += f": its endpoint is {cluster.address} now, and the load uses {before}"
        return why
