"""EventBridge: rules get what RDS, KMS and CloudTrail send to the default event bus."""

from __future__ import annotations

import itertools
import json
import re
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from chaosaws_kms_lab import event_bus, moto_services
from chaosaws_kms_lab.calls import ACCOUNT
from chaosaws_kms_lab.world import Event
from tests.support.aws_cli import aws_cli
from tests.support.clusters import new_writer, refusal
from tests.support.document import deviates, shows
from tests.support.in_process_lab import REGION
from tests.support.kms_world import DAY, MATERIAL, parameters, wrapped
from tests.support.labs import client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers, pytest.mark.thorough]

NUMBERS = itertools.count()
EVERYTHING = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
CALLS = "AWS API Call via CloudTrail"


class Rule:
    """A rule of the default bus, and the queue that is its target."""

    def __init__(self, clients, pattern, **params):
        self.name = f"rule-{next(NUMBERS)}"
        self._events, self._sqs = clients("events"), clients("sqs")
        self.url = self._sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"
        self._events.put_rule(Name=self.name, EventPattern=json.dumps(pattern), **params)
        self.target(Id="queue", Arn=self.arn)
        self._got: list[dict] = []

    def target(self, **target):
        said = self._events.put_targets(Rule=self.name, Targets=[target])
        assert said["FailedEntryCount"] == 0

    def got(self, count=0):
        """The events that arrived so far, once there are `count`."""
        until(lambda: self._take() or len(self._got) >= count)
        return self._got

    def _take(self):
        taken = self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        for message in taken.get("Messages", []):
            self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            self._got.append(json.loads(message["Body"]))

    def remove(self):
        targets = self._events.list_targets_by_rule(Rule=self.name)["Targets"]
        self._events.remove_targets(Rule=self.name, Ids=[target["Id"] for target in targets])
        self._events.delete_rule(Name=self.name)


@pytest.fixture
def kms(own_lab):
    return own_lab.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
def rules():
    """Makes rules, which go again: moto's are those of the whole process."""
    made = []

    def make(clients, pattern, **params):
        made.append(Rule(clients, pattern, **params))
        return made[-1]

    yield make
    for rule in made:
        rule.remove()


@pytest.fixture
def rule(own_lab, rules):
    return partial(rules, own_lab.client)


def api_calls(*names, **more):
    return {"detail-type": [CALLS], "detail": {"eventName": list(names)}, **more}


def names(events):
    return [event["detail"]["eventName"] for event in events]


# A running lab


@shows("events:PutRule", "events:PutTargets")
def test_a_rule_hears_that_a_cluster_lost_its_key_and_has_it_again(lab, rules):
    kms, rds = client(lab, "kms"), client(lab, "rds")
    cluster = new_writer(rds, kms)
    (instance,) = [member["DBInstanceIdentifier"] for member in cluster["DBClusterMembers"]]
    arn = cluster["DBClusterArn"].replace(
        f":cluster:{cluster['DBClusterIdentifier']}", f":db:{instance}"
    )
    lost, back = ["RDS-EVENT-0418", "RDS-EVENT-0419"], ["RDS-EVENT-0420"]
    rule = rules(
        partial(client, lab),
        {
            "source": ["aws.rds"],
            "detail-type": ["RDS DB Instance Event"],
            "detail": {"EventID": lost + back, "SourceArn": [arn]},
        },
    )
    only_back = rules(partial(client, lab), {"detail": {"EventID": back, "SourceArn": [arn]}})
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    events = rule.got(2)
    assert [event["detail"]["EventID"] for event in events] == lost
    assert only_back.got() == []
    assert {event["source"] for event in events} == {"aws.rds"}
    assert {event["account"] for event in events} == {ACCOUNT}
    assert {event["region"] for event in events} == {lab.region}
    assert [event["resources"] for event in events] == [[arn]] * 2
    detail = events[0]["detail"]
    assert (detail["SourceType"], detail["SourceIdentifier"]) == ("DB_INSTANCE", instance)
    assert detail["EventCategories"] == ["failure"]
    assert detail["Message"].startswith("Amazon RDS is unable to access the KMS encryption key")
    told = datetime.fromisoformat(events[0]["time"])
    assert abs(datetime.now(UTC) - told) < timedelta(seconds=30)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    assert [event["detail"]["EventID"] for event in rule.got(3)] == lost + back
    assert [event["detail"]["EventID"] for event in only_back.got(1)] == back


@shows("events:PutRule", "events:PutTargets")
@deviates("events:PutRule", "hears of API calls without a trail that logs")
def test_a_rule_hears_who_disabled_a_key(lab, rules):
    iam, clients = client(lab, "iam"), partial(client, lab)
    iam.create_user(UserName="mallory")
    allowed = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="mallory", PolicyName="all", PolicyDocument=document)
    access_key = iam.create_access_key(UserName="mallory")["AccessKey"]["AccessKeyId"]
    rule = rules(clients, api_calls("DisableKey", source=["aws.kms"]))
    other = rules(clients, api_calls("ScheduleKeyDeletion", source=["aws.kms"]))
    kms = client(lab, "kms", access_key=access_key)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    (event,) = rule.got(1)
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.kms", CALLS, [])
    detail = event["detail"]
    assert detail["userIdentity"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/mallory"
    assert detail["requestParameters"] == {"keyId": key}
    assert [resource["ARN"] for resource in detail["resources"]] == [key]
    assert other.got() == []
    kms.schedule_key_deletion(KeyId=key)
    assert names(other.got(1)) == ["ScheduleKeyDeletion"]
    assert len(rule.got()) == 1


@pytest.mark.soak
def test_the_aws_cli_makes_a_rule_and_takes_its_events(lab):
    aws = partial(aws_cli, lab)
    url = client(lab, "sqs").create_queue(QueueName="cli")["QueueUrl"]
    pattern = json.dumps(api_calls("DisableKey"))
    made = aws("events", "put-rule", "--name", "cli", "--event-pattern", pattern)
    assert made["RuleArn"] == f"arn:aws:events:{lab.region}:{ACCOUNT}:rule/cli"
    target = f"Id=1,Arn=arn:aws:sqs:{lab.region}:{ACCOUNT}:cli"
    aws("events", "put-targets", "--rule", "cli", "--targets", target)
    kms = client(lab, "kms")
    kms.disable_key(KeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    wait = ["--wait-time-seconds", "5"]
    (message,) = aws("sqs", "receive-message", "--queue-url", url, *wait)["Messages"]
    assert json.loads(message["Body"])["detail"]["eventName"] == "DisableKey"


# What KMS sends


def test_a_rotation_is_told_with_the_old_and_the_new_material(own_lab, kms, key, rule):
    rotations = rule({"source": ["aws.kms"], "detail-type": ["KMS CMK Rotation"]})
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    assert rotations.got() == []
    kms.rotate_key_on_demand(KeyId=key)
    own_lab.pass_time(90 * DAY)
    known = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    materials = [each["KeyMaterialId"] for each in known]
    first, second = rotations.got(2)
    assert first["resources"] == [key]
    assert first["detail"] == {
        "key-id": key.rsplit("/", 1)[-1],
        "key-origin": "AWS_KMS",
        "rotation-type": "ON_DEMAND",
        "previous-key-material-id": materials[0],
        "current-key-material-id": materials[1],
    }
    assert second["detail"]["rotation-type"] == "AUTOMATIC"
    assert second["detail"]["previous-key-material-id"] == materials[1]


def test_the_end_of_imported_material_is_told_and_its_deletion_by_somebody_is_not(
    own_lab, kms, rule
):
    expired = rule({"detail-type": ["KMS Imported Key Material Expiration"]})
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]

    def bring(**more):
        given = kms.get_parameters_for_import(KeyId=key, **parameters())
        kms.import_key_material(
            KeyId=key,
            ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=wrapped(given["PublicKey"], MATERIAL, "RSAES_OAEP_SHA_256"),
            **more,
        )

    bring(ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    kms.delete_imported_key_material(KeyId=key)
    bring(ValidTo=own_lab.clock.utc() + timedelta(minutes=5))
    own_lab.pass_time(299)
    assert expired.got() == []
    own_lab.pass_time(2)
    (event,) = expired.got(1)
    assert event["resources"] == [key]
    assert event["detail"] == {"key-id": key.rsplit("/", 1)[-1]}
    assert event["time"] == "2026-01-01T00:05:01Z"


def test_a_key_that_is_gone_is_told_and_not_that_it_will_go(own_lab, kms, key, rule):
    gone = rule({"source": ["aws.kms"], "detail-type": ["KMS CMK Deletion"]})
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    own_lab.pass_time(7 * DAY - 1)
    assert gone.got() == []
    own_lab.pass_time(1)
    (event,) = gone.got(1)
    assert event["resources"] == [key]
    assert event["detail"] == {"key-id": key.rsplit("/", 1)[-1]}


# What RDS sends


def test_events_of_clusters_instances_and_snapshots_are_told_each_as_its_kind(own_lab, rule):
    events = rule({"source": ["aws.rds"], "detail-type": [{"prefix": "RDS DB"}]})
    rds = own_lab.client("rds")
    tags = [{"Key": "chaos:allow", "Value": "kms"}]
    rds.create_db_cluster(DBClusterIdentifier="c", Engine="aurora-postgresql", Tags=tags)
    rds.create_db_instance(
        DBInstanceIdentifier="i",
        DBClusterIdentifier="c",
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    own_lab.pass_time(600)
    rds.create_db_cluster_snapshot(DBClusterIdentifier="c", DBClusterSnapshotIdentifier="s")
    told = {event["detail"]["EventID"]: event for event in events.got(3)}
    kinds = {
        "RDS-EVENT-0170": ("RDS DB Cluster Event", "CLUSTER", "cluster:c"),
        "RDS-EVENT-0005": ("RDS DB Instance Event", "DB_INSTANCE", "db:i"),
        "RDS-EVENT-0074": ("RDS DB Cluster Snapshot Event", "CLUSTER_SNAPSHOT",
                           "cluster-snapshot:s"),
    }  # fmt: skip
    for event_id, (kind, source_type, resource) in kinds.items():
        event = told[event_id]
        assert (event["detail-type"], event["detail"]["SourceType"]) == (kind, source_type)
        assert event["detail"]["SourceArn"] == f"arn:aws:rds:{REGION}:{ACCOUNT}:{resource}"
        assert event["resources"] == [event["detail"]["SourceArn"]]
    assert told["RDS-EVENT-0170"]["detail"]["Tags"] == {"chaos:allow": "kms"}
    assert told["RDS-EVENT-0005"]["detail"]["Tags"] == {}


def test_an_rds_event_looks_as_its_guide_shows_it():
    arn = f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:my-db-cluster"
    date = datetime(2018, 10, 6, 12, 26, 13, 882_000, UTC)
    made = event_bus.rds_event(
        Event(
            "RDS-EVENT-0150",
            "db-cluster",
            "my-db-cluster",
            arn,
            ("notification",),
            "DB cluster stopped.",
            date,
        ),
        {},
    )
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made.pop("id"))
    assert made == {
        "version": "0",
        "detail-type": "RDS DB Cluster Event",
        "source": "aws.rds",
        "account": ACCOUNT,
        "time": "2018-10-06T12:26:13Z",
        "region": "us-east-1",
        "resources": [arn],
        "detail": {
            "EventCategories": ["notification"],
            "SourceType": "CLUSTER",
            "SourceArn": arn,
            "Date": "2018-10-06T12:26:13.882Z",
            "Message": "DB cluster stopped.",
            "SourceIdentifier": "my-db-cluster",
            "EventID": "RDS-EVENT-0150",
            "Tags": {},
        },
    }


# What CloudTrail sends


@shows("events:PutRule", "events:DisableRule", "events:EnableRule")
def test_reads_are_told_to_a_rule_that_asks_for_them_and_nothing_to_one_that_is_off(
    own_lab, kms, key, rule
):
    calls = api_calls("DescribeKey", "Decrypt", "DisableKey", "EnableKey")
    changes, everything = rule(calls), rule(calls, State=EVERYTHING)
    off = rule(calls, State="DISABLED")
    kms.describe_key(KeyId=key)
    kms.disable_key(KeyId=key)
    assert names(everything.got(2)) == ["DescribeKey", "DisableKey"]
    assert names(changes.got(1)) == ["DisableKey"]
    assert off.got() == []
    events = own_lab.client("events")
    events.enable_rule(Name=off.name)
    events.disable_rule(Name=changes.name)
    kms.enable_key(KeyId=key)
    assert names(off.got(1)) == ["EnableKey"]
    assert names(everything.got(3))[2:] == ["EnableKey"]
    assert len(changes.got()) == 1


def test_a_refused_call_is_told_with_its_error(own_lab, kms, key, rule):
    refused = rule(api_calls("DisableKey") | {"detail": {"errorCode": [{"exists": True}]}})
    kms.disable_key(KeyId=key)
    kms.schedule_key_deletion(KeyId=key)
    with pytest.raises(kms.exceptions.KMSInvalidStateException):
        kms.disable_key(KeyId=key)
    (event,) = refused.got(1)
    assert event["detail"]["errorCode"] == "KMSInvalidStateException"


def test_what_aurora_asks_of_kms_and_calls_of_motos_services_are_told_too(own_lab, key, rule):
    grants, users = rule(api_calls("CreateGrant")), rule(api_calls("CreateUser"))
    own_lab.client("rds").create_db_cluster(
        DBClusterIdentifier="c", Engine="aurora-postgresql", StorageEncrypted=True, KmsKeyId=key
    )
    own_lab.client("iam", region=REGION).create_user(UserName=f"user-{next(NUMBERS)}")
    (granted,) = grants.got(1)
    assert granted["detail"]["userIdentity"]["invokedBy"] == "rds.amazonaws.com"
    (made,) = users.got(1)
    assert (made["source"], made["detail"]["eventSource"]) == ("aws.iam", "iam.amazonaws.com")


def test_no_secret_is_told(own_lab, rule):
    told = rule(api_calls("PutParameter"))
    own_lab.client("ssm").put_parameter(
        Name=f"/p{next(NUMBERS)}", Value="not-for-the-bus", Type="SecureString"
    )
    assert "not-for-the-bus" not in json.dumps(told.got(1))


def test_a_queue_that_gets_every_event_can_be_emptied(own_lab, kms, key, rule):
    all_events = rule({"source": [{"prefix": "aws."}]}, State=EVERYTHING)
    kms.disable_key(KeyId=key)
    until(lambda: "DisableKey" in names(all_events.got()))
    until(delivered_all)
    known = len(all_events.got())
    for _ in range(3):
        until(delivered_all)
        assert len(all_events.got()) == known


def delivered_all():
    """Whether no event waits to be delivered."""
    return all(thread.name != "event bus" for thread in threading.enumerate())


# Where events go


@shows("events:PutTargets")
def test_one_target_that_cannot_be_reached_keeps_nothing_from_the_others(own_lab, kms, key, rule):
    broken, whole = rule(api_calls("DisableKey")), rule(api_calls("DisableKey"))
    broken.target(Id="queue", Arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere")
    broken.target(Id="another", Arn=broken.arn)
    kms.disable_key(KeyId=key)
    assert names(broken.got(1)) == ["DisableKey"]
    assert names(whole.got(1)) == ["DisableKey"]


@shows("events:PutTargets", "events:CreateArchive")
def test_log_groups_and_archives_get_events_and_a_target_its_own_words(own_lab, kms, key, rule):
    logs, events = own_lab.client("logs"), own_lab.client("events")
    name = f"/aws/events/{next(NUMBERS)}"
    logs.create_log_group(logGroupName=name)
    disabled = rule(api_calls("DisableKey"))
    disabled.target(Id="logs", Arn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}")
    words = {
        "InputPathsMap": {"who": "$.detail.userIdentity.userName"},
        "InputTemplate": '{"said": "<who> did it"}',
    }
    disabled.target(Id="queue", Arn=disabled.arn, InputTransformer=words)
    bus_arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    archive = f"archive-{next(NUMBERS)}"
    events.create_archive(
        ArchiveName=archive,
        EventSourceArn=bus_arn,
        EventPattern=json.dumps(api_calls("DisableKey")),
    )
    try:
        kms.disable_key(KeyId=key)
        assert disabled.got(1) == [{"said": "lab did it"}]
        until(lambda: events.describe_archive(ArchiveName=archive)["EventCount"] == 1)
    finally:
        events.delete_archive(ArchiveName=archive)
    (logged,) = logs.filter_log_events(logGroupName=name)["events"]
    assert json.loads(logged["message"])["detail"]["eventName"] == "DisableKey"


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sns:eu-west-1:123456789012:t",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        "arn:aws:states:eu-west-1:123456789012:stateMachine:s",
        "arn:aws:kinesis:eu-west-1:123456789012:stream/s",
        "arn:aws:ecs:eu-west-1:123456789012:cluster/c",
        "arn:aws:ssm:eu-west-1:123456789012:automation-definition/a",
        "arn:aws:events:eu-west-1:123456789012:api-destination/d/1",
    ],
    ids=lambda arn: arn.split(":")[2],
)
@deviates("events:PutTargets", "targets are queues, log groups and event buses, nothing else")
def test_a_target_to_which_nothing_would_be_delivered_is_not_taken(own_lab, rule, arn):
    disabled = rule(api_calls("DisableKey"))
    targets = [{"Id": "more", "Arn": disabled.arn}, {"Id": "other", "Arn": arn}]
    events = own_lab.client("events")
    assert refusal(events.put_targets, Rule=disabled.name, Targets=targets) == "NotImplemented"
    there = events.list_targets_by_rule(Rule=disabled.name)["Targets"]
    assert [target["Id"] for target in there] == ["queue"]


def test_a_rule_hears_of_its_own_region(own_lab, rules):
    here = rules(own_lab.client, api_calls("DisableKey"))
    far = own_lab.client("kms", region="us-east-1")
    far.disable_key(KeyId=far.create_key()["KeyMetadata"]["KeyId"])
    near = own_lab.client("kms")
    near.disable_key(KeyId=near.create_key()["KeyMetadata"]["KeyId"])
    assert [event["region"] for event in here.got(1)] == [REGION]


def test_a_rule_with_a_schedule_gets_none_of_these_events(own_lab, kms, key, rule):
    timed = rule(api_calls("DisableKey"))
    own_lab.client("events").put_rule(Name=timed.name, ScheduleExpression="rate(1 minute)")
    other = rule(api_calls("DisableKey"))
    kms.disable_key(KeyId=key)
    assert len(other.got(1)) == 1
    assert timed.got() == []


@shows("events:PutEvents")
@deviates("events:PutEvents", "takes a source that begins with aws.")
def test_somebody_may_say_that_he_is_rds(own_lab, rule):
    heard = rule({"source": ["aws.rds"]})
    entry = {"Source": "aws.rds", "DetailType": "RDS DB Cluster Event", "Detail": "{}"}
    said = own_lab.client("events").put_events(Entries=[entry])
    assert said["FailedEntryCount"] == 0
    assert len(heard.got(1)) == 1


# Delivery


def test_nothing_is_imported_while_nobody_uses_eventbridge(monkeypatch):
    monkeypatch.delitem(sys.modules, "moto.events.models", raising=False)
    assert not moto_services.has_rules(REGION)
    moto_services.emit(event_bus.api_call(record("DisableKey")), ["ENABLED"])
    assert "moto.events.models" not in sys.modules


def record(name):
    return {
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "eventTime": "2026-01-01T00:00:00Z",
        "readOnly": False,
    }


def test_events_are_delivered_in_order_without_anybody_waiting_and_none_stops_the_rest():
    delivered, gate = [], threading.Event()

    def deliver(event, states):
        gate.wait(10)
        delivered.append(event["detail"]["eventName"])
        if delivered[-1] == "3":
            raise RuntimeError

    made = event_bus.Bus(lambda region: True, deliver)
    for number in range(50):
        made.put(event_bus.api_call(record(str(number))))
    assert delivered == []
    gate.set()
    until(lambda: len(delivered) == 50)
    assert delivered == [str(number) for number in range(50)]
    until(delivered_all)
    made.put(event_bus.api_call(record("50")))
    until(lambda: delivered[-1] == "50")


def test_of_too_many_events_the_oldest_are_lost(monkeypatch):
    monkeypatch.setattr(event_bus, "MOST_WAITING", 3)
    delivered, gate = [], threading.Event()

    def deliver(event, states):
        delivered.append(event["detail"]["eventName"])
        gate.wait(10)

    made = event_bus.Bus(lambda region: True, deliver)
    made.put(event_bus.api_call(record("first")))
    until(lambda: delivered)
    for number in range(5):
        made.put(event_bus.api_call(record(str(number))))
    gate.set()
    until(lambda: len(delivered) == 4)
    assert delivered == ["first", "2", "3", "4"]


def test_an_event_for_which_there_is_no_rule_is_not_kept():
    delivered = []
    made = event_bus.Bus(
        lambda region: region == "us-east-1", lambda *event: delivered.append(event)
    )
    made.put(event_bus.api_call(record("DisableKey")))
    made.put(event_bus.api_call(record("EnableKey") | {"awsRegion": "us-east-1"}))
    until(lambda: delivered)
    assert [event["detail"]["eventName"] for event, _ in delivered] == ["EnableKey"]
