"""Blinks that are asked for wrongly: one sentence each, before anything is done."""

from __future__ import annotations

import math

import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.inject.composition import Wanted
from chaosaws_kms_ext.kms import flapping
from chaosaws_kms_ext.kms.blink import blink
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_is_done(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a key was taken away")

    monkeypatch.setattr(flapping, "blink", never)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seconds": 0}, "`seconds` is a number of AWS seconds, more than 0"),
        ({"seconds": "120"}, "`seconds` is a number of AWS seconds"),
        ({"seconds": math.nan}, "`seconds` is a number of AWS seconds"),
        ({"watch_for": -1}, "`watch_for` is a number of AWS seconds"),
        ({"watch_for": True}, "`watch_for` is a number of AWS seconds"),
        ({"times": 0}, "`times` is a number from 1 to 20"),
        ({"times": 1.5}, "`times` is a number from 1 to 20"),
        ({"times": "x" * 10_000}, "`times` is a number from 1 to 20"),
        ({"fault": "disable-keys"}, "there is no fault 'disable-keys'"),
        ({"fault": None}, "the name of a fault is a text"),
    ],
)
def test_a_flap_that_is_none_is_refused(wrong, said):
    with pytest.raises(ActivityFailed) as failed:
        flapping.flap_key(**wrong)
    assert said in str(failed.value)
    assert len(str(failed.value)) < 300


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shortest": 900}, "`shortest` (900) must be less than `longest` (900)"),
        ({"longest": math.inf}, "`longest` is a number of AWS seconds"),
        ({"resolution": None}, "`resolution` is a number of AWS seconds"),
        ({"steps": 21}, "`steps` is a number from 1 to 20"),
        ({"outages": 0}, "`outages` is a number from 1 to 20"),
        ({"watch_for": "600"}, "`watch_for` is a number of AWS seconds"),
        ({"fault": "x"}, "there is no fault 'x'"),
    ],
)
def test_a_search_that_is_none_is_refused(wrong, said):
    with pytest.raises(ActivityFailed) as failed:
        flapping.find_longest_blink(**wrong)
    assert said in str(failed.value)
    assert len(str(failed.value)) < 300


def test_a_blink_that_the_run_may_not_make_is_refused():
    run = Run(Settings(lab_speed=60, max_key_unusable=10))
    with pytest.raises(Refused, match="a blink of 10 s is longer than this run may leave the key"):
        blink(run, [Wanted("disable-key")], 600, 60, "orders")


def test_a_search_whose_longest_blink_the_run_may_not_make_does_not_begin(monkeypatch):
    monkeypatch.setenv("CHAOS_MAX_KEY_UNUSABLE", "10")
    runs.end()
    with pytest.raises(ActivityFailed, match="is longer than this run may leave the key away"):
        flapping.find_longest_blink(longest=6000)
    runs.end()


def test_without_a_load_nobody_would_see_an_outage():
    with pytest.raises(Refused, match="no load runs on the cluster"):
        blink(Run(Settings(lab_speed=60)), [Wanted("disable-key")], 60, 60, "orders")
