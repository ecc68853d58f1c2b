"""What became of each dependent: from tries that are written down as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.checkers.dependents import Dependents
from chaosaws_kms_ext.checkers.objectives import OBJECTIVES, NotWithin
from chaosaws_kms_ext.history import SECOND, Event, EventName
from chaosaws_kms_ext.history.canaries import CanaryTry
from chaosaws_kms_ext.settings import Settings
from tests.support.histories import RATE, conditions, history

FAULT, BACK = 10 * SECOND, 20 * SECOND
SETTINGS = Settings(lab_speed=60, load_rate=RATE, canaries="yes")
ARN = "arn:aws:sqs:r:1:q"


def described(arn=ARN, keep=0.0, kind="queue", name="q"):
    details = {
        "service": "sqs", "kind": kind, "name": name, "arn": arn, "keep": keep, "fails": "…",
        "source": "…",
    }  # fmt: skip
    return Event(1, EventName.DEPENDENT, details)


def canary(arn=ARN, operation="SendMessage", why_not=""):
    details = {"dependent": arn, "operation": operation, "why_not": why_not}
    return Event(2, EventName.CANARY, details)


def key(within=0.0, back=BACK):
    injected = {"fault": "disable-key", "key": "k", "cluster": "c", "within_seconds": within}
    events = [Event(FAULT, EventName.INJECTED, injected)]
    if back is not None:
        put_back = {"key": "k", "cluster": "c", "within_seconds": within}
        events.append(Event(back, EventName.PUT_BACK, put_back))
    return events


def tries(outcome, arn=ARN, since=0, until=30, seconds=0.1):
    """One each second; `outcome`: of the try that begins so many seconds after the run."""
    return [
        CanaryTry(n * SECOND + SECOND // 2, seconds, arn, outcome(n + 0.5))
        for n in range(since, until)
    ]


def away(first=10, last=20, error="KMS.DisabledException"):
    return lambda at: error if first < at < last else "ok"


def judged(made, *events, unknown=None, settings=SETTINGS):
    told = Event(1, EventName.DEPENDENTS_UNKNOWN, {"unknown": unknown or {}})
    its = replace(history((), [told, *events]), canary_tries=made)
    return Dependents().check(its, conditions(True, (), settings))


def only(found):
    (figures,) = found.figures["dependents"]
    return figures


def test_a_dependent_fails_with_the_key_and_is_back_with_it():
    found = judged(tries(away()), described(), canary(), *key())
    its = only(found)
    assert (its["first_failure_seconds"], its["error"]) == (0.5, "KMS.DisabledException")
    assert its["first_failure_bound"] == 1.1  # from the last that was answered
    assert (its["back_seconds"], its["back_bound"]) == (0.6, 1.1)
    assert its["why"] is None
    assert its["tries"] == {"KMS.DisabledException": 10, "ok": 20}
    assert found.measured == {"dependents_back_seconds": 0.6}
    assert (list(found.doubts), list(found.causes)) == ([], [])
    ((name, said),) = found.rows
    assert (name, said) == (
        "dependents",
        "queue q failed after 0.50 s ± 1.10 (KMS.DisabledException), back 0.60 s ± 1.10 after the "
        "key",
    )


def test_a_data_key_that_is_kept_is_a_lag_and_no_doubt():
    its = only(judged(tries(away(first=16)), described(keep=300.0), canary(), *key()))
    assert its["first_failure_seconds"] == 6.5


@pytest.mark.parametrize(
    ("keep", "why", "doubted"),
    [
        (None, "its service goes on with a data key that it has, for a time that is not said", 0),
        (601.0, "its service goes on for 601 AWS seconds with a data key that it has, and the key "
                "was away for 600", 0),
        (300.0, "not known", 1),
        (0.0, "not known", 1),
    ],
)  # fmt: skip
def test_what_never_failed_has_a_reason_or_is_a_doubt(keep, why, doubted):
    found = judged(tries(lambda _: "ok"), described(keep=keep), canary(), *key())
    its = only(found)
    assert (its["why"], its["error"], its["back_seconds"]) == (why, None, None)
    assert len(found.doubts) == doubted
    assert found.measured == {"dependents_back_seconds": None}


def test_one_that_is_never_back_misses_the_objective():
    found = judged(tries(away(last=99)), described(), canary(), *key())
    assert only(found)["why"] == "it was not back 9.6 s after the key"
    assert found.measured == {"dependents_back_seconds": NotWithin(9.6)}
    assert found.figures["dependents_back_seconds"] is None
    objective = OBJECTIVES["dependents_rto"]
    told = objective.evaluate(found.measured["dependents_back_seconds"], conditions())
    assert told["met"] is False


def test_the_slowest_counts():
    slow = "arn:aws:s3:::b"
    made = [*tries(away()), *tries(away(last=25), slow)]
    events = [described(), canary(), described(slow, kind="bucket", name="b"), canary(slow)]
    found = judged(made, *events, *key())
    assert found.measured == {"dependents_back_seconds": 5.6}
    assert found.figures["dependents_back_seconds"] == 5.6


def test_a_key_that_is_not_put_back_leaves_the_return_open():
    found = judged(tries(away(last=99)), described(), canary(), *key(back=None))
    its = only(found)
    assert (its["error"], its["back_seconds"]) == ("KMS.DisabledException", None)
    assert found.measured == {"dependents_back_seconds": None}
    assert found.rows[0][1].endswith("and the key was not put back")


def test_what_did_not_work_before_says_nothing():
    found = judged(tries(away(first=8)), described(), canary(), *key())
    assert only(found)["first_failure_seconds"] is None
    assert list(found.doubts) == [
        "the queue q did not work before the key was taken away (KMS.DisabledException)"
    ]


def test_a_failure_while_the_key_is_being_taken_away_is_its_own():
    """AWS answers the call later than it does it."""
    found = judged(tries(away(first=9)), described(), canary(), *key(within=0.9))
    assert only(found)["first_failure_seconds"] == 0.0
    assert only(found)["first_failure_bound"] == 2.0
    assert list(found.doubts) == []


def test_what_is_answered_while_the_key_is_away_is_a_doubt():
    found = judged(tries(away(last=15)), described(), canary(), *key())
    assert only(found)["why"] == "it failed, but not until the key was back"
    assert (only(found)["error"], len(found.doubts)) == (None, 1)


def test_a_failure_after_which_it_was_answered_had_another_reason():
    def throttled_once(at):
        return "ThrottlingException" if at == 11.5 else away(first=16)(at)

    its = only(judged(tries(throttled_once), described(keep=300.0), canary(), *key()))
    assert (its["first_failure_seconds"], its["error"]) == (6.5, "KMS.DisabledException")


def test_an_answer_while_the_key_is_being_put_back_is_no_doubt():
    found = judged(tries(away(last=19)), described(), canary(), *key(within=0.9))
    assert (only(found)["back_seconds"], list(found.doubts)) == (0.0, [])


def test_a_gap_in_the_tries_is_in_the_bound_and_a_doubt_where_it_is_too_long():
    made = [each for each in tries(away()) if not 4 * SECOND < each.at < 17 * SECOND]
    found = judged(made, described(), canary(), *key())
    assert only(found)["first_failure_seconds"] is None
    assert "the first failure of the queue q is not known: 7.5 s can be off by 14.1 s" in str(
        found.doubts
    )


def test_a_return_that_is_not_exact_is_said_to_be_so():
    made = [each for each in tries(away()) if not 18 * SECOND < each.at < 29 * SECOND]
    ((_, said),) = judged(made, described(), canary(), *key()).rows
    assert said.endswith("; when it was back is not known exactly enough")


def test_what_may_not_be_tried_is_named_and_not_judged():
    why_not = "it carries no tag"
    found = judged([], described(), canary(operation="", why_not=why_not), *key())
    assert (only(found)["canary"], only(found)["why"]) == (None, why_not)
    assert list(found.causes) == ["no canary has tried anything"]
    assert ("dependents", "not tried: queue: 1") in found.rows


def test_where_nobody_looked_nothing_is_said():
    found = Dependents().check(history(), conditions(True, ()))
    assert set(found.figures) == set(Dependents.fields)
    assert set(found.figures.values()) == {None}
    assert (list(found.doubts), list(found.causes), list(found.rows)) == ([], [], [])


def test_what_is_not_known_is_in_the_table_and_in_the_summary():
    settings = Settings(lab_speed=60, load_rate=RATE)
    found = judged([], unknown={"sqs": "not allowed"}, settings=settings)
    assert found.figures["dependents_unknown"] == {"sqs": "not allowed"}
    assert list(found.rows) == [("dependents", "not known: sqs")]
    assert list(found.causes) == []
