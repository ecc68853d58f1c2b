"""What a load recorded, one operation after another."""

from __future__ import annotations

from chaosaws_kms_ext.history.operations_file import operations, read_batches
from chaosaws_kms_ext.history.records import ARRIVALS


def recorded(folder, load="main"):
    """Every operation of a load, in the order in which they were due."""
    found = []
    for path in folder.glob("operations-*.arrows"):
        header, batches = read_batches(path)
        if header is not None and header.load == load:
            found += [each for batch in batches for each in operations(load, batch)]
    return sorted(found, key=lambda operation: operation.due)


def arrivals(folder, load="main"):
    """Its reads and writes."""
    return [each for each in recorded(folder, load) if each.kind in ARRIVALS]
