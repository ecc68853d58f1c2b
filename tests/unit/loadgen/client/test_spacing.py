"""How far apart attempts to reconnect begin."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.loadgen.client.spacing import MOST_IN_FLIGHT, SPACING, spacing_for


@pytest.mark.parametrize("deadline", [0.1, 2.0, 5.0, 60.0])
def test_so_many_attempts_hang_at_once_at_most(deadline):
    assert spacing_for(deadline) >= SPACING
    assert deadline / spacing_for(deadline) <= MOST_IN_FLIGHT


def test_they_are_near_enough_to_notice():
    assert (spacing_for(2.0), spacing_for(60.0)) == (0.1, 1.5)
