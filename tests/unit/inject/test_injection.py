"""Whatever happens in whatever order, to whichever fault: keys come back, or an entry names them.

`make soak` tries a thousand more sequences, and more flaws (soak/test_fault_machine).
"""

from __future__ import annotations

from unittest import mock

import pytest

from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import restore
from tests.support.fault_machine import FaultMachine, sequences
from tests.support.fault_programs import restored
from tests.support.faulty_aws import Trouble
from tests.support.mutations import the_journal_is_written_after_the_act


def test_after_any_sequence_every_key_is_as_it_was_or_named():
    sequences(25, steps=10)


def test_a_journal_that_is_written_after_the_act_is_found():
    with the_journal_is_written_after_the_act(), pytest.raises(AssertionError, match="no entry"):
        sequences(25, steps=10, shrink=False)


@pytest.mark.parametrize("kind", ["cut, late", "killed, late"])
def test_a_call_that_is_carried_out_after_a_restore_is_undone_as_well(kind):
    """`timeout -s KILL … chaos run …; chaos kms restore`, whose last call was on its way."""
    machine = FaultMachine()
    machine.begin(in_store=False)
    machine.inject(["disable-key"], False, [Trouble(kind, 1, changing=True)])
    if machine.run:
        machine.kill()
    machine.watchdog_is_killed()
    machine.restore([])
    machine.time_passes(60.0)
    assert machine.aws.keys == machine.before
    machine.teardown()


def test_what_no_schedule_can_put_back_is_put_back_after_a_restore_that_knew_the_schedules_alone():
    machine = FaultMachine()
    machine.begin(in_store=False)
    machine.inject(["deny-rds", "disable-key"], True, [])
    machine.kill()
    machine.watchdog_is_killed()
    machine.restore_on_another_machine([])
    assert not machine.aws.armed
    assert machine.aws.keys != machine.before  # its policy
    machine.restore([])
    assert machine.aws.keys == machine.before
    assert machine.entries() == []
    machine.teardown()


def test_it_waits_while_another_run_holds_the_key():
    machine = FaultMachine()
    machine.begin(in_store=False)
    machine.inject(["deny-rds", "disable-key"], True, [])
    machine.kill()
    machine.watchdog_is_killed()
    machine.restore_on_another_machine([])
    held = mock.patch.object(restore.switch, "holder", return_value="another-run")
    with held, pytest.raises(Refused, match="run another-run holds this key now, and no switch"):
        restored()
    assert [each.state for each in machine.entries()] == ["key-away"]
    machine.teardown()


def test_a_restore_while_the_fault_is_being_injected_is_noticed_and_the_fault_is_undone():
    machine = FaultMachine()
    machine.begin(in_store=False)
    machine.inject(["disable-key"], False, [Trouble("restored", 1, changing=True)])
    assert machine.aws.keys != machine.before  # their EnableKey came before our DisableKey
    assert [each.key for each in machine.entries()] == [machine.aws.key]
    machine.put_back([])
    assert machine.aws.keys == machine.before
    machine.teardown()
