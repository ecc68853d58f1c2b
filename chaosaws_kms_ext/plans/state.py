"""How far a plan has come: `plan.json`, written whole at every step, so that a crash leaves it.

Who reads `running` looks at the process: if that is gone, the plan was killed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.files import private_folder, write_whole
from chaosaws_kms_ext.history import utc
from chaosaws_kms_ext.history.conditions import Process
from chaosaws_kms_ext.plans.checks import Checked
from chaosaws_kms_ext.plans.plan import Plan

__all__ = ["NOT_RUN", "RUNNING", "WAITING", "ItemState", "PlanState"]

SCHEMA = 1
FILE = "plan.json"
FOLDER = "plans"
"""In the folder of reports."""

WAITING, RUNNING, NOT_RUN = "waiting", "running", "not-run"


@dataclass
class ItemState:
    """One item; `state` ends as the verdict of its run, or `not-run`."""

    name: str
    experiment: str
    region: str
    cluster: str
    settings: dict[str, str]
    files: str
    """The folder of what it printed and logged, in that of the plan."""
    state: str = WAITING
    reasons: list[str] = field(default_factory=list)
    started: str | None = None
    ended: str | None = None
    run: str = ""
    folder: str | None = None
    """Of its run, as that says it; None: it left none."""


@dataclass
class PlanState:
    """The whole plan; each change is written at once."""

    name: str
    file: str
    folder: Path
    reports: Path
    items: list[ItemState]
    started: str
    state: str = RUNNING
    reasons: list[str] = field(default_factory=list)
    ended: str | None = None
    process: Process = field(default_factory=Process.this)

    @classmethod
    def begin(cls, plan: Plan, checked: Sequence[Checked], reports: Path) -> PlanState:
        """Makes `<reports>/plans/<name>/<UTC time>/`; raises OSError."""
        now = datetime.now(UTC)
        parent = reports / FOLDER / plan.name
        private_folder(parent)
        stamp = f"{now:%Y-%m-%dT%H%M%SZ}"
        for number in range(1, 1000):
            folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
            try:
                folder.mkdir(mode=0o700)
                break
            except FileExistsError:
                continue
        items = [
            ItemState(
                each.item.name,
                str(each.item.experiment),
                each.item.region,
                each.cluster,
                dict(each.item.settings),
                f"{number:02}-{each.item.name}",
            )
            for number, each in enumerate(checked, 1)
        ]
        state = cls(plan.name, str(plan.path), folder, reports, items, utc(now))
        state.write()
        return state

    def begins(self, item: ItemState) -> Path:
        """An item's run begins; the folder of what it prints. Raises OSError."""
        item.state, item.started = RUNNING, utc(datetime.now(UTC))
        files = self.folder / item.files
        private_folder(files)
        self.write()
        return files

    def ends(self, item: ItemState, verdict: str, reasons: Sequence[str]) -> None:
        """It has ended; raises OSError."""
        item.state, item.reasons, item.ended = verdict, list(reasons), utc(datetime.now(UTC))
        self.write()

    def end(self, interrupted: str) -> None:
        """Nothing more is run; `interrupted`: by what, if it was. Raises OSError."""
        for item in self.items:
            if item.state == WAITING:
                item.state = NOT_RUN
        bad = [each for each in self.items if each.state != "passed"]
        if interrupted:
            self.state, self.reasons = "aborted", [f"the plan was interrupted: {interrupted}"]
        else:
            self.state = "failed" if bad else "passed"
        self.reasons += [f"{each.name}: {each.state}" for each in bad]
        self.ended = utc(datetime.now(UTC))
        self.write()

    def write(self) -> None:
        """As plan.json; raises OSError."""
        write_whole(self.folder / FILE, json.dumps(self.as_json(), indent=2) + "\n")

    def as_json(self) -> dict[str, Any]:
        """As plan.json has it."""
        said = {name: value for name, value in asdict(self).items() if name != "folder"}
        return {"schema": SCHEMA, **said, "reports": str(self.reports)}
