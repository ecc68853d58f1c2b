"""One page that is open: a Bokeh document that follows the run that is watched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Range1d, ResetTool

from chaosaws_kms_ext.report.drawing import Drawing
from chaosaws_kms_ext.report.live.changes import send
from chaosaws_kms_ext.report.live.watched import Watched
from chaosaws_kms_ext.report.page.timeline import (
    TIME,
    faults_of,
    others_of,
    show_used,
    timeline,
)

__all__ = ["EVERY", "LIVE", "WHOLE", "open_page"]

EVERY = 500
"""Milliseconds between two looks of a page."""

LIVE = "live"
"""The name of the model that carries what a page shows beside the timeline, in its tags."""

WHOLE = "whole"
"""A tag that a page gives the axis, beside one that is new each time: it follows the run again."""


def open_page(document: Any, watched: Watched) -> None:
    """Fills a document, and keeps it as the run is."""
    page = _Page(watched)
    document.add_root(page.root)
    page.follow()
    document.add_periodic_callback(page.follow, EVERY)


class _Page:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.root = column(name=LIVE, sizing_mode="stretch_width")
        self._shape: object = None
        self._number = -1
        self._sources: Mapping[str, Any] = {}
        self._axis: Range1d | None = None
        self._follows = True
        """Whether its axis grows with the run: until somebody zooms."""
        self._ours = False

    def follow(self) -> None:
        """Shows what there is by now."""
        watched = self._watched
        if watched.number != self._number:
            self._number = watched.number
            self._draw(watched.drawing, watched.columns)
        said = json.dumps({**watched.view, "look": watched.looks})
        if self.root.tags != [said]:
            self.root.tags = [said]

    def _draw(self, drawing: Drawing | None, columns: Mapping[str, Any]) -> None:
        shape = drawing and _shape(drawing)
        if drawing is None or shape != self._shape:
            self._shape = shape
            self.root.children = [] if drawing is None else [self._new(drawing)]
            return
        for name, its in columns.items():
            send(self._sources[name], its)
        for part in self.root.children[0].children:
            show_used(part)
        self._move(drawing)

    def _new(self, drawing: Drawing) -> Any:
        made = timeline(drawing)
        for part in made.children:
            # It would go back to where the axis ended when the page was opened.
            part.tools = [tool for tool in part.tools if not isinstance(tool, ResetTool)]
        self._sources = {its.name: its for its in made.select({"type": ColumnDataSource})}
        self._axis = made.children[0].x_range
        self._follows = True
        assert self._axis is not None
        assert self._axis.name == TIME
        self._axis.bounds = None
        self._axis.on_change("start", self._zoomed)
        self._axis.on_change("end", self._zoomed)
        self._axis.on_change("tags", self._whole)
        return made

    def _move(self, drawing: Drawing) -> None:
        if self._axis is None or not self._follows:
            return
        self._ours = True
        try:
            self._axis.update(start=drawing.at(drawing.begin), end=drawing.at(drawing.end))
        finally:
            self._ours = False

    def _zoomed(self, attr: str, old: Any, new: Any) -> None:
        if not self._ours:
            self._follows = False

    def _whole(self, attr: str, old: Any, new: Any) -> None:
        # The next look moves it: what is changed in here would not be sent to the page.
        self._follows = self._follows or WHOLE in new


def _shape(drawing: Drawing) -> object:
    """What a timeline can be changed in only by making it anew."""
    names = [lane.name for lane in drawing.lanes]
    return names, others_of(drawing), drawing.zero_is, faults_of(drawing)
