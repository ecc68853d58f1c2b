"""The lab's EventBridge Scheduler: plans as values, the service by hand, and real schedules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_lab import scheduler
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, administrator
from chaosaws_kms_lab.scheduler import InvocationFailed, Scheduler, plans, retries
from tests.support.clock import HandClock
from tests.support.clusters import new_cluster, refusal
from tests.support.document import deviates, shows
from tests.support.in_process_lab import InProcessLab
from tests.support.labs import client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

REGION = "eu-west-1"
BORN = datetime(2026, 1, 1, tzinfo=UTC)
ENABLE = "arn:aws:scheduler:::aws-sdk:kms:enableKey"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/switch"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"
OFF = {"Mode": "OFF"}
TARGET = {"Arn": ENABLE, "RoleArn": ROLE, "Input": '{"KeyId": "k"}'}

instants = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def plan(expression: str, zone: str = "UTC", end: datetime | None = None) -> plans.Plan:
    return plans.read(expression, zone, BORN, end)


# Plans


def test_a_one_time_schedule_has_one_instant_in_its_zone() -> None:
    once = plan("at(2026-07-01T12:30:00)", "Europe/Berlin")
    noon = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
    assert once.next_after(BORN) == noon
    assert once.next_after(noon) is None


def test_a_one_time_schedule_ignores_its_end_date() -> None:
    once = plan("at(2026-07-01T12:30:00)", end=datetime(2026, 2, 1, tzinfo=UTC))
    assert once.next_after(BORN) is not None


@given(instants, st.integers(1, 10_000), st.sampled_from(["minutes", "hours", "days"]))
def test_a_rate_s_next_instant_is_the_first_later_one_of_its_row(
    instant: datetime, number: int, unit: str
) -> None:
    every = plan(f"rate({number} {unit})")
    assert isinstance(every, plans.Every)
    following = every.next_after(instant)
    assert following is not None
    assert following > instant
    assert (following - BORN) % every.period == timedelta()
    assert following == BORN or following - every.period <= instant


@given(instants, instants)
def test_a_rate_ends_before_its_end_date(instant: datetime, end: datetime) -> None:
    following = plan("rate(1 hour)", end=end).next_after(instant)
    if following is None:
        assert end <= max(BORN, instant + timedelta(hours=1))
    else:
        assert instant < following < end


@pytest.mark.parametrize(
    "expression",
    [
        "at(2026-02-30T00:00:00)",
        "at(2026-01-01 00:00:00)",
        "at(2026-01-01T00:00)",
        "at(0001-01-01T00:00:00)x",
        "rate(0 minutes)",
        "rate(2 minute)",
        "rate(5 seconds)",
        "rate(-1 minutes)",
        "rate(1.5 hours)",
        "rate(99999999999999999999 days)",
        "tomorrow",
        "",
    ],
)
def test_an_expression_that_is_none_is_refused(expression: str) -> None:
    with pytest.raises(AwsError) as caught:
        plan(expression)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(AwsError, match="Timezone"):
        plan("rate(1 hour)", zone)


# Retries


def test_the_waits_grow_from_a_second_to_five_minutes() -> None:
    waits = [retries.backoff(failures).total_seconds() for failures in (1, 2, 3, 9, 10, 185)]
    assert waits == [1, 2, 4, 256, 300, 300]


def test_a_whole_day_of_retries_ends_by_its_age_or_its_number() -> None:
    ends = {
        policy: _last_word(policy)
        for policy in (
            retries.RetryPolicy(),
            retries.RetryPolicy(attempts=0),
            retries.RetryPolicy(age=timedelta(minutes=1)),
        )
    }
    assert list(ends.values()) == [
        retries.Exhausted.ATTEMPTS,
        retries.Exhausted.ATTEMPTS,
        retries.Exhausted.AGE,
    ]


def _last_word(policy: retries.RetryPolicy) -> retries.Exhausted:
    now = BORN
    for failures in count(1):
        told = retries.next_attempt(policy, BORN, failures, now)
        if isinstance(told, retries.Exhausted):
            return told
        now = told
    raise AssertionError


# The service, its time moved by hand


class Hand:
    """A scheduler without a thread, and a target that answers as it is told."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.calls: list[tuple[str, str, dict[str, Any], str, str]] = []
        self.failing = 0
        self.service = Scheduler(self.clock, self._invoke)
        self.meanwhile: Callable[[], None] = lambda: None

    def _invoke(self, *call: Any) -> None:
        self.calls.append(call)
        self.meanwhile()
        if call[0] != "sqs" and self.failing:
            self.failing -= 1
            raise InvocationFailed("KMSInvalidStateException", "no")

    def do(self, operation: str, **params: Any) -> dict[str, Any]:
        call = Call("scheduler", operation, params, REGION, administrator())
        return scheduler.handle(self.service, call)

    def create(self, name: str = "s", **params: Any) -> dict[str, Any]:
        made = {
            "Name": name,
            "ScheduleExpression": "at(2026-01-01T00:01:00)",
            "FlexibleTimeWindow": OFF,
            "Target": TARGET,
        }
        return self.do("CreateSchedule", **{**made, **params})

    def pass_time(self, seconds: float) -> None:
        self.clock.seconds += seconds
        self.service.tick()

    def names(self) -> list[str]:
        return [each["Name"] for each in self.do("ListSchedules")["Schedules"]]

    def letters(self) -> list[dict[str, Any]]:
        return [call[2] for call in self.calls if call[0] == "sqs"]


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_a_one_time_schedule_fires_once_and_stays(hand: Hand) -> None:
    hand.create()
    hand.pass_time(59)
    assert hand.calls == []
    hand.pass_time(1)
    hand.pass_time(3600)
    assert hand.calls == [("kms", "EnableKey", {"KeyId": "k"}, REGION, ROLE)]
    assert hand.names() == ["s"]


def test_names_of_parameters_differ_in_capitals_only(hand: Hand) -> None:
    start = "arn:aws:scheduler:::aws-sdk:rds:startDBCluster"
    hand.create(Target={**TARGET, "Arn": start, "Input": '{"DbClusterIdentifier": "c"}'})
    hand.pass_time(60)
    assert hand.calls[0][:3] == ("rds", "StartDBCluster", {"DBClusterIdentifier": "c"})


def test_an_input_may_name_its_schedule(hand: Hand) -> None:
    wanted = {"KeyId": "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time>"}
    arn = hand.create(Target={**TARGET, "Input": json.dumps(wanted)})["ScheduleArn"]
    hand.pass_time(60)
    assert hand.calls[0][2] == {"KeyId": f"{arn} 2026-01-01T00:01:00Z"}


def test_an_unknown_parameter_fails_the_invocation_and_not_the_creation(hand: Hand) -> None:
    hand.create(
        Target={
            **TARGET,
            "Input": '{"Key": "k"}',
            "RetryPolicy": {"MaximumRetryAttempts": 0},
            "DeadLetterConfig": {"Arn": QUEUE},
        }
    )
    hand.pass_time(60)
    (letter,) = hand.letters()
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "ValidationException"


def test_a_rate_begins_at_once_and_ends_before_its_end(hand: Hand) -> None:
    end = BORN + timedelta(minutes=3)
    hand.create(ScheduleExpression="rate(1 minute)", EndDate=end, ActionAfterCompletion="DELETE")
    hand.pass_time(0)
    assert len(hand.calls) == 1
    hand.pass_time(60)
    assert hand.names() == ["s"]
    hand.pass_time(60)
    assert len(hand.calls) == 3
    assert hand.names() == []


def test_a_rate_begins_at_its_start_date(hand: Hand) -> None:
    hand.create(ScheduleExpression="rate(1 hour)", StartDate=BORN + timedelta(seconds=30))
    hand.pass_time(29)
    assert hand.calls == []
    hand.pass_time(1)
    assert len(hand.calls) == 1
    hand.pass_time(5 * 3600)  # what was slept through is not made up for
    assert len(hand.calls) == 2


def test_a_disabled_schedule_does_not_fire_until_it_is_enabled(hand: Hand) -> None:
    made = {"ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": OFF, "Target": TARGET}
    hand.create(State="DISABLED", ScheduleExpression="rate(1 minute)")
    hand.pass_time(90)
    assert hand.calls == []
    hand.do("UpdateSchedule", Name="s", **made)
    hand.pass_time(0)
    assert hand.calls == []
    hand.pass_time(30)
    assert len(hand.calls) == 1
    assert hand.do("GetSchedule", Name="s")["State"] == "ENABLED"


def test_a_failure_is_tried_again_with_growing_waits(hand: Hand) -> None:
    hand.create(ActionAfterCompletion="DELETE")
    hand.failing = 2
    hand.pass_time(60)
    hand.pass_time(0.9)
    assert len(hand.calls) == 1
    hand.pass_time(0.1)
    hand.pass_time(1.9)
    assert len(hand.calls) == 2
    assert hand.names() == ["s"]
    hand.pass_time(0.1)
    assert len(hand.calls) == 3
    assert hand.names() == []


def test_attempts_are_remembered(hand: Hand) -> None:
    hand.create()
    hand.failing = 1
    hand.pass_time(60)
    hand.pass_time(1)
    (schedule,) = hand.service.schedules(REGION)
    assert [each.failure for each in schedule.attempts] == ["KMSInvalidStateException", None]


def test_what_nobody_takes_goes_to_the_queue_and_the_schedule_goes(hand: Hand) -> None:
    policy = {"MaximumRetryAttempts": 1}
    target = {**TARGET, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": QUEUE}}
    arn = hand.create(Target=target, ActionAfterCompletion="DELETE")["ScheduleArn"]
    hand.failing = 9
    hand.pass_time(60)
    assert hand.letters() == []
    hand.pass_time(1)
    (letter,) = hand.letters()
    assert letter["QueueUrl"].endswith(f"/{ACCOUNT}/letters")
    assert letter["MessageBody"] == TARGET["Input"]
    told = {name: each["StringValue"] for name, each in letter["MessageAttributes"].items()}
    assert len(told.pop("EXECUTION_ID")) == 16
    assert told == {
        "ERROR_CODE": "KMSInvalidStateException",
        "ERROR_MESSAGE": "no",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "1",
        "SCHEDULED_TIME": "2026-01-01T00:01:00Z",
        "SCHEDULE_ARN": arn,
        "TARGET_ARN": ENABLE,
    }
    assert hand.names() == []


def test_an_old_event_is_given_up(hand: Hand) -> None:
    policy = {"MaximumEventAgeInSeconds": 60}
    target = {**TARGET, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": QUEUE}}
    hand.create(Target=target)
    hand.failing = 99
    for _ in range(120):
        hand.pass_time(1)
    (letter,) = hand.letters()
    condition = letter["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"]
    assert condition == "MaximumEventAgeInSeconds"


def test_what_is_deleted_is_not_tried_again(hand: Hand) -> None:
    hand.create()
    hand.failing = 9
    hand.pass_time(60)
    hand.do("DeleteSchedule", Name="s")
    hand.pass_time(3600)
    assert len(hand.calls) == 1


def test_a_schedule_may_be_deleted_while_it_fires(hand: Hand) -> None:
    hand.create(ActionAfterCompletion="DELETE")

    def delete() -> None:
        hand.do("DeleteSchedule", Name="s")

    hand.meanwhile = delete
    hand.pass_time(60)
    assert len(hand.calls) == 1
    assert hand.names() == []


def test_a_schedule_that_is_put_off_while_it_fires_stays(hand: Hand) -> None:
    later = {"ScheduleExpression": "at(2026-01-02T00:00:00)", "ActionAfterCompletion": "DELETE"}
    hand.create(ActionAfterCompletion="DELETE")

    def put_off() -> None:
        hand.do("UpdateSchedule", Name="s", FlexibleTimeWindow=OFF, Target=TARGET, **later)

    hand.meanwhile = put_off
    hand.pass_time(60)
    hand.meanwhile = lambda: None
    assert hand.names() == ["s"]
    hand.pass_time(86400)
    assert len(hand.calls) == 2
    assert hand.names() == []


def test_a_mistake_of_the_invoker_is_a_failure_like_any(hand: Hand) -> None:
    hand.create()

    def break_down() -> None:
        raise RuntimeError("boom")

    hand.meanwhile = break_down
    hand.pass_time(60)
    hand.meanwhile = lambda: None
    hand.pass_time(1)
    assert len(hand.calls) == 2


def test_a_thread_fires_what_is_made_while_it_waits() -> None:
    hand = Hand()
    hand.service.start()
    hand.clock.seconds = 58
    hand.create()
    hand.clock.seconds = 60
    hand.create("t", ScheduleExpression="rate(1 day)")
    until(lambda: len(hand.calls) == 2)
    hand.service.close()
    hand.clock.seconds += 86400
    hand.create("u", ScheduleExpression="rate(1 day)")
    assert len(hand.calls) == 2


# Over HTTP


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }
    ],
}


@pytest.fixture
def api(lab: LocalLab) -> Any:
    return client(lab, "scheduler")


@pytest.fixture
def role(lab: LocalLab) -> Iterator[Callable[..., str]]:
    """Makes roles that the scheduler may assume and that may do some actions."""
    iam = client(lab, "iam")
    made: list[str] = []

    def make(*actions: str) -> str:
        name = f"switch-{next(NUMBERS)}"
        answer = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=policy)
        made.append(name)
        return str(answer["Role"]["Arn"])

    yield make
    for name in made:
        iam.delete_role_policy(RoleName=name, PolicyName="may")
        iam.delete_role(RoleName=name)


NUMBERS = count()


def at(seconds: float) -> str:
    """An expression for the first whole second that is later than in `seconds`."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds + 1)
    return f"at({moment:%Y-%m-%dT%H:%M:%S})"


def create(api: Any, **params: Any) -> str:
    name = f"s{next(NUMBERS)}"
    made = {
        "Name": name,
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": OFF,
        "Target": TARGET,
        "State": "DISABLED",
    }
    api.create_schedule(**{**made, **params})
    return name


@shows("scheduler:CreateSchedule")
@deviates("scheduler:CreateSchedule", "fires within a second (AWS: within 60)")
def test_a_schedule_enables_a_key_as_its_role_and_is_gone(
    lab: LocalLab, api: Any, role: Callable[..., str]
) -> None:
    kms = client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    target = {"Arn": ENABLE, "RoleArn": role("kms:EnableKey"), "Input": json.dumps({"KeyId": key})}
    name = create(
        api,
        ScheduleExpression=at(3),
        Target=target,
        State="ENABLED",
        ActionAfterCompletion="DELETE",
    )
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    until(lambda: kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled")
    until(lambda: gone(api, name))


@shows("scheduler:CreateSchedule")
@pytest.mark.parametrize("known", [True, False], ids=["a role that may not", "no role"])
def test_what_fails_ends_in_the_dead_letter_queue(
    lab: LocalLab, api: Any, role: Callable[..., str], known: bool
) -> None:
    kms, sqs = client(lab, "kms"), client(lab, "sqs")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    name = f"letters-{next(NUMBERS)}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = role("sqs:SendMessage") if known else ROLE
    target = {
        "Arn": ENABLE,
        "RoleArn": arn,
        "Input": json.dumps({"KeyId": key}),
        "RetryPolicy": {"MaximumRetryAttempts": 0},
        "DeadLetterConfig": {"Arn": f"arn:aws:sqs:{lab.region}:{ACCOUNT}:{name}"},
    }
    made = {"State": "ENABLED", "ActionAfterCompletion": "DELETE", "Target": target}
    schedule = create(api, ScheduleExpression=at(1), **made)
    until(lambda: gone(api, schedule), 10)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    found = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", [])
    if not known:  # a role that is not there cannot send the letter either
        assert found == []
        return
    (letter,) = found
    told = {name: each["StringValue"] for name, each in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"]) == {"KeyId": key}
    assert told["ERROR_CODE"] == "AccessDeniedException"
    assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"


@shows("scheduler:CreateSchedule")
def test_a_schedule_starts_a_cluster(lab: LocalLab, api: Any, role: Callable[..., str]) -> None:
    rds = client(lab, "rds")
    name = new_cluster(rds)["DBClusterIdentifier"]
    until(lambda: status(rds, name) == "available")
    rds.stop_db_cluster(DBClusterIdentifier=name)
    until(lambda: status(rds, name) == "stopped")
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:rds:startDBCluster",
        "RoleArn": role("rds:StartDBCluster"),
        "Input": json.dumps({"DbClusterIdentifier": name}),
    }
    create(api, ScheduleExpression=at(1), Target=target, State="ENABLED")
    until(lambda: status(rds, name) in ("starting", "available"), 10)


def status(rds: Any, name: str) -> str:
    return str(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"])


def gone(api: Any, name: str) -> bool:
    return name not in [each["Name"] for each in api.list_schedules()["Schedules"]]


@shows(
    "scheduler:CreateSchedule",
    "scheduler:GetSchedule",
    "scheduler:UpdateSchedule",
    "scheduler:DeleteSchedule",
)
@deviates("scheduler:CreateSchedule", "universal targets only, and no cron()")
@deviates("scheduler:CreateSchedule", "a flexible time window fires at its start")
@deviates("scheduler:CreateSchedule", "what only an invocation can show is not looked at (a role)")
def test_a_schedule_is_made_read_updated_and_deleted(api: Any) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}
    name = create(api, StartDate=start, Description="d", FlexibleTimeWindow=window)
    told = api.get_schedule(Name=name)
    assert told["Arn"].endswith(f":schedule/default/{name}")
    assert told["StartDate"] == start
    assert told["FlexibleTimeWindow"] == window
    assert told["ScheduleExpressionTimezone"] == "UTC"
    assert told["ActionAfterCompletion"] == "NONE"
    assert told["Target"] == {
        **TARGET,
        "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
    }
    api.update_schedule(
        Name=name,
        ScheduleExpression="rate(2 days)",
        FlexibleTimeWindow=OFF,
        Target=TARGET,
        State="DISABLED",
    )
    changed = api.get_schedule(Name=name)
    assert changed["ScheduleExpression"] == "rate(2 days)"
    assert "Description" not in changed
    assert changed["CreationDate"] == told["CreationDate"]
    api.delete_schedule(Name=name)
    assert refusal(api.get_schedule, Name=name) == "ResourceNotFoundException"
    assert refusal(api.delete_schedule, Name=name) == "ResourceNotFoundException"


@deviates("scheduler:CreateSchedule", "at() in the past never fires (AWS does not say)")
def test_a_schedule_of_the_past_is_taken_and_never_fires(own_lab: InProcessLab) -> None:
    scheduler = own_lab.client("scheduler")
    past = {"ScheduleExpression": "at(2020-01-01T00:00:00)", "FlexibleTimeWindow": OFF}
    scheduler.create_schedule(Name="past", Target=TARGET, **past)
    own_lab.pass_time(86400)
    own_lab.scheduler.tick()
    assert own_lab.invoked == []
    assert scheduler.get_schedule(Name="past")["State"] == "ENABLED"


@shows("scheduler:CreateSchedule")
def test_a_name_is_taken_once_and_a_request_with_its_token_is_the_same(api: Any) -> None:
    name = create(api, ClientToken="t")
    made = {
        "Name": name,
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": OFF,
        "Target": TARGET,
        "State": "DISABLED",
    }
    again = api.create_schedule(**made, ClientToken="t")
    assert again["ScheduleArn"] == api.get_schedule(Name=name)["Arn"]
    assert refusal(api.create_schedule, **made) == "ConflictException"
    other = {**made, "ScheduleExpression": "rate(2 days)", "ClientToken": "t"}
    assert refusal(api.create_schedule, **other) == "ConflictException"
    api.delete_schedule(Name=name)


@shows("scheduler:CreateSchedule")
@pytest.mark.parametrize(
    "params",
    [
        {"ScheduleExpression": "cron(0 0 * * ? *)"},
        {"ScheduleExpression": "rate(a while)"},
        {"ScheduleExpressionTimezone": "Mars/Olympus"},
        {"StartDate": datetime(2020, 1, 1, tzinfo=UTC)},
        {"EndDate": datetime(2020, 1, 1, tzinfo=UTC)},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"Target": {**TARGET, "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}},
        {"Target": {**TARGET, "Arn": "arn:aws:scheduler:::aws-sdk:kms:describeKey"}},
        {"Target": {**TARGET, "Arn": "arn:aws:scheduler:::aws-sdk:kms:enableKeys"}},
        {"Target": {**TARGET, "Arn": "arn:aws:scheduler:::aws-sdk:nothing:enableKey"}},
        {"Target": {**TARGET, "Input": "[]"}},
        {"Target": {**TARGET, "RoleArn": "switch"}},
    ],
    ids=str,
)
def test_what_could_not_be_kept_is_not_promised(api: Any, params: dict[str, Any]) -> None:
    made = {
        "Name": "never",
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": OFF,
        "Target": TARGET,
    }
    assert refusal(api.create_schedule, **{**made, **params}) == "ValidationException"


@shows(
    "scheduler:CreateScheduleGroup",
    "scheduler:GetScheduleGroup",
    "scheduler:DeleteScheduleGroup",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
)
@deviates("scheduler:DeleteScheduleGroup", "at once, never DELETING")
def test_a_group_goes_with_its_schedules(api: Any) -> None:
    arn = api.create_schedule_group(Name="team")["ScheduleGroupArn"]
    assert refusal(api.create_schedule_group, Name="team") == "ConflictException"
    told = api.get_schedule_group(Name="team")
    assert (told["Arn"], told["State"]) == (arn, "ACTIVE")
    name = create(api, GroupName="team")
    assert refusal(api.get_schedule, Name=name) == "ResourceNotFoundException"
    assert api.get_schedule(Name=name, GroupName="team")["GroupName"] == "team"
    listed = api.list_schedules(GroupName="team")["Schedules"]
    assert [(each["Name"], each["Target"]["Arn"]) for each in listed] == [(name, ENABLE)]
    groups = [each["Name"] for each in api.list_schedule_groups()["ScheduleGroups"]]
    assert groups == ["default", "team"]
    api.delete_schedule_group(Name="team")
    assert refusal(api.list_schedules, GroupName="team") == "ResourceNotFoundException"
    assert refusal(create, api=api, GroupName="team") == "ResourceNotFoundException"
    assert refusal(api.delete_schedule_group, Name="default") == "ValidationException"


@shows("scheduler:ListSchedules")
def test_schedules_are_listed_by_prefix_and_state_in_pages(api: Any) -> None:
    for name in ("p-1", "p-2", "p-3"):
        create(
            api,
            Name=name,
            State="ENABLED" if name == "p-2" else "DISABLED",
            StartDate=datetime(2030, 1, 1, tzinfo=UTC),
        )
    pages = api.get_paginator("list_schedules").paginate(
        NamePrefix="p-", PaginationConfig={"PageSize": 2}
    )
    assert [[each["Name"] for each in page["Schedules"]] for page in pages] == [
        ["p-1", "p-2"],
        ["p-3"],
    ]
    enabled = api.list_schedules(NamePrefix="p-", State="ENABLED")["Schedules"]
    assert [each["Name"] for each in enabled] == ["p-2"]
    assert refusal(api.list_schedules, NextToken="x") == "ValidationException"
    for name in ("p-1", "p-2", "p-3"):
        api.delete_schedule(Name=name)


@shows("scheduler:TagResource", "scheduler:UntagResource", "scheduler:ListTagsForResource")
def test_groups_have_tags(api: Any) -> None:
    tags = [{"Key": "a", "Value": "1"}]
    arn = api.create_schedule_group(Name="tagged", Tags=tags)["ScheduleGroupArn"]
    api.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}])
    api.untag_resource(ResourceArn=arn, TagKeys=["a", "c"])
    assert api.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    api.delete_schedule_group(Name="tagged")
    assert refusal(api.list_tags_for_resource, ResourceArn=arn) == "ResourceNotFoundException"
