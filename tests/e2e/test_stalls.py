"""What is paused or ends during a run: the figures say so, the limit holds, nothing is left."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.controls import conclude as conclusion
from chaosaws_kms_ext.history import Conditions, utc
from chaosaws_kms_ext.settings import Settings
from tests.support.chaos import marked
from tests.support.chaos_runs import MOMENTS
from tests.support.labs import mostly_soak, until

pytestmark = pytest.mark.thorough


def stopped(running, seconds):
    """Pauses the run for so long."""
    running.signal(signal.SIGSTOP)
    time.sleep(seconds)
    running.signal(signal.SIGCONT)


def test_a_run_that_was_paused_gives_no_figure_it_has_not_seen_and_breaks_no_limit_unsaid(chaos):
    running = chaos.start_run(CHAOS_MAX_KEY_UNUSABLE="4")
    running.until_said("Probe: wait-until-the-cluster-is-inaccessible")
    stopped(running, 6)
    ran = running.wait()
    assert ran.status == 1
    summary = ran.summary
    assert summary["verdict"] == "failed"
    assert summary["time_to_inaccessible_seconds"] is None
    assert summary["bounds"]["time_to_inaccessible_seconds"] > 5
    assert any(why.startswith("time to inaccessible is not known: ") for why in summary["reasons"])
    assert summary["key_unusable_seconds"] > 5
    broken = re.compile(r"the key was unusable for [\d.]+ s, longer than CHAOS_MAX_KEY_UNUSABLE=4")
    assert any(broken.fullmatch(why) for why in summary["reasons"])
    # What the load saw beside it is as exact as ever.
    assert summary["time_to_impact_seconds"] == pytest.approx(1.5, abs=2)
    assert summary["bounds"]["time_to_impact_seconds"] < 3


def test_at_most_means_at_most_also_for_a_run_that_is_paused(aws):
    """Its watchdog puts the key back in time."""
    limit = 12
    lab_as_aws = aws(CHAOS_MAX_KEY_UNUSABLE=str(limit), CHAOS_HOLD="20")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["impact"])
    until(lambda: lab_as_aws.key_state() == "Disabled")
    running.signal(signal.SIGSTOP)
    try:
        until(lambda: lab_as_aws.key_state() == "Enabled")
    finally:
        running.signal(signal.SIGCONT)
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] != "passed"
    calls = [json.loads(line) for line in lab_as_aws.lab.requests.read_text().splitlines()]
    at = {call["operation"]: call["at"] / 1e9 for call in reversed(calls)}
    assert at["EnableKey"] - at["DisableKey"] <= limit


def bare(folder, **runtime):
    """An experiment without our control."""
    action = {
        "type": "action", "name": "disable-the-key",
        "provider": {
            "type": "python", "module": "chaosaws_kms_ext.kms.actions", "func": "disable_key",
        },
    }  # fmt: skip
    said = {
        "title": "A key is disabled",
        "description": "-",
        "method": [action],
        "rollbacks": [],
        **({"runtime": {"rollbacks": runtime}} if runtime else {}),
    }
    path = folder / "bare.json"
    path.write_text(json.dumps(said))
    return path


@pytest.mark.parametrize(
    ("options", "runtime"),
    mostly_soak(
        [
            (["--rollback-strategy=never"], {}),
            (["--rollback-strategy=deviated"], {"strategy": "always"}),
            ([], {"strategy": "never"}),
        ],
        lambda case: not case[0],
    ),
)
def test_without_our_control_no_fault_is_injected_that_no_rollback_puts_back(
    aws, tmp_path, options, runtime
):
    lab_as_aws = aws(servers=False)
    ran = lab_as_aws.chaos.run(bare(tmp_path, **runtime), *options)
    assert "so nobody would put the key back: the fault is not injected" in ran.output
    assert lab_as_aws.mutating_calls() == []


def test_a_fault_in_the_background_is_refused_as_well(aws, tmp_path):
    """Its thread does not know the command."""
    lab_as_aws = aws(servers=False)
    lab_as_aws.chaos.forks = False  # in a fork everything was imported before the command
    path = bare(tmp_path)
    said = json.loads(path.read_text())
    said["method"][0]["background"] = True
    path.write_text(json.dumps(said))
    ran = lab_as_aws.chaos.run(path, "--rollback-strategy=never")
    assert "so nobody would put the key back: the fault is not injected" in ran.output
    assert lab_as_aws.mutating_calls() == []


def test_a_run_that_ends_with_the_key_away_puts_it_back_itself(aws, tmp_path):
    lab_as_aws = aws(servers=False)
    ran = lab_as_aws.chaos.run(bare(tmp_path))
    assert "the rollbacks left a key away: putting it back now" in ran.output
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: not marked(ran.mark), every=0.2)
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


@pytest.mark.soak
def test_a_load_that_is_killed_in_the_outage_is_started_again_and_the_recovery_measured(chaos):
    running = chaos.start_run(CHAOS_HOLD="1800")
    running.until_said(MOMENTS["hold"])
    time.sleep(3)  # the first arrivals without an answer are recorded after their deadline of 2 s
    (locust,) = [p for p in marked(running.mark) if "locust" in p.info["cmdline"]]
    locust.kill()
    ran = running.wait()
    assert ran.status == 1
    summary = ran.summary
    assert summary["verdict"] == "inconclusive"
    assert re.fullmatch(
        r"the load ended by itself and was started again, so for \d\.\d s nothing was recorded: "
        "it was killed by SIGKILL",
        summary["reasons"][0],
    )
    for figure in ("outage_seconds", "time_to_recovery_seconds", "time_to_impact_seconds"):
        assert summary[figure] is not None
    assert summary["writes"]["lost"] == 0
    assert summary["writes"]["present"] >= summary["writes"]["acknowledged"] > 0


@pytest.mark.soak
def test_a_load_that_is_killed_twice_is_the_first_reason(chaos):
    running = chaos.start_run()
    running.until_said(MOMENTS["hold"])
    for text in ("was started again", None):
        (locust,) = [p for p in marked(running.mark) if "locust" in p.info["cmdline"]]
        locust.kill()
        if text:
            running.until_said(text)
    ran = running.wait()
    assert ran.status == 1
    reasons = ran.summary["reasons"]
    assert reasons[1] == (
        "the load ended by itself, so nothing after that was recorded: it was killed by SIGKILL"
    )
    for false in (
        "no outage was seen",
        "no write was acknowledged",
        "partial outage",
        "began earlier",
    ):
        assert not [why for why in reasons if false in why]


def test_reports_without_room_do_not_keep_the_judgement_away(on_aws, tmp_path, monkeypatch, capsys):
    run = runs.begin(Settings(target="aws", reports_dir=str(tmp_path)), "full")
    run.open_folder()
    run.conditions = Conditions(run.id, "full", utc(run.started), run.settings)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conclusion, "write_whole", full)
    journal = {"steady_states": {"before": {"steady_state_met": True}}}
    verdict = conclusion.conclude(run, journal, "completed")
    assert verdict.word == "inconclusive"
    assert verdict.reasons[-1] == (
        "the report could not be written: [Errno 28] No space left on device"
    )
    assert "verdict" in (shown := capsys.readouterr().out)
    assert "No space left on device" in shown
