"""The timeline of a run, by Bokeh: states and events, arrivals and latency, on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import (
    BoxAnnotation,
    BoxZoomTool,
    ColumnDataSource,
    FactorRange,
    HoverTool,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.columns import OUTCOMES
from chaosaws_kms_ext.report.page.marks import Band, Mark

__all__ = ["Drawing", "Lane", "Outage", "timeline"]

TIME = "time"
"""The name of the axis that all parts share."""

INK = "#808890"
"""Of text and lines: legible on a white and on a black page."""

COLOURS = {
    "ok": "#2f9e63",
    "error": "#d9822b",
    "timeout": "#c23b3b",
    "lost": "#8f4fbf",
    "unsent": "#7d5a4f",
    "aborted": "#9aa0a6",
    "unrecorded": "#5b7fd1",
}
HATCHES = {"timeout": "/", "lost": "x", "unsent": "\\", "error": ".", "unrecorded": "-"}
"""So that the outcomes differ without colour too."""

STATES = {
    "Enabled": "#2f9e63",
    "available": "#2f9e63",
    "Disabled": "#c23b3b",
    "PendingDeletion": "#8f4fbf",
    "PendingImport": "#c23b3b",
    "Unavailable": "#c23b3b",
    "inaccessible-encryption-credentials-recoverable": "#c23b3b",
    "inaccessible-encryption-credentials": "#8f4fbf",
    "starting": "#d9822b",
}
LATENCIES = {"max": ("#c23b3b", "dotted"), "p99": ("#d9822b", "solid"), "p50": ("#2f7fc1", "solid")}

MARGIN = 70
"""Pixels beside each part, so that their axes stand below each other."""

STATES_HEIGHT, LANE_HEIGHT, ARRIVALS_HEIGHT, LATENCY_HEIGHT = 60, 30, 220, 220
"""Pixels: of the states without a lane, of each lane, and of the other parts."""


@dataclass(frozen=True)
class Outage:
    """Instants in ns, bounds in seconds; None: not known."""

    impact: int | None
    recovery: int | None
    begin_bound: float
    end_bound: float


@dataclass(frozen=True)
class Lane:
    """One load."""

    name: str
    slices: Mapping[str, Any]
    """See `drawn`."""
    outages: Sequence[Outage] = ()


@dataclass(frozen=True)
class Drawing:
    """What the timeline shows; instants are CLOCK_MONOTONIC ns."""

    begin: int
    end: int
    zero: int
    """The instant that is 0 on the axis."""
    zero_is: str
    """What happened then, in words."""
    bands: Sequence[Band]
    marks: Sequence[Mark]
    lanes: Sequence[Lane]
    utc: Any
    """An instant as UTC."""

    def at(self, instant: int) -> float:
        """An instant on the axis, seconds."""
        return (instant - self.zero) / SECOND


def timeline(of: Drawing) -> Any:
    """All parts, one below the other."""
    shared = Range1d(of.at(of.begin), of.at(of.end), name=TIME, bounds="auto")
    parts = [_states(of, shared), *_others(of, shared)]
    for lane in of.lanes:
        parts += [_arrivals(of, lane, shared), _latency(of, lane, shared)]
    parts[-1].xaxis.axis_label = f"seconds after {of.zero_is}"
    return column(*parts, sizing_mode="stretch_width")


def _figure(of: Drawing, shared: Range1d, title: str, height: int, **more: Any) -> Any:
    part = figure(
        x_range=shared, height=height, title=title, sizing_mode="stretch_width",
        tools=[PanTool(dimensions="width"), BoxZoomTool(dimensions="width"),
               WheelZoomTool(dimensions="width"), ResetTool(), SaveTool()],
        output_backend="canvas", **more,
    )  # fmt: skip
    part.toolbar.logo = None
    part.min_border_left = part.min_border_right = MARGIN
    part.toolbar.autohide = True
    part.background_fill_alpha = part.border_fill_alpha = 0
    part.outline_line_color = INK
    part.title.text_color = INK
    for axis in (*part.xaxis, *part.yaxis):
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = INK
    part.grid.grid_line_color, part.grid.grid_line_alpha = INK, 0.25
    return part


def _states(of: Drawing, shared: Range1d) -> Any:
    part = _lanes(of, shared, "Key, cluster and events", ["events", "cluster", "key"])
    marks = ColumnDataSource({
        "x": [of.at(each.at) for each in of.marks],
        "y": ["events"] * len(of.marks),
        "name": [each.name for each in of.marks],
        "what": [each.what for each in of.marks],
        "at": [of.utc(each.at) for each in of.marks],
    })  # fmt: skip
    points = part.scatter(
        x="x", y="y", size=9, marker="diamond", color="#2f7fc1", source=marks, name="marks"
    )
    told = [("", "@name"), ("", "@what"), ("at", "@at"), ("", "@x{0.000} s")]
    part.add_tools(_hover(points, told))
    return part


def _others(of: Drawing, shared: Range1d) -> list[Any]:
    """The states of each other cluster and its key."""
    others = dict.fromkeys(each.of for each in of.bands if each.of)
    return [
        _lanes(of, shared, f"Key and cluster {other}", ["cluster", "key"], other)
        for other in others
    ]


def _lanes(
    of: Drawing, shared: Range1d, title: str, lanes: Sequence[str], cluster: str = ""
) -> Any:
    """The bands of one cluster and its key."""
    height = STATES_HEIGHT + LANE_HEIGHT * len(lanes)
    part = _figure(of, shared, title, height, y_range=FactorRange(*lanes))
    part.ygrid.grid_line_color = None
    its = [each for each in of.bands if each.of == cluster]
    bands = ColumnDataSource({
        "y": [each.lane for each in its],
        "left": [of.at(each.begin) for each in its],
        "right": [of.at(each.end) for each in its],
        "state": [each.state for each in its],
        "since": [of.utc(each.begin) for each in its],
        "colour": [STATES.get(each.state, "#9aa0a6") for each in its],
    })  # fmt: skip
    bars = part.hbar(
        y="y", left="left", right="right", height=0.6, color="colour", alpha=0.75, source=bands,
        name="bands",
    )  # fmt: skip
    part.add_tools(_hover(bars, [("", "@state"), ("seen since", "@since")]))
    return part


def _arrivals(of: Drawing, lane: Lane, shared: Range1d) -> Any:
    part = _figure(of, shared, f"Arrivals of the load {lane.name}, by outcome", ARRIVALS_HEIGHT)
    part.yaxis.axis_label = "arrivals/s"
    its = lane.slices
    left, right = _seconds(of, its["left"]), _seconds(of, its["right"])
    bottom = np.zeros(len(left))
    for name in OUTCOMES:
        if not its[name].any():
            continue
        some = its[name] > 0
        top = bottom + its[name]
        source = ColumnDataSource({
            "left": left[some], "right": right[some], "bottom": bottom[some], "top": top[some],
            "number": its[name][some], "outcome": [name] * int(some.sum()),
        })  # fmt: skip
        bars = part.quad(
            left="left", right="right", bottom="bottom", top="top", source=source,
            fill_color=COLOURS[name], line_color=None, hatch_pattern=HATCHES.get(name),
            hatch_color="white", hatch_alpha=0.35, hatch_scale=6, legend_label=name, name=name,
        )  # fmt: skip
        part.add_tools(_hover(bars, [("@outcome", "@number{0.0}/s"), ("at", "@left{0.0} s")]))
        bottom = top
    part.y_range.start = 0
    _finish(of, lane, part)
    return part


def _latency(of: Drawing, lane: Lane, shared: Range1d) -> Any:
    part = _figure(
        of, shared, f"Latency of the load {lane.name}, from when it was due", LATENCY_HEIGHT,
        y_axis_type="log",
    )  # fmt: skip
    part.yaxis.axis_label = "ms"
    x = _seconds(of, (lane.slices["left"] + lane.slices["right"]) // 2)
    for name, (colour, dash) in LATENCIES.items():
        values = np.maximum(lane.slices[name], 0.01)
        source = ColumnDataSource({"x": x, "y": values, "what": [name] * len(x)})
        line = part.line(
            x="x", y="y", color=colour, line_dash=dash, line_width=1.5, source=source,
            legend_label=name, name=name,
        )  # fmt: skip
        # A value between two gaps is no line.
        part.scatter(x="x", y="y", size=2.5, color=colour, source=source, legend_label=name)
        part.add_tools(_hover(line, [("@what", "@y{0.0} ms"), ("at", "@x{0.0} s")]))
    _finish(of, lane, part)
    return part


def _finish(of: Drawing, lane: Lane, part: Any) -> None:
    """The outage with its bounds, the main instants, and the legend."""
    for each in lane.outages:
        begin = None if each.impact is None else of.at(each.impact)
        end = None if each.recovery is None else of.at(each.recovery)
        part.add_layout(_box(begin, end, 0.08))
        for at, bound in ((begin, each.begin_bound), (end, each.end_bound)):
            if at is not None:
                part.add_layout(_box(at - bound, at + bound, 0.3))
    for mark in of.marks:
        if mark.name in ("fault injected", "fault put back"):
            at = of.at(mark.at)
            part.add_layout(
                Span(location=at, dimension="height", line_color=INK, line_dash="dashed")
            )
    if part.legend:
        legend = part.legend[0]
        legend.orientation = "horizontal"
        legend.background_fill_alpha = 0
        legend.border_line_alpha = 0
        legend.label_text_color = INK
        legend.label_text_font_size = "11px"
        legend.padding = legend.margin = 0
        legend.click_policy = "hide"
        part.add_layout(legend, "above")


def _box(left: float | None, right: float | None, alpha: float) -> Any:
    return BoxAnnotation(
        left=left, right=right, fill_color="#c23b3b", fill_alpha=alpha, line_color=None
    )


def _hover(renderer: Any, rows: Sequence[tuple[str, str]]) -> HoverTool:
    return HoverTool(renderers=[renderer], tooltips=list(rows), visible=False)


def _seconds(of: Drawing, instants: Any) -> Any:
    return (instants - of.zero) / SECOND
