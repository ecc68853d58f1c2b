"""What of this run's faults is not put back yet."""

from __future__ import annotations

from chaosaws_kms_ext.undo.journal import Entry

__all__ = ["OpenFaults"]


class OpenFaults:
    """The faults of this run that have not been put back, and the clusters that are not back."""

    def __init__(self) -> None:
        self.key_away: list[Entry] = []
        self.awaiting_cluster: list[Entry] = []
        """Their keys are back."""
        self.given_up = False
        """The last resort has failed as well: what is left is the watchdog's."""
