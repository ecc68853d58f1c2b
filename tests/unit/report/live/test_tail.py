"""The files of a run while they grow: whatever pieces come, what is known is the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.report.live import tail as tails
from chaosaws_kms_ext.report.live.tail import Tail
from tests.support.examples import examples
from tests.support.live_runs import LiveRun, read
from tests.support.synthetic_run import stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("reports"), 4000, 200.0, 40)


def shown(tail):
    its = tail.loads["main"]
    slices = its.drawn(0, 10_000 * SECOND)
    return {
        "events": tail.events,
        "anchor": tail.anchor,
        "run": tail.conditions.run,
        "problems": tail.problems,
        "ticks": {name: its.ticks[name].tolist() for name in ("answered", "failed", "answers")},
        "slices": {name: np.nan_to_num(column, nan=-1).tolist() for name, column in slices.items()},
        "rate": its.rate,
        "newest": tail.newest,
    }


sizes = st.lists(st.integers(1, 60_000), min_size=1, max_size=12)


@given(sizes=sizes, events_first=st.booleans())
@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_of_the_bytes_gives_the_same_as_the_whole_at_once(folder, sizes, events_first):
    whole = shown(read(folder))
    growing = folder.parent / "growing"
    shutil.rmtree(growing, ignore_errors=True)
    (growing / "history").mkdir(parents=True)
    order = ["events.jsonl", "operations-main-1.arrows"]
    tail = Tail(growing)
    for name in order if events_first else reversed(order):
        data, at = (folder / "history" / name).read_bytes(), 0
        with (growing / "history" / name).open("ab", buffering=0) as file:
            for size in [*sizes, len(data)]:
                file.write(data[at : at + size])
                at += size
                tail.step(1.0)
    shutil.copy(folder / "history" / "run.json", growing / "history")
    while tail.step(1.0):
        pass
    assert shown(tail) == whole


def test_each_byte_is_read_once(folder, monkeypatch):
    tail, counted = read(folder), []
    opened = Path.open

    def counting(path, *arguments, **more):
        file = opened(path, *arguments, **more)
        if path.suffix in (".arrows", ".jsonl"):
            real = file.read

            class Counted:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

                def seek(self, *place):
                    return file.seek(*place)

                def read(self, *most):
                    came = real(*most)
                    counted.append(len(came))
                    return came

            return Counted()
        return file

    monkeypatch.setattr(Path, "open", counting)
    for _ in range(5):
        tail.step(1.0)
    # The end marker of Arrow and the line after it are no message.
    assert sum(counted) <= 5 * 64


def test_a_long_record_is_read_in_pieces(folder, monkeypatch):
    monkeypatch.setattr(tails, "PIECE", 1 << 14)
    monkeypatch.setattr(tails, "SOME", 1 << 10)
    tail, steps = Tail(folder), 0
    while tail.step(0.0):
        steps += 1
    assert steps > 10
    assert shown(tail) == shown(read(folder))


def broken(folder, where, name, change):
    shutil.copytree(folder, where)
    path = where / "history" / name
    path.write_bytes(change(path.read_bytes()))
    return where


GARBAGE = b"\x00\xff garbage \x1b[31m" * 400


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("events.jsonl", lambda data: data + b"nonsense\n", "events.jsonl is damaged"),
        ("events.jsonl", lambda data: b"\xff\n", "events.jsonl is damaged"),
        ("run.json", lambda data: b"{", "run.json cannot be read"),
        ("run.json", lambda data: b'{"schema": 99}', "has the schema 99"),
        ("operations-main-1.arrows", lambda data: GARBAGE, "no more of operations-main-1.arrows"),
        (
            "operations-main-1.arrows", lambda data: data[:5000] + GARBAGE + data[9000:],
            "no more of operations-main-1.arrows",
        ),
    ],
)  # fmt: skip
def test_damage_is_said_and_ends_nothing_else(folder, tmp_path, monkeypatch, name, change, said):
    monkeypatch.setattr(tails, "STUCK", -1.0)
    tail = Tail(broken(folder, tmp_path / "run", name, change))
    for _ in range(3):
        tail.step(1.0)
    assert list(tail.problems) == [name]
    assert said in tail.problems[name]
    if name != "events.jsonl":
        assert tail.events == read(folder).events


def test_a_message_that_is_larger_than_a_piece_is_read_too(tmp_path):
    run = LiveRun(tmp_path, ago=10)
    run.load(0, 1, detail="x" * 40_000)
    run.load(1, 2)
    (path,) = (run.folder / "history").glob("*.arrows")
    assert path.stat().st_size > 3 * tails.PIECE
    tail = Tail(run.folder)
    while tail.step(0.0):
        pass
    assert tail.loads["main"].ticks["answered"].sum() == 200


def test_much_that_is_no_record_is_looked_at_again_only_now_and_then(folder, tmp_path):
    tail = Tail(
        broken(folder, tmp_path / "run", "operations-main-1.arrows", lambda data: GARBAGE * 400)
    )
    assert [tail.step(0.0) for _ in range(3)] == [True, False, False]


def test_a_torn_end_is_no_damage(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tails, "STUCK", -1.0)
    name = "operations-main-1.arrows"
    tail = Tail(broken(folder, tmp_path / "run", name, lambda data: data[:-200]))
    for _ in range(3):
        tail.step(1.0)
    assert tail.problems == {}


@pytest.mark.parametrize("made", ["nothing", "folder", "history"])
def test_a_folder_in_which_there_is_nothing_yet_is_no_problem(tmp_path, made):
    if made != "nothing":
        (tmp_path / "run" / ("history" if made == "history" else "")).mkdir(parents=True)
    tail = Tail(tmp_path / "run")
    assert tail.step(1.0) is False
    assert (tail.events, tail.loads, tail.problems, tail.newest) == ([], {}, {}, 0)


def test_of_very_many_events_the_first_and_the_last_are_kept(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(tails, "MOST_EVENTS", 8)
    lines = [b'{"at": %d, "name": "status", "details": {}}\n' % n for n in range(100)]
    tail = Tail(
        broken(folder, tmp_path / "run", "events.jsonl", lambda data: data + b"".join(lines))
    )
    while tail.step(1.0):
        pass
    assert len(tail.events) <= 8
    assert tail.events[0] == read(folder).events[0]
    assert tail.events[-1].at == 99
