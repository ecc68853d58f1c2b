"""Records that are sent over a channel that loses, delays, repeats and reorders."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.loadgen.client import messages
from chaosaws_kms_ext.loadgen.client.messages import (
    AGAIN_AFTER,
    MOST_ON_THE_WAY,
    Inbox,
    Outbox,
)
from tests.support.examples import examples

EVERY = 0.05
"""Seconds between two looks of the sender."""


class World:
    """A worker, its load, and what is on the way between them."""

    def __init__(self, seed=0, lost=0.0, repeated=0.0, slowest=0.0):
        self.random, self.now, self.on_the_way = random.Random(seed), 0.0, []
        self.places = itertools.count()
        self.lost, self.repeated, self.slowest = lost, repeated, slowest
        self.sent, self.kept = [], []
        self.outbox = Outbox(lambda *chunk: self.send(self.arrive, chunk))
        self.inbox = Inbox(self.kept.append)

    def send(self, to, what):
        if to == self.arrive:
            self.sent.append((self.now, what[0]))
        for _ in range(1 + (self.random.random() < self.repeated)):
            if self.random.random() >= self.lost:
                at = self.now + self.random.uniform(0, self.slowest)
                heapq.heappush(self.on_the_way, (at, next(self.places), to, what))

    def arrive(self, number, data, last):
        self.send(self.outbox.kept, (self.inbox.take(number, data, last),))

    def run(self, seconds):
        until = self.now + seconds
        while self.now < until:
            while self.on_the_way and self.on_the_way[0][0] <= self.now:
                _, _, to, what = heapq.heappop(self.on_the_way)
                to(*what)
            self.outbox.go_on(self.now)
            self.now += EVERY

    def write(self, data, last=False):
        self.outbox.write(data)
        self.outbox.flush(last=last)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 10**6),
    lost=st.floats(0, 0.7),
    repeated=st.floats(0, 0.5),
    slowest=st.floats(0, 3),
    chunks=st.lists(st.binary(max_size=5), max_size=60),
    quiet=st.floats(0, 5),
)
def test_everything_arrives_once_and_in_order_and_is_said_to_be_kept(
    seed, lost, repeated, slowest, chunks, quiet
):
    world = World(seed, lost, repeated, slowest)
    for chunk in chunks:
        world.write(chunk)
        world.run(0.2)
    world.lost, before = 1.0, len(world.kept)
    world.run(quiet)
    assert len(world.kept) - before <= len(chunks)
    world.lost = lost
    world.write(b"end", last=True)
    for _ in range(4000):
        if world.outbox.empty:
            break
        world.run(1)
    assert world.outbox.empty
    assert world.kept == [*chunks, b"end"]
    assert world.inbox.ended


@given(waiting=st.integers(1, 100), before=st.integers(0, 50))
def test_while_nothing_is_heard_one_chunk_a_second_is_sent_again(waiting, before):
    world = World()
    for number in range(before):
        world.write(b"%d" % number)
        world.run(EVERY * 2)
    world.lost = 1.0
    for number in range(waiting):
        world.write(b"%d" % number)
        world.run(EVERY)
    world.run(AGAIN_AFTER + 1)
    first = len(world.sent)
    assert first - before <= MOST_ON_THE_WAY + waiting * EVERY / AGAIN_AFTER + 2
    world.run(30)
    again = world.sent[first:]
    assert {number for _, number in again} == {before + 1}
    assert len(again) <= 30 / AGAIN_AFTER
    world.lost = 0.0
    world.run(3)
    assert world.outbox.empty
    assert len(world.kept) == before + waiting


def test_no_more_are_on_the_way_than_may_be():
    world = World(lost=1.0)
    for _ in range(100):
        world.write(b"x")
    world.run(0.5)
    assert [number for _, number in world.sent] == list(range(1, MOST_ON_THE_WAY + 1))


def test_without_loss_nothing_is_sent_twice():
    world = World()
    for number in range(100):
        world.write(b"%d" % number)
        world.run(0.2)
    assert [number for _, number in world.sent] == list(range(1, 101))


def test_a_worker_that_cannot_send_for_ever_says_so(monkeypatch):
    monkeypatch.setattr(messages, "MOST_WAITING", 1000)
    world = World(lost=1.0)
    with pytest.raises(OSError, match="the load does not take them"):
        for _ in range(11):
            world.write(b"x" * 100)
            world.run(1)
    world.lost = 0.0
    world.run(5)
    world.write(b"x" * 100)  # there is room again


def test_what_is_not_flushed_is_no_chunk_yet():
    world = World()
    assert world.outbox.write(b"abc") == 3
    assert world.outbox.empty
    world.outbox.flush()
    assert not world.outbox.empty


def test_what_cannot_be_kept_is_taken_again_later():
    """A disk is full: the chunk is not said to be kept."""
    kept = []

    def keep(data):
        if not kept:
            kept.append("full")
            raise OSError("no space")
        kept.append(data)

    inbox = Inbox(keep)
    with pytest.raises(OSError, match="no space"):
        inbox.take(1, b"a", False)
    assert inbox.number == 0
    assert inbox.take(1, b"a", False) == 1
    assert kept == ["full", b"a"]
