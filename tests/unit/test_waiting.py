"""Waits end: with an answer, or at their deadline."""

from __future__ import annotations

import time

import pytest

from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait


class Told(Observer):
    def __init__(self):
        self.lines, self.over = [], 0

    def waiting(self, what, elapsed, limit):
        self.lines.append((what, limit))

    def done(self):
        self.over += 1


def test_the_first_answer_that_is_not_none_or_false_ends_it():
    answers = iter([None, False, 0])
    told = Told()
    assert Wait("it", 5, 0.001, told).until(lambda: next(answers)) == 0
    assert told.lines == [("it", 5)] * 2
    assert told.over == 1


def test_the_deadline_ends_it_after_one_last_look():
    looks = []
    with pytest.raises(TimedOut, match="it: not within 0 s"):
        Wait("it", 0.05, 0.02, Observer()).until(lambda: looks.append(1))
    assert len(looks) >= 2


def test_an_error_of_the_condition_ends_it_and_the_observer_is_told():
    told = Told()
    with pytest.raises(ZeroDivisionError):
        Wait("it", 5, 0.001, told).until(lambda: 1 / 0)
    assert told.over == 1


def test_waiting_it_out_takes_the_whole_time():
    began = time.monotonic()
    Wait("it", 0.1, 0.03, Observer()).out()
    assert time.monotonic() - began >= 0.1
