"""The timeline of a run in characters: what was answered, and the states of key and cluster."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from chaosaws_kms_ext.history import SECOND, Conditions
from chaosaws_kms_ext.history.columns import OUTCOMES, Arrivals
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.records import Outcome
from chaosaws_kms_ext.report.drawing import Drawing, Lane, drawing_of
from chaosaws_kms_ext.report.marks import Band, Mark
from chaosaws_kms_ext.report.slices import counted
from chaosaws_kms_ext.text import shortened

__all__ = ["PLAIN", "shares_of", "timeline", "timeline_of"]

PLAIN = 72
"""Characters of a line where there is no terminal."""
LEAST = 40
"""Of one on the narrowest terminal."""
LABEL = 10
"""Of the name of a row."""

FEWEST = 2
"""Arrivals of a slice, where they come one after the other."""

STEADY = 0.99
"""The share of arrivals from which on a load counts as answered."""
FULL, PART, NOTHING, UNKNOWN = "█", "▁▂▃▄▅▆▇", "_", " "
PLAIN_FULL, PLAIN_PART = "#", "123456789"
"""The same in ASCII."""
EVENTS = ("load steady", "fault injected", "fault put back", "start accepted")
"""The marks that stand in the list below the picture, beside those that were measured."""
CHANGES = 12
"""Of a state, or marks, that are listed."""

GOOD, BAD, OTHER = "green", "red", "yellow"
STATES = {"Enabled": GOOD, "available": GOOD, "starting": OTHER}
"""Colours of states; of all others BAD."""


def timeline_of(history: History, conditions: Conditions, width: int) -> Drawing | None:
    """What the timeline of a run shows on a line of `width` characters; None: nothing was recorded
    of any load."""
    columns = max(width, LEAST) - LABEL - 2
    return drawing_of(history, conditions, partial(_slices, columns))


def _slices(columns: int, arrivals: Arrivals, begin: int, end: int) -> Mapping[str, Any]:
    """As `counted`: one for each character, or fewer, so that each has arrivals enough."""
    return counted(arrivals, begin, end, max(min(columns, len(arrivals) // FEWEST), 1))


def shares_of(lane: Lane) -> list[float | None]:
    """The share that was answered in time in each slice, as summary.json counts it; None: nothing
    was due, or nothing is recorded."""
    counts = {name: lane.slices[name] for name in OUTCOMES}
    known = sum(counts.values()) - counts[Outcome.UNRECORDED]
    return [
        int(ok) / int(of) if of else None for ok, of in zip(counts[Outcome.OK], known, strict=True)
    ]


def timeline(of: Drawing, width: int, ascii_only: bool = False) -> list[Text]:
    """The lines: a picture first, then the same in words, for whoever cannot see it.

    No line is longer than `width` characters, which are 40 at least.
    """
    columns = max(width, LEAST) - LABEL - 2
    seconds = (of.end - of.begin) / SECOND / columns
    alone = len(of.lanes) == 1
    rows = [
        _row("answered" if alone else lane.name, _answered(of, lane, columns, ascii_only))
        for lane in of.lanes
    ]
    rows += [
        _row(name, _states(of, its, columns, ascii_only)) for name, its in _by_lane(of).items()
    ]
    rows += [_row("", Text(line, "dim")) for line in _axis(of, columns, ascii_only)]
    full, part = (PLAIN_FULL, PLAIN_PART) if ascii_only else (FULL, PART)
    legend = (
        f"each character is {seconds:.3g} s: {full} 99 % or more answered in time, {part[0]} to "
        f"{part[-1]} less, {NOTHING} nothing, blank: nothing known; 0 s: {of.zero_is}"
    )
    said = [line for words in (legend, *_words(of)) for line in _wrapped(words, width)]
    return [*rows, *(Text(line, "dim") for line in said)]


def _by_lane(of: Drawing) -> dict[str, list[Band]]:
    """The bands of each key and each cluster, by its name."""
    found: dict[str, list[Band]] = {}
    for band in of.bands:
        name = f"{band.lane} of {band.of}" if band.of else band.lane
        found.setdefault(name, []).append(band)
    return found


def _row(name: str, content: Text) -> Text:
    label = f"{_narrow(name, LABEL):<{LABEL}}"
    return Text.assemble((f"{label}  ", "dim"), content)


def _narrow(text: str, most: int) -> str:
    """Text of others in which each character takes one place on a line."""
    said = shortened(text, most)
    return "".join(each if cell_len(each) == 1 else "?" for each in said)


def _answered(of: Drawing, lane: Lane, columns: int, ascii_only: bool) -> Text:
    """A character for each part of the run, from the slice that is there in its middle."""
    shares, found = shares_of(lane), []
    left, right = lane.slices["left"], lane.slices["right"]
    places = left.searchsorted(_middles(of, columns), "right") - 1
    for place, middle in zip(places.tolist(), _middles(of, columns), strict=True):
        inside = place >= 0 and middle < right[place]
        found.append(_level(shares[place] if inside else None, ascii_only))
    together = groupby(found, lambda each: each[1])
    return Text.assemble(*(("".join(c for c, _ in part), colour) for colour, part in together))


def _middles(of: Drawing, columns: int) -> list[int]:
    step = (of.end - of.begin) / columns
    return [int(of.begin + (place + 0.5) * step) for place in range(columns)]


def _level(share: float | None, ascii_only: bool) -> tuple[str, str]:
    """The character of a share, and its colour."""
    if share is None:
        return UNKNOWN, ""
    if share >= STEADY:
        return PLAIN_FULL if ascii_only else FULL, GOOD
    if not share:
        return NOTHING, BAD
    levels = PLAIN_PART if ascii_only else PART
    return levels[min(int(share * len(levels)), len(levels) - 1)], OTHER


def _states(of: Drawing, bands: Sequence[Band], columns: int, ascii_only: bool) -> Text:
    """Each state by its name, as far as there is room, after a bar where it was seen first."""
    edge = "|" if ascii_only else "│"
    starts = [_column(of, band.begin, columns) for band in bands]
    plain = [" "] * columns
    spans = []
    for band, start, end in zip(bands, starts, [*starts[1:], columns], strict=True):
        if start >= columns or end <= start:
            continue  # it was there for less than one character
        label = _narrow(band.state, columns)[: end - start - 1]
        plain[start:end] = f"{edge}{label}".ljust(end - start)
        spans.append((start, end, STATES.get(band.state, BAD)))
    found = Text("".join(plain))
    for start, end, colour in spans:
        found.stylize(colour, start, end)
    return found


def _column(of: Drawing, at: int, columns: int) -> int:
    return max(0, int((at - of.begin) / max(of.end - of.begin, 1) * columns))


def _axis(of: Drawing, columns: int, ascii_only: bool) -> Iterator[str]:
    """Where the fault was injected and put back, and seconds."""
    ruler, labels = [" "] * columns, [" "] * columns
    shown = [mark.at for mark in of.marks if mark.name in ("fault injected", "fault put back")]
    for at in shown:
        ruler[min(_column(of, at, columns), columns - 1)] = "^" if ascii_only else "▲"
    for at in (*shown, of.begin, of.end):  # the ends, where there is room beside those
        label = _seconds(of.at(at), 1)
        start = min(_column(of, at, columns), columns - len(label))
        beside = slice(max(start - 1, 0), start + len(label) + 1)
        if not "".join(labels[beside]).strip():
            labels[start : start + len(label)] = label
    if shown:
        yield "".join(ruler).rstrip()
    yield "".join(labels).rstrip()


def _seconds(seconds: float, digits: int = 2) -> str:
    return f"{round(seconds, digits) + 0.0:.{digits}f} s"  # and no -0.0


def _words(of: Drawing) -> Iterator[str]:
    """What was answered, the states and the marks with their seconds, each a paragraph."""
    for lane in of.lanes:
        name = "answered" if len(of.lanes) == 1 else f"answered of {_narrow(lane.name, 60)}"
        if said := list(_parts(of, lane)):
            yield f"{name}: {_some(said, ', ')}"
    for name, its in _by_lane(of).items():
        said = [f"{_narrow(band.state, 60)} from {_at(of, band.begin)}" for band in its]
        yield f"{_narrow(name, 80)}: {_some(said, ', ')}"
    measured = {f"{lane.name}: {what}" for lane in of.lanes for what in ("impact", "recovery")}
    marks = [
        f"{_at(of, mark.at)} {_narrow(_named(of, mark), 60)}"
        for mark in of.marks
        if mark.name in EVENTS or mark.name in measured
    ]
    if marks:
        yield f"what happened: {_some(marks, ', ')}"


def _parts(of: Drawing, lane: Lane) -> Iterator[str]:
    """The same as the row of characters, without a picture."""
    last = ""
    for left, share in zip(lane.slices["left"].tolist(), shares_of(lane), strict=True):
        part = "nothing known" if share is None else "in part" if share else "nothing"
        if share is not None and share >= STEADY:
            part = "99 % or more"
        if part != last:
            yield f"{part} from {_at(of, left)}"
            last = part


def _named(of: Drawing, mark: Mark) -> str:
    if len(of.lanes) == 1:
        return mark.name.removeprefix(f"{of.lanes[0].name}: ")
    return f"{mark.name} ({mark.what})" if mark.name == "load steady" else mark.name


def _at(of: Drawing, instant: int) -> str:
    return _seconds(of.at(instant))


def _some(said: Sequence[str], between: str) -> str:
    more = [f"{len(said) - CHANGES} more"] if len(said) > CHANGES else []
    return between.join([*said[:CHANGES], *more])


def _wrapped(words: str, width: int) -> list[str]:
    return textwrap.wrap(words, max(width, LEAST), subsequent_indent="  ")
