"""Carries a plan out: one run after the other, until one does not pass, or somebody stops it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import lock, read_plain, unlock
from chaosaws_kms_ext.plans.checks import Checked
from chaosaws_kms_ext.plans.item_process import JOURNAL, start
from chaosaws_kms_ext.plans.plan import Plan
from chaosaws_kms_ext.plans.state import ItemState, PlanState
from chaosaws_kms_ext.processes import Child
from chaosaws_kms_ext.report.plan_summary import VERDICTS
from chaosaws_kms_ext.text import shortened
from chaosaws_kms_ext.undo import store

__all__ = ["Interruptions", "PlanHeld", "execute", "only_plan"]

Say = Callable[[str], None]

LOOK = 0.1
"""Seconds between two looks at a run, and at whether somebody wants to stop it."""
GRACE = {"lab": 60.0, "aws": 3 * 3600.0}
"""Seconds that a run has to end by itself once it was asked to; on AWS it waits for the cluster."""
ASKS = (signal.SIGINT, signal.SIGTERM)
"""What a run is asked with to end: with its rollbacks and the recovery; once more, only the key is
put back."""
REASON = 300
"""Characters of a reason."""


class PlanHeld(PlainError):
    """Another plan is carried out by this user on this machine. One sentence."""


@contextlib.contextmanager
def only_plan(plan: Plan) -> Iterator[None]:
    """Inside, no other plan of this user begins on this machine; raises PlanHeld, OSError."""
    path = store.ready_directory() / "plan.lock"
    try:
        file = lock(path)
    except BlockingIOError as held:
        by = shortened(str(held), 100) or "another plan"
        raise PlanHeld(f"{by} is being carried out: two plans at once are refused") from None
    try:
        file.truncate(0)
        file.write(f"the plan {plan.name} (process {os.getpid()})")
        file.flush()
        yield
    finally:
        unlock(path, file)


@dataclass
class Interruptions:
    """The signals that want the plan to end; they are only counted, so that nothing is cut off."""

    names: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Inside, SIGINT, SIGTERM and SIGHUP are counted, but one that is ignored (nohup)."""
        with contextlib.ExitStack() as before:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) == signal.SIG_IGN:
                    continue
                old = signal.signal(
                    number, lambda got, _: self.names.append(signal.Signals(got).name)
                )
                before.callback(signal.signal, number, old)
            yield


def execute(
    plan: Plan,
    checked: Sequence[Checked],
    state: PlanState,
    environ: Mapping[str, str],
    interruptions: Interruptions,
    say: Say,
) -> None:
    """Runs the items in order; `state` says how far it came. Raises OSError."""
    for each, item in zip(checked, state.items, strict=True):
        if each.item.pause and not interruptions.names:
            say(f"{item.name}: begins in {each.item.pause:g} s")
            _pause(each.item.pause, interruptions)
        if interruptions.names:
            break
        _run(each, item, state, environ, interruptions, say)
        if item.state != "passed" and not plan.go_on:
            break
    state.end(interruptions.names[0] if interruptions.names else "")


# Internals


def _pause(seconds: float, interruptions: Interruptions) -> None:
    end = time.monotonic() + seconds
    while not interruptions.names and (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK, left))


def _run(
    checked: Checked,
    item: ItemState,
    state: PlanState,
    environ: Mapping[str, str],
    interruptions: Interruptions,
    say: Say,
) -> None:
    files = state.begins(item)
    env = {**checked.item.environment(environ), "CHAOS_REPORTS_DIR": str(state.reports)}
    say(f"{item.name}: {item.experiment} runs; what it prints: {files / 'output.txt'}")
    child = start(checked.item.experiment, files, env)
    left = ""
    try:
        left = _until_ended(child, checked.settings.target, interruptions, say)
    finally:
        if not left:
            child.let_go()  # of one that still runs this is one more request to end
    verdict, reasons = _verdict(child.process.poll(), files, item)
    if left:
        reasons.insert(0, left)
    state.ends(item, verdict, reasons)
    say(f"{item.name}: {verdict}{''.join(f'; {why}' for why in reasons)}")


def _until_ended(child: Child, target: str, interruptions: Interruptions, say: Say) -> str:
    """Waits for a run, and passes on what wants it to end; says so if it still runs."""
    asked, since = 0, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(LOOK)
            return ""
        late = asked and time.monotonic() - since > GRACE[target]
        if late and asked >= len(ASKS):
            if target == "aws":
                pid = child.process.pid
                return f"it still runs, as process {pid}: it or its watchdog puts the key back"
            child.stop(grace=0)
            return ""
        if late or asked < min(len(interruptions.names), len(ASKS)):
            number = ASKS[asked]
            asked, since = asked + 1, time.monotonic()
            say(f"stopped by {interruptions.names[0]}: the run ends, with its rollbacks")
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(number)


def _verdict(status: int | None, files: Path, item: ItemState) -> tuple[str, list[str]]:
    """What became of a run, by the journal that it left and its exit status."""
    said = _read(files / JOURNAL).get("kms")
    if not isinstance(said, dict):
        how = "still runs" if status is None else f"ended with {_in_words(status)}"
        return "failed", [f"`chaos run` {how} and left no verdict: see {files}"]
    item.run = str(said.get("run") or "")
    item.folder = str(said["folder"]) if said.get("folder") else None
    reasons = [shortened(str(why), REASON) for why in said.get("reasons") or []]
    verdict = str(said.get("verdict"))
    if verdict not in VERDICTS:
        return "failed", [f"its verdict is none that there is: {shortened(verdict, 40)}", *reasons]
    if verdict == "passed" and status != 0:
        why = f"`chaos run` passed, and ended with {_in_words(status)} all the same"
        return "failed", [why]
    return verdict, reasons


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _in_words(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"exit status {status}"
