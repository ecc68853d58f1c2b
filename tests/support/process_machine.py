"""The state machine whose programs are processes, and whose kills are SIGKILL."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.fault_machine import FaultMachine
from tests.support.fault_programs import RunProgram
from tests.support.killed_programs import KilledRun, restored_in_a_process

__all__ = ["ProcessMachine"]


class ProcessMachine(FaultMachine):
    """The same, where runs, watchdogs and restores are processes, and a kill is a SIGKILL."""

    killed_at_work = False
    """Whether the last `inject_and_kill` was before all of it was done."""

    def _new_run(self, switch: bool) -> RunProgram | KilledRun:
        return KilledRun(self._world, switch)

    def _restored(self) -> str:
        return restored_in_a_process(self._world)

    def inject_and_kill(self, names: Sequence[str], switch: bool, seconds: float) -> None:
        """A run that is killed after so many seconds of real time, wherever it is by then.

        It is no rule: what comes of it is another each time.
        """
        run = self.run = KilledRun(self._world, switch)
        with run.killed_within(seconds):
            self.inject(names, switch, [])
            if self.run and run.is_open:
                self.put_back([])
        self.killed_at_work = self.run is None or run.has_died
        if self.run:
            self._gone()
        self._check()
        self._assert()
