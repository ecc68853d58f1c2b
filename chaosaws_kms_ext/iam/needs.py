"""Which IAM actions a fault takes, as values: whoever asks for them knows no fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Needs", "Reach"]

Reach = Literal["key", "store"]


@dataclass(frozen=True)
class Needs:
    """IAM actions on the key, beside those that every run needs, e.g. `kms:EnableKey`; or, where
    the Service Authorization Reference has no resource for them, on none."""

    inject: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    """One for each call of the undo, in their order."""
    look: tuple[str, ...] = ()
    """What shows that it is done or undone, beside `kms:DescribeKey`."""
    consent: tuple[str, ...] = ()
    """The settings that have to say `yes` on AWS, beside the tags."""
    reach: Reach = "key"
    """Whether the key alone is away, or every key of its custom key store."""

    @classmethod
    def all_of(cls, needs: Iterable[Needs]) -> Needs:
        """What several faults need together."""
        listed = list(needs)
        return cls(
            tuple(dict.fromkeys(action for each in listed for action in each.inject)),
            tuple(dict.fromkeys(action for each in listed for action in each.undo)),
            tuple(dict.fromkeys(action for each in listed for action in each.look)),
            tuple(dict.fromkeys(setting for each in listed for setting in each.consent)),
            "store" if any(each.reach == "store" for each in listed) else "key",
        )
