"""A state machine: random sequences of faults, undos, kills and restores, on an AWS that fails.

What has to hold, after every single step of a program: a key that is not as it was is named by an
open entry of the undo journal, with the calls that put it back. And in the end `chaos kms restore`
leaves every key as it was, no schedule, no entry, and the cluster available.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.journal import Entry
from tests.support import fault_programs
from tests.support.fault_programs import RunProgram, WatchdogProgram, restored
from tests.support.faulty_aws import KINDS, FaultyAws, Killed, Trouble

__all__ = ["FaultMachine", "sequences"]

some = st.builds(
    Trouble, st.sampled_from(KINDS), st.integers(0, 15), st.sampled_from([1, 2, 500])
) | st.builds(
    Trouble, st.sampled_from(KINDS), st.integers(0, 5), st.sampled_from([1, 500]), st.just(True)
)
troubles = st.lists(some, max_size=2)
"""What befalls the steps of one command."""


class FaultMachine(RuleBasedStateMachine):
    """One machine of one user, and an AWS account with a cluster."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._folder = Path(tempfile.mkdtemp(prefix="fault-machine-"))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self.violations: list[str] = []
        self._unseen = False
        """Whether somebody has restored what a command is changing."""
        self.before: dict[str, dict[str, Any]] = {}
        self.aws = FaultyAws(self._check)
        self.aws.restore = self._restored_by_another
        self.before = self.aws.keys
        self.run: RunProgram | None = None
        self.watchdogs: list[WatchdogProgram] = []
        """Of runs that have ended."""
        self._stack.enter_context(self._machine("here"))
        self._stack.enter_context(fault_programs.on(self.aws))

    # Runs

    @rule(name=st.sampled_from(sorted(FAULTS)), switch=st.booleans(), troubles=troubles)
    def inject(self, name: str, switch: bool, troubles: list[Trouble]) -> None:
        """In the run that goes on, or in a new one."""
        run = self.run = self.run or RunProgram(self.aws, switch)
        key = run.key_for(name)
        self.before.setdefault(key, self.aws.keys[key])
        ready = self.aws.status == "available" or FAULTS[name].on == "own"
        if ready and self.aws.keys[key] == self.before[key]:  # else the guard refuses
            self._do(lambda: run.inject(name), troubles)

    @precondition(lambda self: self.run and self.run.is_open)
    @rule(troubles=troubles)
    def put_back(self, troubles: list[Trouble]) -> None:
        self._do(self._alive.put_back, troubles)

    @precondition(lambda self: self.run and self.run.is_open)
    @rule(troubles=troubles)
    def recover(self, troubles: list[Trouble]) -> None:
        self._do(self._alive.recover, troubles)

    @precondition(lambda self: self.run is not None)
    @rule(troubles=troubles)
    def end(self, troubles: list[Trouble]) -> None:
        self._do(self._alive.end, troubles)
        if self.run:
            self._gone()

    @precondition(lambda self: self.run is not None)
    @rule()
    def kill(self) -> None:
        self._gone()

    # Whoever else puts back

    @precondition(lambda self: self.run is not None and self.run.watchdog is not None)
    @rule(troubles=troubles)
    def watchdog_looks(self, troubles: list[Trouble]) -> None:
        its = self._alive.watchdog
        if its and its.running:
            self._do(its.look, troubles, of_the_run=False, dies=lambda: setattr(its, "running", 0))

    @precondition(lambda self: self.watchdogs)
    @rule(troubles=troubles)
    def watchdog_finishes(self, troubles: list[Trouble]) -> None:
        self._do(self.watchdogs.pop().finish, troubles, of_the_run=False)

    @precondition(lambda self: self.watchdogs)
    @rule()
    def watchdog_is_killed(self) -> None:
        self.watchdogs.pop()

    @precondition(lambda self: self._something_is_left)
    @rule(troubles=troubles)
    def restore(self, troubles: list[Trouble]) -> None:
        self._do(restored, troubles, of_the_run=False)

    @precondition(lambda self: self.aws.armed)
    @rule(troubles=troubles)
    def restore_on_another_machine(self, troubles: list[Trouble]) -> None:
        """Which knows the schedules alone."""
        with self._machine("elsewhere"):
            self._do(restored, troubles, of_the_run=False)

    @precondition(lambda self: self._something_is_left)
    @rule(seconds=st.sampled_from([1.0, 60.0, 3700.0, 8000.0]))
    def time_passes(self, seconds: float) -> None:
        """So that schedules fire, and import tokens get old."""
        self.aws.sleep(seconds)
        self._assert()

    # The end

    def teardown(self) -> None:
        try:
            if self.run:
                self.end([])
            while self.watchdogs:
                self.watchdog_finishes([])
            self._restore_everything()
        finally:
            self._stack.close()

    def _restore_everything(self) -> None:
        said = ""
        for machine in ("here", "elsewhere"):
            with self._machine(machine):
                try:
                    said += restored()
                except PlainError as problem:
                    said += str(problem)
                entries = journal.open_entries()
            too_late = {each.key for each in entries if each.undo.has_expired}
            assert {each.key for each in entries} == too_late, said
            for key, before in self.before.items():
                assert self.aws.keys[key] == before or key in too_late, (key, said)
        assert self.aws.armed == [], said
        assert self.aws.status == "available", said
        self._assert()

    # Internals

    @property
    def _something_is_left(self) -> bool:
        return bool(journal.paths() or self.aws.armed)

    @property
    def _alive(self) -> RunProgram:
        assert self.run is not None
        return self.run

    def _do(
        self,
        command: Callable[[], object],
        troubles: list[Trouble],
        of_the_run: bool = True,
        dies: Callable[[], object] = lambda: None,
    ) -> None:
        if alone := [each for each in troubles if each.kind == "restored"]:
            # Nobody can help a run that is killed in the instant after that.
            troubles = alone[:1]
        try:
            with self.aws.troubled(troubles):
                command()
        except (PlainError, OSError):
            pass  # it has said what it has to say
        except Killed:
            dies()
            if of_the_run:
                self._gone()
        self._unseen = False
        self._check()
        self._assert()

    def _gone(self) -> None:
        """The run has ended, or was killed."""
        run, self.run = self._alive, None
        run.bury()
        if run.watchdog and run.watchdog.running:
            self.watchdogs.append(run.watchdog)

    def _restored_by_another(self) -> None:
        """Whoever is under way has yet to see it: only at its end everything has to be named."""
        with contextlib.suppress(PlainError):
            restored()
        self._unseen = True

    def _check(self) -> None:
        """Whether whatever is not as it was is named; asked at every step."""
        found = self.aws.keys if self.before else {}
        away = {arn for arn, before in self.before.items() if found[arn] != before}
        armed = self.aws.armed if self.before else []
        if self._unseen or not (away or armed):
            return
        entries = self.entries()
        named = {each.key for each in entries if each.state == "key-away"}
        known = {name for each in entries for name in each.switch}
        self.violations += [f"{arn} is {found[arn]}: no entry names it" for arn in away - named]
        self.violations += [f"{name} is armed: no entry names it" for name in {*armed} - known]

    def _assert(self) -> None:
        assert not self.violations, self.violations[0]

    def entries(self) -> list[Entry]:
        """Of the machine on which the runs are."""
        folder = self._folder / "here" / "chaosaws-kms"
        return [journal.read(path) for path in store.listed(folder, "*.json")]

    @contextlib.contextmanager
    def _machine(self, name: str) -> Iterator[None]:
        """Inside, the journal is that of this machine."""
        variable = "XDG_STATE_HOME"
        before = os.environ.get(variable)
        os.environ[variable] = str(self._folder / name)
        try:
            yield
        finally:
            os.environ.pop(variable)
            if before is not None:
                os.environ[variable] = before


def sequences(count: int, steps: int, random: bool = False, shrink: bool = True) -> None:
    """Tries so many, each of at most so many steps; raises what is wrong.

    `random`: others at each call.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    logging.disable(logging.CRITICAL)  # else what a run says takes longer than the run
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            FaultMachine,
            settings=settings(
                max_examples=count,
                stateful_step_count=steps,
                derandomize=not random,
                database=None,
                deadline=None,
                phases=phases,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        logging.disable(logging.NOTSET)
