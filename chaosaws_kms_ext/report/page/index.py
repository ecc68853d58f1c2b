"""Makes index.html: every kept run, and its figures over time, from summaries alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaosaws_kms_ext.report.figures import FIGURES, exact
from chaosaws_kms_ext.report.kept import KeptRun
from chaosaws_kms_ext.report.page.template import render, script_of_bokeh
from chaosaws_kms_ext.report.page.trend import AXIS, CHARTS, RUNS, Point, charts, data_of
from chaosaws_kms_ext.report.run_files import PAGE
from chaosaws_kms_ext.report.setups import Setup, setup_of
from chaosaws_kms_ext.report.table import where_in_words
from chaosaws_kms_ext.text import shortened

__all__ = ["index_of"]

COLOURS = {"passed": "passed", "failed": "failed"}
FEWEST = 2
"""Runs of one setup that have a trend."""
NAME, WHY = 200, 500
"""Characters of what others have named, and of a reason."""


@dataclass(frozen=True)
class Row:
    """A run in the table of its setup."""

    point: Point
    is_page: bool
    """Whether its address is a page of its own."""
    colour: str
    cells: Sequence[str]
    """Its figures."""
    missed: str
    """The objectives that it missed."""


@dataclass(frozen=True)
class Group:
    """The runs of one setup, and where that is."""

    experiment: str
    where: str
    more: str
    """What else their figures depend on."""
    rows: Sequence[Row]
    """The newest first."""
    trend: Mapping[str, Any] | None
    """See `data_of`; None: there is none."""

    @property
    def height(self) -> int:
        """Pixels of the picture."""
        return sum(CHARTS[number][2] for number in _drawn(self.trend or {"hide": ()}))

    @property
    def described(self) -> str:
        """What the picture shows, for whoever cannot see it."""
        return f"A picture of the figures in the table below: {len(self.rows)} runs, {self.where}"


def index_of(runs: Sequence[KeptRun], reports: Path) -> str:
    """The whole page, as it stands in the folder `reports`; `runs` as `kept_runs` gives them."""
    by_setup: dict[Setup, list[KeptRun]] = {}
    for run in runs:
        if run.summary is not None:
            by_setup.setdefault(setup_of(run.summary), []).append(run)
    newest_first = sorted(by_setup.values(), key=lambda its: its[-1].time, reverse=True)
    groups = [_group(its, reports) for its in newest_first]
    groups.sort(key=lambda group: group.experiment)  # within each, the newest stays first
    drawn = any(group.trend for group in groups)
    return render(
        "index.html.jinja",
        number=len(runs),
        verdicts=_verdicts(runs),
        labels=[f"{each.label}, {each.unit}" if each.unit else each.label for each in FIGURES],
        experiments=[
            (name, list(its)) for name, its in groupby(groups, lambda group: group.experiment)
        ],
        without=[
            (shortened(f"{run.experiment}/{run.time}", NAME), shortened(run.why_not, WHY))
            for run in reversed(runs)
            if run.summary is None
        ],
        script_of_bokeh=script_of_bokeh() if drawn else "",
        charts=charts() if drawn else None,
        runs=RUNS,
        axis=AXIS,
    )


def _row(run: KeptRun, reports: Path) -> Row:
    assert run.summary is not None
    summary, has_page = run.summary, (run.folder / PAGE).is_file()
    name = "/".join(quote(os.fsencode(part)) for part in run.folder.relative_to(reports).parts)
    verdict = shortened(summary["verdict"], NAME)
    missed = [each["name"] for each in summary["objectives"] if each.get("met") is False]
    return Row(
        # The dot keeps a browser from reading a folder's name as a scheme.
        point=Point(run.time, verdict, f"./{name}/{PAGE}" if has_page else f"./{name}/", summary),
        is_page=has_page,
        colour=COLOURS.get(verdict, "other"),
        cells=[exact(each.read(summary)) for each in FIGURES],
        missed=shortened(", ".join(missed), WHY),
    )


def _group(runs: Sequence[KeptRun], reports: Path) -> Group:
    """The runs of one setup, the oldest first."""
    summary = runs[-1].summary or {}
    lab = summary["lab"] or {}
    rows = [_row(run, reports) for run in runs]
    more = [
        f"cluster {summary['cluster']}" if summary.get("cluster") else "",
        "the lab's databases take TLS only" if lab.get("tls") else "",
        f"misbehaviours of the lab: {json.dumps(lab['faults'])}" if lab.get("faults") else "",
    ]
    data = data_of([row.point for row in rows]) if len(rows) >= FEWEST else None
    return Group(
        experiment=shortened(summary["experiment"], NAME),
        where=shortened(where_in_words(summary), NAME),
        more=shortened("; ".join(filter(None, more)), WHY),
        rows=list(reversed(rows)),
        trend=data if data and _drawn(data) else None,
    )


def _drawn(data: Mapping[str, Any]) -> list[int]:
    """The numbers of the charts that have something to show."""
    return [number for number in range(len(CHARTS)) if f"chart {number}" not in data["hide"]]


def _verdicts(runs: Sequence[KeptRun]) -> str:
    """How many had which verdict."""
    known = Counter(shortened(run.summary["verdict"], NAME) for run in runs if run.summary)
    said = [f"{number} {word}" for word, number in known.most_common()]
    if without := sum(run.summary is None for run in runs):
        said.append(f"{without} without a readable summary")
    return ", ".join(said)
