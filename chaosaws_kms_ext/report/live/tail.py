"""Follows the files of a run's folder: each byte is read once, and nothing is ever written.

The run does not know of it. What was read is kept as counts (`load`) and as events; a run that has
gone on for hours when somebody comes is read in pieces.
"""

from __future__ import annotations

import time
from pathlib import Path

from chaosaws_kms_ext.history import CannotBeJudged, Conditions, Event, read_conditions
from chaosaws_kms_ext.history.arrow_columns import Batch
from chaosaws_kms_ext.history.arrow_stream import END
from chaosaws_kms_ext.history.clocks import Clock, Sample
from chaosaws_kms_ext.history.columns import Arrivals
from chaosaws_kms_ext.history.growing_events import GrowingEvents
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX, GrowingFile
from chaosaws_kms_ext.history.read_recorded import arrivals_in, samples_in
from chaosaws_kms_ext.history.records import Anchor
from chaosaws_kms_ext.history.stream_end import MOST, HistoryDamaged, check_end
from chaosaws_kms_ext.report.live.load import LiveLoad

__all__ = ["Tail"]

PIECE = 1 << 20
"""Bytes that are read at once; where a message of a load has more, MOST."""

SOME = 1 << 16
"""Bytes that may be left for the next time."""

STUCK = 5.0
"""Seconds in which a message becomes whole: one that does not is looked at."""

MOST_EVENTS = 20_000
"""Of a run that has more, those in the middle are not kept."""

MOST_SAMPLES = 240
"""Of the clock of another machine: a minute."""


class Tail:
    """What is known of a run by now."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the run's, which may have nothing in it yet."""
        self.folder = folder
        self._history = folder / "history"
        self._lines = GrowingEvents()
        self._read = 0
        """Bytes of the events."""
        self._files: dict[Path, _File] = {}
        self._seen_growing = time.monotonic()
        self.events: list[Event] = []
        self.loads: dict[str, LiveLoad] = {}
        self.conditions: Conditions | None = None
        """None: not there yet."""
        self.problems: dict[str, str] = {}
        """File → why no more of it is read, in a sentence."""

    @property
    def anchor(self) -> Anchor | None:
        """Ties the run's clock to UTC; None: nothing is there yet."""
        return self._lines.anchor

    @property
    def newest(self) -> int:
        """The last instant that was recorded, CLOCK_MONOTONIC ns; 0: none."""
        last = max((event.at for event in self.events[-20:]), default=0)
        return max([last, *(load.newest for load in self.loads.values())])

    @property
    def quiet_for(self) -> float:
        """Seconds since something came."""
        return time.monotonic() - self._seen_growing

    def step(self, seconds: float) -> bool:
        """Reads what came, for some `seconds` at most; whether there is more to read by now."""
        until = time.monotonic() + seconds
        if self.conditions is None:
            self._read_conditions()
        more = self._read_events()
        if self.anchor is None:
            return more
        for path in sorted(self._history.glob(f"{PREFIX}*{SUFFIX}")):
            file = self._files.setdefault(path, _File(path))
            while path.name not in self.problems:
                try:
                    came, left = file.read(self.loads, self.anchor.monotonic_ns)
                except FileNotFoundError:  # of a load that could not start
                    break
                except (HistoryDamaged, OSError, ValueError) as problem:
                    self.problems[path.name] = f"no more of {path.name} can be read: {problem}"
                    break
                if came:
                    self._seen_growing = time.monotonic()
                if not left:
                    break
                if time.monotonic() > until:
                    return True
        return more

    def _read_conditions(self) -> None:
        try:
            self.conditions = read_conditions(self._history)
            self.problems.pop("run.json", None)
        except CannotBeJudged as problem:
            if (self._history / "run.json").exists():
                self.problems["run.json"] = str(problem)

    def _read_events(self) -> bool:
        path = self._history / "events.jsonl"
        if path.name in self.problems:
            return False
        try:
            with path.open("rb") as file:
                file.seek(self._read)
                came = file.read(PIECE)
        except FileNotFoundError:
            return False
        except OSError as problem:
            self.problems[path.name] = f"{path.name} cannot be read: {problem}"
            return False
        self._read += len(came)
        if came:
            self._seen_growing = time.monotonic()
        try:
            self.events += self._lines.feed(came)
        except HistoryDamaged as problem:
            self.problems[path.name] = str(problem)
        if len(self.events) > MOST_EVENTS:
            del self.events[MOST_EVENTS // 2 : -MOST_EVENTS // 4]
        return len(came) == PIECE


class _File:
    """The records of one process of a load."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._growing = GrowingFile(path)
        self._samples: list[Sample] = []
        self._waits_since = time.monotonic()
        self._piece = PIECE
        self._closed = False
        """Whether its process has ended it in order."""

    def read(self, loads: dict[str, LiveLoad], zero: int) -> tuple[bool, bool]:
        """Reads a piece; whether something came, and whether there is more.

        Raises HistoryDamaged, OSError and ValueError.
        """
        if self._closed:
            return False, False
        before = self._growing.offset
        piece = self._piece
        batch = self._growing.read(piece)
        came = self._growing.offset > before
        size = self._path.stat().st_size
        self._piece = PIECE if came or size - before < PIECE else MOST
        if came or size == self._growing.offset:
            self._waits_since = time.monotonic()
        elif time.monotonic() - self._waits_since > STUCK:
            self._look_at_the_rest()
        header = self._growing.header
        if header is not None and batch is not None:
            load = loads.setdefault(header.load, LiveLoad(zero))
            load.rate = header.rate
            load.add(self._on_our_clock(batch))
        left = size - self._growing.offset
        return came, (came and left > SOME) or self._piece > piece

    def _look_at_the_rest(self) -> None:
        """What has waited for long: the end of the file, the torn end of one, or damage."""
        self._waits_since = time.monotonic()
        with self._path.open("rb") as file:
            file.seek(self._growing.offset)
            self._closed = file.read(len(END)) == END
        if not self._closed:
            check_end(self._path, self._growing.offset, "it is no message of a load")

    def _on_our_clock(self, batch: Batch) -> Arrivals:
        """A worker of another machine has a clock of its own, and asks for ours."""
        self._samples += samples_in(batch)
        del self._samples[:-MOST_SAMPLES]
        clock, its = Clock(self._samples), arrivals_in(batch)
        return Arrivals(clock.commons(its.due), clock.commons(its.done), its.outcome)
