"""The outages of one cluster that were ordered in place of the whole freeze.

Whoever stops, reboots or deletes servers ends the outage first, under the lock of their volume; so
no signal meets a server that was booted since, and nothing stays frozen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from chaosaws_kms_lab.data_misbehaviours import DROP_PACKETS, LOSE_READER, NOW
from chaosaws_kms_lab.data_plane.dropped_packets import DroppedPackets
from chaosaws_kms_lab.data_plane.members import Member
from chaosaws_kms_lab.data_plane.outage_shapes import KINDS, Outage, PortDrops, Record
from chaosaws_kms_lab.misbehaviour_orders import BadOrder
from chaosaws_kms_lab.world import DataMisbehaviour

__all__ = ["Outages"]


class Outages:
    """The outages that were ordered for one cluster: at most one lasts, besides a deaf port.

    All calls come with the volume's lock held.
    """

    def __init__(
        self, lock: threading.RLock, record: Record, real: Callable[[float], float]
    ) -> None:
        self._common = lock, record, real
        self._record = record
        self._waiting: list[DataMisbehaviour] = []
        self._outage: Outage | None = None
        self._deaf: PortDrops | None = None

    def order(self, ordered: DataMisbehaviour, members: Sequence[Member], settled: bool) -> None:
        """For the next loss of the key, or now if the servers are `settled`; raises BadOrder."""
        if ordered.kind == LOSE_READER and not any(member.clone for member in members):
            raise BadOrder(f"{ordered.cluster} has no reader that could be lost")
        if ordered.when != NOW:
            self._waiting.append(ordered)
            return
        if not settled:
            raise BadOrder(f"{ordered.cluster} is not up: an outage can begin now only if it is")
        if self._outage and not self._outage.over:
            raise BadOrder(f"{ordered.cluster} has an outage already: clear it first")
        self._begin(ordered, members)

    def begin_ordered(self, members: Sequence[Member]) -> bool:
        """The key is lost: whether an outage that was ordered for this has begun."""
        ordered = self._next(lambda each: each.kind in KINDS)
        return ordered is not None and self._begin(ordered, members)

    def end(self, thaw: bool = True) -> None:
        """Ends the outage that lasts; `thaw`: everything goes on first, else it will be killed."""
        if self._outage:
            self._outage.end(thaw)

    def drop_packets(self, members: Sequence[Member], port: int) -> None:
        """The servers were killed, and will return: their port drops packets, if it was ordered."""
        ordered = self._next(lambda each: each.kind == DROP_PACKETS)
        if ordered is None:
            return
        addresses = {a for member in members if member.server for a in member.server.addresses}
        try:
            dropped = DroppedPackets(addresses, port)
        except OSError as problem:
            self._failed(ordered, str(problem))
            return
        self._deaf = PortDrops(dropped, ordered, (), *self._common)
        self._deaf.say_begin(time.monotonic_ns())
        self._deaf.thread.start()

    def listen_again(self, addresses: Iterable[str] | None = None) -> None:
        """A server is about to listen on these addresses; None: none will listen at all."""
        if self._deaf and not self._deaf.over:
            self._deaf.dropped.close(addresses)
            if self._deaf.dropped.over:
                self._deaf.end()

    @property
    def alive(self) -> bool:
        """Whether a thread has not ended."""
        return any(each and each.thread.is_alive() for each in (self._outage, self._deaf))

    def _next(self, fits: Callable[[DataMisbehaviour], bool]) -> DataMisbehaviour | None:
        """Takes the oldest order that fits and was not cleared."""
        self._waiting = [each for each in self._waiting if not each.over]
        ordered = next(filter(fits, self._waiting), None)
        if ordered:
            self._waiting.remove(ordered)
        return ordered

    def _begin(self, ordered: DataMisbehaviour, members: Sequence[Member]) -> bool:
        all_of_them = ordered.kind != LOSE_READER
        hit = [m.server for m in members if m.server and m.running and (m.clone or all_of_them)]
        if not hit:
            self._failed(ordered, "there was no server that could hang")
            return False
        self._outage = KINDS[ordered.kind](ordered, hit, *self._common)
        self._outage.thread.start()
        return True

    def _failed(self, ordered: DataMisbehaviour, why: str) -> None:
        ordered.over = True
        self._record("misbehaviour failed", kind=ordered.kind, why=why)
