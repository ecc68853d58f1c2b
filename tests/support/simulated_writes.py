"""A database with rows and registers, and a load on it; then something happens to the data."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.history import Operation
from chaosaws_kms_ext.history.payload import payload_of
from tests.support import writes_model as model

FATES = ["ok"] * 30 + ["timeout", "lost", "aborted", "error"]


@dataclass
class World:
    """The load so far, and what is in the database: rows as (writer, sequence, payload)."""

    random: random.Random
    operations: list[Operation] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    later: list[tuple[int, int, Any]] = field(default_factory=list)
    """What is still to happen: when, which, what."""

    @property
    def registers(self):
        return [(writer, value, payload_of(writer, value)) for writer, value in self.values.items()]

    def at(self, when, what):
        heapq.heappush(self.later, (when, self.random.getrandbits(60), what))

    def carry_out(self, writer, sequence):
        """A write, as PostgreSQL does it: a register never goes back."""
        self.rows.append((writer, sequence, payload_of(writer, sequence)))
        self.values[writer] = max(sequence, self.values.get(writer, 0))


def simulated(seed, writers=4, until=120_000):
    """Writers that take turns to write and to read, each on its own connection, all at once."""
    world = World(random.Random(seed))
    for writer in range(1, writers + 1):
        world.at(world.random.randrange(1000), User(world, writer, writers, until))
    while world.later:
        when, _, what = heapq.heappop(world.later)
        what(when)
    return world


class User:
    """One writer. What it does at an instant is its call."""

    def __init__(self, world, writer, writers, until):
        self.world, self.writer, self.writers, self.until = world, writer, writers, until
        self.sequence, self.session = 0, writer

    def __call__(self, now):
        if now > self.until:
            return
        self.sequence += 1
        took = self.world.random.randrange(200, 2000)
        if self.world.random.random() < 0.4:
            self.write(now, took)
        else:
            self.read(now, took)
        # Not the same instant twice: it tells the reads apart.
        self.world.at((now + took) // 100 * 100 + 100 + self.writer, self)

    def write(self, now, took):
        world, outcome = self.world, self.world.random.choice(FATES)
        pair = self.writer, self.sequence
        if outcome == "ok":
            world.at(now + world.random.randrange(took), lambda _: world.carry_out(*pair))
        elif outcome != "error":
            if world.random.random() < 0.5:  # it may also be carried out much later
                after = took * world.random.choice([1, 1, 10])
                world.at(now + after, lambda _: world.carry_out(*pair))
            self.session += self.writers
        world.operations.append(
            Operation("main", *pair, "write", now, now, now + took, outcome, None)
        )

    def read(self, now, took):
        key, session, sequence = (
            1 + self.world.random.randrange(self.writers),
            self.session,
            self.sequence,
        )
        done = now + took

        def see(_):
            value = self.world.values.get(key, 0)
            what = ("main", self.writer, sequence, "read", now, now, done, "ok", None, None)
            self.world.operations.append(Operation(*what, session, key, value))

        self.world.at(now + self.world.random.randrange(took), see)


# What happens to the data: each returns what is to be found


def lose(world):
    """Some acknowledged rows are gone."""
    acknowledged = set(model.writes_of(world.operations, "ok"))
    kept = [row for row in world.rows if row[:2] in acknowledged]
    gone = world.random.sample(kept, 3)
    world.rows = [row for row in world.rows if row not in gone]
    return {row[:2] for row in gone}


def change(world):
    """Some rows have another checksum, writer or sequence."""
    some = world.random.sample(range(len(world.rows)), 3)
    found = set()
    for place in some:
        writer, sequence, payload = world.rows[place]
        found.add((writer, sequence))
        world.rows[place] = world.random.choice(
            [
                (writer, sequence, payload ^ 1 << world.random.randrange(63)),
                (writer + world.random.randint(1, 9), sequence, payload),
                (writer, sequence + world.random.randint(1, 99), payload),
            ]
        )
    return found


def duplicate(world):
    """Some rows are there more than once."""
    twice = world.random.sample(world.rows, 3)
    world.rows += twice
    world.rows += twice[:1]
    return {row[:2] for row in twice}


def set_back(world):
    """Some registers are as they were, or gone."""
    newest = {}
    for writer, sequence in sorted(model.writes_of(world.operations, "ok")):
        newest[writer] = sequence
    found = world.random.sample(sorted(newest.items()), 2)
    for writer, sequence in found:
        older = [0, *(s for w, s, _ in world.rows if w == writer and s < sequence)]
        world.values[writer] = world.random.choice(older)
        if not world.values[writer]:
            del world.values[writer]
    return set(found)


def read_old(world):
    """Some reads saw an older write than one that was acknowledged; found by when they began."""
    candidates = [
        (place, older)
        for place, o in enumerate(world.operations)
        if o.key is not None
        and (known := model.acknowledged_before(world.operations, o.key, o.sent))
        and (older := [0, *(s for w, s, _ in world.rows if w == o.key and s < max(known))])
    ]
    found = set()
    for place, older in world.random.sample(candidates, 3):
        o = world.operations[place]
        world.operations[place] = o._replace(value=world.random.choice(older))
        found.add(o.sent)
    return found
