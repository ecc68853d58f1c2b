"""The timeline in characters: what it shows is what summary.json has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.terminal import LABEL, shares_of, timeline, timeline_of
from tests.support.histories import (
    ENDED,
    conditions,
    event,
    history,
    load,
    outage_of_main,
    ran,
    started,
)

ASKED = conditions(True, [])


def recorded(*more, status="inaccessible-encryption-credentials"):
    operations, events = outage_of_main()
    seen = [
        event(EventName.STATUS, 10, key="Enabled", cluster="available"),
        event(EventName.STATUS, 120, key="Disabled", cluster=status),
        event(EventName.STATUS, 191, key="Enabled", cluster="available"),
    ]
    rest = [each for each in events if each.name != EventName.STATUS]
    return history(operations, [*started("main"), *rest, *seen, *more, ENDED])


def lines(its, width=72, ascii_only=False):
    drawing = timeline_of(its, ASKED, width)
    return [line.plain for line in timeline(drawing, width, ascii_only)]


def row(name, said):
    (found,) = [line[LABEL + 2 :] for line in said if line.startswith(f"{name:<{LABEL}}  ")]
    return found


def test_it_shows_what_was_answered_and_the_states_below_each_other():
    said = lines(recorded())
    answered = row("answered", said)
    third = len(answered) // 3
    assert set(answered[: third - 1]) == {"█"}
    assert set(answered[third + 1 : 2 * third - 1]) == {"_"}
    assert set(answered[2 * third + 2 :]) == {"█"}
    key, cluster = row("key", said), row("cluster", said)
    assert [part.strip() for part in key.split("│")] == ["", "Enabled", "Disabled", "Enabled"]
    assert len(key) == len(cluster) == len(answered)
    assert key.index("│Disabled") == cluster.index("│inaccessible") == len(key) * 120 // 300


def test_the_same_stands_below_in_words():
    said = " ".join(" ".join(lines(recorded())).split())
    assert "key: Enabled from -4.00 s, Disabled from 1.50 s, Enabled from 5.05 s" in said
    assert "0.00 s fault injected" in said
    assert "99 % or more from -4.50 s" in said
    assert "nothing from 0.5" in said
    outage = summary.judge(recorded(), ASKED).summary["time_to_impact_seconds"]
    assert f"{outage:.2f} s impact" in said


@pytest.mark.parametrize("width", [20, 40, 72, 200])
def test_no_line_is_wider_than_there_is_room(width):
    for its in (recorded(), recorded(status="不" * 500)):
        said = lines(its, width)
        assert max(map(cell_len, said)) <= max(width, 40)


def test_it_can_do_without_any_character_that_is_not_ascii():
    said = lines(recorded(), ascii_only=True)
    assert "\n".join(said).isascii()
    assert row("answered", said).startswith("###")


def test_states_of_others_are_not_obeyed():
    said = "\n".join(lines(recorded(status="\x1b[2J<b>[red]")))
    assert "\x1b" not in said
    assert "\\x1b[2J<b>[red]" in said


def test_shares_are_those_of_the_summary_where_the_slices_are_the_same():
    its = recorded()
    slices = summary.judge(its, ASKED).summary["slices"]
    number = len(slices["shares"])
    drawing = timeline_of(its, ASKED, LABEL + 2 + 4 * number)  # four for each of the summary
    ok, rest = drawing.lanes[0].slices["ok"], drawing.lanes[0].slices["timeout"]
    found = [
        round(float(part.sum() / (part.sum() + other.sum())), 4)
        for part, other in zip(ok.reshape(number, 4), rest.reshape(number, 4), strict=True)
    ]
    assert found == slices["shares"]


@given(st.lists(st.sampled_from(["ok", "timeout", "unrecorded"]), min_size=20, max_size=90))
def test_a_share_is_of_the_arrivals_of_which_something_is_known(outcomes):
    its = history(load("main", *outcomes), [*started("main"), *ran("main", 0, len(outcomes))])
    (lane,) = timeline_of(its, ASKED, 60).lanes
    for place, share in enumerate(shares_of(lane)):
        ok, late = lane.slices["ok"][place], lane.slices["timeout"][place]
        assert share == (ok / (ok + late) if ok + late else None)
    assert lane.slices["ok"].sum() == outcomes.count("ok")


def test_each_load_has_a_row_and_its_name():
    operations, events = outage_of_main()
    other = [*load("reports", *["ok"] * 200), *operations]
    its = history(other, [*started("main", "reports"), *events, *ran("reports", 20, 210)])
    said = lines(its)
    assert len(row("main", said)) == len(row("reports", said))
    assert row("reports", said)[0] == " "  # it had not begun
    assert "answered of reports: 99 % or more from" in " ".join(said)
    assert "main: impact" in " ".join(" ".join(said).split())


def test_a_slow_load_has_no_holes_between_its_arrivals():
    its = history(load("main", *["ok"] * 30), [*started("main"), *ran("main", 0, 30)])
    for width in (60, 400):
        assert set(row("answered", lines(its, width))) == {"█"}
        assert "answered: 99 % or more from 0.00 s" in lines(its, width)


def test_of_a_run_without_any_load_there_is_none():
    assert timeline_of(replace(recorded(), recorded={}), ASKED, 72) is None


def test_of_very_many_changes_the_first_are_listed():
    flaps = [
        event(EventName.STATUS, 200 + n, key="Enabled", cluster=f"state-{n % 2}") for n in range(80)
    ]
    said = " ".join(" ".join(lines(recorded(*flaps))).split())
    assert "71 more" in said


def test_another_cluster_and_its_key_have_rows_of_their_own():
    other = {"of": "copies", "key": "Disabled", "cluster": "available"}
    said = lines(recorded(event(EventName.OTHER_STATUS, 50, **other)))
    assert row("key of co…", said).split("│")[1].strip() == "Disabled"
    assert [part.strip() for part in row("key", said).split("│")][1:] == [
        "Enabled",
        "Disabled",
        "Enabled",
    ]
    assert any(line.startswith("cluster of copies: available from ") for line in said)
