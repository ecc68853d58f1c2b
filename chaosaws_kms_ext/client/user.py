"""The Locust user that takes arrivals, and the `read` mark for the queries that a team writes.

class Shop(QueryUser):
    @read(weight=3)
    def one_order(self, connection):
        connection.execute("SELECT …").fetchone()
"""

from __future__ import annotations

# Locust first: it patches the standard library, and psycopg looks at that when it is imported.
from locust import User, events, task  # isort: skip

import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.os
import psycopg
import psycopg.waiting
from gevent import GreenletExit
from gevent.event import Event

from chaosaws_kms_ext.client.config import ClientConfig
from chaosaws_kms_ext.client.connection import DeadlineConnection, DeadlinePassed
from chaosaws_kms_ext.client.gate import Spacing, spacing_for
from chaosaws_kms_ext.client.recorder import Recorder
from chaosaws_kms_ext.client.schedule import SECOND, Schedule, Tickets
from chaosaws_kms_ext.history import Operation, OperationWriter, Outcome
from chaosaws_kms_ext.processes import LIFELINE

__all__ = ["QueryUser", "read"]

if getattr(psycopg.waiting.wait, "__name__", "") == "wait_c":
    sys.exit("psycopg was imported before locust, so a query that hangs would stop all: swap them")

START_AFTER = 0.3
"""Seconds until the first arrival: the users connect meanwhile."""
REAP_EVERY = 0.1
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
        self.recorder = Recorder(OperationWriter(Path(config.folder), config.name, config.rate))
        self.deadline = round(config.deadline * SECOND)
        start = time.monotonic_ns() + round(START_AFTER * SECOND)
        self.schedule = Schedule(start, config.rate, config.writes)
        self._tickets = Tickets(self.schedule, self.deadline)
        self._spacing = Spacing(spacing_for(config.deadline, config.users))
        self._freed = Event()
        self._writers = 0
        for work in (self.recorder.flush_for_ever, self._reap, self._keep_session, self._knock):
            gevent.spawn(work)

    def new_writer(self) -> int:
        """A number for one more user."""
        self._writers += 1
        return self._writers

    def take(self) -> int:
        """The next arrival that is not overdue."""
        self._give_up_overdue()
        return self._tickets.take()

    def connect(self, until: float | None = None) -> DeadlineConnection:
        """One attempt to connect, of at most the deadline's length; raises psycopg.Error."""
        passed = DeadlinePassed("no connection before the deadline")
        seconds = self.config.deadline if until is None else until - time.monotonic()
        with gevent.Timeout(max(seconds, 0.001), passed):
            connection = DeadlineConnection.connect(self.config.database, autocommit=True)
            assert isinstance(connection, DeadlineConnection)
            return connection

    def reconnect(self) -> DeadlineConnection:
        """Tries until it succeeds; holds no arrival meanwhile."""
        while True:
            delay = self._spacing.delay(time.monotonic())
            if delay:
                self._freed.wait(delay)
            try:
                connection = self.connect()
            except psycopg.Error:
                self._spacing.tell(succeeded=False)
                self._freed.clear()
                gevent.sleep(0)
            else:
                self._spacing.tell(succeeded=True)
                self._freed.set()
                return connection

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

    def stop(self, why: str) -> None:
        """Ends the load with one sentence."""
        print(f"load stopped: {why}", file=sys.stderr, flush=True)
        self.environment.process_exit_code = 1
        self.environment.runner.quit()

    def _give_up_overdue(self) -> None:
        for number in self._tickets.overdue(time.monotonic_ns()):
            kind, due = self.schedule.kind(number), self.schedule.due(number)
            self.record(kind, 0, number, due, None, Outcome.UNSENT)

    def _reap(self) -> None:
        while True:
            gevent.sleep(REAP_EVERY)
            self._give_up_overdue()

    def _keep_session(self) -> None:
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

    def _knock(self) -> None:
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
        connection = driver.reconnect()
        while True:
            if connection.closed:
                connection = driver.reconnect()
            number = driver.take()
            due, kind = driver.schedule.due(number), driver.schedule.kind(number)
            gevent.sleep(max((due - time.monotonic_ns()) / SECOND, 0))
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
        sqlstate, outcome = None, Outcome.OK
        try:
            work(connection)
        except psycopg.Error as problem:
            failure, sqlstate = problem, problem.sqlstate
            outcome = outcome_of(problem, connection)
        except GreenletExit:
            outcome = Outcome.ABORTED
            raise
        except Exception as problem:
            # A mistake in the team's own query is no answer of the database's.
            outcome = Outcome.ABORTED
            driver.stop(f"{type(self).__name__} failed in Python: {problem!r}")
            raise GreenletExit from problem
        finally:
            if outcome == Outcome.OK and time.monotonic_ns() > due + driver.deadline:
                outcome = Outcome.TIMEOUT
            driver.record(kind, writer, sequence, due, sent, outcome, sqlstate)
            if outcome in (Outcome.TIMEOUT, Outcome.LOST, Outcome.ABORTED):
                connection.close()
        events.request.fire(
            request_type="sql",
            name=kind,
            response_time=(time.monotonic_ns() - due) / 1e6,
            response_length=0,
            exception=failure,
        )

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

    # `quit` and not `quitting`: users finish their queries after that.
    @environment.events.quit.add_listener
    def flush(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.recorder.flush()


def _quit_with_parent(lifeline: int, environment: Any) -> None:
    """Ends the load when the write end of the parent's pipe is closed, however that came about."""
    gevent.os.tp_read(lifeline, 1)
    gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
    environment.runner.quit()
