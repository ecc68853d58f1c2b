"""Flaws that the extension does not have, put into it: whether the state machine finds them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject import injection
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.undo import journal, restore, switch
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["MUTATIONS"]

Mutation = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def an_undo_forgets_a_call() -> Iterator[None]:
    kind = FAULTS["schedule-key-deletion"]

    def undo(fault: Any) -> Undo:
        return Undo((Call("kms", "CancelKeyDeletion", {"KeyId": fault.key}),))

    needs = replace(kind.needs, undo=("kms:CancelKeyDeletion",))
    with mock.patch.object(kind, "needs", needs), mock.patch.object(kind, "undo", undo):
        yield


def an_undo_is_the_fault_again() -> contextlib.AbstractContextManager[object]:
    def undo(fault: Any) -> Undo:
        return Undo((Call("kms", "PutKeyPolicy", fault._with(fault._new())),))

    return mock.patch.object(FAULTS["deny-rds"], "undo", undo)


@contextlib.contextmanager
def the_journal_is_written_after_the_act() -> Iterator[None]:
    waiting: list[journal.Entry] = []
    write, event = journal.write, Run.event

    def later(made: journal.Entry) -> journal.Entry:
        waiting.append(made)
        return made

    def then(run: Run, name: EventName, *what: Any, **details: Any) -> Any:
        while name is EventName.INJECTED and waiting:
            write(waiting.pop())
        return event(run, name, *what, **details)

    with (
        mock.patch.object(journal, "write", later),
        mock.patch.object(injection, "_still_ours", return_value=None),
        mock.patch.object(Run, "event", then),
    ):
        yield


def an_entry_is_closed_before_its_key_is_back() -> contextlib.AbstractContextManager[object]:
    real = injection._put_one_back

    def early(run: Run, entry: journal.Entry) -> journal.Entry:
        entry.key_is_back()
        return real(run, entry)

    return mock.patch.object(injection, "_put_one_back", early)


def a_call_that_was_cut_off_is_taken_for_answered() -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(injection, "_answered", return_value=True)


def restore_does_not_wait_for_calls_on_their_way() -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(restore, "IN_FLIGHT", 0.0)


def half_of_the_switch_stays_armed() -> contextlib.AbstractContextManager[object]:
    real = switch.disarm
    return mock.patch.object(switch, "disarm", lambda aws, names, run: real(aws, names[:1], run))


MUTATIONS: tuple[Mutation, ...] = (
    an_undo_forgets_a_call,
    an_undo_is_the_fault_again,
    the_journal_is_written_after_the_act,
    an_entry_is_closed_before_its_key_is_back,
    a_call_that_was_cut_off_is_taken_for_answered,
    restore_does_not_wait_for_calls_on_their_way,
    half_of_the_switch_stays_armed,
)
