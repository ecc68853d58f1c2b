"""One run that several tests look at: traced, and held against runs before it."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass

import pytest

from tests.support.chaos import EXPERIMENT, Chaos, Ran, left
from tests.support.collector import Collector, collector, traced
from tests.support.kept import a_summary, keep
from tests.support.labs import FAST

pytestmark = pytest.mark.thorough

NAME = "kms-disable"
HELD = {"last": 3, "percent": 50}


@dataclass
class One:
    """The run, what the collector of traces took of it, and what neither may show."""

    ran: Ran
    chaos: Chaos
    taken: Collector
    secrets: tuple[str, str]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    reports, summary = folder / "reports", a_summary(folder / "made")
    kept_run(reports, summary, 1, 9999.0)
    for day, seconds in ((2, 0.25), (3, 0.5), (4, 0.75)):
        kept_run(reports, summary, day, seconds)
    its = traced(json.loads(EXPERIMENT.read_text()))
    its["controls"][1]["provider"]["arguments"]["objectives"] = [
        {"name": "rto", "not_worse_than": HELD},
        "lost_writes",
        {"name": "availability", "not_worse_than": {"last": 1, "percent": 0}},
    ]
    path = folder / "experiment.json"
    path.write_text(json.dumps(its))
    chaos = Chaos(folder, {"XDG_STATE_HOME": str(folder / "state")})
    password, token = secrets.token_hex(12), secrets.token_hex(12)
    with collector() as taken:
        ran = chaos.run(
            path,
            OTEL_EXPORTER_OTLP_ENDPOINT=taken.endpoint,
            AWS_SECRET_ACCESS_KEY=token,
            PGPASSWORD=password,
        )
    return One(ran, chaos, taken, (password, token))


def kept_run(reports, summary, day, seconds):
    rto = {"name": "rto", "limit_seconds": 60.0, "measured_seconds": seconds, "met": True}
    keep(
        reports, summary, f"2026-01-{day:02}T000000Z", verdict="passed", objectives=[rto],
        lab={"speed": float(FAST), "profile": "observed"}, region="eu-west-1", cluster="orders",
    )  # fmt: skip


def test_waits_and_calls_are_spans_of_its_steps_and_hold_no_secret(one):
    taken = one.taken
    (root,) = taken.named("experiment")
    assert not root.parent_span_id
    (disable,) = taken.named("kms.DisableKey")
    assert "method" in taken.above(disable)
    (enable,) = taken.named("kms.EnableKey")
    assert "rollbacks" in taken.above(enable)
    attributes = {each.key: each.value.string_value for each in enable.attributes}
    assert attributes["rpc.system"] == "aws-api"
    assert attributes["cloud.region"] == one.ran.summary["region"]
    waits = [each for each in taken.spans if each.name.startswith("wait: ")]
    assert any("method" in taken.above(each) for each in waits)
    assert any("rollbacks" in taken.above(each) for each in waits)
    # Also what the watcher asks in its own threads.
    looks = taken.named("rds.DescribeDBClusters")
    assert len(looks) > 5
    assert {taken.above(each)[-1] for each in looks} == {"experiment"}
    for secret in one.secrets:
        assert secret.encode() not in taken.bytes
    assert disable.start_time_unix_nano <= disable.end_time_unix_nano


def test_it_is_worse_than_those_before_and_fails_also_when_they_are_gone(one):
    ran, reports = one.ran, one.ran.reports
    assert ran.status == 1, ran.output
    said = {each["name"]: each for each in ran.summary["objectives"]}
    assert list(said) == [
        "rto", "lost_writes", "rto_against_earlier", "availability_against_earlier",
    ]  # fmt: skip
    worse = said["rto_against_earlier"]
    assert (worse["met"], worse["limit_seconds"]) == (False, 0.75)
    assert worse["measured_seconds"] == ran.summary["time_to_recovery_seconds"]
    assert worse["not_worse_than"] == {
        **HELD, "median": 0.5,
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
    assert one.chaos.kms("report", str(folder)).status == 1
    assert (folder / "summary.json").read_bytes() == before


def test_an_objective_that_cannot_be_asked_is_refused_before_anything_was_touched(chaos, tmp_path):
    its = json.loads(EXPERIMENT.read_text())
    wrong = {"name": "rto", "not_worse_than": {"last": 0, "percent": 20}}
    its["controls"][0]["provider"]["arguments"]["objectives"] = [wrong]
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(its))
    ran = chaos.run(path)
    assert ran.status == 1
    assert ran.said == "the objective rto: last is how many runs, from 1 to 100, not 0"
    assert not (tmp_path / "reports").exists()


@pytest.mark.soak
def test_a_collector_that_is_not_there_changes_nothing(chaos, tmp_path):
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(traced(json.loads(EXPERIMENT.read_text()))))
    ran = chaos.run(path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert ran.status == 0, ran.output
    assert ran.summary["verdict"] == "passed"
