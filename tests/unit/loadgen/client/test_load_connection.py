"""Waiting for an answer ends at its own deadline, and not at that of the query before."""

from __future__ import annotations

import time

import pytest

from chaosaws_kms_ext.loadgen.client.load_connection import LoadConnection


class Waits:
    """As much of a greenlet as is thrown into."""

    def __init__(self):
        self.thrown = []

    def throw(self, problem):
        self.thrown.append(problem)


@pytest.mark.parametrize(("seconds", "thrown"), [(-0.1, 1), (60, 0)])
def test_a_wait_that_is_over_is_ended_and_the_next_one_is_not(seconds, thrown):
    connection = LoadConnection.__new__(LoadConnection)
    connection._waits = waits = Waits()
    connection.until = time.monotonic() + seconds
    connection._give_up(waits)
    assert len(waits.thrown) == thrown


def test_who_waits_for_nothing_any_more_is_left_alone():
    connection = LoadConnection.__new__(LoadConnection)
    connection._waits, waits = None, Waits()
    connection.until = time.monotonic() - 1
    connection._give_up(waits)
    assert waits.thrown == []
