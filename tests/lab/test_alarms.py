"""CloudWatch alarms that a test drives: put, set to a state, described, deleted."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from tests.support.aws_cli import aws_cli
from tests.support.clusters import refusal
from tests.support.document import deviates, shows
from tests.support.in_process_lab import REGION
from tests.support.labs import client

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

NUMBERS = itertools.count()


@pytest.fixture
def cloudwatch(own_lab):
    return own_lab.client("cloudwatch")


@pytest.fixture
def alarm(cloudwatch):
    """The name of an alarm, which goes again: moto's are those of the whole process."""
    name = put(cloudwatch)
    yield name
    cloudwatch.delete_alarms(AlarmNames=[name])


def put(cloudwatch, name=None, **more):
    name = name or f"alarm-{next(NUMBERS)}"
    params = {
        "MetricName": "DatabaseConnections",
        "Namespace": "AWS/RDS",
        "Dimensions": [{"Name": "DBClusterIdentifier", "Value": "c"}],
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "LessThanThreshold",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **params | more)
    return name


def described(cloudwatch, name):
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


@shows("cloudwatch:PutMetricAlarm", "cloudwatch:SetAlarmState", "cloudwatch:DescribeAlarms")
def test_an_alarm_is_in_the_state_that_it_was_set_to(cloudwatch, alarm):
    assert described(cloudwatch, alarm)["StateValue"] != "ALARM"
    for state in ("ALARM", "OK", "INSUFFICIENT_DATA"):
        reason = {"StateReason": f"a test set {state}", "StateReasonData": '{"by": "a test"}'}
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, **reason)
        found = described(cloudwatch, alarm)
        assert found["StateValue"] == state
        assert {name: found[name] for name in reason} == reason
    assert found["AlarmArn"] == f"arn:aws:cloudwatch:{REGION}:123456789012:alarm:{alarm}"
    assert (found["MetricName"], found["Threshold"]) == ("DatabaseConnections", 1.0)


@shows("cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms")
def test_alarms_are_found_by_state_and_prefix_until_they_are_deleted(cloudwatch, alarm):
    other = put(cloudwatch, f"other-{next(NUMBERS)}")
    cloudwatch.set_alarm_state(AlarmName=other, StateValue="ALARM", StateReason="a test")

    def found(**params):
        return {each["AlarmName"] for each in cloudwatch.describe_alarms(**params)["MetricAlarms"]}

    assert found(StateValue="ALARM") == {other}
    assert found(AlarmNamePrefix="alarm-") == {alarm}
    assert found() == {alarm, other}
    cloudwatch.delete_alarms(AlarmNames=[other])
    assert found(StateValue="ALARM") == set()


@shows("cloudwatch:SetAlarmState")
def test_what_is_no_alarm_and_no_state_is_refused(cloudwatch, alarm):
    set_state = cloudwatch.set_alarm_state
    wrong = {"AlarmName": "nobody", "StateValue": "ALARM", "StateReason": "a test"}
    assert refusal(set_state, **wrong) == "ResourceNotFound"
    wrong |= {"AlarmName": alarm, "StateValue": "RED"}
    assert refusal(set_state, **wrong) == "ValidationError"
    wrong |= {"StateValue": "ALARM", "StateReasonData": "no JSON"}
    assert refusal(set_state, **wrong) == "InvalidFormat"
    assert described(cloudwatch, alarm)["StateValue"] == "OK"


@deviates("cloudwatch:PutMetricAlarm", "an alarm begins as OK, and is OK again when it is replaced")
@deviates("cloudwatch:PutMetricAlarm", "metrics are not evaluated: only SetAlarmState moves it")
def test_no_metric_moves_an_alarm(cloudwatch, alarm):
    dimensions = [{"Name": "DBClusterIdentifier", "Value": "c"}]
    low = {"MetricName": "DatabaseConnections", "Dimensions": dimensions, "Value": 0.0}
    cloudwatch.put_metric_data(Namespace="AWS/RDS", MetricData=[low])
    assert described(cloudwatch, alarm)["StateValue"] == "OK"
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    put(cloudwatch, alarm, Threshold=2.0)
    assert described(cloudwatch, alarm)["StateValue"] == "OK"


@deviates("cloudwatch:SetAlarmState", "takes no action: nothing is published to a topic")
def test_an_alarm_keeps_its_actions_and_does_not_take_them(own_lab, cloudwatch, alarm):
    sns, sqs = own_lab.client("sns"), own_lab.client("sqs")
    url = sqs.create_queue(QueueName=alarm)["QueueUrl"]
    topic = sns.create_topic(Name=alarm)["TopicArn"]
    queue = f"arn:aws:sqs:{REGION}:123456789012:{alarm}"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    put(cloudwatch, alarm, AlarmActions=[topic])
    assert described(cloudwatch, alarm)["AlarmActions"] == [topic]
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sns.publish(TopicArn=topic, Message="what a topic gets its queue has")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.soak
def test_the_aws_cli_puts_sets_and_describes_an_alarm(lab):
    aws = partial(aws_cli, lab, "cloudwatch")
    aws(
        "put-metric-alarm",
        "--alarm-name",
        "cli",
        "--namespace",
        "AWS/RDS",
        "--metric-name",
        "DatabaseConnections",
        "--statistic",
        "Average",
        "--period",
        "60",
        "--dimensions",
        "Name=DBClusterIdentifier,Value=c",
        "--evaluation-periods",
        "1",
        "--threshold",
        "1",
        "--comparison-operator",
        "LessThanThreshold",
    )
    aws("set-alarm-state", "--alarm-name", "cli", "--state-value", "ALARM", "--state-reason", "x")
    (found,) = aws("describe-alarms", "--alarm-names", "cli")["MetricAlarms"]
    assert (found["StateValue"], found["StateReason"]) == ("ALARM", "x")
    assert described(client(lab, "cloudwatch"), "cli")["StateValue"] == "ALARM"
