"""Every way to lose a key, one file each: what it would do, how that is undone, doing it."""

from __future__ import annotations

from chaosaws_kms_ext.faults.base import (
    BROKEN,
    FAULTS,
    Fault,
    check_arguments,
    fault,
    load,
    make,
    named,
    needs_of,
)

__all__ = [
    "BROKEN",
    "FAULTS",
    "Fault",
    "check_arguments",
    "fault",
    "load",
    "make",
    "named",
    "needs_of",
]

load(__path__, __name__)
