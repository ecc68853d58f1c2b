"""RDS' events by EventBridge: a team's own rule and queue, in a whole run."""

from __future__ import annotations

import pytest

from tests.support.event_queues import event_queue, left_in

SPEED = 150
"""A call waits for messages for a second: of shorter times nobody could say how long they were."""


@pytest.mark.soak
def test_the_time_to_know_is_that_of_eventbridge_where_a_queue_is_named(aws):
    lab_as_aws = aws(speed=SPEED, CHAOS_RECOVERY_STRATEGY="start")
    queue = event_queue(lab_as_aws.client)
    password = lab_as_aws.lab.clusters[0]["password"]
    ran = lab_as_aws.chaos.run(PGPASSWORD=password, CHAOS_EVENTS_QUEUE=queue)
    assert ran.status == 0, ran.output
    known = ran.summary["time_to_know"]
    event = known["rds_event"]
    assert (event["event"], event["by"]) == ("RDS-EVENT-0418", "EventBridge")
    assert event["bound"] < 1.5
    assert abs(event["seconds"] - known["status"]["seconds"]) < 5 + event["bound"]  # looks are 5 s
    assert "RDS-EVENT-0418 by EventBridge" in ran.output
    assert left_in(lab_as_aws.client) == 0
    assert ("sqs", "DeleteMessage") in lab_as_aws.called("chaos")


def test_a_queue_that_is_not_there_is_refused_before_anything_is_touched(aws):
    lab_as_aws = aws()
    gone = "arn:aws:sqs:eu-west-1:123456789012:nobody"
    ran = lab_as_aws.chaos.run(
        PGPASSWORD=lab_as_aws.lab.clusters[0]["password"], CHAOS_EVENTS_QUEUE=gone
    )
    assert ran.status == 1
    assert ran.said == (f"CHAOS_EVENTS_QUEUE names {gone}, and there is no such queue in eu-west-1")
    assert lab_as_aws.mutating_calls() == []
