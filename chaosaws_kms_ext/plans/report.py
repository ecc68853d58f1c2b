"""The report of a plan: summary.json, summary.md and index.html, with links to its runs.

From `plan.json` as it is and the summaries of its runs; a damaged one costs its figures alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.report.figures import FIGURES, exact
from chaosaws_kms_ext.report.files.md import table, text
from chaosaws_kms_ext.report.kept import CannotBeRead, read_summary
from chaosaws_kms_ext.report.page.template import render
from chaosaws_kms_ext.report.plan_summary import SCHEMA, PlanItem, PlanSummary, figures
from chaosaws_kms_ext.report.run_files import PAGE, SUMMARY
from chaosaws_kms_ext.report.summary import as_json
from chaosaws_kms_ext.text import shortened

__all__ = ["INDEX", "write_report"]

INDEX, MARKDOWN = "index.html", "summary.md"
COLOURS = {"passed": "passed", "failed": "failed"}
LONGEST = 500
"""Characters of reasons in a table."""
HEAD = ("item", "verdict", "where", "run")


def write_report(state: Mapping[str, Any], folder: Path) -> None:
    """Writes the three files into the plan's folder; `state` as plan.json has it. Raises OSError.

    Addresses are from that folder, so that all of the folder of reports can be moved.
    """
    items = [_item(each) for each in state["items"]]
    said: PlanSummary = {
        "schema": SCHEMA,
        "plan": state["name"],
        "file": state["file"],
        "verdict": state["state"],
        "reasons": state["reasons"],
        "started": state["started"],
        "ended": state["ended"],
        "items": items,
    }
    write_whole(folder / SUMMARY, as_json(said))
    write_whole(folder / MARKDOWN, "\n".join(_markdown(said, folder)) + "\n")
    write_whole(folder / INDEX, _page(said, folder))


# Internals


def _item(state: Mapping[str, Any]) -> PlanItem:
    """An item as summary.json has it: its figures are those of its run."""
    found: PlanItem = {
        "name": state["name"],
        "experiment": state["experiment"],
        "region": state["region"],
        "cluster": state["cluster"],
        "reasons": state["reasons"],
        "started": state["started"],
        "ended": state["ended"],
        "verdict": state["state"],
        "run": state["run"],
        "folder": state["folder"],
        "target": None,
        "figures": figures(),
    }
    if not state["folder"]:
        return found
    try:
        summary = read_summary(Path(state["folder"]))
    except CannotBeRead as problem:
        return {**found, "reasons": [*found["reasons"], str(problem)]}
    return {
        **found,
        "target": summary["target"] if summary["target"] in ("lab", "aws") else None,
        "region": str(summary.get("region") or found["region"]),
        "cluster": str(summary.get("cluster") or found["cluster"]),
        "figures": figures(summary),
    }


def _address(item: PlanItem, folder: Path) -> str:
    """Where an item's report is, from the plan's folder; empty: it has none."""
    if not item["folder"]:
        return ""
    run = Path(item["folder"])
    name = run / PAGE if (run / PAGE).is_file() else run
    path = os.path.relpath(name, folder)
    end = "" if name.name == PAGE else "/"
    return "/".join(quote(os.fsencode(part)) for part in Path(path).parts) + end


def _where(item: PlanItem) -> str:
    place = " ".join(filter(None, (item["region"], item["cluster"])))
    return " ".join(filter(None, (item["target"], place))) or "-"


def _figures(item: PlanItem) -> list[str]:
    return [exact(item["figures"][each.name]) for each in FIGURES]


def _labels() -> list[str]:
    return [f"{each.label}, {each.unit}" if each.unit else each.label for each in FIGURES]


def _reasons(item: PlanItem) -> str:
    return shortened("; ".join(item["reasons"]), LONGEST)


def _markdown(said: PlanSummary, folder: Path) -> Iterator[str]:
    yield f"# {text(said['verdict'])}: the plan {text(said['plan'])}"
    yield ""
    yield f"{text(said['started'])} to {text(said['ended'] or 'nobody knows when')}"
    yield ""
    for reason in said["reasons"]:
        yield f"- {text(reason)}"
    if said["reasons"]:
        yield ""
    rows = [
        [item["name"], item["verdict"], _where(item), item["folder"] or "-", *_figures(item)]
        for item in said["items"]
    ]
    yield from table([*HEAD, *_labels()], rows)
    for item in said["items"]:
        for reason in item["reasons"]:
            yield ""
            yield f"{text(item['name'])}: {text(reason)}"


def _page(said: PlanSummary, folder: Path) -> str:
    return render(
        "plan.html.jinja",
        plan=said["plan"],
        verdict=said["verdict"],
        colour=COLOURS.get(said["verdict"], "other"),
        started=said["started"],
        ended=said["ended"] or "not ended",
        reasons=said["reasons"],
        labels=_labels(),
        rows=[
            {
                "name": item["name"],
                "verdict": item["verdict"],
                "colour": COLOURS.get(item["verdict"], "other"),
                "where": _where(item),
                "address": _address(item, folder),
                "cells": _figures(item),
                "reasons": _reasons(item),
            }
            for item in said["items"]
        ],
    )
