"""What is recorded of key, cluster, RDS' events and alarms, on a lab; and what failed looks do."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from chaosaws_kms_ext import watcher as watcher_module
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.cluster import CLUSTER
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.rds import describe
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName, utc
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.watcher import Look, watch, watch_beside
from tests.support.alarms import put_alarm
from tests.support.clusters import new_cluster
from tests.support.event_queues import event_queue, left_in
from tests.support.labs import client, until

pytestmark = [pytest.mark.no_servers, pytest.mark.thorough]

ARN = "arn:aws:cloudwatch:{}:123456789012:alarm:{}"
NUMBERS = itertools.count()


@pytest.fixture
def cluster(lab):
    return lab.clusters[0]


@pytest.fixture
def run():
    running = Run(Settings())
    yield running
    running.at_end.close()


@pytest.fixture
def watching(lab, run, cluster):
    """Starts to watch the lab's cluster, and these alarms."""

    def watching(*alarms, aws=None):
        run.settings = replace(run.settings, alarms=alarms)
        door = aws or Aws(lab.region, lab.endpoint, lab=lab.credentials)
        return watch(run, door, cluster["id"], cluster["key"])

    return watching


@pytest.fixture
def cloudwatch(lab):
    return client(lab, "cloudwatch")


def put(cloudwatch):
    name = f"alarm: {next(NUMBERS)}"
    put_alarm(cloudwatch, name)
    return name


def go_off(cloudwatch, name, state="ALARM"):
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def seen(run, name, **details):
    """The details of the events of this name, in order."""
    wanted = details.items()
    return [e.details for e in run.events if e.name == name and wanted <= e.details.items()]


def asked(lab, operation):
    return lab.requests.read_text().count(f'"{operation}"')


# Key, cluster and events


def test_a_loss_and_a_return_are_seen_in_the_status_and_in_the_events_of_rds(
    lab, kms, run, cluster, watching
):
    watcher = watching()
    (first,) = seen(run, EventName.STATUS)
    assert (first["key"], first["meaning"], first["within_seconds"]) == ("Enabled", "accessible", 0)
    kms.disable_key(KeyId=cluster["key"])
    try:
        until(lambda: seen(run, EventName.STATUS, meaning="recoverable"))
        until(lambda: len(seen(run, EventName.RDS_EVENT)) == 2)
    finally:
        kms.enable_key(KeyId=cluster["key"])
    until(lambda: len(seen(run, EventName.RDS_EVENT)) == 3)
    until(lambda: watcher.latest.cluster.available, timeout=40)
    found = seen(run, EventName.RDS_EVENT)
    assert [each["event"][-4:] for each in found] == ["0418", "0419", "0420"]
    assert {each["source"] for each in found} == set(watcher.latest.cluster.instances)
    for each in found:
        assert "access the KMS encryption key" in each["message"]
        assert 0 < each["within_seconds"] < 5
        assert utc(run.started) <= each["date"] <= utc(datetime.now(UTC))
    assert seen(run, EventName.STATUS_UNKNOWN) == seen(run, EventName.RDS_EVENTS_UNKNOWN) == []
    assert asked(lab, "DescribeAlarms") == 0


def test_another_cluster_and_its_key_are_watched_once_and_told_apart(
    lab, kms, rds, run, cluster, watching
):
    watching()
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    other = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)["DBClusterIdentifier"]
    for _ in range(2):
        watch_beside(run, aws, describe(aws, other))
    until(lambda: seen(run, EventName.OTHER_STATUS))
    kms.disable_key(KeyId=key)
    until(lambda: seen(run, EventName.OTHER_STATUS, key="Disabled"))
    assert {each["of"] for each in seen(run, EventName.OTHER_STATUS)} == {other}
    assert len(seen(run, EventName.STATUS)) == 1
    rds.delete_db_cluster(DBClusterIdentifier=other, SkipFinalSnapshot=True)
    until(lambda: seen(run, EventName.OTHER_STATUS_UNKNOWN))
    assert "DBClusterNotFoundFault" in seen(run, EventName.OTHER_STATUS_UNKNOWN)[0]["why"]


def test_the_cluster_that_the_run_is_about_is_not_watched_again(lab, run, cluster):
    aws = Aws(lab.region, lab.endpoint, lab=lab.credentials)
    run.target = Target(describe(aws, cluster["id"]), None)
    watch_beside(run, aws, run.target.cluster)
    assert run.other_watchers == {}


def test_the_live_line_counts_down_to_the_deletion_of_the_key():
    key = Key(ARN, "PendingDeletion", "CUSTOMER", "1", datetime.now(UTC) + timedelta(hours=36.52))
    look = Look(0, 0, key, SimpleNamespace(status="available", kind=CLUSTER))
    assert look.in_words() == ["key PendingDeletion, deleted in 36.5 h", "cluster available"]
    kept = replace(look, key=replace(key, state="Disabled", deletion_date=None))
    assert kept.in_words() == ["key Disabled", "cluster available"]


class Told(Aws):
    """DescribeEvents says what a test wants."""

    events = ()

    def pages(self, service, operation, params, items):
        if operation != "DescribeEvents":
            return super().pages(service, operation, params, items)
        return [
            {"SourceIdentifier": source, "Date": datetime(2026, 1, 1, tzinfo=UTC), "Message": words}
            for source, words in self.events
        ]


def test_each_event_is_recorded_once_and_those_of_others_are_not(lab, run, watching):
    aws = Told(lab.region, lab.endpoint, lab=lab.credentials)
    watcher = watching(aws=aws)
    (ours,) = watcher.latest.cluster.instances
    lost = "Amazon RDS is unable to access the KMS encryption key for database instance x."
    aws.events = [("others", lost), (ours, "DB instance restarted."), (ours, lost), (ours, lost)]
    until(lambda: seen(run, EventName.RDS_EVENT))
    time.sleep(1)
    (told,) = seen(run, EventName.RDS_EVENT)
    assert told["event"] == "RDS-EVENT-0418"
    assert (told["source"], told["message"]) == (ours, lost)
    assert told["date"] == "2026-01-01T00:00:00.000Z"


def test_events_that_cannot_be_read_are_said_once_and_nothing_else_waits_for_them(
    lab, kms, run, cluster, watching, misbehaviours
):
    watching()
    misbehaviours.order(kind="expired-token", service="rds", operation="DescribeEvents")
    until(lambda: seen(run, EventName.RDS_EVENTS_UNKNOWN))
    before = asked(lab, "DescribeEvents")
    until(lambda: asked(lab, "DescribeEvents") > before + 3)
    (unknown,) = seen(run, EventName.RDS_EVENTS_UNKNOWN)
    assert unknown["why"].startswith("the AWS credentials have expired (rds:DescribeEvents)")
    misbehaviours.clear()
    misbehaviours.order(kind="delay", service="rds", operation="DescribeEvents", seconds=2)
    before = asked(lab, "DescribeDBClusters")
    until(lambda: asked(lab, "DescribeDBClusters") > before + 5)
    assert seen(run, EventName.STATUS_UNKNOWN) == []


def test_a_look_that_breaks_is_one_that_failed(lab, run, watching):
    class Breaks(Told):
        broken = True

        def pages(self, service, operation, params, items):
            if self.broken and operation == "DescribeEvents":
                raise OSError("no file descriptor is left")
            return super().pages(service, operation, params, items)

    aws = Breaks(lab.region, lab.endpoint, lab=lab.credentials)
    watcher = watching(aws=aws)
    until(lambda: seen(run, EventName.RDS_EVENTS_UNKNOWN))
    (ours,) = watcher.latest.cluster.instances
    words = "RDS has been unable to access the KMS encryption key for database instance x."
    aws.events, aws.broken = [(ours, words)], False
    until(lambda: seen(run, EventName.RDS_EVENT, event="RDS-EVENT-0419"))
    assert len(seen(run, EventName.RDS_EVENTS_UNKNOWN)) == 1


# Events by EventBridge


@pytest.fixture
def queue(lab, run):
    """A queue of the run's own: its ARN, its name, and a function that sends an event to it."""
    name = f"events{next(NUMBERS)}"
    arn = event_queue(partial(client, lab), name)
    run.settings = replace(run.settings, events_queue=arn)
    sqs = client(lab, "sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def send(source="orders-1", date=None, account="123456789012", **more):
        detail = {
            "EventID": "RDS-EVENT-0418",
            "SourceArn": f"arn:aws:rds:{lab.region}:{account}:db:{source}",
            "SourceIdentifier": source,
            "Date": (date or datetime.now(UTC)).isoformat(),
            "Message": f"sent for {source}",
        }
        body = json.dumps({"source": "aws.rds", "detail": detail, **more})
        sqs.send_message(QueueUrl=url, MessageBody=body)

    return arn, name, send


def test_a_loss_is_seen_by_eventbridge_where_a_queue_is_named(
    lab, kms, run, cluster, watching, queue
):
    before = asked(lab, "DescribeEvents")
    watcher = watching()
    until(lambda: asked(lab, "ReceiveMessage"))
    kms.disable_key(KeyId=cluster["key"])
    try:
        until(lambda: len(seen(run, EventName.RDS_EVENT)) == 2)
    finally:
        kms.enable_key(KeyId=cluster["key"])
    until(lambda: len(seen(run, EventName.RDS_EVENT)) == 3)
    until(lambda: watcher.latest.cluster.available, timeout=40)
    found = seen(run, EventName.RDS_EVENT)
    assert [each["event"][-4:] for each in found] == ["0418", "0419", "0420"]
    assert {each["by"] for each in found} == {"EventBridge"}
    for each in found:
        assert 0 < each["within_seconds"] < 5
        assert utc(run.started) <= each["date"] <= utc(datetime.now(UTC))
    until(lambda: left_in(partial(client, lab), queue[1]) == 0)
    assert asked(lab, "DescribeEvents") == before
    assert seen(run, EventName.RDS_EVENTS_UNKNOWN) == []


def test_only_what_was_recorded_is_deleted(lab, run, watching, queue):
    _, name, send = queue
    send(source="others")
    send(account="210987654321")
    send(date=datetime(2026, 1, 1, tzinfo=UTC))
    send(detail="a fact of the team's own")
    send(source="orders-1")
    watching()
    until(lambda: seen(run, EventName.RDS_EVENT))
    time.sleep(3)  # others come back meanwhile, and are not taken either
    (told,) = seen(run, EventName.RDS_EVENT)
    assert (told["source"], told["message"]) == ("orders-1", "sent for orders-1")
    assert left_in(partial(client, lab), name) == 4


def test_one_event_that_is_delivered_twice_is_recorded_once(lab, run, watching, queue):
    _, name, send = queue
    now = datetime.now(UTC)
    watching()
    send(date=now)
    send(date=now)
    until(lambda: seen(run, EventName.RDS_EVENT))
    until(lambda: left_in(partial(client, lab), name) == 0)
    assert len(seen(run, EventName.RDS_EVENT)) == 1


def test_a_queue_that_is_not_there_is_refused(lab, run, watching):
    run.settings = replace(
        run.settings, events_queue=f"arn:aws:sqs:{lab.region}:123456789012:nobody"
    )
    with pytest.raises(Refused, match="and there is no such queue in"):
        watching()
    assert run.watcher is None


def test_a_queue_that_cannot_be_read_is_said_once(lab, run, watching, queue, misbehaviours):
    watching()
    misbehaviours.order(kind="expired-token", service="sqs", operation="ReceiveMessage")
    until(lambda: seen(run, EventName.RDS_EVENTS_UNKNOWN))
    before = asked(lab, "ReceiveMessage")
    until(lambda: asked(lab, "ReceiveMessage") > before + 2)
    misbehaviours.clear()
    queue[2]()
    until(lambda: seen(run, EventName.RDS_EVENT))
    assert len(seen(run, EventName.RDS_EVENTS_UNKNOWN)) == 1


# Alarms


def test_each_change_of_an_alarm_that_is_named_is_recorded(lab, cloudwatch, run, watching):
    one, other, unnamed = (put(cloudwatch) for _ in range(3))
    arn = ARN.format(lab.region, other)
    watching(one, arn, one)
    assert seen(run, EventName.ALARM, alarm=one, state="OK", before=None)
    assert seen(run, EventName.ALARM, alarm=arn, state="OK", before=None)
    go_off(cloudwatch, unnamed)
    go_off(cloudwatch, other)
    until(lambda: seen(run, EventName.ALARM, state="ALARM"))
    (told,) = seen(run, EventName.ALARM, state="ALARM")
    assert (told["alarm"], told["before"]) == (arn, "OK")
    assert 0 < told["within_seconds"] < 5
    assert utc(run.started) <= told["date"] <= utc(datetime.now(UTC))
    go_off(cloudwatch, other, "INSUFFICIENT_DATA")
    until(lambda: seen(run, EventName.ALARM, alarm=arn, state="INSUFFICIENT_DATA", before="ALARM"))
    cloudwatch.delete_alarms(AlarmNames=[one])
    until(lambda: seen(run, EventName.ALARM, alarm=one, state="MISSING", before="OK"))
    assert len(seen(run, EventName.ALARM)) == 5
    assert seen(run, EventName.ALARMS_UNKNOWN) == []


@pytest.mark.parametrize(
    "named",
    [
        "nobody",
        "arn:aws:cloudwatch:us-east-1:123456789012:alarm:{}",
        "arn:aws:cloudwatch:eu-west-1:210987654321:alarm:{}",
    ],
)
def test_an_alarm_that_is_not_there_is_refused(cloudwatch, run, watching, named):
    there = put(cloudwatch)
    gone = named.format(there)
    with pytest.raises(Refused) as refused:
        watching(there, gone)
    assert str(refused.value) == f"CHAOS_ALARMS names {gone}, and there is no such alarm"
    assert run.watcher is None


def test_alarms_that_cannot_be_read_are_said_once_and_told_again_when_they_can(
    lab, cloudwatch, run, watching, misbehaviours
):
    name = put(cloudwatch)
    order = {"service": "cloudwatch", "operation": "DescribeAlarms"}
    misbehaviours.order(kind="expired-token", **order)
    watching(name)
    until(lambda: asked(lab, "DescribeAlarms") > 3)
    misbehaviours.clear()
    until(lambda: seen(run, EventName.ALARM, alarm=name, state="OK", before=None))
    misbehaviours.order(kind="expired-token", **order)
    until(lambda: len(seen(run, EventName.ALARMS_UNKNOWN)) == 2)
    misbehaviours.clear()
    until(lambda: seen(run, EventName.ALARM, alarm=name, state="OK", before="OK"))
    assert len(seen(run, EventName.ALARMS_UNKNOWN)) == len(seen(run, EventName.ALARM)) == 2
    assert seen(run, EventName.STATUS_UNKNOWN) == []


def test_a_look_that_lasts_is_not_waited_for_long_and_changes_nothing_after_the_end(
    cloudwatch, run, watching, misbehaviours, monkeypatch
):
    monkeypatch.setattr(watcher_module, "HURRY", 0.1)
    name = put(cloudwatch)
    watcher = watching(name)
    order = {"service": "cloudwatch", "operation": "DescribeAlarms"}
    misbehaviours.order(kind="delay", seconds=5, **order)
    time.sleep(0.5)
    go_off(cloudwatch, name)
    began = time.monotonic()
    watcher.stop()
    assert time.monotonic() - began < 4
    time.sleep(5)
    assert seen(run, EventName.ALARM, state="ALARM") == []
    watcher.stop()
