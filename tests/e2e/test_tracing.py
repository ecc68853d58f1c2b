"""A run beside Chaos Toolkit's own tracing control: waits and calls are spans of its steps."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest

from tests.support.chaos import EXPERIMENT
from tests.support.collector import collector

PAGE = Path(__file__).parents[2] / "docs" / "other-tools.md"


@pytest.fixture
def traced(tmp_path):
    """The experiment with the control that the page shows."""
    (control,) = re.findall(r"```json\n(.*?chaostracing.*?)```", PAGE.read_text(), re.DOTALL)
    experiment = json.loads(EXPERIMENT.read_text())
    experiment["controls"].insert(0, json.loads(control))
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(experiment))
    return path


def test_waits_and_calls_of_a_run_are_spans_of_its_steps_and_hold_no_secret(chaos, traced):
    password, token = secrets.token_hex(12), secrets.token_hex(12)
    with collector() as taken:
        ran = chaos.run(
            traced,
            OTEL_EXPORTER_OTLP_ENDPOINT=taken.endpoint,
            AWS_SECRET_ACCESS_KEY=token,
            PGPASSWORD=password,
        )
    assert ran.status == 0, ran.output
    (root,) = taken.named("experiment")
    assert not root.parent_span_id
    (disable,) = taken.named("kms.DisableKey")
    assert "method" in taken.above(disable)
    (enable,) = taken.named("kms.EnableKey")
    assert "rollbacks" in taken.above(enable)
    attributes = {each.key: each.value.string_value for each in enable.attributes}
    assert attributes["rpc.system"] == "aws-api"
    assert attributes["cloud.region"] == ran.summary["region"]
    waits = [each for each in taken.spans if each.name.startswith("wait: ")]
    assert any("method" in taken.above(each) for each in waits)
    assert any("rollbacks" in taken.above(each) for each in waits)
    # Also what the watcher asks in its own threads.
    looks = taken.named("rds.DescribeDBClusters")
    assert len(looks) > 5
    assert {taken.above(each)[-1] for each in looks} == {"experiment"}
    for secret in (password, token):
        assert secret.encode() not in taken.bytes
    assert disable.start_time_unix_nano <= disable.end_time_unix_nano


@pytest.mark.soak
def test_a_collector_that_is_not_there_changes_nothing(chaos, traced):
    ran = chaos.run(traced, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert ran.status == 0, ran.output
    assert ran.summary["verdict"] == "passed"
