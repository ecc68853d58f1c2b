"""The settings of one run, and what follows from them.

`Settings.real` alone knows that AWS seconds pass faster on the lab.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from chaosaws_kms_ext.settings import parsers
from chaosaws_kms_ext.settings.table import Table

__all__ = ["Settings"]

STEADY_SPAN = 10.0
"""AWS seconds in which enough arrivals have to be answered for the database to count as back."""

FEWEST_ARRIVALS = 20
"""In how many arrivals at least that is judged, however fast the lab runs."""

RUN_MARGIN, WATCHDOG_MARGIN = 30.0, 3.0
"""Seconds before `max_key_unusable` that EnableKey is called by the run, and by its watchdog; of a
short limit a fourth and an eighth of it."""


@dataclass(frozen=True)
class Settings(Table):
    """The settings of one run. Durations of Aurora's are AWS seconds, the others seconds."""

    @classmethod
    def documented(cls) -> Iterator[tuple[str, Any, Sequence[str], str]]:
        """Each setting: its name, default, choices if there are some, and what it is."""
        for each in fields(cls):
            parse = each.metadata["parse"]
            choices = parse if isinstance(parse, parsers.Choice) else ()
            yield each.name, each.default, choices, each.metadata["doc"]

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Settings:
        """Settings as a run has written them down; a new one has its default.

        Raises ValueError for one that there is not, or that is none.
        """
        defaults = {each.name: each.default for each in fields(cls)}
        if unknown := set(said) - set(defaults):
            raise ValueError(f"no setting is called {', '.join(sorted(unknown))}")
        for name, value in said.items():
            if not _is_like(value, defaults[name]):
                raise ValueError(f"the setting {name} cannot be {value!r:.60}")
        if not said.get("lab_speed", 1) > 0:
            raise ValueError("the setting lab_speed must be above 0")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        return cls(**values)

    @property
    def target_id(self) -> str:
        """The database whose key is taken away, as aws/database.py names it; empty if none is
        named."""
        return f"db:{self.instance_id}" if self.instance_id else self.cluster_id

    def real(self, aws_seconds: float) -> float:
        """AWS seconds as seconds of this run's clock."""
        return aws_seconds / self.lab_speed if self.target == "lab" else aws_seconds

    def aws_seconds(self, real: float) -> float:
        """Seconds of this run's clock as AWS seconds."""
        return real * self.lab_speed if self.target == "lab" else real

    @property
    def longest_key_unusable(self) -> float:
        """`max_key_unusable`, or what follows from the other settings; seconds, not compressed."""
        return self.max_key_unusable or self.impact_timeout + self.hold + 600

    @property
    def put_back_after(self) -> float:
        """Seconds from DisableKey after which the run puts the key back: in time for the limit."""
        return self.longest_key_unusable - min(RUN_MARGIN, self.longest_key_unusable / 4)

    @property
    def watchdog_after(self) -> float:
        """Seconds after which its watchdog does, if the run has not: in time for the limit too."""
        return self.longest_key_unusable - min(WATCHDOG_MARGIN, self.longest_key_unusable / 8)

    @property
    def longest_outage(self) -> float:
        """Seconds that the key is away at most; on the lab without its watchdog, which has none."""
        longest = self.longest_key_unusable
        if self.target == "aws":
            return longest
        return min(longest, self.real(self.impact_timeout + self.hold + 600))

    @property
    def longest_run(self) -> float:
        """Seconds that a run takes at most, by its own limits, with some for either end."""
        away = self.real(self.impact_timeout + self.hold)
        if self.max_key_unusable:  # then the run puts the key back, wherever it is
            away = min(away, self.max_key_unusable)
        return away + self.real(self.recovery_timeout) + 600

    def steady_window_at(self, rate: float) -> float:
        """Seconds in which 99 % of the arrivals have to be answered to count as recovered, of a
        load of so many arrivals a second."""
        return max(self.real(STEADY_SPAN), FEWEST_ARRIVALS / rate)

    @property
    def arrivals_over_reader(self) -> float:
        """Arrivals a second of the load over the reader endpoint."""
        return self.reader_rate or max(self.load_rate / 2, 1.0)

    @property
    def users_over_reader(self) -> int:
        """Connections of that load."""
        return max(math.ceil(self.load_users * self.arrivals_over_reader / self.load_rate), 1)

    @property
    def status_poll(self) -> float:
        """Seconds between two looks at the cluster's status."""
        return self.status_poll_every or (0.2 if self.target == "lab" else 5.0)


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value read from a file has the type of a setting."""
    if isinstance(default, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default)
