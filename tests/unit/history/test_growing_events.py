"""Events while they are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history import Anchor, Event
from chaosaws_kms_ext.history import growing_events as growing
from chaosaws_kms_ext.history.growing_events import GrowingEvents
from chaosaws_kms_ext.history.operations_file import HistoryDamaged

HEAD = json.dumps({"schema": 1, "anchor": {"monotonic_ns": 7, "utc_ns": 9}}) + "\n"


def line(event):
    return json.dumps(event._asdict()) + "\n"


EVENTS = [
    Event(1, "a", {}),
    Event(2, "ü\u2028", {"why": "<script>\n\x1b[31m" * 9}),
    Event(3, "c", {}),
]


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(0, 30))
def test_each_line_comes_once_in_whatever_pieces_its_bytes_come(sizes, torn):
    whole = (HEAD + "".join(map(line, EVENTS))).encode() + b'{"at": 4'[:torn]
    growing, found, at = GrowingEvents(), [], 0
    for size in [*sizes, len(whole)]:
        found += growing.feed(whole[at : at + size])
        at += size
    assert found == EVENTS
    assert growing.anchor == Anchor(7, 9)


def test_nothing_is_known_before_the_first_line_is_whole():
    growing = GrowingEvents()
    assert growing.feed(HEAD[:-1].encode()) == []
    assert growing.anchor is None


@pytest.mark.parametrize(
    "bad", ["{}\n", '{"schema": 9, "anchor": {}}\n', HEAD + "nothing\n", HEAD + '{"at": "x"}\n']
)
def test_what_is_no_event_is_said(bad):
    with pytest.raises(HistoryDamaged, match=r"events\.jsonl is damaged"):
        GrowingEvents().feed(bad.encode())


def test_a_line_without_an_end_is_no_line(monkeypatch):
    monkeypatch.setattr(growing, "LONGEST", 1000)
    its = GrowingEvents()
    its.feed(HEAD.encode() + b"x" * 1000)
    with pytest.raises(HistoryDamaged, match="more than 1000 bytes"):
        its.feed(b"x")
