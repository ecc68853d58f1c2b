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
from locust.runners import MasterRunner, WorkerRunner  # isort: skip

import itertools
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NoReturn

import gevent
import gevent.os
import psycopg.waiting
from gevent import GreenletExit

from chaosaws_kms_ext.history import SECOND, Outcome
from chaosaws_kms_ext.loadgen.client.config import ClientConfig
from chaosaws_kms_ext.loadgen.client.driver import NOTHING, QUIT_WITHIN, Driver, Due, Saw
from chaosaws_kms_ext.loadgen.client.registers import read_register, write
from chaosaws_kms_ext.loadgen.engines.base import Failure
from chaosaws_kms_ext.processes import LIFELINE

__all__ = ["QueryUser", "read"]

if getattr(psycopg.waiting.wait, "__name__", "") == "wait_c":
    sys.exit("psycopg was imported before locust, so a query that hangs would stop all: swap them")

BROKEN = frozenset({Outcome.TIMEOUT, Outcome.LOST, Outcome.ABORTED})
"""Outcomes after which a connection is not used again."""

ABORTED = Failure(Outcome.ABORTED, None, None)

Query = Callable[[Any, Any], Any]
Work = Callable[[Any], Any]


def read(weight: int = 1) -> Callable[[Query], Query]:
    """Marks a method as a query of the mix; of weights 3 and 1 the first is asked three times as
    often."""

    def mark(query: Query) -> Query:
        query.weight = weight  # type: ignore[attr-defined]
        return query

    return mark


def others_listen() -> bool:
    """Whether anybody listens to the event of a request but Locust's own statistics: those
    nobody sees here, and they take a tenth of the time of a fast query."""
    return any(
        not getattr(each, "__module__", "").startswith("locust.")
        for each in events.request._handlers
    )


class QueryUser(User):
    """Takes arrivals one by one; subclass it and mark queries with `read`."""

    abstract = True
    driver: ClassVar[Driver]

    @task
    def take_arrivals(self) -> None:
        """The user's whole life."""
        driver = self.driver
        self._choose, self._told = self._mix(), others_listen()
        writer, sequence, asked = driver.new_writer(), 0, 0
        connection = driver.connector.get()
        while True:
            if connection.closed:
                connection = driver.connector.get()
            number = driver.take()
            due = driver.schedule.due(number)
            if (ahead := due - time.monotonic_ns()) > 0:
                self._wait(number, ahead / SECOND)
            if not driver.counts(due):
                raise StopUser
            sequence += 1
            what = driver.arrival(number, writer, sequence)
            work, register = self._work(what, number, asked)
            asked += register is not None
            self._perform(connection, what, work, register)

    def _wait(self, number: int, seconds: float) -> None:
        """Until arrival `number` is due, which this user has taken."""
        driver = self.driver
        try:
            gevent.sleep(seconds)
        except GreenletExit:
            if driver.goes_on:
                driver.give_back(number)
            elif driver.counts(driver.schedule.due(number)):
                driver.record(driver.arrival(number), None, Outcome.UNSENT)
            raise

    def _work(self, what: Due, number: int, asked: int) -> tuple[Work, int | None]:
        """How arrival `number` is done, and whose register it reads, if it does; `asked`: how many
        this user has read."""
        driver = self.driver
        if what.kind == "write":
            driver.wrote(what.writer)
            return partial(write, driver.engine, writer=what.writer, sequence=what.sequence), None
        if driver.schedule.of_register(number):
            register = driver.register(what.writer, asked)
            if register is not None:
                return partial(read_register, driver.engine, writer=register), register
            if driver.config.reads_registers:
                return driver.find_writers, None
        return self._choose(), None

    def _perform(self, connection: Any, what: Due, work: Work, register: int | None) -> None:
        """Does the work, and records it; `register`: whose it reads, if it does."""
        driver = self.driver
        connection.sent = sent = time.monotonic_ns()
        connection.until = (what.at + driver.deadline) / SECOND
        raised: BaseException | None = None
        outcome, code, cause = ABORTED
        saw: Saw = NOTHING
        try:
            value = work(connection)
            outcome = Outcome.OK
            if register is not None:
                saw = (connection.number, register, value)
        except driver.engine.errors as problem:
            if driver.engine.mistaken(problem, connection):
                self._abort_load(problem)
            raised = problem
            outcome, code, cause = driver.engine.failure(problem, connection)
            driver.say(problem, code)
        except Exception as problem:
            self._abort_load(problem)
        finally:
            if outcome is Outcome.OK and time.monotonic_ns() > what.at + driver.deadline:
                outcome = Outcome.TIMEOUT
            driver.record(what, sent, outcome, code, cause, saw)
            if outcome is not Outcome.OK and outcome in (Outcome.TIMEOUT, Outcome.LOST):
                driver.connector.suspect()
            if outcome in BROKEN or not connection.clean:
                connection.close()
        if self._told:
            events.request.fire(
                request_type="sql",
                name=what.kind,
                response_time=(time.monotonic_ns() - what.at) / 1e6,
                response_length=0,
                exception=raised,
            )

    def _abort_load(self, problem: Exception) -> NoReturn:
        """Ends the load: an error in the team's own query is not an answer of the database."""
        self.driver.stop(f"{type(self).__name__} failed in Python: {problem!r}")
        raise GreenletExit from problem

    def _mix(self) -> Callable[[], Work]:
        """What chooses one query after another, each as often as its weight says."""
        named = (getattr(type(self), name) for name in dir(type(self)) if not name.startswith("_"))
        queries: list[Any] = [query for query in named if hasattr(query, "weight")]
        if not queries:
            self.driver.stop(f"{type(self).__name__} has no method marked with @read, and no Sql")
            raise GreenletExit
        works = [partial(query, self) for query in queries]
        if len(works) == 1:
            return lambda: works[0]
        weights = list(itertools.accumulate(query.weight for query in queries))
        return lambda: random.choices(works, cum_weights=weights)[0]


@events.init.add_listener
def _begin(environment: Any, **_: Any) -> None:
    lifeline = os.environ.pop(LIFELINE, None)
    if isinstance(environment.runner, WorkerRunner):
        _begin_worker(environment)
        return
    try:
        config = ClientConfig.of_environment(os.environ)
    except LookupError as problem:
        sys.exit(str(problem))
    if isinstance(environment.runner, MasterRunner):
        from chaosaws_kms_ext.loadgen.client.master import Master  # a load of one has no use for it

        master = Master(config, environment)
        if lifeline is not None:
            gevent.spawn(master.quit_with_parent, int(lifeline))
        return

    @environment.events.test_start.add_listener
    def start(**_: Any) -> None:
        QueryUser.driver = Driver(config, environment)
        if lifeline is not None:
            gevent.spawn(_quit_with_parent, int(lifeline), environment)

    _add_stopping(environment)

    # `quit` and not `quitting`: users finish their queries after that.
    @environment.events.quit.add_listener
    def close(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.close()


def _begin_worker(environment: Any) -> None:
    from chaosaws_kms_ext.loadgen.client.worker import Worker

    worker = Worker(environment)

    @environment.events.test_start.add_listener
    def start(**_: Any) -> None:
        QueryUser.driver = worker.driver()

    _add_stopping(environment)

    @environment.events.test_stop.add_listener
    def close(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.close()
            worker.finish()

    @environment.events.quit.add_listener
    def wait(**_: Any) -> None:
        worker.wait()


def _add_stopping(environment: Any) -> None:
    @environment.events.test_stopping.add_listener
    def stopping(**_: Any) -> None:
        if hasattr(QueryUser, "driver"):
            QueryUser.driver.stopping()


def _quit_with_parent(lifeline: int, environment: Any) -> None:
    """Ends the load when the write end of the parent's pipe is closed, however that came about."""
    gevent.os.tp_read(lifeline, 1)
    gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
    environment.runner.quit()
