"""What a failure of the driver's means: how the operation ended, and what the client saw."""

from __future__ import annotations

from enum import StrEnum

import psycopg

from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.loadgen.client.connection import DeadlineConnection, DeadlinePassed

__all__ = ["Cause", "cause_of", "outcome_of"]


class Cause(StrEnum):
    """What the client saw where the server did not say why."""

    HANG = "hang"
    """Nothing at all, until the deadline."""
    REFUSED = "refused"
    """The address answers, and nobody listens at the port."""
    RESET = "reset"
    """The connection was there, and was closed."""
    UNREACHABLE = "unreachable"
    """There is no way to the address."""
    NO_ADDRESS = "no-address"
    """The name does not resolve."""
    NOT_READY = "not-ready"
    """The server starts, recovers or shuts down (57P03, of which libpq has only the words)."""
    FULL = "full"
    """The server takes no more connections."""
    DENIED = "denied"
    """The password or the user is wrong."""
    OTHER = "other"


WORDS = {
    "Connection refused": Cause.REFUSED,
    "failed to resolve host": Cause.NO_ADDRESS,
    "could not translate host name": Cause.NO_ADDRESS,
    "unreachable": Cause.UNREACHABLE,
    "No route to host": Cause.UNREACHABLE,
    "the database system is": Cause.NOT_READY,
    "too many clients": Cause.FULL,
    "too many connections": Cause.FULL,
    "remaining connection slots": Cause.FULL,
    "authentication failed": Cause.DENIED,
    "timeout expired": Cause.HANG,
    "timed out": Cause.HANG,
    "reset by peer": Cause.RESET,
    "Broken pipe": Cause.RESET,
    "closed the connection unexpectedly": Cause.RESET,
    "connection is closed": Cause.RESET,
    "the connection is lost": Cause.RESET,
}
"""In a message of libpq's or psycopg's, which are not translated → what it means."""


def outcome_of(problem: psycopg.Error, connection: DeadlineConnection | None) -> Outcome:
    """How an operation ended: nobody answered, the connection broke, or the server said no."""
    if isinstance(problem, DeadlinePassed):
        return Outcome.TIMEOUT
    if connection is None:
        return Outcome.ERROR if problem.sqlstate else Outcome.LOST
    return Outcome.LOST if connection.closed else Outcome.ERROR


def cause_of(problem: psycopg.Error) -> Cause | None:
    """What the client saw; None: the server said why, by an SQL state."""
    if isinstance(problem, DeadlinePassed):
        return Cause.HANG
    if problem.sqlstate:
        return None
    said = str(problem)
    return next((cause for words, cause in WORDS.items() if words in said), Cause.OTHER)
