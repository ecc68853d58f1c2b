"""A thousand random sequences over all faults, in this process and of processes that SIGKILL ends;
and that the machine finds flaws that are put in."""

from __future__ import annotations

import logging
import random

import pytest

from tests.support.fault_machine import in_one_step, sequences
from tests.support.mutations import MUTATIONS, the_journal_is_written_after_the_act
from tests.support.process_machine import ProcessMachine

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_after_a_thousand_sequences_every_key_is_as_it_was_or_named():
    sequences(1000, steps=25, random=True)


def test_after_a_hundred_sequences_of_processes_that_sigkill_ends_the_same_holds():
    sequences(100, steps=20, random=True, shrink=False, machine=ProcessMachine)


def test_a_journal_that_is_written_after_the_act_is_found_by_processes_too():
    with the_journal_is_written_after_the_act(), pytest.raises(AssertionError, match="no entry"):
        sequences(100, steps=15, shrink=False, machine=ProcessMachine)


def test_a_run_that_sigkill_ends_at_any_instant_leaves_every_key_as_it_was_or_named(monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    chance, at_work = random.Random(), 0
    for _ in range(200):
        machine = ProcessMachine()
        try:
            machine.begin(in_store=chance.random() < 0.5)
            names, switch = chance.choice(in_one_step()), chance.random() < 0.5
            machine.inject_and_kill(names, switch, seconds=chance.uniform(0, 0.15))
            at_work += machine.killed_at_work
        finally:
            machine.teardown()
    assert at_work > 20  # else the instants have to be others


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_flaw_that_is_put_in_is_found(mutation):
    with mutation(), pytest.raises(AssertionError):
        sequences(1000, steps=15, shrink=False)
