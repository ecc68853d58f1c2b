"""The timeline of a run, by Bokeh: states and events, arrivals and latency, on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import (
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
from chaosaws_kms_ext.report.drawing import Drawing, Lane

__all__ = [
    "TIME",
    "Columns",
    "columns_of",
    "copied",
    "faults_of",
    "others_of",
    "show_used",
    "timeline",
]

Columns = Mapping[str, Any]
"""What is drawn of one thing, as columns of one length."""

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
OUT = "#c23b3b"
"""The colour of an outage."""

LATENCIES = {"max": ("#c23b3b", "dotted"), "p99": ("#d9822b", "solid"), "p50": ("#2f7fc1", "solid")}

MARGIN = 70
"""Pixels beside each part, so that their axes stand below each other."""

STATES_HEIGHT, LANE_HEIGHT, ARRIVALS_HEIGHT, LATENCY_HEIGHT = 60, 30, 220, 220
"""Pixels: of the states without a lane, of each lane, and of the other parts."""


Sources = Mapping[str, ColumnDataSource]


def columns_of(of: Drawing) -> dict[str, Columns]:
    """Everything that is drawn: the name of each data source of `timeline`, and its columns."""
    found: dict[str, Columns] = {"marks": _marks(of)}
    found |= {_bands_name(cluster): _bands(of, cluster) for cluster in ("", *others_of(of))}
    for lane in of.lanes:
        found |= _outcomes(of, lane)
        found |= _latencies(of, lane)
        found[f"{lane.name} outages"] = _outages(of, lane)
    return found


def timeline(of: Drawing) -> Any:
    """All parts, one below the other."""
    shared = Range1d(of.at(of.begin), of.at(of.end), name=TIME, bounds="auto")
    sources = {
        name: ColumnDataSource(copied(columns), name=name)
        for name, columns in columns_of(of).items()
    }
    parts = [_states(of, shared, sources), *_others(of, shared, sources)]
    for lane in of.lanes:
        parts += [_arrivals(of, lane, shared, sources), _latency(of, lane, shared, sources)]
    parts[-1].xaxis.axis_label = f"seconds after {of.zero_is}"
    return column(*parts, sizing_mode="stretch_width")


def copied(columns: Columns) -> dict[str, Any]:
    """For a data source, which changes in place what it was given."""
    return {name: copy(its) for name, its in columns.items()}


# What is drawn


def others_of(of: Drawing) -> list[str]:
    """The other clusters that have bands, by their ids."""
    return list(dict.fromkeys(each.of for each in of.bands if each.of))


def _bands_name(cluster: str) -> str:
    return f"bands of {cluster}" if cluster else "bands"


def _bands(of: Drawing, cluster: str) -> Columns:
    its = [each for each in of.bands if each.of == cluster]
    return {
        "y": [each.lane for each in its],
        "left": [of.at(each.begin) for each in its],
        "right": [of.at(each.end) for each in its],
        "state": [each.state for each in its],
        "since": [of.utc(each.begin) for each in its],
        "colour": [STATES.get(each.state, "#9aa0a6") for each in its],
    }


def _marks(of: Drawing) -> Columns:
    return {
        "x": [of.at(each.at) for each in of.marks],
        "y": ["events"] * len(of.marks),
        "name": [each.name for each in of.marks],
        "what": [each.what for each in of.marks],
        "at": [of.utc(each.at) for each in of.marks],
    }


def faults_of(of: Drawing) -> list[float]:
    """When the key was taken away and put back, on the axis."""
    names = ("fault injected", "fault put back")
    return [of.at(mark.at) for mark in of.marks if mark.name in names]


def _outcomes(of: Drawing, lane: Lane) -> dict[str, Columns]:
    """The arrivals of each slice, one outcome upon the other."""
    its, found = lane.slices, dict[str, Columns]()
    left, right = _seconds(of, its["left"]), _seconds(of, its["right"])
    bottom = np.zeros(len(left))
    for name in OUTCOMES:
        some = its[name] > 0
        top = bottom + its[name]
        found[f"{lane.name} {name}"] = {
            "left": left[some], "right": right[some], "bottom": bottom[some], "top": top[some],
            "number": its[name][some],
        }  # fmt: skip
        bottom = top
    return found


def _latencies(of: Drawing, lane: Lane) -> dict[str, Columns]:
    x = _seconds(of, (lane.slices["left"] + lane.slices["right"]) // 2)
    return {
        f"{lane.name} {name}": {"x": x, "y": np.maximum(lane.slices[name], 0.01)}
        for name in LATENCIES
    }


def _outages(of: Drawing, lane: Lane) -> Columns:
    """Each outage, and at its edges how far they can be off."""
    strips = []
    for each in lane.outages:
        begin = of.at(of.begin if each.impact is None else each.impact)
        end = of.at(of.end if each.recovery is None else each.recovery)
        strips.append((begin, end, 0.08))
        for at, known, bound in (
            (begin, each.impact, each.begin_bound),
            (end, each.recovery, each.end_bound),
        ):
            if known is not None:
                strips.append((at - bound, at + bound, 0.3))
    columns = [*zip(*strips, strict=True)] or [(), (), ()]
    return dict(zip(("left", "right", "alpha"), map(list, columns), strict=True))


def _seconds(of: Drawing, instants: Any) -> Any:
    return (instants - of.zero) / SECOND


# How it is drawn


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


def _states(of: Drawing, shared: Range1d, sources: Sources) -> Any:
    part = _lanes(of, shared, sources, "Key, cluster and events", ["events", "cluster", "key"])
    points = part.scatter(
        x="x", y="y", size=9, marker="diamond", color="#2f7fc1", source=sources["marks"],
        name="marks",
    )  # fmt: skip
    told = [("", "@name"), ("", "@what"), ("at", "@at"), ("", "@x{0.000} s")]
    part.add_tools(_hover(points, told))
    return part


def _others(of: Drawing, shared: Range1d, sources: Sources) -> list[Any]:
    """The states of each other cluster and its key."""
    return [
        _lanes(of, shared, sources, f"Key and cluster {other}", ["cluster", "key"], other)
        for other in others_of(of)
    ]


def _lanes(
    of: Drawing,
    shared: Range1d,
    sources: Sources,
    title: str,
    lanes: Sequence[str],
    cluster: str = "",
) -> Any:
    """The bands of one cluster and its key."""
    height = STATES_HEIGHT + LANE_HEIGHT * len(lanes)
    part = _figure(of, shared, title, height, y_range=FactorRange(*lanes))
    part.ygrid.grid_line_color = None
    bars = part.hbar(
        y="y", left="left", right="right", height=0.6, color="colour", alpha=0.75,
        source=sources[_bands_name(cluster)], name="bands",
    )  # fmt: skip
    part.add_tools(_hover(bars, [("", "@state"), ("seen since", "@since")]))
    return part


def _arrivals(of: Drawing, lane: Lane, shared: Range1d, sources: Sources) -> Any:
    part = _figure(of, shared, f"Arrivals of the load {lane.name}, by outcome", ARRIVALS_HEIGHT)
    part.yaxis.axis_label = "arrivals/s"
    for name in OUTCOMES:
        bars = part.quad(
            left="left", right="right", bottom="bottom", top="top",
            source=sources[f"{lane.name} {name}"], fill_color=COLOURS[name], line_color=None,
            hatch_pattern=HATCHES.get(name), hatch_color="white", hatch_alpha=0.35, hatch_scale=6,
            legend_label=name, name=name,
        )  # fmt: skip
        part.add_tools(_hover(bars, [(name, "@number{0.0}/s"), ("at", "@left{0.0} s")]))
    part.y_range.start = 0
    _finish(of, lane, part, sources)
    return part


def _latency(of: Drawing, lane: Lane, shared: Range1d, sources: Sources) -> Any:
    part = _figure(
        of, shared, f"Latency of the load {lane.name}, from when it was due", LATENCY_HEIGHT,
        y_axis_type="log",
    )  # fmt: skip
    part.yaxis.axis_label = "ms"
    for name, (colour, dash) in LATENCIES.items():
        source = sources[f"{lane.name} {name}"]
        line = part.line(
            x="x", y="y", color=colour, line_dash=dash, line_width=1.5, source=source,
            legend_label=name, name=name,
        )  # fmt: skip
        # A value between two gaps is no line.
        part.scatter(x="x", y="y", size=2.5, color=colour, source=source, legend_label=name)
        part.add_tools(_hover(line, [(name, "@y{0.0} ms"), ("at", "@x{0.0} s")]))
    _finish(of, lane, part, sources)
    return part


def _finish(of: Drawing, lane: Lane, part: Any, sources: Sources) -> None:
    """The outages with their bounds, the main instants, and the legend."""
    # Strips have no height that the axis would have to show.
    part.y_range.renderers = list(part.renderers)
    part.vstrip(
        x0="left", x1="right", fill_color=OUT, fill_alpha="alpha", line_color=None,
        source=sources[f"{lane.name} outages"], level="annotation",
    )  # fmt: skip
    for at in faults_of(of):
        part.add_layout(Span(location=at, dimension="height", line_color=INK, line_dash="dashed"))
    legend = part.legend[0]
    legend.orientation = "horizontal"
    legend.background_fill_alpha = 0
    legend.border_line_alpha = 0
    legend.label_text_color = INK
    legend.label_text_font_size = "11px"
    legend.padding = legend.margin = 0
    legend.click_policy = "hide"
    part.add_layout(legend, "above")
    show_used(part)


def show_used(part: Any) -> None:
    """Lets the legend of a part have what there is something of."""
    for legend in part.legend:
        for item in legend.items:
            sources = [each.data_source for each in item.renderers]
            used = any(len(next(iter(source.data.values()))) for source in sources)
            if item.visible != used:
                item.visible = used


def _hover(renderer: Any, rows: Sequence[tuple[str, str]]) -> HoverTool:
    return HoverTool(renderers=[renderer], tooltips=list(rows), visible=False)
