"""Messages of a queue that anybody may have sent, on the lab's SQS."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.event_queue import EventQueue, _read
from chaosaws_kms_ext.run import Refused
from tests.support.labs import client

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

NUMBERS = itertools.count()
INSTANCE = "arn:aws:rds:eu-west-1:123456789012:db:orders-1"


def event(**detail):
    """As in the Aurora User Guide, "Overview of events for Aurora"."""
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "RDS DB Instance Event",
        "source": "aws.rds",
        "account": "123456789012",
        "time": "2026-11-23T10:00:00Z",
        "region": "eu-west-1",
        "resources": [INSTANCE],
        "detail": {
            "EventCategories": ["failure"],
            "SourceType": "DB_INSTANCE",
            "SourceArn": INSTANCE,
            "Date": "2026-11-23T10:00:00.123Z",
            "Message": "Amazon RDS is unable to access the KMS encryption key",
            "SourceIdentifier": "orders-1",
            "EventID": "RDS-EVENT-0418",
            **detail,
        },
    }


@pytest.fixture
def sqs(lab):
    return client(lab, "sqs")


@pytest.fixture
def aws(lab):
    return Aws(lab.region, lab.endpoint, lab=lab.credentials)


@pytest.fixture
def url(sqs):
    made = sqs.create_queue(QueueName=f"q{next(NUMBERS)}", Attributes={"VisibilityTimeout": "60"})
    return made["QueueUrl"]


def opened(aws, given):
    queue = EventQueue(aws, given)
    queue.find()
    return queue


def test_what_is_deleted_is_gone_and_what_is_not_is_hidden_for_a_while(aws, sqs, url):
    queue = opened(aws, url)
    assert queue.receive() == []
    for each in (event(), event(SourceArn=f"{INSTANCE}0")):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(each))
    found = [message for _ in range(2) for message in queue.receive()]
    assert {message.source_arn for message in found} == {INSTANCE, f"{INSTANCE}0"}
    ours = next(message for message in found if message.source_arn == INSTANCE)
    assert ours.event.id == "RDS-EVENT-0418"
    assert ours.event.source == "orders-1"
    assert ours.event.date == datetime(2026, 11, 23, 10, 0, 0, 123000, UTC)
    queue.delete(ours)
    assert queue.receive() == []
    hidden = "ApproximateNumberOfMessagesNotVisible"
    said = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[hidden])
    assert said["Attributes"] == {hidden: "1"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"detail": 7}',
        "[" * 100_000,
        json.dumps({**event(), "source": "shop"}),
        json.dumps(event(EventID="RDS-EVENT-0006")),
        json.dumps(event(Date="yesterday")),
        json.dumps(event(Date="2026-11-23T10:00:00")),
        json.dumps(event(Date=None)),
        json.dumps({**event(), "detail": {"EventID": "RDS-EVENT-0418"}}),
    ],
)
def test_anything_else_is_no_event_of_a_key(body):
    message = _read({"ReceiptHandle": "h", "Body": body})
    assert (message.handle, message.event) == ("h", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*event(), *event()["detail"]]), JSON), st.booleans())
def test_no_message_breaks_it(said, whole):
    body = {**event(), **said} if whole else event(**said)
    message = _read({"ReceiptHandle": "h", "Body": json.dumps(body)})
    assert message.handle == "h"


def test_it_is_found_by_its_arn_too(aws, sqs, url):
    name = url.rpartition("/")[2]
    queue = opened(aws, f"arn:aws:sqs:eu-west-1:123456789012:{name}")
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event()))
    (message,) = queue.receive()
    assert message.source_arn == INSTANCE


@pytest.mark.parametrize(
    "given",
    [
        "arn:aws:sqs:eu-west-1:123456789012:nobody",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/no",
    ],
)
def test_one_that_is_not_there_is_refused(aws, given):
    with pytest.raises(Refused) as refused:
        EventQueue(aws, given).find()
    assert str(refused.value) == (
        f"CHAOS_EVENTS_QUEUE names {given}, and there is no such queue in eu-west-1"
    )
