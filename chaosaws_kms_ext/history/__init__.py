"""What happened, recorded: operations, events, rows. Recorded first, judged afterwards.

All instants are CLOCK_MONOTONIC nanoseconds of one host, so that records of several processes can
be laid side by side; one anchor ties them to UTC.
"""

from chaosaws_kms_ext.history.conditions import (
    CannotBeJudged,
    Conditions,
    Process,
    read_conditions,
)
from chaosaws_kms_ext.history.events import EventName
from chaosaws_kms_ext.history.reader import (
    HistoryDamaged,
    Tail,
    read_events,
    read_history,
    read_what_is_there,
)
from chaosaws_kms_ext.history.records import (
    MAIN,
    SECOND,
    Anchor,
    Event,
    History,
    Operation,
    Outcome,
    WrittenRow,
    utc,
)
from chaosaws_kms_ext.history.writer import OperationWriter, write_rows

__all__ = [
    "MAIN",
    "SECOND",
    "Anchor",
    "CannotBeJudged",
    "Conditions",
    "Event",
    "EventName",
    "History",
    "HistoryDamaged",
    "Operation",
    "OperationWriter",
    "Outcome",
    "Process",
    "Tail",
    "WrittenRow",
    "read_conditions",
    "read_events",
    "read_history",
    "read_what_is_there",
    "utc",
    "write_rows",
]
