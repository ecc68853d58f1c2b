"""One use of what a secondary key encrypts: does it work, and if not, is that for the key?"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.secondary_keys import ACTIVITY_STREAM, MASTER_SECRET, SecondaryKey, find
from chaosaws_kms_ext.loadgen.conninfo import conninfo_as
from chaosaws_kms_ext.loadgen.passwords import read_secret
from chaosaws_kms_ext.loadgen.schema import LoadFailed, within
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["Use", "use"]

OF_THE_KEY = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "DisabledException",
        "InternalServiceError",
        "KMSInvalidStateException",
        "NotAuthorizedException",
    }
)
"""With what the uses are refused whose key is away (API references: Secrets Manager,
GetSecretValue; Performance Insights, GetResourceMetrics; KMS, Decrypt)."""

LOGIN_TIMEOUT = 5.0
"""Seconds."""

METRIC, PERIOD, SPAN = "db.load.avg", 60, timedelta(minutes=5)
"""What is asked of Performance Insights: seconds of a period, and how far back."""

RECENT, PAGES, RECORDS = timedelta(minutes=2), 20, 1000
"""Records of an activity stream: how far back one is looked for, in how many pages of which size
at most."""


@dataclass(frozen=True)
class Use:
    """How one use went."""

    works: bool | None
    """None: it is not known, for a reason that is not the key."""
    code: str = ""
    why: str = ""
    status: str = ""
    """What RDS says of it."""
    cached_login: bool | None = None
    newest_record: str | None = None

    def details(self) -> dict[str, Any]:
        """For the event."""
        return {
            "works": self.works,
            "code": self.code,
            "why": self.why,
            "status": self.status,
            "cached_login": self.cached_login,
            "newest_record": self.newest_record,
        }


def use(run: Run, cluster_id: str, of: str) -> Use | None:
    """Uses it once; None: the cluster has no such key. Raises what makes no sense to try again."""
    aws = Aws.of(run)
    try:
        cluster = rds.describe(aws, cluster_id)
        its = find(aws, cluster, of)
    except AwsError as problem:
        go_on_after(run, problem)
        return Use(None, problem.code, str(problem))
    if its is None:
        return None
    if of == MASTER_SECRET:
        used = _secret(run, aws, cluster, its)
    elif of == ACTIVITY_STREAM:
        used = _stream(run, aws, cluster, its)
    else:
        used = _insights(run, aws, its)
    return replace(used, status=its.status)


# Internals


def _refused(run: Run, problem: AwsError) -> Use:
    """What a refused call says: whether it is for the key, or is not known."""
    if problem.code in OF_THE_KEY:
        return Use(False, problem.code, str(problem))
    go_on_after(run, problem)
    return Use(None, problem.code, str(problem))


def _secret(run: Run, aws: Aws, cluster: Database, its: SecondaryKey) -> Use:
    """Reads the password and logs in with it; else with the one that was read before."""
    try:
        read = read_secret(aws, its.about)
    except AwsError as problem:
        known = run.read_secrets.get(its.about)
        login = None if known is None else not _login(run, cluster, *known)
        return replace(_refused(run, problem), cached_login=login)
    except Refused as problem:
        return Use(None, "", str(problem))
    run.read_secrets[its.about] = read
    why = _login(run, cluster, *read)
    return Use(None if why else True, "", why)


def _login(run: Run, cluster: Database, user: str, password: str) -> str:
    """Why a new login does not work; empty if it does."""
    try:
        within(
            conninfo_as(run, cluster, user, password),
            LOGIN_TIMEOUT,
            lambda connection: connection.execute("SELECT 1").fetchone(),
        )
    except LoadFailed as problem:
        return str(problem)
    return ""


def _insights(run: Run, aws: Aws, its: SecondaryKey) -> Use:
    """Asks for the load of the database."""
    now = datetime.now(UTC)
    asked = {
        "ServiceType": "RDS",
        "Identifier": its.about,
        "MetricQueries": [{"Metric": METRIC}],
        "StartTime": now - SPAN,
        "EndTime": now,
        "PeriodInSeconds": PERIOD,
    }
    try:
        aws.call("pi", "GetResourceMetrics", asked)
    except AwsError as problem:
        return _refused(run, problem)
    return Use(True)


def _stream(run: Run, aws: Aws, cluster: Database, its: SecondaryKey) -> Use:
    """Decrypts the data key of the newest record, as every consumer of the stream has to.

    Aurora User Guide, "Processing a database activity stream using the AWS SDK".
    """
    try:
        newest = max(_records(aws, its.about), key=_arrival, default=None)
    except AwsError as problem:
        go_on_after(run, problem)
        return Use(None, problem.code, str(problem))
    if newest is None:
        return Use(None, "", f"{its.about} has no record of the last {RECENT.seconds} s")
    at = _arrival(newest).astimezone(UTC).isoformat()
    try:
        sealed = base64.b64decode(json.loads(newest["Data"])["key"])
    except (KeyError, TypeError, ValueError):
        return Use(None, "", f"{its.about} has a record that is none of an activity stream")
    name, resource = cluster.context
    context = {name: resource}
    asked = {"KeyId": its.key, "CiphertextBlob": sealed, "EncryptionContext": context}
    try:
        aws.call("kms", "Decrypt", asked)
    except AwsError as problem:
        return replace(_refused(run, problem), newest_record=at)
    return Use(True, newest_record=at)


def _arrival(record: Mapping[str, Any]) -> datetime:
    at = record.get("ApproximateArrivalTimestamp")
    return at if isinstance(at, datetime) else datetime.min.replace(tzinfo=UTC)


def _records(aws: Aws, stream: str) -> Iterator[Mapping[str, Any]]:
    """Those of the last minutes; raises AwsError."""
    since = datetime.now(UTC) - RECENT
    for shard in aws.call("kinesis", "ListShards", {"StreamName": stream}).get("Shards", []):
        where = aws.call(
            "kinesis",
            "GetShardIterator",
            {
                "StreamName": stream,
                "ShardId": shard["ShardId"],
                "ShardIteratorType": "AT_TIMESTAMP",
                "Timestamp": since,
            },
        )
        following = where.get("ShardIterator")
        for _ in range(PAGES):
            if not following:
                break
            page = aws.call("kinesis", "GetRecords", {"ShardIterator": following, "Limit": RECORDS})
            yield from page.get("Records", [])
            following = page.get("NextShardIterator") if page.get("MillisBehindLatest") else None
