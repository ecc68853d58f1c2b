"""The folder of a run: whether there is room for it, and the earlier runs that lie beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from chaosaws_kms_ext.history.earlier import Earlier, NotWorse
from chaosaws_kms_ext.report.earlier import earlier_of
from chaosaws_kms_ext.report.setups import lab_of, setup_of
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["MB", "earlier_runs", "open_folder"]

MB = 2**20
ROOM = 16 * MB
"""Bytes that a report may need beside its records."""
RECORD = 120
"""Bytes of one operation's record at most; measured: 83."""


def earlier_runs(run: Run, region: str, asked: Mapping[str, NotWorse]) -> dict[str, Earlier]:
    """What the run is held against, from the runs that its folder of reports keeps."""
    setup = setup_of({
        "experiment": run.experiment,
        "target": run.settings.target,
        "lab": lab_of(run.settings),
        "region": region,
        "cluster": run.target.cluster.id if run.target else None,
    })  # fmt: skip
    return earlier_of(Path(run.settings.reports_dir), setup, asked)


def open_folder(run: Run, on: str) -> Path:
    """Makes it, if there is room for all that the run may write; raises Refused."""
    settings = run.settings
    where = f"CHAOS_REPORTS_DIR={settings.reports_dir}"
    readers = run.target is not None and run.target.cluster.readers
    rate = settings.load_rate + (settings.arrivals_over_reader if readers else 0.0)
    records = rate * settings.longest_run if on == "cluster" else 0.0
    needed = int(ROOM + records * RECORD)
    try:
        disk = shutil.disk_usage(_existing(Path(settings.reports_dir)))
        if disk.total and disk.free < needed:  # one without any room is none: /proc, say
            raise Refused(
                f"there is room for {disk.free / MB:.0f} MB at {where}, and a run as long as its "
                f"limits may write {needed / MB:.0f} MB: make room, or lower CHAOS_LOAD_RATE"
            )
        return run.open_folder()
    except OSError as problem:
        raise Refused(f"no report can be written to {where}: {problem}") from None


def _existing(path: Path) -> Path:
    """The folder, or the one in which it would be made."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
