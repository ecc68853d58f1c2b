"""The operations of all loads of a run, batch by batch, on the clock of the run: to hand them on.

Nothing is judged here, and not all is held at once: a record of any size can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from chaosaws_kms_ext.history.arrow_columns import Batch
from chaosaws_kms_ext.history.clocks import Clock, Sample
from chaosaws_kms_ext.history.columns import Instants, Mask
from chaosaws_kms_ext.history.operations_file import (
    KIND_CODES,
    PREFIX,
    SUFFIX,
    Header,
    HistoryDamaged,
    kinds_of,
    read_batches,
)
from chaosaws_kms_ext.history.read_recorded import samples_in
from chaosaws_kms_ext.history.stream_end import is_closed

__all__ = ["Part", "operations_of"]

CLOCK = KIND_CODES["clock"]


class Part:
    """Operations of one process of a load."""

    def __init__(self, header: Header, rows: Batch, clock: Clock) -> None:
        self.header = header
        self.rows = rows
        """As the file has them, but for the instants."""
        self._clock = clock

    def instants(self, name: str) -> tuple[Instants, Mask]:
        """A column of instants, CLOCK_MONOTONIC ns of the run's machine, and where it is null."""
        column = self.rows.numbers(name)
        return self._clock.commons(column.filled(0)), ~column.is_there


def operations_of(folder: Path, say: Callable[[str], object]) -> Iterator[Part]:
    """Those in a `history/` folder, file by file in the order in which they ended.

    `say` is told, in a sentence, what of a file cannot be read or may be missing: what is whole
    before that comes all the same. Raises nothing.
    """
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")):
        try:
            yield from _of_file(path)
            if not is_closed(path):
                say(f"{path.name} has no end: what came after its last whole batch is missing")
        except HistoryDamaged as problem:
            say(f"{problem}; what comes after that is left out")
        except (OSError, ValueError) as problem:
            say(f"{path.name} cannot be read: {problem}; what comes after that is left out")


def _of_file(path: Path) -> Iterator[Part]:
    header, batches = read_batches(path)
    if header is None:
        return
    clock = _clock_of(path) if header.workers > 1 else Clock()
    for batch in batches:
        # The questions for the time of the load are about the clocks, which are one here.
        yield Part(header, batch.only(kinds_of(batch) != CLOCK), clock)


def _clock_of(path: Path) -> Clock:
    """Of a process that has one of its own; from what is whole of its record."""
    samples: list[Sample] = []
    try:
        for batch in read_batches(path)[1]:
            samples += samples_in(batch)
    except (HistoryDamaged, OSError, ValueError):
        pass  # whoever reads the rows says it
    return Clock(samples)
