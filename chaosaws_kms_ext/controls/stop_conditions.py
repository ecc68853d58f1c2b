"""What ends a run at once, with the undo: an alarm, `chaos kms restore`, a broken safeguard.

The alarms are CloudWatch's (`CHAOS_STOP_ALARMS`), as AWS FIS has its stop conditions. A person ends
the run with `chaos kms restore` in another shell, which closes the entry of the undo journal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from chaosaws_kms_ext.aws import alarms
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["RESTORED", "StopConditions"]

UNREADABLE_FOR = 60.0
"""Seconds without an answer after which an alarm that cannot be read ends the run, too."""

LOST = "the entry of the undo journal is gone: nobody but this run could put the key back"
RESTORED = "`chaos kms restore`, which closed the entry of the undo journal"


class StopConditions:
    """A thread that looks every `interval` seconds: alarms, journal, safeguards."""

    def __init__(self, run: Run, aws: Aws, named: Sequence[str], interval: float) -> None:
        self._run, self._aws, self._alarms = run, aws, tuple(dict.fromkeys(named))
        self._interval = interval
        self._read = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop conditions", daemon=True)

    def start(self) -> None:
        """Raises Refused if an alarm is not there, cannot be read, or has gone off already."""
        try:
            states = self._states()
        except AwsError as problem:
            raise Refused(f"the alarms of CHAOS_STOP_ALARMS cannot be read: {problem}") from None
        for name in self._alarms:
            if name not in states:
                raise Refused(f"CHAOS_STOP_ALARMS names {name}, and there is no such alarm")
            if states[name] == "ALARM":
                raise Refused(f"the alarm {name} of CHAOS_STOP_ALARMS is in state ALARM already")
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; safe to call again."""
        self._end.set()
        with contextlib.suppress(RuntimeError):
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        while not self._end.wait(self._interval):
            try:
                why = self._entry_closed() or self._safeguard_broken() or self._alarm()
            except Exception as problem:
                # A run that relies on its stop conditions must not go on when nobody looks at them.
                why = f"its stop conditions cannot be checked any more: {problem!r}"
            mine = self._run.open_faults
            if self._run.last(EventName.PUT_BACK) and not mine.key_away:
                # There is nothing left to stop, until the next fault: another blink, say.
                self._run.stop_at_fault = self._run.stop_at_fault or why
                continue
            if why and not self._end.is_set():
                self._run.stop(why)
                return

    def _entry_closed(self) -> str:
        entries = list(self._run.open_faults.key_away)
        if any(not entry.key_is_away for entry in entries):
            return RESTORED
        return LOST if any(entry.is_lost for entry in entries) else ""

    def _safeguard_broken(self) -> str:
        return self._run.safeguards.why_broken() if self._run.safeguards else ""

    def _alarm(self) -> str:
        try:
            states = self._states()
        except AwsError as problem:
            silent = time.monotonic() - self._read
            return f"the alarms cannot be read: {problem}" if silent > UNREADABLE_FOR else ""
        self._read = time.monotonic()
        if off := [name for name in self._alarms if states.get(name) == "ALARM"]:
            return f"the CloudWatch alarm {', '.join(off)} went off"
        gone = [name for name in self._alarms if name not in states]
        return f"the CloudWatch alarm {', '.join(gone)} is not there any more" if gone else ""

    def _states(self) -> dict[str, str]:
        found = alarms.describe(self._aws, self._alarms)
        return {name: its.state for name, its in found.items()}
