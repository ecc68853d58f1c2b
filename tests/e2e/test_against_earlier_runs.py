"""An objective against earlier runs: what those had measured is kept, and judged without them."""

from __future__ import annotations

import json
import shutil

from tests.support.chaos import EXPERIMENT, left
from tests.support.kept import a_summary, keep
from tests.support.labs import FAST

NAME = "kms-disable"


def with_objectives(tmp_path, *objectives):
    its = json.loads(EXPERIMENT.read_text())
    its["controls"][0]["provider"]["arguments"]["objectives"] = list(objectives)
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(its))
    return path


def kept_run(reports, summary, day, seconds, **changed):
    rto = {"name": "rto", "limit_seconds": 60.0, "measured_seconds": seconds, "met": True}
    keep(
        reports, summary, f"2026-01-{day:02}T000000Z", verdict="passed", objectives=[rto],
        lab={"speed": float(FAST), "profile": "observed"}, region="eu-west-1", cluster="orders",
        **changed,
    )  # fmt: skip


def test_a_run_that_is_worse_than_those_before_fails_also_when_they_are_gone(chaos, tmp_path):
    reports, summary = tmp_path / "reports", a_summary(tmp_path / "made")
    kept_run(reports, summary, 1, 9999.0)
    for day, seconds in ((2, 0.25), (3, 0.5), (4, 0.75)):
        kept_run(reports, summary, day, seconds)
    held = {"last": 3, "percent": 50}
    availability = {"name": "availability", "not_worse_than": {"last": 1, "percent": 0}}
    asked = with_objectives(
        tmp_path, {"name": "rto", "not_worse_than": held}, "lost_writes", availability
    )
    ran = chaos.run(asked)
    assert ran.status == 1, ran.output
    said = {each["name"]: each for each in ran.summary["objectives"]}
    assert list(said) == [
        "rto", "lost_writes", "rto_against_earlier", "availability_against_earlier",
    ]  # fmt: skip
    worse = said["rto_against_earlier"]
    assert (worse["met"], worse["limit_seconds"]) == (False, 0.75)
    assert worse["measured_seconds"] == ran.summary["time_to_recovery_seconds"]
    assert worse["not_worse_than"] == {
        **held, "median": 0.5,
        "runs": [
            {"run": f"{NAME}/2026-01-{day:02}T000000Z", "measured": seconds}
            for day, seconds in ((4, 0.75), (3, 0.5), (2, 0.25))
        ],
    }  # fmt: skip
    assert said["availability_against_earlier"]["met"] is None
    assert [why.split(" was ")[0] for why in ran.summary["reasons"]] == [
        "objective missed: rto_against_earlier"
    ]
    assert "objective availability_against_earlier  not judged: 0 earlier runs" in ran.output
    assert "\nanswered    " in ran.output
    assert left(ran.mark) == []
    for day in range(1, 5):
        shutil.rmtree(reports / NAME / f"2026-01-{day:02}T000000Z")
    folder = (reports / "latest").resolve()
    before = (folder / "summary.json").read_bytes()
    assert chaos.kms("report", str(folder)).status == 1
    assert (folder / "summary.json").read_bytes() == before


def test_what_cannot_be_asked_is_refused_before_anything_was_touched(chaos, tmp_path):
    held = {"name": "rto", "not_worse_than": {"last": 0, "percent": 20}}
    ran = chaos.run(with_objectives(tmp_path, held))
    assert ran.status == 1
    assert ran.said == "the objective rto: last is how many runs, from 1 to 100, not 0"
    assert not (tmp_path / "reports").exists()
