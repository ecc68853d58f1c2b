"""metrics.prom: every number of the summary, for the text file collector of Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chaosaws_kms_ext.report.files.base import Found, report_file
from chaosaws_kms_ext.text import shortened

__all__ = ["PREFIX", "metrics", "numbers_of"]

PREFIX = "chaos_kms_"
OF_RUN = ("experiment", "target", "cluster")
VERDICTS = ("passed", "failed", "inconclusive", "aborted")
LONGEST_NAME = 100
"""Characters: what a server said is a part of some names."""
NOT_A_FIGURE = ("schema", "lab", "objectives", "loads", "bounds")


@report_file("metrics", "metrics.prom")
def metrics(found: Found) -> str:
    """Gauges, each with the labels `experiment`, `target` and `cluster`."""
    # Imported late: most commands leave no report.
    from prometheus_client import CollectorRegistry, Gauge
    from prometheus_client.openmetrics.exposition import generate_latest

    registry, summary = CollectorRegistry(), found.summary
    run = [shortened(str(summary[name] or "")) for name in OF_RUN]

    def gauge(name: str, doc: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", doc, (*OF_RUN, *labels), registry=registry)

    verdict = gauge("verdict", "1 for the verdict of the run, else 0", "verdict")
    for word in VERDICTS:
        verdict.labels(*run, word).set(word == summary["verdict"])
    figures: dict[str, Gauge] = {}
    loads = {"main": summary, **(summary["loads"] or {})}
    for load, its in loads.items():
        for name, value in numbers_of(its):
            if name not in figures:
                figures[name] = gauge(name, f"{name} of summary.json", "load")
            figures[name].labels(*run, shortened(load)).set(value)
    bound = gauge("bound_seconds", "by how much a figure can be off", "figure")
    for name, value in (summary.get("bounds") or {}).items():
        bound.labels(*run, name).set(value)
    met = gauge("objective_met", "1: met, 0: missed or not known", "objective")
    for each in summary["objectives"]:
        if "not_judged" not in each:
            met.labels(*run, each["name"]).set(bool(each["met"]))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.decode()


def numbers_of(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The names and values of all numbers, those of objects inside with the object's name first."""
    for name, value in figures.items():
        if not prefix and name in NOT_A_FIGURE:
            continue
        whole = f"{prefix}{re.sub('[^a-zA-Z0-9]', '_', name[:LONGEST_NAME])}"
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{whole}_")
        elif isinstance(value, bool | int | float):
            yield whole, float(value)
