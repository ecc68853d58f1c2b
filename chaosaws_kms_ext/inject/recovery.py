"""Waits until clusters have recovered after their key was put back, and starts them if need be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.start_cluster import start
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.undo.recovery_plan import Plan
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = ["Recovery", "call_start", "wait_for_all"]


PATHS = {"StartDBCluster": "start-db-cluster", "StartDBInstance": "start-db-instance"}


def call_start(run: Run, cluster_id: str, since: float = 0.0) -> None:
    """Calls StartDBCluster or StartDBInstance until AWS accepts it, and records that.

    At most for what is left of `recovery_timeout`, of which `since` seconds have passed. Raises
    AwsError.
    """
    start(
        Aws.of(run),
        cluster_id,
        run.observer,
        lambda asked: run.event(EventName.START_CALLED, Instant.now(asked), cluster=cluster_id),
        run.settings.real(run.settings.recovery_timeout) - since,
    )


def wait_for_all(run: Run, recoveries: Sequence[Recovery], back: Event) -> None:
    """At most `recovery_timeout` AWS seconds since the key was put back (`back`), for all.

    One that fails does not keep the others from being started. Raises TimedOut, AwsError, or
    Refused where a cluster is lost for good; of several the sentences of all.
    """
    limit = run.settings.real(run.settings.recovery_timeout)
    left = max(limit - run.seconds_since(back), 0.0)
    waiting, wrong = list(recoveries), list[PlainError]()

    def all_recovered() -> bool:
        for each in list(waiting):
            try:
                recovered = each.look()
            except (AwsError, Refused) as problem:
                wrong.append(problem)
                recovered = True
            if recovered:
                waiting.remove(each)
        return not waiting

    what = f"{', '.join(each.cluster_id for each in recoveries)} to recover"
    try:
        Wait(what, left, run.settings.status_poll, run.observer).until(all_recovered)
    except TimedOut as problem:
        wrong.append(TimedOut("; ".join([str(problem), *_why_not(waiting, len(recoveries))])))
    if len(wrong) > 1:
        raise Refused("; ".join(map(str, wrong)))
    if wrong:
        raise wrong[0]


def _why_not(waiting: Sequence[Recovery], of: int) -> list[str]:
    """What kept each from counting as recovered; named, where there is more than one."""
    return [
        f"{each.cluster_id}: {each.why_not()}" if of > 1 else each.why_not() for each in waiting
    ]


def _known(run: Run) -> Sequence[Database]:
    """The clusters as they were before the fault."""
    return (run.target.cluster, *run.target.others) if run.target else ()


class Recovery:
    """The recovery of one cluster, by the settings of the run."""

    def __init__(
        self,
        run: Run,
        cluster_id: str,
        back: Event,
        answered: Callable[[], bool],
        strategy: str = "",
    ) -> None:
        """`back`: the event that the key was put back. `answered`: whether the load is, again.
        `strategy`: another than that of the settings."""
        self._run, self.cluster_id, self._back = run, cluster_id, back
        self._answered = answered
        settings = run.settings
        self._plan = Plan(
            strategy or settings.recovery_strategy, settings.real(settings.self_restart_within)
        )
        self._seen: Database | None = None

    @property
    def started(self) -> bool:
        """Whether this run has called StartDBCluster since the key is back."""
        call = self._run.last(EventName.START_CALLED, cluster=self.cluster_id)
        return call is not None and call.at >= self._back.at

    @property
    def path(self) -> str:
        """How it came back, once it has recovered."""
        operation = rds.kind_of(self.cluster_id).start_operation
        return PATHS[operation] if self.started else "self-restart"

    def look(self) -> bool:
        """Whether it has recovered; starts it where that is due.

        Raises AwsError, or Refused where the cluster is lost for good.
        """
        run, name = self._run, self.cluster_id
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
            call_start(run, name, since)
        return decision == "recovered" and self._answered()

    def why_not(self) -> str:
        """What kept the cluster from counting as recovered."""
        cluster, run = self._seen, self._run
        if cluster is None:
            return "its status could not be read"
        if cluster.meaning != "accessible":
            return f"it is {cluster.status}"
        why = f"it is {cluster.status}, but the load gets no answers yet"
        before = next((c.address for c in _known(run) if c.id == cluster.id), cluster.address)
        if cluster.address != before:
            why += f": its endpoint is {cluster.address} now, and the load uses {before}"
        return why
