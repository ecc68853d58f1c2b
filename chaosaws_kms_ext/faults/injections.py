"""What of this run's faults is not put back yet."""

from __future__ import annotations

from chaosaws_kms_ext.safety.journal import Entry

__all__ = ["Injections"]


class Injections:
    """The faults of this run that have not been put back, and the clusters that are not back."""

    def __init__(self) -> None:
        self.open: list[Entry] = []
        self.pending: list[Entry] = []
        """Their keys are back."""
