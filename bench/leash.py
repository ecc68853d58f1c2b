"""Programs that die with whoever started them: each runs under `python -m bench.leash`.

The leash holds the read end of a pipe (chaosaws_kms_ext.processes.Child). When that is closed,
however the benchmark ended, it kills its whole process group.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import psutil

from chaosaws_kms_ext.processes import LIFELINE, Child

__all__ = ["Program"]

USAGE = "BENCH_USAGE"
"""The environment variable with the file in which the leash writes what the program used."""


class Program:
    """A program in the background; what it prints goes to `log`."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._usage = log.with_suffix(".usage")
        self._child = Child(
            [sys.executable, "-m", "bench.leash", *command],
            log=log,
            env={**(os.environ if env is None else env), USAGE: str(self._usage)},
        )
        self.log = log

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.running

    def cpu_seconds(self) -> float:
        """What it, and what it has waited for, has used until now."""
        with contextlib.suppress(psutil.Error):
            return sum(map(cpu_of, psutil.Process(self._child.process.pid).children()))
        return 0.0

    def wait(self, timeout: float) -> bool:
        """Whether it ended by itself within `timeout` seconds."""
        try:
            self._child.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._child.let_go()
        return True

    def stop(self, number: signal.Signals = signal.SIGTERM, grace: float = 5) -> None:
        """Asks it to end by a signal, and after `grace` seconds kills it."""
        self._child.stop(grace, ask=lambda: self._child.process.send_signal(number))

    def usage(self) -> dict[str, float]:
        """Of a program that has ended: `wall` and `cpu` seconds, `peak` bytes, `status`."""
        found: dict[str, float] = json.loads(self._usage.read_text())
        return found

    def ended_at(self) -> float:
        """When a program ended, seconds of the wall clock."""
        return self._usage.stat().st_mtime

    def lines(self) -> list[str]:
        """What it has printed."""
        return self.log.read_text(errors="replace").splitlines()


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process and of its children that have ended."""
    used = process.cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def _kill_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main(command: Sequence[str]) -> int:
    """Runs `command` to its end; its exit status is ours."""
    lifeline, usage = int(os.environ.pop(LIFELINE)), Path(os.environ.pop(USAGE))
    began = time.monotonic()
    program = subprocess.Popen(command)

    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    threading.Thread(target=_kill_with_parent, args=[lifeline], daemon=True).start()
    _, status, used = os.wait4(program.pid, 0)
    told = {
        "wall": time.monotonic() - began,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": os.waitstatus_to_exitcode(status),
    }
    usage.write_text(json.dumps(told))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # what it has left running
    return int(told["status"] != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
