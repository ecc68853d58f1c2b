"""A run, its watchdog and `chaos kms restore`, as programs that go on step by step, on any AWS."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest import mock

import boto3
from click.testing import CliRunner

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.cli import restore
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.inject import injection, recovery, safeguards
from chaosaws_kms_ext.inject.composition import wanted
from chaosaws_kms_ext.kms import fault_step
from chaosaws_kms_ext.resources import key_materials
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import parse
from chaosaws_kms_ext.undo import journal, store, watchdog
from tests.support.virtual_time import virtual_time

__all__ = ["ARGUMENTS", "Port", "RunProgram", "WatchdogProgram", "on", "restored"]

ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "put-key-policy": {
        "policy": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "another",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "kms:*",
                "Resource": "*",
            }],
        }
    }
}  # fmt: skip
"""Fault → its arguments, of those that need some."""

ENVIRONMENT = {
    "CHAOS_TARGET": "aws",
    "CHAOS_CLUSTER_ID": "orders",
    "CHAOS_WITHOUT_SWITCH": "yes",
    "CHAOS_ALLOW_KEY_DELETION": "yes",
    "CHAOS_MAX_KEY_UNUSABLE": "3600",
}
SWITCH = {"CHAOS_SWITCH_ROLE": "arn:aws:iam::123456789012:role/switch"}


class Port(Protocol):
    """What a program has of the world: AWS, time, and steps at which it can be killed."""

    key: str

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    def at_step(self, write: Callable[[], None], takes_room: bool) -> None: ...
    def answer(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]: ...
    def own_key(self, run: str) -> str: ...
    def number(self) -> int: ...


SESSION = boto3.Session(region_name="eu-west-1")


@contextlib.contextmanager
def on(port: Port) -> Iterator[None]:
    """Inside, the extension's AWS, its time and the writes of its journal are those of `port`."""
    write, replace = store.write, Path.replace

    def called(aws: Aws, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return port.answer(service, operation, params)

    def written(*what: Any) -> None:
        port.at_step(lambda: write(*what), takes_room=True)

    def renamed(path: Path, to: Any) -> Path:
        if path.suffix == ".json":  # an entry is closed
            port.at_step(lambda: replace(path, to) and None, takes_room=False)
            return Path(to)
        return replace(path, to)

    with (
        virtual_time(port),
        mock.patch.object(Aws, "_called", called),
        mock.patch.object(store, "write", written),
        mock.patch.object(Path, "replace", renamed),
        mock.patch.object(boto3, "Session", return_value=SESSION),
    ):
        yield


class RunProgram:
    """A run without an experiment: its faults, injected and put back."""

    def __init__(self, port: Port, switch: bool) -> None:
        environment = {**ENVIRONMENT, **(SWITCH if switch else {})}
        self.run = Run(parse({}, environ=environment), "machine")
        self.run.id = f"run-{port.number():04}"  # a random one would order files at random
        self._port = port
        self._own = ""
        self.watchdog: WatchdogProgram | None = None

    def key_for(self, name: str) -> str:
        """The ARN of the key that a fault is for; that of the run's own is made when it is needed.

        A fault that takes another kind of key says so here.
        """
        if FAULTS[name].on == "target":
            return self._port.key
        if not self._own:
            self._own = self._port.own_key(self.run.id)
            key_materials.give(self.run, self._own)
        return self._own

    @property
    def is_open(self) -> bool:
        """Whether a fault of it is not over."""
        mine = self.run.open_faults
        return bool(mine.key_away or mine.awaiting_cluster)

    def inject(self, names: Sequence[str]) -> None:
        """As the action `inject_fault`, of faults that can be composed, as the guard allows it."""
        listed = [{"name": name, "arguments": ARGUMENTS.get(name, {})} for name in names]
        step, key = wanted("", None, listed), self.key_for(names[0])
        own = "" if key == self._port.key else key
        target = SimpleNamespace(
            cluster=SimpleNamespace(id="orders"), key=SimpleNamespace(arn=key), others=()
        )
        with (
            mock.patch.object(safeguards, "Watchdog", self),
            mock.patch.object(fault_step, "_guarded", return_value=target),
        ):
            fault_step.inject(self.run, step, key_id=own)

    def put_back(self) -> None:
        """As the action `undo_faults`."""
        injection.put_back(self.run)

    def recover(self) -> None:
        """Starts the cluster, and closes what is over then."""
        if self.run.open_faults.awaiting_cluster:
            recovery.call_start(self.run, "orders")
            self._port.sleep(900)
        injection.close_recovered(self.run)

    def end(self) -> None:
        """As a run ends, whatever it has left."""
        self.run.at_end.close()

    def bury(self) -> None:
        """What the kernel does with the locks of one that was killed."""
        if self.run.safeguards:
            self.run.safeguards._holds.close()

    def start(self, run: str, region: str, longest: float) -> WatchdogProgram:
        """In place of `Watchdog.start`."""
        self.watchdog = WatchdogProgram(run, longest)
        return self.watchdog


class WatchdogProgram:
    """As undo/watchdog.py, and as its run sees it."""

    def __init__(self, run: str, longest: float) -> None:
        self.run, self._longest = run, longest
        self._memory = watchdog.Memory(run)
        self.running = True
        self.log = Path(os.devnull)
        self.child = SimpleNamespace(process=SimpleNamespace(pid=0))

    def look(self) -> None:
        """While the run lives: puts back what has been away for too long."""
        self._memory.look()
        if overdue := self._memory.away_for(self._longest):
            self._memory.put_back(overdue)

    def finish(self) -> None:
        """When its run has ended, and has not dismissed it."""
        try:
            watchdog._put_all_back(self._memory)
        finally:
            journal.forget_closed(self.run)
        self.running = False

    def bury(self) -> None:
        """It was killed."""

    def leave(self) -> None:
        """The run has ended."""

    def dismiss(self) -> None:
        self.running = False
        journal.forget_closed(self.run)


def restored(*arguments: str) -> str:
    """What `chaos kms restore` says; raises Refused where it leaves something."""
    with mock.patch.dict(os.environ, ENVIRONMENT):
        result = CliRunner().invoke(restore.command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise Refused(result.output)
    return result.output
