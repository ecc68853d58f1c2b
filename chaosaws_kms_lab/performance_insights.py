"""Performance Insights, as far as its key goes: whether what it keeps could be read.

The lab collects no metrics: its answers have no data points. Each caller needs the use of the
instance's key for it, through RDS (Aurora User Guide, "Changing an AWS KMS policy for Performance
Insights").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosaws_kms_lab import parameters
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.kms.calls import ask
from chaosaws_kms_lab.rds import encryption
from chaosaws_kms_lab.world import Encryption, World

__all__ = ["OPERATIONS", "handle"]


def handle(world: World, call: Call) -> dict[str, Any]:
    """Answers one call. Callers hold the world's lock."""
    parameters.check(call)
    return OPERATIONS[call.operation](world, call)


def get_resource_metrics(world: World, call: Call) -> dict[str, Any]:
    params = call.params
    held = _of(world, call)
    try:
        ask(
            world,
            call.region,
            encryption.through(call),
            "Decrypt",
            KeyId=held.key_arn,
            CiphertextBlob=held.data_key,
            EncryptionContext=dict(held.context),
        )
    except AwsError as why:
        # Assumed: of the errors in the API reference this is the only one that could be it.
        message = f"The KMS key of Performance Insights cannot be used: {why.code}: {why.message}"
        raise AwsError("NotAuthorizedException", message) from why
    return {
        "AlignedStartTime": params["StartTime"],
        "AlignedEndTime": params["EndTime"],
        "Identifier": params["Identifier"],
        "MetricList": [
            {"Key": {"Metric": query["Metric"]}, "DataPoints": []}
            for query in params["MetricQueries"]
        ],
    }


def _of(world: World, call: Call) -> Encryption:
    wanted = call.params["Identifier"]
    for instance in world.region(call.region).instances.values():
        if instance.resource_id == wanted and instance.insights:
            return instance.insights
    raise AwsError("InvalidArgumentException", f"There are no Performance Insights of {wanted}.")


OPERATIONS: dict[str, Callable[[World, Call], dict[str, Any]]] = {
    "GetResourceMetrics": get_resource_metrics,
}
