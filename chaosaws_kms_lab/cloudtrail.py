"""CloudTrail: who called what and with which result, Aurora's own use of keys included.

AWS CloudTrail User Guide, "CloudTrail record contents"; AWS KMS Developer Guide, "AWS CloudTrail
log entries". An event can be looked up some time later (Profile.trail_lag).
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_lab import event_bus, trail_rules
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller
from chaosaws_kms_lab.values import strings
from chaosaws_kms_lab.world import World

__all__ = ["OPERATIONS", "Trail", "handle"]

KEPT = 50_000
"""Events; the oldest go first. (On AWS: those of 90 days.)"""

MOST_SAID, DEEPEST = 8_192, 32
"""Characters and levels that a record keeps of a call's parameters, and of its answer; the rest is
cut off. (AWS CloudTrail User Guide, "CloudTrail record contents": 100 KB.)"""
CUT = "..."
PUNCTUATION = 4
"""Characters, about, that a member of a mapping or a list takes in JSON beside itself."""

# AWS KMS Developer Guide, log entries: the cryptographic operations are readOnly too. AssumeRole:
# EventBridge User Guide, "Receiving read-only management events from AWS services", its example.
READS = (
    "AssumeRole", "BatchGet", "Decrypt", "Describe", "Encrypt", "GenerateDataKey",
    "GenerateRandom", "Get", "List", "Lookup", "ReEncrypt", "Simulate",
)  # fmt: skip

# AWS CloudTrail User Guide, "Logging data events", and the services' own guides: neither the Event
# history nor EventBridge has these unless a trail selects them. A queue that gets the events of the
# account would else get one for each message that is taken out of it.
DATA_EVENTS: dict[str, frozenset[str]] = {
    "dynamodb": frozenset({
        "BatchExecuteStatement", "BatchGetItem", "BatchWriteItem", "DeleteItem",
        "ExecuteStatement", "ExecuteTransaction", "GetItem", "GetRecords", "GetShardIterator",
        "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems", "UpdateItem",
    }),
    "events": frozenset({"PutEvents"}),
    "kinesis": frozenset({
        "GetRecords", "GetShardIterator", "PutRecord", "PutRecords", "SubscribeToShard",
    }),
    "lambda": frozenset({"Invoke"}),
    # CloudWatch Logs User Guide, "Logging API calls": not among what is logged.
    "logs": frozenset({"FilterLogEvents", "GetLogEvents", "PutLogEvents"}),
    "monitoring": frozenset({"PutMetricData"}),
    "s3": frozenset({
        "CopyObject", "DeleteObject", "DeleteObjects", "GetObject", "HeadObject", "PutObject",
    }),
    "sns": frozenset({"Publish", "PublishBatch"}),
    "sqs": frozenset({
        "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "DeleteMessage",
        "DeleteMessageBatch", "ReceiveMessage", "SendMessage", "SendMessageBatch",
    }),
}  # fmt: skip

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
"""In place of a value that is sensitive in the service's model. (On AWS each service has its own
rules for what is left out.)"""

Shapes = Callable[[str, str], tuple[Any, Any]]
"""Service and operation → the shapes of parameters and answer; None: no model has them."""

# API reference, LookupAttribute: attribute → how it is read from an event.
ATTRIBUTES: dict[str, Callable[[Event], set[str]]] = {
    "AccessKeyId": lambda event: {event.caller.access_key},
    "EventId": lambda event: {event.id},
    "EventName": lambda event: {event.operation},
    "EventSource": lambda event: {event.source},
    "ReadOnly": lambda event: {str(event.read_only).lower()},
    "ResourceName": lambda event: {name for _, name in event.resources},
    "ResourceType": lambda event: {kind for kind, _ in event.resources},
    "Username": lambda event: {event.username},
}

# The prefix of an ARN's resource → the type of the resource.
TYPES = {
    ("kms", "key"): "AWS::KMS::Key",
    ("kms", "alias"): "AWS::KMS::Alias",
    ("rds", "cluster"): "AWS::RDS::DBCluster",
    ("rds", "db"): "AWS::RDS::DBInstance",
    ("rds", "snapshot"): "AWS::RDS::DBSnapshot",
    ("rds", "cluster-snapshot"): "AWS::RDS::DBClusterSnapshot",
}


@dataclass(frozen=True)
class Event:
    """One call, as it is remembered."""

    id: str
    at: float
    """Lab seconds."""
    date: datetime
    service: str
    operation: str
    region: str
    caller: Caller
    parameters: Any
    """As the record has them."""
    elements: Any
    """Of the answer, as the record has them."""
    error: AwsError | None
    resources: tuple[tuple[str, str], ...]
    """Type and ARN."""

    @property
    def source(self) -> str:
        """kms.amazonaws.com, say."""
        return f"{self.service}.amazonaws.com"

    @property
    def read_only(self) -> bool:
        """Whether the operation changes nothing."""
        return self.operation.startswith(READS)

    @property
    def username(self) -> str:
        """The user, or the name of a role's session; a service has none."""
        return "" if self.caller.is_service else self.caller.arn.rsplit("/", 1)[-1]

    def record(self) -> dict[str, Any]:
        """The record itself."""
        said = {
            "eventVersion": "1.11",
            "userIdentity": _identity(self.caller),
            "eventTime": self.date.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": self.source,
            "eventName": self.operation,
            "awsRegion": self.region,
            "sourceIPAddress": _service_of(self.caller) or "127.0.0.1",
            "userAgent": _service_of(self.caller) or "lab",
            "requestParameters": self.parameters,
            "responseElements": self.elements,
            "requestID": self.id,
            "eventID": self.id,
            "readOnly": self.read_only,
            "resources": [
                {"accountId": ACCOUNT, "type": kind, "ARN": arn} for kind, arn in self.resources
            ],
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        }
        if self.error:
            said |= {"errorCode": self.error.code, "errorMessage": self.error.message}
        return said


class Trail:
    """All calls of the lab. Callers hold the world's lock."""

    def __init__(self, world: World, shapes: Shapes) -> None:
        self._world = world
        self._shapes = shapes
        self._events: deque[Event] = deque(maxlen=KEPT)

    def record(self, call: Call, answer: Mapping[str, Any] | None, error: AwsError | None) -> None:
        """Remembers a call and its result, and tells EventBridge."""
        if call.operation in DATA_EVENTS.get(call.service, ()):
            return
        clock = self._world.clock
        now = clock.now()
        if call.operation.startswith(READS):
            answer = None  # a record does not have it, and it may be long
        given, returned = self._shapes(call.service, call.operation)
        event = Event(
            str(uuid.uuid4()),
            now,
            clock.date(now),
            call.service,
            call.operation,
            call.region,
            call.caller,
            _Writer().write(trail_rules.parameters(call), given),
            _Writer().write(trail_rules.elements(call, answer), returned),
            error,
            _resources(self._world, call, answer),
        )
        self._events.append(event)
        self._world.publish(event_bus.api_call(event.record()))

    def delivered(self, region: str) -> list[Event]:
        """The events of a Region that can be looked up by now, the newest first."""
        before = self._world.clock.now() - self._world.profile.trail_lag
        return [e for e in reversed(self._events) if e.at <= before and e.region == region]


def handle(trail: Trail, call: Call) -> dict[str, Any]:
    """Answers one call. Callers hold the world's lock."""
    return OPERATIONS[call.operation](trail, call)


def lookup_events(trail: Trail, call: Call) -> dict[str, Any]:
    """LookupEvents."""
    params = call.params
    most = params.get("MaxResults", 50)
    if not 1 <= most <= 50:
        raise AwsError("InvalidMaxResultsException", "MaxResults must be between 1 and 50")
    start, end = params.get("StartTime"), params.get("EndTime")
    if start and end and start > end:
        raise AwsError("InvalidTimeRangeException", "StartTime is later than EndTime")
    wanted = params.get("LookupAttributes", [])
    if len(wanted) > 1:
        raise AwsError("InvalidLookupAttributesException", "Only one lookup attribute is supported")
    found = [
        event
        for event in trail.delivered(call.region)
        if (not start or event.date >= start)
        and (not end or event.date <= end)
        and all(a["AttributeValue"] in ATTRIBUTES[a["AttributeKey"]](event) for a in wanted)
    ]
    first = _position(found, params.get("NextToken"))
    page = found[first : first + most]
    more = {"NextToken": page[-1].id} if first + most < len(found) else {}
    return {"Events": [_entry(event) for event in page], **more}


def _position(found: list[Event], token: str | None) -> int:
    """Where the page after the event `token` begins: new events come before it."""
    if token is None:
        return 0
    for number, event in enumerate(found):
        if event.id == token:
            return number + 1
    raise AwsError("InvalidNextTokenException", "The token is not one that was given out")


def _entry(event: Event) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "EventId": event.id,
        "EventName": event.operation,
        "ReadOnly": str(event.read_only).lower(),
        "EventTime": event.date,
        "EventSource": event.source,
        "Resources": [{"ResourceType": kind, "ResourceName": arn} for kind, arn in event.resources],
        "CloudTrailEvent": json.dumps(event.record()),
    }
    named = {"AccessKeyId": event.caller.access_key, "Username": event.username}
    return entry | {name: value for name, value in named.items() if value}


# What a record says


def _service_of(caller: Caller) -> str | None:
    """The service that called, by itself or for somebody: rds.amazonaws.com, say."""
    principal = caller.arn if caller.is_service else caller.via
    return f"{principal.split('.')[0]}.amazonaws.com" if principal else None


def _identity(caller: Caller) -> dict[str, Any]:
    if caller.is_service:
        return {"type": "AWSService", "invokedBy": _service_of(caller)}
    role = ":assumed-role/" in caller.arn
    said: dict[str, Any] = {
        "type": "AssumedRole" if role else "IAMUser",
        "principalId": caller.arn.rsplit("/", 1)[-1],
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": caller.access_key,
    }
    if role:
        said["sessionContext"] = {"sessionIssuer": {"type": "Role", "arn": caller.principal_arn}}
    else:
        said["userName"] = caller.arn.rsplit("/", 1)[-1]
    return said | ({"invokedBy": _service_of(caller)} if caller.via else {})


class _Writer:
    """Writes parameters, or an answer, as CloudTrail does.

    Names begin with a small letter; no bytes, nothing sensitive, not too much.
    """

    def __init__(self) -> None:
        self._room = MOST_SAID

    def write(self, value: Any, shape: Any, depth: int = DEEPEST) -> Any:
        """The value; `shape` is its shape in the model."""
        if shape is not None and shape.metadata.get("sensitive"):
            return HIDDEN
        if isinstance(value, Mapping | list | tuple) and depth == 0:
            return CUT
        if isinstance(value, Mapping):
            return self._mapping(value, shape, depth - 1) or None
        if isinstance(value, list | tuple):
            return self._list(value, getattr(shape, "member", None), depth - 1)
        if isinstance(value, int | float | bool | None):
            return value
        if isinstance(value, datetime):
            return self._text(trail_rules.date_text(value))
        return self._text(str(value))

    def _mapping(self, value: Mapping[str, Any], shape: Any, depth: int) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for name, each in value.items():
            if not self._has_room(len(name) + PUNCTUATION):
                break
            if isinstance(each, bytes):
                continue
            if "EncryptionContext" in name and isinstance(each, Mapping):
                # Not hidden, and its names stay: they are the caller's own.
                written[_small(name)] = {key: self._text(str(said)) for key, said in each.items()}
            else:
                written[_small(name)] = self.write(each, _member(shape, name), depth)
        return written

    def _list(self, value: Sequence[Any], shape: Any, depth: int) -> list[Any]:
        written = []
        for each in value:
            if not self._has_room(PUNCTUATION):
                break
            if not isinstance(each, bytes):
                written.append(self.write(each, shape, depth))
        return written

    def _text(self, text: str) -> str:
        cut = text if len(text) <= self._room else text[: max(self._room, 0)] + CUT
        self._room -= len(cut)
        return cut

    def _has_room(self, characters: int) -> bool:
        self._room -= characters
        return self._room > 0


def _member(shape: Any, name: str) -> Any:
    """The shape of a member."""
    if shape is not None and shape.type_name == "map":
        return shape.value
    return getattr(shape, "members", {}).get(name)


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _resources(
    world: World, call: Call, answer: Mapping[str, Any] | None
) -> tuple[tuple[str, str], ...]:
    """Type and ARN of every resource of a known type that the call or its answer names."""
    found: dict[str, str] = {}
    for text in strings([call.params, answer]):
        if not (text.startswith(("arn:", "alias/")) or len(text) == 36):
            continue
        arn = text
        if call.service == "kms" and text in world.region(call.region).keys:
            arn = world.region(call.region).keys[text].arn
        elif call.service == "kms" and text in world.region(call.region).aliases:
            region = world.region(call.region)
            arn = region.keys[region.aliases[text]].arn
        parts = arn.split(":", 5)
        if len(parts) == 6 and parts[0] == "arn":
            kind = TYPES.get((parts[2], parts[5].replace("/", ":").split(":")[0]))
            if kind:
                found[arn] = kind
    return tuple((kind, arn) for arn, kind in found.items())


OPERATIONS: dict[str, Callable[[Trail, Call], dict[str, Any]]] = {"LookupEvents": lookup_events}
