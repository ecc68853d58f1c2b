"""metrics.prom, read by Prometheus' own parser."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chaosaws_kms_ext.history.earlier import Earlier, NotWorse
from chaosaws_kms_ext.report.files.metrics import PREFIX, metrics, numbers_of
from chaosaws_kms_ext.report.summary import judge


def samples(text):
    return [each for family in text_string_to_metric_families(text) for each in family.samples]


def test_every_number_of_the_summary_is_there_and_no_other(found):
    told = {
        each.name.removeprefix(PREFIX): each.value
        for each in samples(metrics(found))
        if each.labels.get("load") == "main"
    }
    assert told == dict(numbers_of(found.summary))
    for name in ("outage_seconds", "time_to_recovery_seconds", "availability"):
        assert told[name] == found.summary[name]
    assert told["writes_lost"] == found.summary["writes"]["lost"]


def test_the_verdict_bounds_and_objectives_have_labels_of_their_own(found):
    every = samples(metrics(found))
    verdicts = {e.labels["verdict"]: e.value for e in every if e.name == f"{PREFIX}verdict"}
    assert [word for word, is_it in verdicts.items() if is_it] == [found.summary["verdict"]]
    bounds = {e.labels["figure"]: e.value for e in every if e.name == f"{PREFIX}bound_seconds"}
    assert bounds == found.summary["bounds"]
    met = {e.labels["objective"]: e.value for e in every if e.name == f"{PREFIX}objective_met"}
    assert met == {e["name"]: bool(e["met"]) for e in found.summary["objectives"]}
    assert {e.labels["experiment"] for e in every} == {"kms-disable"}


def test_an_objective_that_was_not_judged_has_no_number(found):
    conditions = replace(found.conditions, earlier={"rto": Earlier(NotWorse(3, 20.0), [])})
    judged = replace(found, judgement=judge(found.history, conditions))
    assert judged.summary["objectives"][-1]["name"] == "rto_against_earlier"
    assert metrics(judged) == metrics(found)


def test_text_of_others_stays_text(evil):
    text = metrics(evil)
    assert "\x1b" not in text
    assert len(samples(text)) == len(samples(metrics(evil)))
    assert all(re.match(r"# |chaos_kms_[a-zA-Z0-9_]+\{", line) for line in text.splitlines())


def test_a_run_that_was_not_judged_imports_no_client_of_prometheus():
    lines = "import sys, chaosaws_kms_ext.cli; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
