"""Finds what a call names; and the small parts that all of RDS' answers share."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chaosaws_kms_lab.aurora import AVAILABLE
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.rds.tables import LEGAL, SINGLE_LEGAL, SNAPSHOT_LEGAL
from chaosaws_kms_lab.world import Cluster, Instance, Region, Snapshot, World

__all__ = [
    "ENGINE",
    "SINGLE_ENGINE",
    "check_engine",
    "check_legal",
    "check_single",
    "cluster",
    "cluster_anywhere",
    "db_snapshot",
    "filtered",
    "instance",
    "legal_cluster",
    "legal_snapshot",
    "new_identifier",
    "paged",
    "resource_id",
    "snapshot",
    "tag_list",
    "tags",
]

ENGINE = "aurora-postgresql"
SINGLE_ENGINE = "postgres"
"""Of instances that are no cluster's."""
IDENTIFIER = re.compile(r"[a-z](-?[a-z0-9])*", re.IGNORECASE)

Named = TypeVar("Named", Cluster, Instance, Snapshot)


def cluster(region: Region, reference: str) -> Cluster:
    """The cluster that an identifier or an ARN names."""
    return _named(
        region.clusters, reference, "DBClusterNotFoundFault", f"DBCluster {reference} not found."
    )


def cluster_anywhere(world: World, arn: str) -> Cluster:
    """The cluster that an ARN names, in whatever Region it is."""
    if arn.count(":") < 6:
        raise AwsError("DBClusterNotFoundFault", f"DBCluster {arn} not found.")
    return cluster(world.region(arn.split(":")[3]), arn)


def instance(region: Region, reference: str) -> Instance:
    """The instance that an identifier or an ARN names."""
    return _named(
        region.instances, reference, "DBInstanceNotFound", f"DBInstance {reference} not found."
    )


def snapshot(region: Region, reference: str) -> Snapshot:
    """The cluster snapshot that an identifier or an ARN names."""
    code = "DBClusterSnapshotNotFoundFault"
    return _named(region.snapshots, reference, code, f"DBClusterSnapshot not found: {reference}")


def db_snapshot(region: Region, reference: str) -> Snapshot:
    """The snapshot of an instance that an identifier or an ARN names."""
    why = f"DBSnapshot not found: {reference}"
    return _named(region.db_snapshots, reference, "DBSnapshotNotFound", why)


def legal_cluster(region: Region, call: Call) -> Cluster:
    """The cluster that the call names, if it is in a status in which the call is legal."""
    found = cluster(region, call.params["DBClusterIdentifier"])
    check_legal(call.operation, found)
    return found


def check_legal(operation: str, found: Cluster) -> None:
    """Raises InvalidDBClusterStateFault, with RDS' message, unless LEGAL allows the operation."""
    legal = LEGAL[operation]
    if found.status not in legal:
        raise AwsError(
            "InvalidDBClusterStateFault",
            f"DbCluster {found.id} is in {found.status} state but expected it to be one of "
            f"{','.join(legal)}.",
        )


def check_single(operation: str, found: Cluster) -> None:
    """The same of an instance that is no cluster's: raises InvalidDBInstanceState."""
    if found.status in SINGLE_LEGAL[operation]:
        return
    why = f"Database instance is not in {SINGLE_LEGAL[operation][0]} state."
    if operation == "StartDBInstance":
        why = (
            f"Instance {found.id} cannot be started as it is not in one of the following statuses: "
            "'stopped, inaccessible-encryption-credentials-recoverable, incompatible-network (only "
            "valid for non-SqlServer instances)'."
        )
    elif operation == "StopDBInstance":
        why = f"Instance {found.id} is not in {AVAILABLE} state."
    raise AwsError("InvalidDBInstanceState", why)


def legal_snapshot(region: Region, call: Call, parameter: str) -> Snapshot:
    """The snapshot that a parameter names, if it is in a status in which the call is legal."""
    found = snapshot(region, call.params[parameter])
    if found.status not in SNAPSHOT_LEGAL[call.operation]:
        raise AwsError(
            "InvalidDBClusterSnapshotStateFault",
            f"The snapshot {found.id} is {found.status}, not "
            f"{' or '.join(SNAPSHOT_LEGAL[call.operation])}.",
        )
    return found


def filtered(
    found: list[Any], call: Call, filters: Mapping[str, Callable[[Any], set[str]]]
) -> list[Any]:
    """What passes the call's filters; `filters`: filter → the values that a thing has for it."""
    for wanted in call.params.get("Filters", []):
        if wanted["Name"] not in filters:
            raise AwsError("InvalidParameterValue", f"Unrecognized filter name: {wanted['Name']}")
        values = filters[wanted["Name"]]
        found = [item for item in found if values(item) & set(wanted["Values"])]
    return found


def new_identifier(name: str, kind: str = "identifier", longest: int = 63) -> str:
    """A name for something new, as RDS keeps it: in lower case."""
    if not IDENTIFIER.fullmatch(name) or len(name) > longest:
        raise AwsError(
            "InvalidParameterValue",
            f"{name} is not a valid {kind}: letters, digits and single hyphens, a letter "
            f"first, no hyphen last, at most {longest}.",
        )
    return name.lower()


def check_engine(engine: str) -> None:
    """Raises InvalidParameterValue for an engine that the lab does not have."""
    if engine != ENGINE:
        raise AwsError("InvalidParameterValue", f"The lab's engine is {ENGINE}, not {engine}")


def resource_id() -> str:
    """The random part of a resource id."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))


def tags(pairs: list[dict[str, str]]) -> dict[str, str]:
    """RDS' list of tags as a mapping."""
    return {pair["Key"]: pair.get("Value", "") for pair in pairs}


def tag_list(known: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as RDS' list."""
    return [{"Key": key, "Value": value} for key, value in known.items()]


def paged(name: str, items: list[Any], marker: str | None) -> dict[str, Any]:
    """One page of an answer."""
    return {name: items} | ({"Marker": marker} if marker else {})


# Internals


def _named(known: Mapping[str, Named], reference: str, code: str, why: str) -> Named:
    """What an identifier, or exactly its ARN, names."""
    found = known.get(reference.rsplit(":", 1)[-1].lower())
    if found is None or (reference.startswith("arn:") and found.arn != reference):
        raise AwsError(code, why)
    return found
