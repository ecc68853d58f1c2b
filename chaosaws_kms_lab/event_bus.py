"""The default event bus: the events that RDS, KMS and CloudTrail send to EventBridge.

Events are dicts, as EventBridge delivers them. Rules, patterns and targets are moto's
(moto_services.py). All of these events are sent "on a best effort basis" (Amazon EventBridge
Events Reference).
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT
from chaosaws_kms_lab.world import Event, Key

__all__ = ["Bus", "api_call", "kms_event", "rds_event", "rule_states"]

logger = logging.getLogger(__name__)

API_CALL = "AWS API Call via CloudTrail"

ENABLED, EVERYTHING = "ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""The states in which a rule gets events (API reference, PutRule, parameter State)."""

MOST_WAITING = 10_000
"""Events that wait to be delivered; when there are more, the oldest are lost."""

# AuroraUserGuide, "Overview of events for Aurora": as DescribeEvents names the type of a source →
# as EventBridge does, in the event's type and in its detail.
RDS_SOURCES = {
    "db-cluster": ("RDS DB Cluster Event", "CLUSTER"),
    "db-cluster-snapshot": ("RDS DB Cluster Snapshot Event", "CLUSTER_SNAPSHOT"),
    "db-snapshot": ("RDS DB Snapshot Event", "SNAPSHOT"),
    "db-instance": ("RDS DB Instance Event", "DB_INSTANCE"),
}


def rds_event(event: Event, tags: Mapping[str, str]) -> dict[str, Any]:
    """An RDS event, as RDS sends it (AuroraUserGuide, "Overview of events for Aurora").

    `tags`: the tags that the source has now ("Amazon RDS event notification tags and attributes").
    """
    kind, source_type = RDS_SOURCES[event.source_type]
    detail = {
        "EventCategories": list(event.categories),
        "SourceType": source_type,
        "SourceArn": event.source_arn,
        "Date": _iso(event.date, "milliseconds"),
        "Message": event.message,
        "SourceIdentifier": event.source_id,
        "EventID": event.id,
        "Tags": dict(tags),
    }
    return _event(
        "aws.rds", kind, event.source_arn.split(":")[3], event.date, detail, event.source_arn
    )


def kms_event(kind: str, key: Key, date: datetime, **more: str) -> dict[str, Any]:
    """KMS CMK Rotation, KMS Imported Key Material Expiration or KMS CMK Deletion.

    AWS KMS Developer Guide, "Monitor KMS keys with Amazon EventBridge". `more`: what the detail has
    besides the key's id, with _ for -.
    """
    detail = {"key-id": key.id} | {name.replace("_", "-"): said for name, said in more.items()}
    return _event("aws.kms", kind, key.region, date, detail, key.arn)


def api_call(record: Mapping[str, Any]) -> dict[str, Any]:
    """The event of a CloudTrail record (EventBridge User Guide, "AWS service events delivered via
    AWS CloudTrail").

    AWS sends it if there is a trail that logs; the lab sends it always. It is sent at once: the
    guides give no delay for it.
    """
    source = "aws." + record["eventSource"].partition(".")[0]
    date = datetime.fromisoformat(record["eventTime"])
    return _event(source, API_CALL, record["awsRegion"], date, record)


def rule_states(event: Mapping[str, Any]) -> Collection[str]:
    """The states of the rules that get an event if they match it.

    EventBridge User Guide, "Receiving read-only management events from AWS services".
    """
    if event["detail-type"] == API_CALL and event["detail"]["readOnly"]:
        return (EVERYTHING,)
    return (ENABLED, EVERYTHING)


def _event(
    source: str, kind: str, region: str, date: datetime, detail: Mapping[str, Any], *resources: str
) -> dict[str, Any]:
    """Events Reference, "Event structure"."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": _iso(date, "seconds"),
        "region": region,
        "resources": list(resources),
        "detail": detail,
    }


def _iso(date: datetime, to: str) -> str:
    return date.astimezone(UTC).isoformat(timespec=to).replace("+00:00", "Z")


class Bus:
    """Takes events and delivers them in their order, in a thread that runs while any wait.

    In a thread, because `put` is called under the world's lock, and a target can be slow.
    """

    def __init__(
        self,
        wanted: Callable[[str], bool],
        deliver: Callable[[dict[str, Any], Collection[str]], None],
    ) -> None:
        self._wanted = wanted
        self._deliver = deliver
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()
        self._delivering = False

    def put(self, event: dict[str, Any]) -> None:
        """Takes an event, if its Region has a rule."""
        if not self._wanted(event["region"]):
            return
        with self._lock:
            self._waiting.append(event)
            if self._delivering:
                return
            self._delivering = True
        threading.Thread(target=self._run, daemon=True, name="event bus").start()

    def _run(self) -> None:
        for event in self._taken():
            try:
                self._deliver(event, rule_states(event))
            except Exception:
                logger.exception("an event of %s was lost", event["source"])

    def _taken(self) -> Iterable[dict[str, Any]]:
        while True:
            with self._lock:
                if not self._waiting:
                    self._delivering = False
                    return
                event = self._waiting.popleft()
            yield event
