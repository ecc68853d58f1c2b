"""Faults of the data on demand: what can go wrong with a cluster when its servers come back.

Ordered over the lab's own path, as the faults of the API are (faults.py); performed by the servers
(servers/settling.py). Each is how a check that looks for it proves that it finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.lab.faults import BadOrder

__all__ = ["KINDS", "DataFault"]

LOSE_WRITES = "lose-writes"
SLOW_RECOVERY = "slow-recovery"
OTHER_ADDRESS = "other-address"
NO_RECOVERY = "no-recovery"

KINDS = {
    LOSE_WRITES: "a crash loses rows that were written, and acknowledged, before it",
    SLOW_RECOVERY: "the servers take some AWS seconds longer to come back",
    OTHER_ADDRESS: "the cluster comes back on another address",
    NO_RECOVERY: "the servers do not come back until the fault is cleared",
}

NEEDED = {"writes": LOSE_WRITES, "seed": LOSE_WRITES, "seconds": SLOW_RECOVERY}
"""Which kind a number is for."""

MOST_WRITES = 10_000
LONGEST = 7 * 86400.0
"""AWS seconds."""


@dataclass(eq=False)
class DataFault:
    """One fault: it is for the next time that the cluster's servers come back, and that once."""

    kind: str
    cluster: str
    """Its name or its ARN."""
    writes: int = 1
    """How many rows are lost."""
    seed: int = 0
    """Of the draw of those rows: the same data and the same seed lose the same ones."""
    seconds: float = 0.0
    """AWS seconds."""
    over: bool = False
    """It has happened, or was cleared."""

    @classmethod
    def ordered(cls, order: dict[str, Any]) -> DataFault:
        """Reads {"kind", "cluster", "writes", "seed", "seconds"}; raises BadOrder."""
        try:
            made = cls(
                kind=str(order["kind"]),
                cluster=str(order["cluster"]).lower(),
                writes=int(order.get("writes", 1)),
                seed=int(order.get("seed", 0)),
                seconds=float(order.get("seconds", 0)),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise BadOrder(f"a fault needs a kind and a cluster, and numbers: {problem}") from None
        made._check()
        for name, kind in NEEDED.items():
            if name in order and made.kind != kind:
                raise BadOrder(f"{name} is for {kind}, not for {made.kind}")
        return made

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise BadOrder(f"there is no fault of the data {self.kind!r}: {', '.join(KINDS)}")
        if not 1 <= self.writes <= MOST_WRITES:
            raise BadOrder(f"writes is a number of rows from 1 to {MOST_WRITES}")
        if self.kind == SLOW_RECOVERY and not 0 < self.seconds <= LONGEST:
            raise BadOrder(f"{self.kind} needs seconds, more than 0 and at most {LONGEST:g}")

    def described(self) -> dict[str, Any]:
        """It as JSON says it."""
        said: dict[str, Any] = {"kind": self.kind, "cluster": self.cluster}
        if self.kind == LOSE_WRITES:
            said |= {"writes": self.writes, "seed": self.seed}
        if self.kind == SLOW_RECOVERY:
            said |= {"seconds": self.seconds}
        return said
