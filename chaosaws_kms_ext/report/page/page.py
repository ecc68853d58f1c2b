"""Makes report.html from what a run leaves: no figure that summary.json does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bokeh.embed import components

from chaosaws_kms_ext.history import Conditions
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.report.drawing import Drawing, drawing_of
from chaosaws_kms_ext.report.page.sections import sections
from chaosaws_kms_ext.report.page.template import render, script_of_bokeh
from chaosaws_kms_ext.report.page.timeline import TIME, timeline
from chaosaws_kms_ext.report.slices import drawn
from chaosaws_kms_ext.report.summary import Judgement
from chaosaws_kms_ext.report.table import where_in_words

__all__ = ["page_of"]

COLOURS = {"passed": "passed", "failed": "failed"}

AROUND = 0.15
"""The share of an outage that is shown before and after it."""


def page_of(
    judgement: Judgement, history: History, conditions: Conditions, journal: Mapping[str, Any]
) -> str:
    """The whole page."""
    summary = judgement.summary
    drawing = drawing_of(history, conditions, drawn, summary)
    script, div = components(timeline(drawing)) if drawing else ("", "")
    return render(
        "report.html.jinja",
        summary=summary,
        colour=COLOURS.get(str(summary["verdict"]), "other"),
        sentence=_sentence(judgement),
        where=where_in_words(summary),
        sections=sections(summary, judgement.rows, history, journal, _as_json(conditions)),
        script_of_bokeh=script_of_bokeh() if drawing else "",
        script=script,
        div=div,
        axis=TIME,
        whole=(drawing.at(drawing.begin), drawing.at(drawing.end)) if drawing else (0, 0),
        zooms=_zooms(drawing) if drawing else (),
        described=_described(judgement),
        no_timeline="nothing was recorded of a load",
    )


def _sentence(judgement: Judgement) -> str:
    if judgement.summary["reasons"]:
        return str(judgement.summary["reasons"][0])
    return "Every objective was met, and nothing is in doubt."


def _described(judgement: Judgement) -> str:
    figures = "; ".join(f"{name}: {found}" for name, found in judgement.rows if name)
    return f"A picture of what the tables below say. {figures}"


def _zooms(drawing: Drawing) -> list[tuple[str, float, float]]:
    found = []
    for lane in drawing.lanes:
        for each in lane.outages:
            of_it = "" if len(drawing.lanes) == 1 else f" of {lane.name}"
            begin = drawing.at(each.impact or drawing.begin)
            end = drawing.at(each.recovery or drawing.end)
            room = (end - begin) * AROUND
            found.append((f"outage{of_it}", round(begin - room, 3), round(end + room, 3)))
            for name, at in ((f"impact{of_it}", each.impact), (f"recovery{of_it}", each.recovery)):
                if at is not None:
                    x = drawing.at(at)
                    found.append((name, round(x - 1, 3), round(x + 1, 3)))
    return found


def _as_json(conditions: Conditions) -> Mapping[str, Any]:
    said = asdict(conditions)
    said["settings"] = dict(said["settings"])
    return said
