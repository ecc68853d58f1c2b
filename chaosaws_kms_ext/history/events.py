"""The events of a run, by name: who writes them and who judges them meet here."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["EventName"]


class EventName(StrEnum):
    """What can happen to a run."""

    TARGET = "target"
    """The cluster and the key that the run is about."""
    READY = "ready"
    """Everything that the hypothesis needs is up; the caller that the run is to AWS."""
    STEPS = "steps"
    """The steps of the experiment, in the order in which they are to be taken."""
    STEP_BEGAN = "step-began"
    """One of them, by its `part` and its `place` in it: so is the next."""
    STEP_ENDED = "step-ended"
    JOURNAL_OPENED = "journal-opened"
    SWITCH_ARMED = "switch-armed"
    INJECTED = "fault-injected"
    """At the instant of AWS' answer, as PUT_BACK and START_CALLED."""
    PUT_BACK = "fault-put-back"
    START_CALLED = "cluster-start-called"
    JOURNAL_CLOSED = "journal-closed"
    RESTORE_ORDERED = "restore-ordered"
    """At the instant of AWS' answer."""
    RESTORED = "restored"
    """A cluster that was restored from a snapshot is available, with an instance."""
    FIRST_ANSWER = "first-answer"
    """Of a cluster that was restored."""
    STATUS = "status"
    """A change of the key's state or the cluster's status, as it was seen."""
    STATUS_UNKNOWN = "status-unknown"
    """A look that failed; of a row of them the first, as the next two that are unknown."""
    RDS_EVENT = "rds-event"
    """One that says that the key is lost, or back, as DescribeEvents or EventBridge (`by`) first
    showed it."""
    RDS_EVENTS_UNKNOWN = "rds-events-unknown"
    ALARM = "alarm"
    """A change of an alarm's state, as it was seen: every one's at first, and after a row of looks
    that failed."""
    ALARMS_UNKNOWN = "alarms-unknown"
    SEALED = "sealed"
    DECRYPTED = "decrypted"
    """An attempt, with some encryption context."""
    LOAD_STARTED = "load-started"
    """Each of one load, by name: so are the next five."""
    LOAD_STEADY = "load-steady"
    LOAD_DIED = "load-died"
    """By itself, and it was started again: of what was due in between there is no record."""
    LOAD_STARTED_AGAIN = "load-started-again"
    LOAD_PROCESSES = "load-processes"
    """How many of a load's processes were heard of, when that changed."""
    LOAD_STOPPED = "load-stopped"
    SEED_ROWS = "seed-rows"
    GUARD_REFUSED = "guard-refused"
    AUDIT = "audit"
    """What CloudTrail says of the fault."""
    ENDED = "run-ended"
    """How the run went, apart from its figures. A run that was killed has none."""
