"""The kept runs as a table for a terminal, or as plain lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaosaws_kms_ext.report.figures import FIGURES, exact
from chaosaws_kms_ext.report.kept import KeptRun
from chaosaws_kms_ext.report.setups import place_of
from chaosaws_kms_ext.report.table import COLOURS, print_plain
from chaosaws_kms_ext.text import shortened

__all__ = ["HEAD", "list_runs", "rows_of"]

HEAD = ("time", "experiment", "where", "verdict", "recovery s", "outage s", "lost")
"""Of which the last three are figures: seconds, seconds, writes."""

SHOWN = ("time_to_recovery_seconds", "outage_seconds", "writes.lost")
WORDS = 40
"""Characters of what others have named."""


def list_runs(runs: Sequence[KeptRun], console: Console | None = None) -> None:
    """Prints them, in the order in which they are given."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        print_plain("\n".join(_plain(runs)), console)
        return
    shown = Table(box=HORIZONTALS, padding=(0, 1))
    for place, name in enumerate(HEAD):
        justify = "right" if _is_figure(place) else "left"
        shown.add_column(name, justify=justify, overflow="fold", no_wrap=place != 1)  # type: ignore[arg-type]
    for run in runs:
        cells = rows_of(run)
        colour = COLOURS.get(cells[3], "bold yellow")
        shown.add_row(
            *(Text(cell, colour if place == 3 else "") for place, cell in enumerate(cells))
        )
    console.print(shown)
    for run in runs:
        if run.summary is None:
            name = f"{shortened(run.experiment, WORDS)}/{shortened(run.time, WORDS)}"
            console.print(Text(f"{name}: {run.why_not}", "dim"))


def rows_of(run: KeptRun) -> tuple[str, ...]:
    """The cells of a run's row; a figure that was not measured is `-`."""
    time, experiment = shortened(run.time, WORDS), shortened(run.experiment, WORDS)
    if run.summary is None:
        return (time, experiment, "", "no summary", "", "", "")
    figures = {each.name: exact(each.read(run.summary)) for each in FIGURES}
    return (
        time,
        experiment,
        shortened(place_of(run.summary), WORDS),
        shortened(run.summary["verdict"], WORDS),
        *(figures[name] for name in SHOWN),
    )


def _plain(runs: Sequence[KeptRun]) -> list[str]:
    rows = [HEAD, *map(rows_of, runs)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = [_line(row, widths).rstrip() for row in rows]
    for place, run in enumerate(runs, 1):
        if run.summary is None:  # why stands where the figures would
            lines[place] = f"{_line(rows[place][:2], widths[:2])}  {run.why_not}"
    return lines


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        f"{cell:>{width}}" if _is_figure(place) else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)


def _is_figure(place: int) -> bool:
    return place >= len(HEAD) - len(SHOWN)
