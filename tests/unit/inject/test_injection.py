"""Whatever happens in whatever order, to whichever fault: keys come back, or an entry names them.

`make soak` tries a thousand more sequences, and more flaws (soak/test_fault_machine).
"""

from __future__ import annotations

import pytest

from tests.support.fault_machine import sequences
from tests.support.mutations import the_journal_is_written_after_the_act


def test_after_any_sequence_every_key_is_as_it_was_or_named():
    sequences(25, steps=10)


def test_a_journal_that_is_written_after_the_act_is_found():
    with the_journal_is_written_after_the_act(), pytest.raises(AssertionError, match="no entry"):
        sequences(25, steps=10, shrink=False)
