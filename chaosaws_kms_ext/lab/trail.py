"""CloudTrail: who called what, and what came of it, Aurora's own use of keys included.

AWS CloudTrail User Guide, "CloudTrail record contents"; AWS KMS Developer Guide, "AWS CloudTrail
log entries". Events can be looked up once they are delivered, which takes a while (profile).
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosaws_kms_ext.lab import bus
from chaosaws_kms_ext.lab.world import ACCOUNT, Call, Caller, Fault, World

__all__ = ["OPERATIONS", "Trail", "handle"]

KEPT = 50_000
"""Events; the oldest go first. (On AWS: those of 90 days.)"""

# AWS KMS Developer Guide, log entries: the cryptographic operations are readOnly too.
READS = (
    "BatchGet", "Decrypt", "Describe", "Encrypt", "GenerateDataKey", "GenerateRandom", "Get",
    "List", "Lookup", "ReEncrypt", "Simulate",
)  # fmt: skip

# AWS CloudTrail User Guide, "Logging data events", and the services' own guides: neither the Event
# history nor EventBridge has these unless a trail selects them. A queue that gets the events of the
# account would else get one for each message that is taken out of it.
DATA_EVENTS: dict[str, frozenset[str]] = {
    "events": frozenset({"PutEvents"}),
    "lambda": frozenset({"Invoke"}),
    "logs": frozenset({"PutLogEvents"}),
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

HIDDEN = frozenset({"MasterUserPassword", "SecretString", "SecretBinary"})
"""What CloudTrail leaves out of requestParameters."""

# API reference, LookupAttribute: attribute → how it is read from an event.
ATTRIBUTES: dict[str, Callable[[Event], set[str]]] = {
    "AccessKeyId": lambda event: {event.caller.access_key},
    "EventId": lambda event: {event.id},
    "EventName": lambda event: {event.call.operation},
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
    ("rds", "cluster-snapshot"): "AWS::RDS::DBClusterSnapshot",
}


@dataclass(frozen=True)
class Event:
    """One call, as it is remembered."""

    id: str
    at: float
    """Lab seconds."""
    date: datetime
    call: Call
    answer: Mapping[str, Any] | None
    fault: Fault | None
    resources: tuple[tuple[str, str], ...]
    """Type and ARN."""

    @property
    def caller(self) -> Caller:
        """Who made it."""
        return self.call.caller

    @property
    def source(self) -> str:
        """kms.amazonaws.com, say."""
        return f"{self.call.service}.amazonaws.com"

    @property
    def read_only(self) -> bool:
        """Whether the operation changes nothing."""
        return self.call.operation.startswith(READS)

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
            "eventName": self.call.operation,
            "awsRegion": self.call.region,
            "sourceIPAddress": _service_of(self.caller) or "127.0.0.1",
            "userAgent": _service_of(self.caller) or "lab",
            "requestParameters": _said(self.call.params),
            "responseElements": None if self.read_only else _said(self.answer or {}),
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
        if self.fault:
            said |= {"errorCode": self.fault.code, "errorMessage": self.fault.message}
        return said


class Trail:
    """All calls of the lab; the world's lock is held by whoever uses it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events: deque[Event] = deque(maxlen=KEPT)

    def record(self, call: Call, answer: Mapping[str, Any] | None, fault: Fault | None) -> None:
        """Remembers a call and what came of it, and tells EventBridge."""
        if call.operation in DATA_EVENTS.get(call.service, ()):
            return
        clock = self._world.clock
        now = clock.now()
        if call.operation.startswith(READS):
            answer = None  # a record does not have it, and it may be long
        resources = _resources(self._world, call, answer)
        event = Event(str(uuid.uuid4()), now, clock.date(now), call, answer, fault, resources)
        self._events.append(event)
        self._world.publish(bus.api_call(event.record()))

    def delivered(self, region: str) -> list[Event]:
        """The events of a Region that can be looked up by now, the newest first."""
        before = self._world.clock.now() - self._world.profile.trail_lag
        return [e for e in reversed(self._events) if e.at <= before and e.call.region == region]


def handle(trail: Trail, call: Call) -> dict[str, Any]:
    """Answers one call; the world's lock is held by whoever calls."""
    return OPERATIONS[call.operation](trail, call)


def lookup_events(trail: Trail, call: Call) -> dict[str, Any]:
    """LookupEvents."""
    params = call.params
    most = params.get("MaxResults", 50)
    if not 1 <= most <= 50:
        raise Fault("InvalidMaxResultsException", "MaxResults must be between 1 and 50")
    start, end = params.get("StartTime"), params.get("EndTime")
    if start and end and start > end:
        raise Fault("InvalidTimeRangeException", "StartTime is later than EndTime")
    wanted = params.get("LookupAttributes", [])
    if len(wanted) > 1:
        raise Fault("InvalidLookupAttributesException", "Only one lookup attribute is supported")
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
    raise Fault("InvalidNextTokenException", "The token is not one that was given out")


def _entry(event: Event) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "EventId": event.id,
        "EventName": event.call.operation,
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
    """The service through which, or as which, it was called: rds.amazonaws.com."""
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


def _said(params: Any) -> Any:
    """Parameters as CloudTrail writes them: names with a small letter first, no bytes, no
    secrets; an encryption context stands in the clear."""
    if isinstance(params, Mapping):
        written = {
            _small(str(name)): _said_as(str(name), value)
            for name, value in params.items()
            if not isinstance(value, bytes)
        }
        return written or None
    if isinstance(params, list | tuple):
        return [_said(each) for each in params]
    return params if isinstance(params, str | int | float | bool | None) else str(params)


def _said_as(name: str, value: Any) -> Any:
    if name in HIDDEN:
        return "HIDDEN_DUE_TO_SECURITY_REASONS"
    # The names in an encryption context are the caller's, not parameters.
    return value if "EncryptionContext" in name else _said(value)


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _resources(
    world: World, call: Call, answer: Mapping[str, Any] | None
) -> tuple[tuple[str, str], ...]:
    """Everything of the call and its answer that is the ARN of something we know the type of."""
    found: dict[str, str] = {}
    for text in _strings([call.params, answer or {}]):
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


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith(("arn:", "alias/")) or len(value) == 36 else []
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _strings(each)]
    return []


OPERATIONS: dict[str, Callable[[Trail, Call], dict[str, Any]]] = {"LookupEvents": lookup_events}
