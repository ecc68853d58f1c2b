"""A state machine: random sequences of faults, undos, kills and restores, on an AWS that fails.

What has to hold, after every single step of a program: whatever is not as it was of a key, or of
its custom key store, is named by an open entry of the undo journal, with the call that puts it
back. And in the end `chaos kms restore` leaves every key and its store as they were, no schedule,
no entry, and the cluster available.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.inject.composition import MOST, check
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.journal import Entry
from tests.support import fault_programs
from tests.support.fault_programs import RunProgram, WatchdogProgram, restored
from tests.support.faulty_aws import KINDS, FaultyAws, Killed, Trouble
from tests.support.killed_programs import Current, KilledRun, KilledWatchdog

__all__ = ["FaultMachine", "in_one_step", "sequences"]

some = st.builds(
    Trouble, st.sampled_from(KINDS), st.integers(0, 15), st.sampled_from([1, 2, 500])
) | st.builds(
    Trouble, st.sampled_from(KINDS), st.integers(0, 5), st.sampled_from([1, 500]), st.just(True)
)
troubles = st.lists(some, max_size=2)
"""What befalls the steps of one command."""


def in_one_step() -> list[tuple[str, ...]]:
    """All that one step can inject."""
    return [*((name,) for name in sorted(FAULTS)), *composed()]


def composed() -> list[tuple[str, ...]]:
    """Every list of several faults that one step can have, in an order that it can have."""
    found: list[tuple[str, ...]] = []
    longest: list[tuple[str, ...]] = [()]
    for _ in range(MOST):
        longest = [
            (*names, name)
            for names in longest
            for name in sorted(FAULTS)
            if _can_be_composed(*names, name)
        ]
        found += longest
    return [names for names in found if len(names) > 1]


def _can_be_composed(*names: str) -> bool:
    try:
        check([FAULTS[name] for name in names])
    except Refused:
        return False
    return True


steps = st.deferred(
    lambda: st.tuples(st.sampled_from(sorted(FAULTS))) | st.sampled_from(composed())
)
"""The faults of one step."""

UNDONE_BY = {
    "connection": "ConnectCustomKeyStore",
    "deletion": "CancelKeyDeletion",
    "materials": "ImportKeyMaterial",
    "policy": "PutKeyPolicy",
}
"""What a fault can change of a key or its store → the call that puts it back."""

STATE_UNDONE_BY = {
    "Disabled": "EnableKey",
    "PendingDeletion": "CancelKeyDeletion",
    "PendingImport": "ImportKeyMaterial",
}
"""The same of a key's state."""


def undoes(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """The calls without which this does not become again what it was before; of a difference that
    no undo puts back its own name."""
    changed = {name for name in before if before[name] != now[name]}
    by = {**UNDONE_BY, "state": STATE_UNDONE_BY.get(now.get("state", ""), "state")}
    return {by.get(name, name) for name in changed}


def _named_for(name: str, entries: Iterable[Entry]) -> set[str]:
    """The calls that open entries have for a key (an ARN) or a custom key store (its id)."""
    away = [each for each in entries if each.state == "key-away"]
    calls = [(each.key, call) for each in away for call in each.undo.calls]
    return {
        call.operation for key, call in calls if name == call.params.get("CustomKeyStoreId", key)
    }


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
        self.run: RunProgram | KilledRun | None = None
        self.watchdogs: list[WatchdogProgram | KilledWatchdog] = []
        """Of runs that have ended."""
        self._stack.enter_context(self._machine("here"))

    @initialize(in_store=st.booleans())
    def begin(self, in_store: bool) -> None:
        """`in_store`: the cluster's key is in a custom key store."""
        self.aws = FaultyAws(self._check, in_store)
        self.aws.restore = self._restored_by_another
        self.before = self.aws.keys
        self._world = Current(self.aws)
        self._stack.callback(self._world.kill_all)
        self._stack.enter_context(fault_programs.on(self._world))

    def _new_run(self, switch: bool) -> RunProgram | KilledRun:
        return RunProgram(self.aws, switch)

    def _restored(self) -> str:
        return restored()

    # Runs

    @rule(names=steps, switch=st.booleans(), troubles=troubles)
    def inject(self, names: Sequence[str], switch: bool, troubles: list[Trouble]) -> None:
        """The faults of one step, in the run that goes on, or in a new one."""
        run = self.run = self.run or self._new_run(switch)
        own = FAULTS[names[0]].on == "own"
        try:
            key = run.key_for(names[0])
        except Killed:
            self._gone()
            return
        now = self.aws.keys
        self.before.setdefault(key, now[key])
        wanted = {each: self.before[each] for each in (key, self.aws.store_of(key)) if each}
        ready = own or self.aws.status == "available"
        if ready and wanted.items() <= now.items():  # else the guard refuses
            self._do(lambda: run.inject(names), troubles)

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
        self.watchdogs.pop().bury()

    @precondition(lambda self: self._something_is_left)
    @rule(troubles=troubles)
    def restore(self, troubles: list[Trouble]) -> None:
        self._do(self._restored, troubles, of_the_run=False)

    @precondition(lambda self: self.aws.armed)
    @rule(troubles=troubles)
    def restore_on_another_machine(self, troubles: list[Trouble]) -> None:
        """Which knows the schedules alone."""
        with self._machine("elsewhere"):
            self._do(self._restored, troubles, of_the_run=False)

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
                    said += self._restored()
                except PlainError as problem:
                    said += str(problem)
                entries = journal.open_entries()
            too_late = {each.key for each in entries if each.undo.has_expired}
            assert {each.key for each in entries} == too_late, said
            for name, before in self.before.items():
                assert self.aws.keys[name] == before or name in too_late, (name, said)
        assert self.aws.armed == [], said
        assert self.aws.status == "available", said
        self._assert()

    # Internals

    @property
    def _something_is_left(self) -> bool:
        return bool(journal.paths() or self.aws.armed)

    @property
    def _alive(self) -> RunProgram | KilledRun:
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
        away = {name: undoes(before, found[name]) for name, before in self.before.items()}
        armed = self.aws.armed if self.before else []
        if self._unseen or not (any(away.values()) or armed):
            return
        entries = self.entries()
        known = {name for each in entries for name in each.switch}
        for name, calls in away.items():
            if left := calls - _named_for(name, entries):
                self.violations.append(f"{name} is {found[name]}: no entry names {left}")
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


def sequences(
    count: int,
    steps: int,
    random: bool = False,
    shrink: bool = True,
    machine: type[FaultMachine] = FaultMachine,
) -> None:
    """Tries so many, each of at most so many steps; raises what is wrong.

    `random`: others at each call.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    logging.disable(logging.CRITICAL)  # else what a run says takes longer than the run
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine,
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
