"""What happened, recorded: operations, events, rows. Recorded first, judged afterwards.

All instants are CLOCK_MONOTONIC nanoseconds of one host, so that records of several processes can
be laid side by side; one anchor ties them to UTC.
"""

from chaosaws_kms_ext.history.reader import HistoryDamaged, Tail, read_history
from chaosaws_kms_ext.history.records import (
    SECOND,
    Anchor,
    Event,
    History,
    Operation,
    Outcome,
    WrittenRow,
)
from chaosaws_kms_ext.history.writer import OperationWriter, write_rows

__all__ = [
    "SECOND",
    "Anchor",
    "Event",
    "History",
    "HistoryDamaged",
    "Operation",
    "OperationWriter",
    "Outcome",
    "Tail",
    "WrittenRow",
    "read_history",
    "write_rows",
]
