"""The tables of the page: each figure is that of the summary, and an empty table is left out."""

from __future__ import annotations

from chaosaws_kms_ext.report.page.sections import sections
from tests.support.histories import history

CONDITIONS = {"run": "r", "versions": {}, "settings": {"rto": 5.0, "key_id": ""}}


def tables(summary, journal=()):
    found = sections(summary, [], history(), dict(journal), CONDITIONS)
    return {each.title: list(each.rows) for each in found}


def test_a_table_that_has_nothing_to_say_is_left_out():
    its = tables({"objectives": []})
    assert its == {"Conditions": [("run", "r"), ("CHAOS_RTO", "5.0")]}


def test_what_became_of_the_data_stands_there_for_each_load():
    summary = {
        "objectives": [],
        "writes": {"acknowledged": 30, "present": None, "lost": 25, "unknown": 0},
        "lost_writes": [[1, number] for number in range(25)],
        "changed_writes": [],
        "loads": {"other": {"integrity": {"changed": 1}, "changed_writes": [[2, 7]]}},
    }
    rows = tables(summary)["Data"]
    assert ("main", "writes: acknowledged", "30") in rows
    assert ("main", "writes: present", "not measured") in rows
    (lost,) = [row[2] for row in rows if row[1] == "lost writes"]
    assert lost.startswith("1 0; 1 1; ")
    assert lost.endswith("; 1 19 and 5 more")
    assert ("other", "integrity: changed", "1") in rows
    assert ("other", "changed writes", "2 7") in rows
    assert ("main", "changed writes", "") not in rows


def test_who_could_know_when_and_who_never():
    known = {
        "rds_event": {"seconds": 7.5, "bound": 0.2, "event": "RDS-EVENT-0418", "by": "EventBridge"},
        "alarm": None,
    }
    assert tables({"objectives": [], "time_to_know": known})["Time to know"] == [
        ("rds event", "7.5", "0.2", "RDS-EVENT-0418, EventBridge"),
        ("alarm", "never", "", ""),
    ]


def test_each_step_stands_there_with_its_duration_and_what_it_returned():
    step = {"activity": {"name": "hold"}, "status": "succeeded", "duration": 2.5}
    journal = {
        "run": [{**step, "output": {"seconds": 2.0}}, step],
        "rollbacks": [{**step, "output": "x" * 1000}],
    }
    rows = tables({"objectives": []}, journal)["Steps"]
    assert rows[:2] == [
        ("hold", "succeeded", "2.5", '{"seconds": 2.0}'),
        ("hold", "succeeded", "2.5", ""),
    ]
    assert len(rows[2][3]) == 401


def test_what_else_is_under_the_key_stands_there_with_what_is_not_known():
    tried = {
        "kind": "queue", "name": "q", "canary": "SendMessage", "first_failure_seconds": 1.5,
        "first_failure_bound": 1.1, "error": "KMS.DisabledException", "back_seconds": 0.5,
        "back_bound": 1.0, "why": None,
    }  # fmt: skip
    untried = {**dict.fromkeys(tried), "kind": "volume", "name": "v", "why": "no canary"}
    summary = {
        "objectives": [], "dependents": [tried, untried], "dependents_unknown": {"sns": "denied"},
    }  # fmt: skip
    assert tables(summary)["What else is under the key"] == [
        ("queue q", "SendMessage", "1.5 ± 1.1", "KMS.DisabledException", "0.5 ± 1", ""),
        ("volume v", "no", "", "", "", "no canary"),
        ("sns", "not known", "", "", "", "denied"),
    ]
