"""What happened to the key, and to a cluster under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.checkers.base import cluster_beside
from chaosaws_kms_ext.checkers.trail_dates import done_by_others, refined, started_by_others
from chaosaws_kms_ext.history import MAIN, SECOND, Event, EventName
from chaosaws_kms_ext.history.history import History

__all__ = ["NOTHING", "KeyEvents"]


INSTANCE = "db:"
"""How the name of an instance that is no cluster's begins, in events."""


@dataclass(frozen=True)
class KeyEvents:
    """What happened to the key and to the cluster; None: it did not happen, or was not seen."""

    injected: Event | None
    put_back: Event | None
    start: Event | None
    """StartDBCluster or StartDBInstance."""
    inaccessible: Event | None
    available: Event | None
    """Seen to be available after the key was put back; None where it was never inaccessible."""

    @classmethod
    def of(cls, history: History, load: str = MAIN) -> KeyEvents:
        """Those of a run, as far as they are about the cluster that a load is on."""
        injected = refined(history, history.first(EventName.INJECTED), "disabled_by")
        back = refined(history, history.first(EventName.PUT_BACK), "enabled_by")
        cluster = cluster_beside(history, load)
        start = _start(history, back, cluster)
        gone = _status(history, injected, ("recoverable", "terminal"), cluster)
        available = _status(history, back, ("accessible",), cluster) if gone else None
        return cls(injected, back, start, gone, available)

    @property
    def recovery_path(self) -> str:
        """How it came back, if it did."""
        if self.start is None:
            return "self-restart"
        instance = str(self.start.details.get("cluster", "")).startswith(INSTANCE)
        return "start-db-instance" if instance else "start-db-cluster"

    @property
    def fault_at(self) -> int:
        """From when on (ns) the database may stop answering because of the fault; there is one.

        Of what others did, that is the earliest instant; or, where only the cluster's status showed
        it, when all was still well.
        """
        assert self.injected is not None
        its = self.injected.details
        if not done_by_others(self.injected):
            return self.injected.at
        before = its.get("well_before_seconds", its["within_seconds"])
        return self.injected.at - round(float(before) * SECOND)


NOTHING = KeyEvents(None, None, None, None, None)


# Internals


def _start(history: History, back: Event | None, cluster: str) -> Event | None:
    """The first call that started it after the key was put back; `cluster` as in `_status`."""
    injected = history.first(EventName.INJECTED)
    others = injected.details.get("others", ()) if injected else ()
    if back is None:
        return None
    if done_by_others(back):
        return started_by_others(history)
    for event in history.all(EventName.START_CALLED):
        of = event.details.get("cluster")
        if event.at >= back.at and (of == cluster if cluster else of not in others):
            return event
    return None


def _status(
    history: History, since: Event | None, meanings: Sequence[str], cluster: str
) -> Event | None:
    """The first status poll after `since` that saw one of these meanings; `cluster`: of this other
    cluster, or empty."""
    if since is None:
        return None
    its = (
        history.all(EventName.OTHER_STATUS, of=cluster)
        if cluster
        else history.all(EventName.STATUS)
    )
    polls = (event for event in its if event.at >= since.at)
    return next((event for event in polls if event.details.get("meaning") in meanings), None)
