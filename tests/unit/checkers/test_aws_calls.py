"""The calls to AWS are counted, each by what became of it."""

from __future__ import annotations

from dataclasses import replace

from chaosaws_kms_ext.checkers.aws_calls import AwsCalls
from chaosaws_kms_ext.history.aws_calls import NO_ANSWER, OK, AwsCall
from tests.support.histories import conditions, history


def call(operation, outcome):
    return AwsCall(1, 0.1, "kms", operation, "k", outcome)


def found(*calls):
    its = replace(history(), calls=calls)
    return AwsCalls().check(its, conditions()).figures["aws_calls"]


def test_they_are_counted_by_operation_and_outcome():
    calls = [call("EnableKey", OK), call("DescribeKey", OK), call("DescribeKey", NO_ANSWER)]
    assert found(*calls, call("DescribeKey", OK)) == {
        "kms:DescribeKey": {"no answer": 1, "ok": 2},
        "kms:EnableKey": {"ok": 1},
    }


def test_without_a_record_the_figure_is_not_known():
    assert found() is None
