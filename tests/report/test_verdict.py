"""The verdict, fail-closed, as pure values; and what a person sees."""

from __future__ import annotations

import io
import logging

import pytest

from chaosaws_kms_ext.report.objectives import Figures, judge
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.report.verdict import Course, decide, of_journal
from chaosaws_kms_ext.settings import Settings

LAB = Settings(lab_speed=60, rto=3600)


def judged(ttr, lost):
    return judge(["rto", "lost_writes"], Figures(ttr, lost), LAB)


def test_only_a_run_in_which_all_is_well_and_known_passes():
    assert decide(Course(), judged(59.9, 0), []).word == "passed"


@pytest.mark.parametrize(
    ("ttr", "lost", "reason"),
    [
        (60.1, 0, "objective missed: rto 60.1 s of 60 s"),
        (1.0, 3, "objective missed: lost_writes 3 of 0"),
    ],
)
def test_a_missed_objective_fails(ttr, lost, reason):
    verdict = decide(Course(), judged(ttr, lost), [])
    assert (verdict.word, verdict.reasons) == ("failed", (reason,))


@pytest.mark.parametrize(("ttr", "lost"), [(None, 0), (1.0, None)])
def test_an_objective_that_cannot_be_judged_is_inconclusive(ttr, lost):
    assert decide(Course(), judged(ttr, lost), []).word == "inconclusive"


def test_a_figure_that_cannot_be_trusted_is_inconclusive():
    verdict = decide(Course(), judged(1.0, 0), ["no silence followed the fault"])
    assert (verdict.word, verdict.reasons) == ("inconclusive", ("no silence followed the fault",))


def test_failures_come_before_doubts_and_interrupts_before_failures():
    assert decide(Course(failures=("x",)), judged(None, 0), ["y"]).word == "failed"
    assert decide(Course(interrupted=True, failures=("x",)), [], []).word == "aborted"
    assert decide(Course(refused="z", interrupted=True), [], []).word == "refused"


def ran(name, status="succeeded", **more):
    return {"activity": {"name": name}, "status": status, **more}


GATE = {"before": {"steady_state_met": True, "probes": []}}


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        (
            {
                "steady_states": {
                    "before": {
                        "steady_state_met": False,
                        "probes": [ran("key-is-enabled", tolerance_met=False, output=False)],
                    }
                }
            },
            "the gate: key-is-enabled was False",
        ),
        ({"steady_states": {"before": None}}, "the gate: the hypothesis was not asked"),
        (
            {
                "steady_states": GATE,
                "run": [
                    ran(
                        "disable-the-key",
                        "failed",
                        exception=[
                            "Traceback …\n",
                            "chaoslib.exceptions.ActivityFailed: "
                            "chaoslib.exceptions.ActivityFailed: "
                            "not allowed: kms:DisableKey\n",
                        ],
                    )
                ],
            },
            "action disable-the-key: not allowed: kms:DisableKey",
        ),
        (
            {"steady_states": GATE, "rollbacks": [ran("enable-the-key", "failed")]},
            "rollback enable-the-key: failed",
        ),
        ({"steady_states": GATE, "deviated": True}, "the hypothesis did not hold afterwards"),
    ],
)
def test_what_failed_is_read_from_the_journal(journal, said):
    (failure,) = of_journal(journal, "completed").failures
    assert failure.startswith(said)


def test_a_journal_without_failures_has_none():
    journal = {"steady_states": GATE, "run": [ran("a")], "rollbacks": [ran("b")]}
    assert of_journal(journal, "completed") == Course()
    assert of_journal(journal, "interrupted").interrupted
    assert of_journal(journal, "failed").failures


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_one_live_line_that_logs_do_not_run_into(monkeypatch):
    shown = Terminal()
    screen = Screen(lambda: "key Disabled", shown)
    log = logging.getLogger("chaostoolkit")
    handler = logging.StreamHandler(shown)
    monkeypatch.setattr(log, "handlers", [handler])
    screen.open()
    screen.waiting("orders to recover", 61, 3661)
    log.warning("something else")
    screen.close()
    said = shown.getvalue()
    assert "\r\x1b[Korders to recover: 1:01 of 1:01:01 · key Disabled" in said
    assert "\r\x1b[Ksomething else\n" in said


def test_without_a_terminal_lines_are_plain_and_rare(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("chaosaws_kms_ext.report.screen.time.monotonic", lambda: now[0])
    logging.getLogger("chaostoolkit").propagate = True
    caplog.set_level(logging.INFO, "chaostoolkit")
    screen = Screen(lambda: "", io.StringIO())
    for second in range(31):
        now[0] = float(second)
        screen.waiting("it", second, 60)
    assert [record.message for record in caplog.records] == [
        f"it: {s} s of 1:00" for s in (10, 20, 30)
    ]
