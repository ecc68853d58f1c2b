"""The figures of the runs of one setup over time, by Bokeh.

Bokeh takes a third of a second for the charts of one setup. So they are made once, without any
data; the page draws them for each setup when that comes into view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.models import (
    ColumnDataSource,
    HoverTool,
    Legend,
    LegendItem,
    OpenURL,
    Range1d,
    TapTool,
)
from bokeh.plotting import figure

from chaosaws_kms_ext.report.figures import FIGURES, Figure, Number, number_at
from chaosaws_kms_ext.report.page.timeline import INK, MARGIN

__all__ = ["AXIS", "CHARTS", "MARKERS", "RUNS", "Point", "charts", "data_of", "limit_of"]

MARKERS = {"passed": "circle", "failed": "square_x", "inconclusive": "triangle"}
"""Of a verdict, so that they differ without colour; of all others a diamond."""

CHARTS = (
    ("Recovery, outage and service lost", "s", 190,
     ("time_to_recovery_seconds", "outage_seconds", "lost_service_seconds")),
    ("Time to know", "s", 150,
     ("time_to_know.status", "time_to_know.rds_event", "time_to_know.alarm",
      "time_to_know.health_check")),
    ("Lost writes", "writes", 160, ("writes.lost",)),
)  # fmt: skip
"""Each a title, a unit, a height in pixels, and its figures."""

COLOURS = ("#2f7fc1", "#c23b3b", "#d9822b", "#8f4fbf")
"""Of the figures of a chart, in their order: legible on a white and on a black page."""

LIMITS = (
    ("limit", "", "dashed"),
    ("limit against earlier runs", "_against_earlier", "dotted"),
)
"""Each a name, the end of the objective's name, and its line."""

RUNS, AXIS = "runs", "axis"
"""The names of what the page fills: the columns, and the axis that all charts share."""


@dataclass(frozen=True)
class Point:
    """A run, as its points show it."""

    time: str
    verdict: str
    address: str
    """Where a click leads."""
    summary: Mapping[str, Any]


def charts() -> Mapping[str, Any]:
    """Those of any setup, one below the other, as Bokeh's JSON: the page fills in the data."""
    source = ColumnDataSource({name: [] for name in data_of(())["columns"]}, name=RUNS)
    axis = Range1d(0.5, 1.5, name=AXIS)
    parts = [_chart(source, axis, number) for number in range(len(CHARTS))]
    parts[-1].xaxis.axis_label = "runs, the oldest first"
    item: Mapping[str, Any] = json_item(column(*parts, sizing_mode="stretch_width"))
    return item


def data_of(points: Sequence[Point]) -> dict[str, Any]:
    """The runs of a setup, the oldest first: `columns`, and which models to `hide`.

    A figure that was not measured is None.
    """
    columns: dict[str, list[Any]] = {
        "x": list(range(1, len(points) + 1)),
        "time": [each.time for each in points],
        "verdict": [each.verdict for each in points],
        "marker": [MARKERS.get(each.verdict, "diamond") for each in points],
        "address": [each.address for each in points],
    }
    hide = []
    for number, (*_, names) in enumerate(CHARTS):
        shown = 0
        for which in map(_figure_called, names):
            columns[which.name] = [which.read(each.summary) for each in points]
            for limit, objective in _limits(which):
                columns[limit] = [limit_of(each.summary, objective) for each in points]
            for name in (which.name, *(limit for limit, _ in _limits(which))):
                if all(value is None for value in columns[name]):
                    hide += [f"line {name}", f"points {name}", f"legend {name}"]
                else:
                    shown += name == which.name
        if not shown:
            hide.append(f"chart {number}")
    return {"columns": columns, "hide": hide}


def limit_of(summary: Mapping[str, Any], objective: str) -> Number | None:
    """The limit that a run was held to by an objective, in the unit of its figure; None: none."""
    for each in summary["objectives"]:
        if each["name"] == objective:
            found = number_at(each, "limit_seconds")
            return number_at(each, "limit") if found is None else found
    return None


def _figure_called(name: str) -> Figure:
    return next(each for each in FIGURES if each.name == name)


def _limits(of: Figure) -> Iterator[tuple[str, str]]:
    """The columns of the limits of a figure, and the objectives that have them."""
    if of.objective:
        for name, end, _ in LIMITS:
            yield f"{of.name}: {name}", f"{of.objective}{end}"


def _chart(source: ColumnDataSource, axis: Range1d, number: int) -> Any:
    title, unit, height, names = CHARTS[number]
    part = figure(
        x_range=axis, height=height, title=title, sizing_mode="stretch_width", tools="",
        output_backend="canvas", name=f"chart {number}",
    )  # fmt: skip
    part.toolbar_location = None
    part.min_border_left = part.min_border_right = MARGIN
    part.background_fill_alpha = part.border_fill_alpha = 0
    part.outline_line_color = part.title.text_color = INK
    for each in (*part.xaxis, *part.yaxis):
        each.axis_label_text_color = each.major_label_text_color = INK
        each.axis_line_color = each.major_tick_line_color = INK
        each.minor_tick_line_color = None
    part.xaxis.ticker.min_interval = 1
    part.yaxis.ticker.desired_num_ticks = 4
    part.grid.grid_line_color, part.grid.grid_line_alpha = INK, 0.25
    part.yaxis.axis_label = unit
    part.y_range.start = 0
    legend = []
    for name, colour in zip(names, COLOURS, strict=False):
        legend += _figure(part, source, _figure_called(name), colour)
    _add_legend(part, legend)
    # Of several tools for a click only one is active.
    opened = OpenURL(url="@address", same_tab=True)
    points = [each for each in part.renderers if each.name.startswith("points ")]
    part.add_tools(TapTool(renderers=points, callback=opened, visible=False))
    return part


def _figure(part: Any, source: ColumnDataSource, of: Figure, colour: str) -> list[LegendItem]:
    """A line, the points of its runs, which a click is on, and its limits."""
    line = part.line(x="x", y=of.name, source=source, color=colour, name=f"line {of.name}")
    points = part.scatter(
        x="x", y=of.name, marker="marker", size=8, source=source, color=colour, fill_alpha=0.6,
        name=f"points {of.name}",
    )  # fmt: skip
    told = [("", "@time"), ("", "@verdict"), (of.label, f"@{{{of.name}}}{{0.[000]}} {of.unit}")]
    part.add_tools(HoverTool(renderers=[points], tooltips=told, visible=False))
    legend = [LegendItem(label=of.label, renderers=[line, points], name=f"legend {of.name}")]
    for (name, _), (what, _, dash) in zip(_limits(of), LIMITS, strict=False):
        limit = part.step(
            x="x", y=name, source=source, mode="center", color=colour, line_dash=dash,
            name=f"line {name}",
        )  # fmt: skip
        said = f"{of.label}: {what}"
        legend.append(LegendItem(label=said, renderers=[limit], name=f"legend {name}"))
    return legend


def _add_legend(part: Any, items: Sequence[LegendItem]) -> None:
    part.add_layout(
        Legend(
            items=list(items), orientation="horizontal", background_fill_alpha=0,
            border_line_alpha=0, label_text_color=INK, label_text_font_size="11px", padding=0,
            margin=0, click_policy="hide", ncols="auto",
        ),
        "above",
    )  # fmt: skip
