"""This run: its id, its settings, what happened in it, and the parts that serve it.

Chaos Toolkit calls actions, probes and hooks as plain functions, so what they share has to be found
somewhere: here, and nowhere else. Without the control there is a run too; it lives in memory only.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.files import private_folder
from chaosaws_kms_ext.history import Anchor, Conditions, Event, EventName
from chaosaws_kms_ext.history.aws_calls import AWS_CALLS, AwsCall
from chaosaws_kms_ext.history.lines import Lines
from chaosaws_kms_ext.settings import Settings, parse
from chaosaws_kms_ext.waiting import Observer

if TYPE_CHECKING:  # the layers above put them here
    from chaosaws_kms_ext.aws.client import Aws
    from chaosaws_kms_ext.aws.proxies import Proxy
    from chaosaws_kms_ext.canaries.canaries import Canaries
    from chaosaws_kms_ext.guard.guard import Target
    from chaosaws_kms_ext.history.columns import ReadBack
    from chaosaws_kms_ext.inject.by_others import Sight
    from chaosaws_kms_ext.inject.safeguards import Safeguards
    from chaosaws_kms_ext.lab_client.local_lab import LocalLab
    from chaosaws_kms_ext.loadgen.passwords import Passwords
    from chaosaws_kms_ext.loadgen.process import Load
    from chaosaws_kms_ext.resources.ledger import Ledger, Resource
    from chaosaws_kms_ext.undo.journal import Entry
    from chaosaws_kms_ext.watcher import OtherWatcher, Watcher

__all__ = [
    "Instant",
    "KeyMaterials",
    "Loads",
    "MasterPasswords",
    "OpenFaults",
    "Refused",
    "Run",
    "begin",
    "current",
    "end",
]


class Refused(PlainError):
    """The run may not go on; nothing was changed. One sentence that says why and what to do."""


class OpenFaults:
    """The faults of a run that have not been put back, and the clusters that are not back."""

    def __init__(self) -> None:
        self.key_away: list[Entry] = []
        self.awaiting_cluster: list[Entry] = []
        """Their keys are back."""
        self.given_up = False
        """The last resort has failed as well: what is left is the watchdog's."""


class Loads:
    """The loads that a run has started, in that order."""

    def __init__(self) -> None:
        self._by_name: dict[str, Load] = {}
        self.stopped: set[str] = set()
        """Those that the experiment itself has stopped."""
        self.schemas: dict[str, Resource] = {}
        """Load → its schema, where that has to be dropped."""
        self.rows: dict[str, ReadBack] = {}
        """Load → what its writes left in the database, as far as it was read."""

    def __iter__(self) -> Iterator[Load]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Load | None:
        """The load of this name, if there is one."""
        return self._by_name.get(name)

    def add(self, load: Load) -> None:
        """Raises Refused if there is one of its name."""
        if load.config.name in self._by_name:
            raise Refused(f"a load called {load.config.name} was started before: name this another")
        self._by_name[load.config.name] = load

    def discard(self, load: Load) -> None:
        """Forgets one that could not start."""
        self._by_name.pop(load.config.name, None)


class MasterPasswords(dict[str, tuple[str, str]]):
    """Of the clusters that a run made: cluster id → (user, password). In memory, never shown."""

    def __repr__(self) -> str:
        return f"MasterPasswords of {', '.join(self) or 'no cluster'}"


class KeyMaterials(dict[str, bytes]):
    """Of the keys that a run made without KMS' own: key ARN → material. In memory, never shown."""

    def __repr__(self) -> str:
        return f"KeyMaterials of {', '.join(self) or 'no key'}"


class Run:
    """One execution of one experiment."""

    # None: not up yet, or not needed.
    folder: Path | None = None
    conditions: Conditions | None = None
    """What its judgement depends on; in its folder as well."""
    lab: LocalLab | None = None
    aws: Aws | None = None
    """Opened on first use, by `Aws.of`."""
    target: Target | None = None
    """The cluster and the key that it is about."""
    safeguards: Safeguards | None = None
    ledger: Ledger | None = None
    """Opened on first use, by `Ledger.of`."""
    watcher: Watcher | None = None
    sight: Sight | None = None
    """What it sees of what others do to the key, if it only watches."""
    canaries: Canaries | None = None
    passwords: Passwords | None = None
    """Kept fresh, where libpq does not find them by itself."""
    proxy: Proxy | None = None
    """Through which its load asks the database."""

    def __init__(self, settings: Settings, experiment: str = "") -> None:
        self.settings = settings
        self.experiment = experiment
        self.started = datetime.now(UTC)
        self.id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.anchor = Anchor.now()
        self.events: list[Event] = []
        self.interrupted = ""
        """What interrupted it, in words. A signal's handler sets it, which may not wait."""
        self.stopping = ""
        """Why the run is being stopped by itself."""
        self.stop_at_fault = ""
        """Why it would have been, had a key been away then: with the next fault it is."""
        self.failed_at = ""
        """The step of the method that failed, with which the method ended."""
        self.aws_calls = 0
        """How many calls to AWS it has made."""
        self.unrecorded = ""
        """Why an event or a call could not be written down."""
        self.at_end = contextlib.ExitStack()
        """What goes down with the run."""
        # What serves it.
        self.observer = Observer()
        self.open_faults = OpenFaults()
        self.loads = Loads()
        self.read_secrets = MasterPasswords()
        """Secret → what was read of it: a client that keeps its password has it, too."""
        self.other_watchers: dict[str, OtherWatcher] = {}
        """Another cluster's id → what watches it."""
        self.master_passwords = MasterPasswords()
        self.key_materials = KeyMaterials()
        self.conninfos: dict[str, str] = {}
        """Cluster, by its ARN and its address → how the load reaches it."""
        self._lines = {"events.jsonl": Lines(), AWS_CALLS: Lines()}
        self._lock = threading.Lock()
        self._write("events.jsonl", {"schema": 1, "anchor": self.anchor._asdict()})

    def event(self, name: EventName, when: Instant | None = None, /, **details: Any) -> Event:
        """Records that something happened: now, or `when`, with how exact that is."""
        if when is not None:
            details["within_seconds"] = when.within_seconds
        at = time.monotonic_ns() if when is None else when.at
        # As the file has it, so that whoever judges the file again judges the same.
        event = Event(at, name.value, json.loads(json.dumps(details)))
        with self._lock:
            self.events.append(event)
            self._write("events.jsonl", event._asdict())
        return event

    def aws_call(self, call: AwsCall) -> None:
        """Records a call to AWS."""
        with self._lock:
            self.aws_calls += 1
            self._write(AWS_CALLS, call._asdict())

    def _write(self, name: str, content: dict[str, Any]) -> None:
        try:
            self._lines[name].write(content)
        except OSError as problem:
            # What goes on matters more than its record; the judgement is told.
            self.unrecorded = str(problem)

    def last(self, name: EventName, **details: Any) -> Event | None:
        """The newest event called `name` that has these details."""
        wanted = details.items()
        with self._lock:
            return next(
                (
                    event
                    for event in reversed(self.events)
                    if event.name == name and wanted <= event.details.items()
                ),
                None,
            )

    def first_since(self, name: EventName, at: int, **details: Any) -> Event | None:
        """The oldest event called `name` from an instant on (CLOCK_MONOTONIC, ns) that has these
        details."""
        wanted = details.items()
        with self._lock:
            return next(
                (
                    event
                    for event in self.events
                    if event.name == name and event.at >= at and wanted <= event.details.items()
                ),
                None,
            )

    def seconds_since(self, event: Event) -> float:
        """How long ago `event` was."""
        return (time.monotonic_ns() - event.at) / 1e9

    def stop(self, why: str) -> None:
        """Ends the run from any thread, as Ctrl-C does: with its rollbacks."""
        self.stopping = why
        os.kill(os.getpid(), signal.SIGTERM)

    def open_folder(self) -> Path:
        """Makes `<reports>/<experiment>/<UTC time>/`, and keeps events and calls in it from now on.

        Nobody else may read it: the database's words may quote data. Raises OSError.
        """
        parent = Path(self.settings.reports_dir) / (self.experiment or "run")
        stamp = f"{self.started:%Y-%m-%dT%H%M%SZ}"
        private_folder(parent)
        for number in range(1, 1000):
            self.folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
            try:
                self.folder.mkdir(mode=0o700)
                break
            except FileExistsError:
                continue
        assert self.folder is not None
        private_folder(self.folder / "history")
        for name, lines in self._lines.items():
            lines.open(self.folder / "history" / name)
        return self.folder

    def point_latest(self) -> None:
        """Lets `<reports>/latest` be this run's folder."""
        assert self.folder is not None
        _point(Path(self.settings.reports_dir) / "latest", self.folder)

    def discard_folder(self) -> None:
        """Removes this run's folder: a run that was refused leaves none."""
        self.close()
        folder, self.folder = self.folder, None
        if folder is None:
            return
        shutil.rmtree(folder, ignore_errors=True)
        for parent in (folder.parent, Path(self.settings.reports_dir)):
            with contextlib.suppress(OSError):  # others' runs are in it
                parent.rmdir()

    def close(self) -> None:
        """Nothing is written to the folder any more."""
        for lines in self._lines.values():
            lines.close()


@dataclass(frozen=True)
class Instant:
    """When something happened, as exactly as that is known."""

    at: int
    """CLOCK_MONOTONIC, ns: when it had happened at the latest."""
    within_seconds: float
    """At most that much earlier."""

    @classmethod
    def now(cls, after: int) -> Instant:
        """Now, or since the CLOCK_MONOTONIC instant `after` (ns): when a call was made, say."""
        at = time.monotonic_ns()
        return cls(at, round((at - after) / 1e9, 3))


def _point(link: Path, target: Path) -> None:
    """Points `link` at `target` in one step; a file in its place that is no link stays."""
    if link.exists() and not link.is_symlink():
        return
    new = link.with_name(f".latest-{os.getpid()}")
    new.symlink_to(os.path.relpath(target, link.parent))
    new.replace(link)


_current: Run | None = None


def begin(settings: Settings, experiment: str) -> Run:
    """Starts a run: from now on it is the current one."""
    global _current
    _current = Run(settings, experiment)
    return _current


def current(configuration: Mapping[str, Any] | None = None) -> Run:
    """The run that is going on; without a control, one in memory with these settings."""
    global _current
    if _current is None:
        _current = Run(parse(configuration))
    return _current


def end() -> None:
    """Ends the current run, with everything that goes down with it."""
    global _current
    ended, _current = _current, None
    if ended is not None:
        try:
            ended.at_end.close()
        finally:
            ended.close()


# Without the control nobody else ends it: what is open then is put back.
atexit.register(end)
