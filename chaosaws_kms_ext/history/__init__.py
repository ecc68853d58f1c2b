"""What happened, recorded: operations, events, rows. Recorded first, judged afterwards.

All instants are CLOCK_MONOTONIC nanoseconds of one host, so that records of several processes can
be laid side by side; one anchor ties them to UTC. What is exported here is cheap to import; the
columns, the reader and the writer have modules of their own.
"""

from chaosaws_kms_ext.history.conditions import (
    CannotBeJudged,
    Conditions,
    Process,
    read_conditions,
)
from chaosaws_kms_ext.history.events import EventName
from chaosaws_kms_ext.history.records import (
    END_OF_TIME,
    MAIN,
    READER,
    SECOND,
    Anchor,
    Event,
    Operation,
    Outcome,
    Utc,
    WrittenRow,
    utc,
)

__all__ = [
    "END_OF_TIME",
    "MAIN",
    "READER",
    "SECOND",
    "Anchor",
    "CannotBeJudged",
    "Conditions",
    "Event",
    "EventName",
    "Operation",
    "Outcome",
    "Process",
    "Utc",
    "WrittenRow",
    "read_conditions",
    "utc",
]
