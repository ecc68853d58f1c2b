"""Beside the users: an open session and new connections, each tried again and again."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import gevent
from gevent import GreenletExit

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.loadgen.engines.base import Connection

if TYPE_CHECKING:
    from chaosaws_kms_ext.loadgen.client.driver import Driver

__all__ = ["witness_new_connections", "witness_open_session"]

EVERY = 0.25
"""Seconds between two tries of a load, however many processes it has."""

SELECT = "SELECT 1"


def witness_open_session(driver: Driver) -> None:
    """The witness of an open session: the same connection, asked again and again."""
    connection: Connection | None = None
    number = 0
    while True:
        gevent.sleep(EVERY * driver.config.workers)
        if connection is None or connection.closed:
            try:
                connection = driver.connect()
            except driver.engine.errors:
                continue
        number += 1
        _ask(driver, connection, "session", number)


def witness_new_connections(driver: Driver) -> None:
    """The witness of new connections: one made, used and closed, again and again."""
    number, started = 0, ""
    while True:
        gevent.sleep(EVERY * driver.config.workers)
        number += 1
        due = driver.due_now("connect", number)
        until = time.monotonic() + driver.config.deadline
        connection = None
        try:
            connection = driver.connect(until)
            connection.until = until
            connection.execute(SELECT)
        except driver.engine.errors as problem:
            driver.record(due, due.at, *driver.engine.failure(problem, connection))
        except GreenletExit:
            driver.record(due, due.at, Outcome.ABORTED)
            raise
        else:
            driver.record(due, due.at, Outcome.OK)
            started = _note_start(driver, connection, started)
        if connection is not None:
            connection.close()


def _note_start(driver: Driver, connection: Connection, known: str) -> str:
    """Records when the server process had started, if that is not known yet; who may not ask for it
    goes without."""
    said = known
    with contextlib.suppress(driver.engine.errors):
        said = driver.engine.started(connection) or known
    if said != known:
        due = driver.due_now("server", 0)
        driver.record(due, due.at, Outcome.OK, None, said)
    return said


def _ask(driver: Driver, connection: Connection, kind: str, number: int) -> None:
    """One query of a witness."""
    due = driver.due_now(kind, number)
    connection.until = time.monotonic() + driver.config.deadline
    try:
        connection.execute(SELECT)
    except driver.engine.errors as problem:
        driver.record(due, due.at, *driver.engine.failure(problem, connection))
        connection.close()
    except GreenletExit:
        driver.record(due, due.at, Outcome.ABORTED)
        raise
    else:
        driver.record(due, due.at, Outcome.OK)
