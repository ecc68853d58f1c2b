"""A thousand random sequences over all faults; and that the machine finds flaws that are put in."""

from __future__ import annotations

import pytest

from tests.support.fault_machine import sequences
from tests.support.mutations import MUTATIONS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_after_a_thousand_sequences_every_key_is_as_it_was_or_named():
    sequences(1000, steps=25, random=True)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_flaw_that_is_put_in_is_found(mutation):
    with mutation(), pytest.raises(AssertionError):
        sequences(1000, steps=15, shrink=False)
