"""CloudTrail's event history in plain verbs: who called what in this Region, for 90 days."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws

__all__ = ["SPACING", "EventHistory", "Logged"]

SPACING = 0.6
"""AWS seconds between two requests: two a second are allowed per account and Region, and others
look too (API reference, LookupEvents)."""

MOST_PAGES = 100
"""Of one lookup, 50 events each: a Region that has more to say would keep a run for too long."""


@dataclass(frozen=True)
class Logged:
    """One management event (CloudTrail User Guide, "CloudTrail record contents")."""

    id: str
    at: datetime
    """Of the request, in whole seconds."""
    who: str
    """The caller's ARN; a service's name where a service called by itself."""
    error: str
    """The error code; empty if it was done."""
    parameters: Mapping[str, Any] = field(repr=False)
    resources: frozenset[str] = field(repr=False)
    """ARNs."""

    def about_database(self, reference: str) -> bool:
        """Whether it names this database, as aws/database.py does."""
        kind = rds.kind_of(reference)
        its = {name.lower(): value for name, value in self.parameters.items()}
        return its.get(kind.identifier.lower()) == kind.id_of(reference)

    def about(self, key_arn: str) -> bool:
        """Whether it is about this key."""
        named = self.parameters.get("keyId")
        return key_arn in self.resources or named in (key_arn, key_arn.rpartition("/")[2])


class EventHistory:
    """The event history, asked no faster than it may be."""

    def __init__(self, aws: Aws, spacing: float) -> None:
        """`spacing`: seconds from one request to the next."""
        self._aws = aws
        self._spacing = spacing
        self._next = 0.0

    def lookup(
        self, name: str, since: datetime, until: datetime | None = None
    ) -> tuple[list[Logged], bool]:
        """The events of that name (DisableKey, say), oldest first, and whether these are all.

        Management events of this Region; not those that have not been delivered yet. Raises
        AwsError. IAM: cloudtrail:LookupEvents.
        """
        asked: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
            "StartTime": since,
        }
        if until is not None:
            asked["EndTime"] = until
        found: list[Logged] = []
        for _ in range(MOST_PAGES):
            self._wait()
            answer = self._aws.call("cloudtrail", "LookupEvents", asked)
            found += _read(answer)
            if not answer.get("NextToken"):
                return sorted(found, key=lambda event: event.at), True
            asked["NextToken"] = answer["NextToken"]
        return sorted(found, key=lambda event: event.at), False

    def _wait(self) -> None:
        time.sleep(max(self._next - time.monotonic(), 0))
        self._next = time.monotonic() + self._spacing


# Internals


def _read(answer: Mapping[str, Any]) -> Iterator[Logged]:
    """The events of a page, but for those that are not as documented."""
    for event in answer.get("Events", []):
        try:
            record = json.loads(event["CloudTrailEvent"])
            at = datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ")
        except (KeyError, TypeError, ValueError):
            continue
        identity = record.get("userIdentity") or {}
        yield Logged(
            id=str(record.get("eventID", "")),
            at=at.replace(tzinfo=UTC),
            who=str(identity.get("arn") or identity.get("invokedBy") or "unknown"),
            error=str(record.get("errorCode") or ""),
            parameters=record.get("requestParameters") or {},
            resources=frozenset(str(each.get("ARN")) for each in record.get("resources") or []),
        )
