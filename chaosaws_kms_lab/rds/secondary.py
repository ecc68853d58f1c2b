"""What of a cluster is under keys of its own, beside its storage: the secret in which RDS keeps its
master user's password, Performance Insights, the activity stream.

Without one of these keys the cluster lives: nothing of it is asked for its storage (Aurora User
Guide, Overview.Encryption.Keys).
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chaosaws_kms_lab import moto_services
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import SECONDARY_STOPS
from chaosaws_kms_lab.kms.calls import ask
from chaosaws_kms_lab.rds import encryption, find
from chaosaws_kms_lab.secrets_manager import AWS_MANAGED
from chaosaws_kms_lab.world import ActivityStream, Cluster, Encryption, MasterSecret

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = [
    "OPERATIONS",
    "beat",
    "check_password",
    "forget",
    "keep_password",
    "stops",
    "take_insights",
]

HEARTBEAT = 60.0
"""AWS seconds between two records. Assumed: Aurora writes heartbeats when nothing else happens, and
does not say how often. The lab records no statements: its streams have heartbeats alone."""

STARTING = 60.0
"""AWS seconds until a stream has started. Assumed."""

DAS = "aws-rds-das-"
"""What the names of their Kinesis streams begin with (Aurora User Guide, DBActivityStreams)."""


# The master user's secret


def check_password(call: Call) -> None:
    """Raises InvalidParameterCombination where a password is given that RDS is to make."""
    managed = bool(call.params.get("ManageMasterUserPassword"))
    if managed and call.params.get("MasterUserPassword"):
        why = "You can't specify MasterUserPassword together with ManageMasterUserPassword."
        raise AwsError("InvalidParameterCombination", why)
    if not managed and call.params.get("MasterUserSecretKmsKeyId"):
        why = "MasterUserSecretKmsKeyId needs ManageMasterUserPassword."
        raise AwsError("InvalidParameterCombination", why)


def keep_password(rds: Rds, call: Call, user: str, password: str) -> MasterSecret | None:
    """Makes the secret, if that is asked for, with the caller's use of its key."""
    if not call.params.get("ManageMasterUserPassword"):
        return None
    reference = call.params.get("MasterUserSecretKmsKeyId") or AWS_MANAGED
    content = json.dumps({"username": user, "password": password})
    name = f"rds!cluster-{uuid.uuid4()}"
    if reference.endswith(AWS_MANAGED):
        return MasterSecret(moto_services.create_secret(call.region, name, content, None)[0], None)
    named = {"KeyId": reference}
    try:
        key = ask(rds.world, call.region, encryption.through(call), "DescribeKey", **named)
    except AwsError as why:
        raise encryption.not_accessible(reference, encryption.THE_KEY) from why
    key_arn = key["KeyMetadata"]["Arn"]
    arn, version = moto_services.create_secret(call.region, name, content, key_arn)
    try:
        rds.secrets.keep(arn, version, rds.secrets.data_key(call, key_arn, arn, version))
    except AwsError as why:
        moto_services.delete_secret(call.region, arn)
        raise encryption.not_accessible(reference, encryption.THE_KEY) from why
    return MasterSecret(arn, key_arn)


# Performance Insights


def take_insights(rds: Rds, call: Call, resource_id: str) -> Encryption | None:
    """The encryption of a new instance's Performance Insights, if it is to have them.

    The context: Aurora User Guide, "Changing an AWS KMS policy for Performance Insights".
    """
    if not call.params.get("EnablePerformanceInsights"):
        return None
    context = {"aws:pi:service": "rds", "service": "pi", "aws:rds:db-id": resource_id}
    return encryption.take(rds.world, call, call.params.get("PerformanceInsightsKMSKeyId"), context)


# The activity stream


def start_activity_stream(rds: Rds, call: Call) -> dict[str, Any]:
    params = call.params
    cluster = find.cluster(rds.world.region(call.region), params["ResourceArn"])
    find.check_legal(call.operation, cluster)
    if cluster.stream:
        why = f"The activity stream of {cluster.id} is started already."
        raise AwsError("InvalidDBClusterStateFault", why)
    if params["Mode"] not in ("sync", "async"):
        raise AwsError("InvalidParameterValue", f"The mode is sync or async, not {params['Mode']}.")
    context = {"aws:rds:dbc-id": cluster.resource_id}
    held = encryption.take(rds.world, call, params["KmsKeyId"], context)
    name, now = f"{DAS}{cluster.resource_id}", rds.now()
    moto_services.create_stream(call.region, name)
    cluster.stream = ActivityStream(name, params["Mode"], held, now + STARTING, now - HEARTBEAT)
    return {
        "KmsKeyId": held.key_arn,
        "KinesisStreamName": name,
        "Status": "starting",
        "Mode": params["Mode"],
        "ApplyImmediately": True,
    }


def stop_activity_stream(rds: Rds, call: Call) -> dict[str, Any]:
    cluster = find.cluster(rds.world.region(call.region), call.params["ResourceArn"])
    find.check_legal(call.operation, cluster)
    if cluster.stream is None:
        why = f"The activity stream of {cluster.id} is not started."
        raise AwsError("InvalidDBClusterStateFault", why)
    stream = cluster.stream
    _end(rds, cluster)
    return {
        "KmsKeyId": stream.held.key_arn,
        "KinesisStreamName": stream.name,
        "Status": "stopping",
    }


def beat(rds: Rds, cluster: Cluster, stream: ActivityStream) -> None:
    """Writes a record that is due.

    Each has a data key of its own, so without the stream's key there is no record: assumed, the
    Aurora User Guide says nothing of it.
    """
    now = rds.now()
    if now < stream.started_at or now - stream.last < HEARTBEAT:
        return
    stream.last = now
    held = stream.held
    try:
        key = ask(
            rds.world,
            cluster.region,
            encryption.aurora(cluster.region),
            "GenerateDataKey",
            KeyId=held.key_arn,
            KeySpec="AES_256",
            EncryptionContext=dict(held.context),
        )
    except AwsError:
        return
    events = {
        "type": "DatabaseActivityMonitoringRecord",
        "clusterId": cluster.resource_id,
        "databaseActivityEventList": [{"type": "heartbeat"}],
    }
    nonce = uuid.uuid4().bytes[:12]
    sealed = nonce + AESGCM(key["Plaintext"]).encrypt(nonce, json.dumps(events).encode(), None)
    record = {
        "type": "DatabaseActivityMonitoringRecords",
        "version": "1.1",
        "databaseActivityEvents": base64.b64encode(sealed).decode(),
        "key": base64.b64encode(key["CiphertextBlob"]).decode(),
    }
    moto_services.put_record(cluster.region, stream.name, json.dumps(record).encode())


# All of them


def stops(rds: Rds, cluster: Cluster) -> bool:
    """Whether the loss of such a key takes the cluster down: only by a misbehaviour."""
    ordered = rds.world.active_misbehaviours(SECONDARY_STOPS)
    if not any(each.about is cluster for each in ordered):
        return False
    keys = rds.world.region(cluster.region).keys.values()
    lost = {key.arn for key in keys if key.state != "Enabled"}
    return bool(lost & set(_keys(cluster)))


def forget(rds: Rds, cluster: Cluster) -> None:
    """Removes what goes with a cluster that is deleted."""
    if cluster.secret:
        moto_services.delete_secret(cluster.region, cluster.secret.arn)
    _end(rds, cluster)


def _end(rds: Rds, cluster: Cluster) -> None:
    if cluster.stream:
        rds.release(cluster.stream.held)
        moto_services.delete_stream(cluster.region, cluster.stream.name)
        cluster.stream = None


def _keys(cluster: Cluster) -> list[str]:
    return [
        *([cluster.secret.key_arn] if cluster.secret and cluster.secret.key_arn else []),
        *([cluster.stream.held.key_arn] if cluster.stream else []),
        *(each.insights.key_arn for each in cluster.instances if each.insights),
    ]


OPERATIONS = {
    "StartActivityStream": start_activity_stream,
    "StopActivityStream": stop_activity_stream,
}
