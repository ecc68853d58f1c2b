"""What the users of one process share: the arrivals, the recorder, the witnesses, the log."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

import gevent
from gevent import GreenletExit

from chaosaws_kms_ext.history import SECOND, Outcome
from chaosaws_kms_ext.history.operations_file import Header
from chaosaws_kms_ext.history.writer import OperationStream, OperationWriter
from chaosaws_kms_ext.loadgen.client.config import DATABASE_SAID, STOPPED, ClientConfig
from chaosaws_kms_ext.loadgen.client.connector import Connector
from chaosaws_kms_ext.loadgen.client.hung_sessions import Hung, HungSessions
from chaosaws_kms_ext.loadgen.client.lag import Lag
from chaosaws_kms_ext.loadgen.client.load_connection import open_for_load
from chaosaws_kms_ext.loadgen.client.port import listens_at
from chaosaws_kms_ext.loadgen.client.recorder import Recorder
from chaosaws_kms_ext.loadgen.client.registers import register_to_read
from chaosaws_kms_ext.loadgen.client.schedule import Schedule, Tickets
from chaosaws_kms_ext.loadgen.client.spacing import spacing_for
from chaosaws_kms_ext.loadgen.client.witnesses import (
    witness_new_connections,
    witness_open_session,
)
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.engines.base import Connection
from chaosaws_kms_ext.loadgen.engines.postgresql_connection import INTERVAL

__all__ = ["NOTHING", "QUIT_WITHIN", "Driver", "Due", "Saw", "header_of", "to_the_log"]

START_AFTER = 0.3
"""Seconds until the first arrival: the users connect meanwhile."""
REAP_EVERY, STALLED = 0.1, 0.3
"""Seconds between two looks; seconds after which a look is so late that it is recorded."""
MOST_SAID = 20
"""At most so many different messages of the database go to the log."""
SHORTEST = 0.005
"""Seconds between two attempts to connect that fail at once."""
LOOK_AGAIN = 5.0
"""Seconds after which a load that reads another's registers looks who has some."""
QUIT_WITHIN = 3.0
"""Seconds after which a load that cannot stop in order is ended."""


class Due(NamedTuple):
    """An operation that is due: the part of its record that is known before it is sent."""

    writer: int
    sequence: int
    kind: str
    at: int
    """CLOCK_MONOTONIC, ns."""


Saw = tuple[int | None, int | None, int | None]
"""What a read of a register saw: the session, the writer, and the sequence."""
NOTHING: Saw = (None, None, None)


def to_the_log(line: str) -> None:
    """What a process prints is in the load's log."""
    print(line, file=sys.stderr, flush=True)


def header_of(config: ClientConfig, start: int) -> Header:
    """What the records of a process say of themselves; `start`: see Header."""
    return Header(config.name, config.rate, config.worker, config.workers, start, config.starts)


class Driver:
    """What the users of one process share: the arrivals, the recorder, the way to reconnect."""

    def __init__(
        self,
        config: ClientConfig,
        environment: Any,
        stream: OperationStream | None = None,
        tell: Callable[[str], None] = to_the_log,
    ) -> None:
        """`stream` takes the records, else a file of the history does; `tell`: a line for the
        load's log."""
        gc.collect()
        gc.freeze()  # of all that was imported: to look through it stops every user for 70 ms
        self.config = config
        self.engine = engine_of(config.database)
        self._tell = tell
        self.environment = environment
        self.deadline = round(config.deadline * SECOND)
        start = config.start or time.monotonic_ns() + round(START_AFTER * SECOND)
        self.schedule = Schedule(start, config.rate, config.writes, config.reads_registers)
        self._tickets = Tickets(self.schedule, self.deadline, config.worker, config.workers)
        if stream is None:
            stream = OperationWriter(Path(config.folder), **header_of(config, start)._asdict())
        self.recorder = Recorder(stream, self.stop)
        self.connector = Connector(
            self.engine,
            self._connect_user,
            spacing_for(config.deadline, config.workers),
            max(config.workers / config.rate, SHORTEST),
            listens_at(config.database),
        )
        self._hung = HungSessions(config.users, self._record_hung)
        self._writers = config.writers_from
        self._wrote: list[int] = []
        self._look_at = 0.0
        self._connections = config.connections_from
        self._open: WeakSet[Any] = WeakSet()
        self._stopped_at: int | None = None
        self._said: set[str] = set()
        self._attempts = 0
        self._works = [
            gevent.spawn(work)
            for work in (
                self.recorder.flush_for_ever,
                self.connector.work,
                self._record_overdue,
                self._expire,
                partial(witness_open_session, self),
                partial(witness_new_connections, self),
            )
        ]

    def new_writer(self) -> int:
        """A number for one more user."""
        self._writers += 1
        return self._writers

    def wrote(self, writer: int) -> None:
        """Notes that a writer has a register."""
        if writer not in self._wrote:
            self._wrote = [*self._wrote, writer][-self.config.users :]

    def register(self, asks: int, asked: int) -> int | None:
        """The writer whose register `asks` is to read now; it has read `asked` of them. None: none
        has written yet, or it is time for `find_writers`."""
        if self.config.reads_registers and time.monotonic() >= self._look_at:
            return None
        return register_to_read(self._wrote, asks, asked) if self._wrote else None

    def find_writers(self, connection: Connection) -> None:
        """Looks which writers of the other load have a register; raises the engine's errors."""
        self._look_at = time.monotonic() + LOOK_AGAIN
        self._wrote = list(self.engine.newest_writers(connection, self.config.users))

    def take(self) -> int:
        """The next arrival that can still be answered in time."""
        if overdue := self._tickets.overdue(time.monotonic_ns()):
            self._give_up(overdue)
        return self._tickets.take()

    def arrival(self, number: int, writer: int = 0, sequence: int | None = None) -> Due:
        """What is due as arrival `number`; `writer` takes it as its own `sequence`, or nobody."""
        kind, at = self.schedule.kind(number), self.schedule.due(number)
        return Due(writer, number if sequence is None else sequence, kind, at)

    def counts(self, due: int) -> bool:
        """Whether an arrival belongs to the load: not if it is due after the load was stopped."""
        return self._stopped_at is None or due <= self._stopped_at

    def give_back(self, number: int) -> None:
        """An arrival that its user cannot do any more, before it was due: another one takes it."""
        self._tickets.give_back(number)

    @property
    def goes_on(self) -> bool:
        """Whether the load was not stopped."""
        return self._stopped_at is None

    def stopping(self) -> None:
        """The load is stopped now: what is due later does not count."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic_ns()

    def close(self) -> None:
        """Writes down what is left; the users have ended."""
        self.stopping()
        gevent.killall(self._works, timeout=1)
        self._hung.close()
        assert self._stopped_at is not None
        self._give_up(self._tickets.due_by(self._stopped_at))
        self.recorder.close()

    def connect(self, until: float | None = None) -> Any:
        """One attempt to connect, of at most the deadline's length; raises the engine's errors."""
        self._attempts += 1
        due = self.due_now("attempt", self._attempts)
        seconds = self.config.deadline if until is None else until - time.monotonic()
        try:
            connection = self._connect(max(seconds, 0.001))
        except GreenletExit:
            self.record(due, due.at, Outcome.ABORTED)
            raise
        except self.engine.errors as problem:
            failure = self.engine.failure(problem, None)
            self.record(due, due.at, *failure)
            self.say(problem, failure.code)
            raise
        self.record(due, due.at, Outcome.OK, None, connection.address)
        return connection

    def _connect_user(self, until: float | None) -> Any:
        """The same for a user, whose session is followed where it hangs."""
        connection = self.connect(until)
        connection.on_hang, connection.opened = self._hung.follow, time.monotonic_ns()
        return connection

    def _connect(self, seconds: float) -> Any:
        passed = gevent.Timeout(seconds)
        try:
            with passed:
                until = time.monotonic() + seconds
                connection = open_for_load(self.engine, self.config.database, until)
                self._connections += 1
                connection.number = self._connections
                self._open.add(connection)
                return connection
        except gevent.Timeout as timeout:
            # Only here an error of the engine's: with several addresses psycopg would go on to the
            # next one, now without any time-out.
            if timeout is not passed:
                raise
            raise self.engine.deadline_passed("no connection before the deadline") from None

    def due_now(self, kind: str, number: int) -> Due:
        """What is not of the schedule, but done now."""
        return Due(0, number, kind, time.monotonic_ns())

    def record(
        self,
        what: Due,
        sent: int | None,
        outcome: Outcome,
        sqlstate: str | None = None,
        detail: str | None = None,
        saw: Saw = NOTHING,
    ) -> None:
        """Records an operation that has ended now."""
        done = time.monotonic_ns()
        self.recorder.add((*what, sent, done, outcome.value, sqlstate, detail, *saw))

    def _record_hung(self, session: Hung, outcome: Outcome) -> None:
        self.record(Due(0, session.number, "hung", session.since), session.opened, outcome)

    def say(self, problem: Exception, code: str | None = None) -> None:
        """Writes a message of the database to the log, the same message once."""
        # Without the details, which may quote the team's data.
        words = " ".join(self.engine.words(problem).split())
        told = f"{code}: {words}" if code else words
        if told not in self._said and len(self._said) < MOST_SAID:
            self._said.add(told)
            self._tell(f"{DATABASE_SAID}{told}")

    def stop(self, why: str) -> None:
        """Ends the load with one sentence."""
        self._tell(f"{STOPPED}{why}")
        self.environment.process_exit_code = 1
        # Not called here: quitting kills the greenlet that calls it, before it is finished.
        gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
        gevent.spawn(self.environment.runner.quit)

    def _give_up(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.record(self.arrival(number), None, Outcome.UNSENT)

    def _expire(self) -> None:
        """Ends what waits for an answer over its deadline, and does not look itself."""
        while True:
            gevent.sleep(INTERVAL)
            now = time.monotonic()
            for connection in list(self._open):
                connection.expire(now)

    def _record_overdue(self) -> None:
        """Gives up arrivals that nobody took, and says how late this process itself is."""
        number, lag = 0, Lag()
        while True:
            slept_at = time.monotonic_ns()
            gevent.sleep(REAP_EVERY)
            awake = time.monotonic_ns()
            if awake - slept_at > STALLED * SECOND:
                # This process itself did not run: the database is not to blame for that time.
                number += 1
                self.record(Due(0, number, "stall", slept_at), slept_at, Outcome.OK)
            self._give_up(self._tickets.overdue(awake))
            if (row := lag.note(slept_at + round(REAP_EVERY * SECOND), awake)) is not None:
                self.recorder.add(row)
