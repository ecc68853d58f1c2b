"""The published schemas: what a run leaves passes, and what is not of it does not."""

from __future__ import annotations

import copy
import json

import pytest
from jsonschema import Draft202012Validator

from chaosaws_kms_ext.checkers import CHECKERS
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.event_table import DETAILS
from chaosaws_kms_ext.json_schema import schema_of
from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.schemas import SCHEMAS
from tests.support.histories import ENDED, conditions, history, outage_of_main, started, with_limits
from tests.support.schemas import invalid, problems, wrong_with
from tests.support.synthetic_run import stored


def judged():
    operations, events = outage_of_main()
    recorded = history(operations, [*started("main", "copy"), *events, ENDED])
    asked = with_limits(["rto", "availability", "time_to_alarm"])
    return json.loads(summary.judge(recorded, conditions(True, asked)).as_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    its = stored(tmp_path_factory.mktemp("reports"), 2000, 200.0, 40)
    summary.judge_again(its).write(its)
    return its


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_of_the_draft_that_it_names(name):
    schema = SCHEMAS[name]()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_what_a_run_leaves_is_as_they_say(folder):
    assert list(wrong_with(folder)) == []


CHANGES = [
    ("$", lambda s: s.update(more=1)),
    ("$", lambda s: s.pop("windows")),
    ("$", lambda s: s.pop("verdict")),
    ("$.schema", lambda s: s.update(schema=2)),
    ("$.verdict", lambda s: s.update(verdict="refused")),
    ("$.started", lambda s: s.update(started="yesterday")),
    ("$.outage_seconds", lambda s: s.update(outage_seconds="5")),
    ("$.operations", lambda s: s.update(operations=None)),
    ("$.operations", lambda s: s["operations"].update(gone=1)),
    ("$.operations.ok", lambda s: s["operations"].update(ok=None)),
    ("$.windows[0]", lambda s: s["windows"][0].pop("depth")),
    ("$.hang.open_sessions", lambda s: s["hang"].update(open_sessions="yes")),
    ("$.loads.copy", lambda s: s["loads"]["copy"].update(audit=None)),
    ("$.loads.copy", lambda s: s["loads"]["copy"].pop("windows")),
    ("$.objectives[0]", lambda s: s["objectives"][0].update(limit=1)),
]


@pytest.mark.parametrize(("place", "change"), CHANGES, ids=range(len(CHANGES)))
def test_a_summary_that_is_another_is_refused_with_its_place(place, change):
    its = judged()
    assert problems("summary", its) == []
    other = copy.deepcopy(its)
    change(other)
    found = problems("summary", other)
    assert any(each.startswith(f"{place}: ") for each in found), found


@pytest.mark.parametrize("name", CHECKERS)
def test_null_is_taken_where_a_checker_failed_and_only_then(name, monkeypatch):
    monkeypatch.setattr(type(CHECKERS[name]), "check", lambda *_: 1 / 0)
    its = judged()
    assert problems("summary", its) == []
    fields = CHECKERS[name].fields.values()
    takes_none = [Draft202012Validator(schema_of(each.kind)).is_valid(None) for each in fields]
    missing = any(each.of_load for each in fields)
    its["reasons"] = ["another"]
    assert bool(problems("summary", its)) == (missing or not all(takes_none))


def test_every_event_has_details():
    assert set(DETAILS) == set(EventName)


@pytest.mark.parametrize(
    "line",
    [
        {"schema": 1, "anchor": {"monotonic_ns": 1}},
        {"schema": 2, "anchor": {"monotonic_ns": 1, "utc_ns": 1}},
        {"at": 1, "name": "fault", "details": {}},
        {"at": 1, "name": "load-steady", "details": {}},
        {"at": 1, "name": "load-steady", "details": {"load": "main", "more": 1}},
        {"at": 1.5, "name": "load-steady", "details": {"load": "main"}},
        {"at": 1, "name": "load-steady", "details": {"load": "main"}, "more": 1},
    ],
)
def test_a_line_that_is_no_event_is_refused(line):
    assert problems("event", {"at": 1, "name": "load-steady", "details": {"load": "main"}}) == []
    assert problems("event", line)


def test_the_check_of_all_runs_finds_each_file_that_is_not_as_its_schema_says(tmp_path):
    reports = tmp_path / "reports"
    its = stored(reports, 400, 200.0, 40)
    summary.judge_again(its).write(its)
    assert invalid(reports) == []
    for name, change in [
        ("summary.json", {"more": 1}),
        ("history/run.json", {"region": None}),
    ]:
        path = its / name
        before = path.read_text()
        path.write_text(json.dumps({**json.loads(before), **change}))
        (why,) = invalid(reports)
        assert why.startswith(f"{its}: $")
        path.write_text(before)
    events = its / "history" / "events.jsonl"
    first, _, rest = before = events.read_text().partition("\n")
    events.write_text("".join(before) + '{"at": 1, "name": "x", "details": {}}\n')
    assert len(invalid(reports)) == 1
    # A line is not taken for one that was right: not of another version, nor with half a number.
    events.write_text(json.dumps({**json.loads(first), "schema": 2}) + "\n" + rest)
    assert len(invalid(reports)) == 1
    steady = '{"at": %s, "name": "load-steady", "details": {"load": "main"}}\n'
    for wrong in ("20.5", "true", "[1]"):
        events.write_text("".join(before) + steady % "20" + steady % "20.0" + steady % wrong)
        assert len(invalid(reports)) == 1


def test_a_judgement_that_is_not_as_the_schema_says_ends_a_test(monkeypatch):
    monkeypatch.setattr(summary, "SCHEMA", 7)
    with pytest.raises(AssertionError, match=r"\$\.schema: 7 is not one of \[1\]"):
        judged()
