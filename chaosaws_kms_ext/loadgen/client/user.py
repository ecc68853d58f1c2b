"""The Locust user that takes arrivals, and the `read` mark for the queries that a team writes.

class Shop(QueryUser):
    @read(weight=3)
    def one_order(self, connection):
        connection.execute("SELECT …").fetchone()
"""

from __future__ import annotations

# Locust first: it patches the standard library, and psycopg looks at that when it is imported.
from locust import User, events, task  # isort: skip
from locust.exception import StopUser  # isort: skip

import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import gevent
import gevent.os
import psycopg
import psycopg.waiting
from gevent import GreenletExit

from chaosaws_kms_ext.history import SECOND, Operation, OperationWriter, Outcome
from chaosaws_kms_ext.loadgen.client.config import DATABASE_SAID, STOPPED, ClientConfig
from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection, DeadlinePassed
from chaosaws_kms_ext.loadgen.client.connector import Connector
from chaosaws_kms_ext.loadgen.client.recorder import Recorder
from chaosaws_kms_ext.loadgen.client.schedule import Schedule, Tickets
from chaosaws_kms_ext.loadgen.client.spacing import spacing_for
from chaosaws_kms_ext.processes import LIFELINE

__all__ = ["QueryUser", "read"]

if getattr(psycopg.waiting.wait, "__name__", "") == "wait_c":
    sys.exit("psycopg was imported before locust, so a query that hangs would stop all: swap them")

START_AFTER = 0.3
"""Seconds until the first arrival: the users connect meanwhile."""
REAP_EVERY, STALLED = 0.1, 0.3
"""Seconds between two looks; seconds after which a look is so late that it is recorded."""
MOST_SAID = 20
"""Different words of the database's in the log."""
WITNESS_EVERY = 0.25
QUIT_WITHIN = 3.0
"""Seconds after which a load that cannot stop in order is ended."""

INSERT = "INSERT INTO chaos_kms.writes (writer, sequence) VALUES (%s, %s)"
SELECT = "SELECT 1"

Query = Callable[[Any, DeadlineConnection], Any]


def read(weight: int = 1) -> Callable[[Query], Query]:
    """Marks a method as a query of the mix; of weights 3 and 1 the first is asked three times as
    often."""

    def mark(query: Query) -> Query:
        query.weight = weight  # type: ignore[attr-defined]
        return query

    return mark


class Driver:
    """What the users of one process share: the arrivals, the recorder, the way to reconnect."""

    def __init__(self, config: ClientConfig, environment: Any) -> None:
        self.config = config
        self.environment = environment
        self.recorder = Recorder(
            OperationWriter(Path(config.folder), config.name, config.rate), self.stop
        )
        self.deadline = round(config.deadline * SECOND)
        start = time.monotonic_ns() + round(START_AFTER * SECOND)
        self.schedule = Schedule(start, config.rate, config.writes)
        self._tickets = Tickets(self.schedule, self.deadline)
        self.connector = Connector(self.connect, spacing_for(config.deadline))
        self._writers = config.writers_from
        self._stopped_at: int | None = None
        self._said: set[str] = set()
        self._works = [
            gevent.spawn(work)
            for work in (
                self.recorder.flush_for_ever,
                self.connector.work,
                self._record_overdue,
                self._witness_open_session,
                self._witness_new_connections,
            )
        ]

    def new_writer(self) -> int:
        """A number for one more user."""
        self._writers += 1
        return self._writers

    def take(self) -> int:
        """The next arrival that can still be answered in time."""
        self._give_up(self._tickets.overdue(time.monotonic_ns()))
        return self._tickets.take()

    def counts(self, due: int) -> bool:
        """Whether an arrival belongs to the load: not if it is due after the load was stopped."""
        return self._stopped_at is None or due <= self._stopped_at

    def stopping(self) -> None:
        """The load is stopped now: what is due later does not count."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic_ns()

    def close(self) -> None:
        """Writes down what is left; the users have ended."""
        self.stopping()
        gevent.killall(self._works, timeout=1)
        assert self._stopped_at is not None
        self._give_up(self._tickets.due_by(self._stopped_at))
        self.recorder.flush()

    def connect(self, until: float | None = None) -> DeadlineConnection:
        """One attempt to connect, of at most the deadline's length; raises psycopg.Error."""
        seconds = self.config.deadline if until is None else until - time.monotonic()
        passed = gevent.Timeout(max(seconds, 0.001))
        try:
            with passed:
                connection = DeadlineConnection.connect(self.config.database, autocommit=True)
                assert isinstance(connection, DeadlineConnection)
                return connection
        except gevent.Timeout as timeout:
            # Only here a psycopg.Error: with several addresses psycopg would go on to the next one,
            # now without any time-out.
            if timeout is not passed:
                raise
            raise DeadlinePassed("no connection before the deadline") from None
        except psycopg.Error as problem:
            self.say(problem)
            raise

    def record(
        self, kind: str, writer: int, sequence: int, due: int, sent: int | None, outcome: Outcome,
        sqlstate: str | None = None,
    ) -> None:  # fmt: skip
        """One operation has ended now."""
        self.recorder.add(
            Operation(
                self.config.name, writer, sequence, kind, due, sent, time.monotonic_ns(),
                outcome.value, sqlstate,
            )
        )  # fmt: skip

    def say(self, problem: psycopg.Error) -> None:
        """Puts the database's words into the log, the same words once."""
        # Without the details, which may quote the team's data.
        words = " ".join((problem.diag.message_primary or str(problem)).split())
        told = f"{problem.sqlstate}: {words}" if problem.sqlstate else words
        if told not in self._said and len(self._said) < MOST_SAID:
            self._said.add(told)
            print(f"{DATABASE_SAID}{told}", file=sys.stderr, flush=True)

    def stop(self, why: str) -> None:
        """Ends the load with one sentence."""
        print(f"{STOPPED}{why}", file=sys.stderr, flush=True)
        self.environment.process_exit_code = 1
        # Not from here: quitting kills the user that says this, and would end half-way.
        gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
        gevent.spawn(self.environment.runner.quit)

    def _give_up(self, numbers: range) -> None:
        for number in numbers:
            kind, due = self.schedule.kind(number), self.schedule.due(number)
            self.record(kind, 0, number, due, None, Outcome.UNSENT)

    def _record_overdue(self) -> None:
        number = 0
        while True:
            slept_at = time.monotonic_ns()
            gevent.sleep(REAP_EVERY)
            if time.monotonic_ns() - slept_at > STALLED * SECOND:
                # We ourselves stood still: what that hides is no fault of the database's.
                number += 1
                self.record("stall", 0, number, slept_at, slept_at, Outcome.OK)
            self._give_up(self._tickets.overdue(time.monotonic_ns()))

    def _witness_open_session(self) -> None:
        """The witness of an open session: the same connection, asked again and again."""
        connection: DeadlineConnection | None = None
        number = 0
        while True:
            gevent.sleep(WITNESS_EVERY)
            if connection is None or connection.closed:
                try:
                    connection = self.connect()
                except psycopg.Error:
                    continue
            number += 1
            ask(self, connection, "session", number)

    def _witness_new_connections(self) -> None:
        """The witness of new connections: one made, used and closed, again and again."""
        number = 0
        while True:
            gevent.sleep(WITNESS_EVERY)
            number += 1
            sent = time.monotonic_ns()
            until = time.monotonic() + self.config.deadline
            connection = None
            try:
                connection = self.connect(until)
                connection.until = until
                connection.execute(SELECT)
            except psycopg.Error as problem:
                self.record(
                    "connect", 0, number, sent, sent, outcome_of(problem, connection),
                    problem.sqlstate,
                )  # fmt: skip
            except GreenletExit:
                self.record("connect", 0, number, sent, sent, Outcome.ABORTED)
                raise
            else:
                self.record("connect", 0, number, sent, sent, Outcome.OK)
            if connection is not None:
                connection.close()


def ask(driver: Driver, connection: DeadlineConnection, kind: str, number: int) -> None:
    """One query of a witness."""
    sent = time.monotonic_ns()
    connection.until = time.monotonic() + driver.config.deadline
    try:
        connection.execute(SELECT)
    except psycopg.Error as problem:
        outcome = outcome_of(problem, connection)
        driver.record(kind, 0, number, sent, sent, outcome, problem.sqlstate)
        connection.close()
    except GreenletExit:
        driver.record(kind, 0, number, sent, sent, Outcome.ABORTED)
        raise
    else:
        driver.record(kind, 0, number, sent, sent, Outcome.OK)


def _insert(connection: DeadlineConnection, pair: tuple[int, int]) -> None:
    connection.execute(INSERT, pair, prepare=True)


def outcome_of(problem: psycopg.Error, connection: DeadlineConnection | None) -> Outcome:
    """What a failure means: nobody answered, the connection broke, or the server said no."""
    if isinstance(problem, DeadlinePassed):
        return Outcome.TIMEOUT
    if connection is None:
        return Outcome.ERROR if problem.sqlstate else Outcome.LOST
    return Outcome.LOST if connection.closed else Outcome.ERROR


def mistaken(problem: psycopg.Error, connection: DeadlineConnection) -> bool:
    """Whether the driver refused to send a query: too few parameters, say."""
    refused = isinstance(problem, psycopg.ProgrammingError) and problem.sqlstate is None
    return refused and not connection.closed


def clean(connection: DeadlineConnection) -> bool:
    """Whether the next arrival can use it: in a transaction that a team's query left open, a write
    would be acknowledged and then gone."""
    idle = connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    return idle and connection.autocommit


class QueryUser(User):
    """Takes arrivals one by one; subclass it and mark queries with `read`."""

    abstract = True
    driver: ClassVar[Driver]

    @task
    def take_arrivals(self) -> None:
        """The user's whole life."""
        driver, queries = self.driver, self._queries()
        weights = [query.weight for query in queries]  # type: ignore[attr-defined]
        writer, sequence = driver.new_writer(), 0
        connection = driver.connector.get()
        while True:
            if connection.closed:
                connection = driver.connector.get()
            number = driver.take()
            due, kind = driver.schedule.due(number), driver.schedule.kind(number)
            try:
                gevent.sleep(max((due - time.monotonic_ns()) / SECOND, 0))
            except GreenletExit:
                if driver.counts(due):
                    driver.record(kind, 0, number, due, None, Outcome.UNSENT)
                raise
            if not driver.counts(due):
                raise StopUser
            sequence += 1
            if kind == "write":
                work = partial(_insert, pair=(writer, sequence))
            else:
                work = partial(random.choices(queries, weights)[0], self)
            self._perform(connection, kind, writer, sequence, due, work)

    def _perform(
        self, connection: DeadlineConnection, kind: str, writer: int, sequence: int, due: int,
        work: Callable[[DeadlineConnection], Any],
    ) -> None:  # fmt: skip
        driver = self.driver
        sent = time.monotonic_ns()
        connection.until = (due + driver.deadline) / SECOND
        failure: BaseException | None = None
        sqlstate, outcome = None, Outcome.ABORTED
        try:
            work(connection)
            outcome = Outcome.OK
        except psycopg.Error as problem:
            if mistaken(problem, connection):
                self._abort_load(problem)
            failure, sqlstate = problem, problem.sqlstate
            outcome = outcome_of(problem, connection)
            driver.say(problem)
        except Exception as problem:
            self._abort_load(problem)
        finally:
            if outcome == Outcome.OK and time.monotonic_ns() > due + driver.deadline:
                outcome = Outcome.TIMEOUT
            driver.record(kind, writer, sequence, due, sent, outcome, sqlstate)
            if outcome in (Outcome.TIMEOUT, Outcome.LOST):
                driver.connector.suspect()
            if outcome in (Outcome.TIMEOUT, Outcome.LOST, Outcome.ABORTED) or not clean(connection):
                connection.close()
        events.request.fire(
            request_type="sql",
            name=kind,
            response_time=(time.monotonic_ns() - due) / 1e6,
            response_length=0,
            exception=failure,
        )

    def _abort_load(self, problem: Exception) -> NoReturn:
        """Ends the load: a mistake in the team's own query is no answer of the database's."""
        self.driver.stop(f"{type(self).__name__} failed in Python: {problem!r}")
        raise GreenletExit from problem

    def _queries(self) -> list[Query]:
        named = (getattr(type(self), name) for name in dir(type(self)) if not name.startswith("_"))
        queries: list[Query] = [query for query in named if hasattr(query, "weight")]
        if not queries:
            self.driver.stop(f"{type(self).__name__} has no method marked with @read")
            raise GreenletExit
        return queries


@events.init.add_listener
def _begin(environment: Any, **_: Any) -> None:
    try:
        config = ClientConfig.of_environment(os.environ)
    except LookupError as problem:
        sys.exit(str(problem))
    lifeline = os.environ.pop(LIFELINE, None)

    @environment.events.test_start.add_listener
    def start(**_: Any) -> None:
        QueryUser.driver = Driver(config, environment)
        if lifeline is not None:
            gevent.spawn(_quit_with_parent, int(lifeline), environment)

    @environment.events.test_stopping.add_listener
    def stopping(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.stopping()

    # `quit` and not `quitting`: users finish their queries after that.
    @environment.events.quit.add_listener
    def close(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.close()


def _quit_with_parent(lifeline: int, environment: Any) -> None:
    """Ends the load when the write end of the parent's pipe is closed, however that came about."""
    gevent.os.tp_read(lifeline, 1)
    gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
    environment.runner.quit()
