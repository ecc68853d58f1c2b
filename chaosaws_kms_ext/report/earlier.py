"""Which earlier runs a new one is held against: the last that passed, of the same setup."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from chaosaws_kms_ext.checkers.not_worse import measured_in
from chaosaws_kms_ext.history.earlier import Earlier, EarlierRun, NotWorse
from chaosaws_kms_ext.report.figures import number_at
from chaosaws_kms_ext.report.kept import CannotBeRead, KeptRun, kept_runs
from chaosaws_kms_ext.report.setups import Setup, setup_of

__all__ = ["earlier_of"]


def earlier_of(reports: Path, setup: Setup, asked: Mapping[str, NotWorse]) -> dict[str, Earlier]:
    """The runs in `reports` for each objective that is held against them, the newest first.

    Only those that passed: one that is worse does not become what the next is held against. And
    only those that were held to the same objective, since its figure stands there. A run that
    cannot be read is none.
    """
    if not asked:
        return {}
    try:
        kept = kept_runs(reports, setup.experiment)
    except CannotBeRead:  # the first run
        kept = []
    alike = [run for run in reversed(kept) if _counts(run, setup)]
    return {name: Earlier(each, _last(alike, name, each.last)) for name, each in asked.items()}


def _counts(run: KeptRun, setup: Setup) -> bool:
    summary = run.summary
    return summary is not None and summary["verdict"] == "passed" and setup_of(summary) == setup


def _last(runs: list[KeptRun], name: str, last: int) -> list[EarlierRun]:
    measured = (
        (run, number_at({"it": measured_in(run.summary or {}, name)}, "it")) for run in runs
    )
    found = (
        EarlierRun(f"{run.experiment}/{run.time}", value)
        for run, value in measured
        if value is not None
    )
    return list(islice(found, last))
