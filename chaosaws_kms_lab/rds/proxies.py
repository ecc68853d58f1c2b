"""RDS Proxy: what stands before a cluster, and reads its logins from Secrets Manager.

Aurora User Guide, rds-proxy. What no document says is marked as assumed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from chaosaws_kms_lab import aurora, moto_services
from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller
from chaosaws_kms_lab.data_misbehaviours import PROXY_STAYS_AWAY
from chaosaws_kms_lab.db_proxy import AVAILABLE, BORROW_TIMEOUT, REGISTERING, DBProxy, Health
from chaosaws_kms_lab.rds import find
from chaosaws_kms_lab.rds.tables import PAGES
from chaosaws_kms_lab.world import Instance, Region

if TYPE_CHECKING:
    from chaosaws_kms_lab.rds.service import Rds

__all__ = ["OPERATIONS", "tick"]

CREATING = 120.0
"""AWS seconds until a new one is available. Assumed: "several minutes" (rds-proxy-creating)."""

REGISTERED = 30.0
"""AWS seconds until a new target's health is known. Assumed: "a brief time"
(rds-proxy.troubleshooting)."""

NOTICES = 5.0
"""AWS seconds until a proxy sees that the database is away. Assumed: it watches the database itself
and does not wait for "a query response from a former writer that became unavailable without closing
connections" (rds-proxy.howitworks); how often it looks is not said."""

LOGINS_KEPT = 60.0
"""AWS seconds until it reads its secrets again. Assumed: that it follows a rotation is documented
(rds-proxy-secrets-arns), and not how soon."""

UP = (aurora.AVAILABLE, aurora.FAILING_OVER)
"""Statuses in which there may be a writer that takes connections."""

GROUP = "default"
FAMILY = "POSTGRESQL"
QUOTA = 20
SHOWN_AUTH = (
    "AuthScheme", "ClientPasswordAuthType", "Description", "IAMAuth", "SecretArn", "UserName",
)  # fmt: skip
DEFAULTS = {
    "AuthScheme": "SECRETS",
    "ClientPasswordAuthType": "POSTGRES_SCRAM_SHA_256",
    "IAMAuth": "DISABLED",
}

AWAY = Health("UNAVAILABLE", "CONNECTION_FAILED", "The proxy cannot connect to the database.")
"""That this is the reason, and the words, are assumed: the API reference explains no reason."""
NO_CREDENTIALS = "Proxy does not have any registered credentials"
"""rds-proxy.troubleshooting."""


def create_db_proxy(rds: Rds, call: Call) -> dict[str, Any]:
    region, params = rds.world.region(call.region), call.params
    name = find.new_identifier(params["DBProxyName"], "DBProxyName")
    if params["EngineFamily"] != FAMILY:
        why = f"The lab's proxies are of the engine family {FAMILY}."
        raise AwsError("InvalidParameterValue", why)
    if name in region.proxies:
        raise AwsError("DBProxyAlreadyExistsFault", f"DB proxy {name} already exists.")
    taken = {each.number for each in _all(rds)}
    if len(taken) >= QUOTA:
        raise AwsError("DBProxyQuotaExceededFault", f"There are {QUOTA} DB proxies already.")
    auth = [DEFAULTS | each for each in params.get("Auth", [])]
    if params.get("DefaultAuthScheme", "NONE") != "NONE" or not auth:
        raise AwsError("InvalidParameterCombination", "The lab's proxies log in by secrets: Auth.")
    proxy = DBProxy(
        id=name,
        arn=region.arn("rds", f"db-proxy:prx-{find.resource_id().lower()[:17]}"),
        number=next(number for number in range(1, QUOTA + 1) if number not in taken),
        role=params["RoleArn"],
        auth=auth,
        subnets=list(params["VpcSubnetIds"]),
        security_groups=list(params.get("VpcSecurityGroupIds", [])),
        require_tls=params.get("RequireTLS", False),
        created=rds.world.clock.utc(),
        available_at=rds.now() + CREATING,
        tags=find.tags(params.get("Tags", [])),
    )
    region.proxies[name] = proxy
    return {"DBProxy": _describe(rds, proxy)}


def describe_db_proxies(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    found = list(region.proxies.values())
    if wanted := call.params.get("DBProxyName"):
        found = [_proxy(region, wanted)]
    page, marker = PAGES.cut(found, call.params)
    return find.paged("DBProxies", [_describe(rds, each) for each in page], marker)


def describe_db_proxy_target_groups(rds: Rds, call: Call) -> dict[str, Any]:
    proxy = _of_group(rds, call)
    page, marker = PAGES.cut([proxy], call.params)
    return find.paged("TargetGroups", [_describe_group(rds, each) for each in page], marker)


def register_db_proxy_targets(rds: Rds, call: Call) -> dict[str, Any]:
    region, proxy = rds.world.region(call.region), _of_group(rds, call)
    if _status(rds, proxy) != "available":
        why = f"DB proxy {proxy.id} is {_status(rds, proxy)}, not available."
        raise AwsError("InvalidDBProxyStateFault", why)
    named = call.params.get("DBClusterIdentifiers", [])
    if call.params.get("DBInstanceIdentifiers") or len(named) != 1:
        raise AwsError("InvalidParameterCombination", "The lab's proxies stand before one cluster.")
    if proxy.target:
        why = f"{proxy.target.id} is registered with {proxy.id} already."
        raise AwsError("DBProxyTargetAlreadyRegisteredFault", why)
    cluster = find.cluster(region, named[0])
    if cluster.status != aurora.AVAILABLE:
        why = f"DbCluster {cluster.id} is {cluster.status}, not available."
        raise AwsError("InvalidDBClusterStateFault", why)
    proxy.target, proxy.registered_at, proxy.health = cluster, rds.now(), REGISTERING
    return {"DBProxyTargets": list(_targets(rds, proxy))}


def describe_db_proxy_targets(rds: Rds, call: Call) -> dict[str, Any]:
    proxy = _of_group(rds, call)
    page, marker = PAGES.cut(_targets(rds, proxy), call.params)
    return find.paged("Targets", page, marker)


def delete_db_proxy(rds: Rds, call: Call) -> dict[str, Any]:
    region = rds.world.region(call.region)
    proxy = _proxy(region, call.params["DBProxyName"])
    described = _describe(rds, proxy) | {"Status": "deleting"}
    del region.proxies[proxy.id]
    rds.servers.proxies.end(proxy.number)
    return {"DBProxy": described}


# What happens with time


def tick(rds: Rds) -> bool:
    """Looks after every proxy; whether there is none, so that nothing of them changes with time."""
    found = [proxy for proxy in _all(rds) if proxy.target]
    for proxy in found:
        _look_after(rds, proxy)
    return not found


def _look_after(rds: Rds, proxy: DBProxy) -> None:
    cluster, now = proxy.target, rds.now()
    if cluster is None or cluster not in rds.world.region(cluster.region).databases():
        proxy.target = None
        rds.servers.proxies.end(proxy.number)
        return
    if proxy.asked is None or now - proxy.asked >= LOGINS_KEPT:
        _read_secrets(rds, proxy)
    writer = rds.servers.writer(cluster)
    here = cluster.status in UP and writer is not None and rds.servers.ready(writer)
    if here and proxy.away_since is not None:
        ordered = rds.world.active_misbehaviours(PROXY_STAYS_AWAY)
        here = not any(each.about is cluster for each in ordered)
    if here:
        proxy.away_since = None
    elif proxy.away_since is None:
        proxy.away_since = now
    away = proxy.away_since is not None and now - proxy.away_since >= NOTICES
    proxy.health = _health(proxy, away, now)
    if not cluster.instances:
        return
    rds.servers.proxies.serve(
        proxy.number,
        cluster.port,
        None if away else rds.servers.endpoints(cluster).writer,
        proxy.logins,
        BORROW_TIMEOUT / rds.world.clock.speed,
    )


def _health(proxy: DBProxy, away: bool, now: float) -> Health:
    if now - proxy.registered_at < REGISTERED:
        return REGISTERING
    if away:
        return AWAY
    if not proxy.logins:
        return Health("UNAVAILABLE", "AUTH_FAILURE", f"{NO_CREDENTIALS}. {proxy.refused}".strip())
    return AVAILABLE


def _read_secrets(rds: Rds, proxy: DBProxy) -> None:
    """Reads its logins, in the name of its role: without the key of a secret there is none of it.

    The lab does not look at what IAM allows the role, only at the key's policy.
    """
    proxy.asked, proxy.refused = rds.now(), ""
    logins = {}
    region = proxy.arn.split(":")[3]
    caller = Caller(proxy.role, ACCOUNT)
    call = Call("secretsmanager", "GetSecretValue", {}, region, caller)
    for arn in proxy.secrets:
        try:
            version, text = moto_services.read_secret(region, arn)
            rds.secrets.open(call, arn, version)
            said = json.loads(text)
            logins[str(said["username"])] = str(said["password"])
        except AwsError as why:
            proxy.refused = f"{why.code}: {why.message}"
        except (LookupError, RecursionError, TypeError, ValueError):
            proxy.refused = f"The secret {arn} has no username and password."
    proxy.logins = logins


# Internals


def _all(rds: Rds) -> Iterator[DBProxy]:
    for region in rds.world.regions():
        yield from list(region.proxies.values())


def _proxy(region: Region, name: str) -> DBProxy:
    if name.lower() not in region.proxies:
        raise AwsError("DBProxyNotFoundFault", f"DB proxy {name} not found.")
    return region.proxies[name.lower()]


def _of_group(rds: Rds, call: Call) -> DBProxy:
    """The proxy that a call names, which has one target group."""
    proxy = _proxy(rds.world.region(call.region), call.params["DBProxyName"])
    group = call.params.get("TargetGroupName", GROUP)
    if group != GROUP:
        why = f"DB proxy target group {group} not found."
        raise AwsError("DBProxyTargetGroupNotFoundFault", why)
    return proxy


def _status(rds: Rds, proxy: DBProxy) -> str:
    return "available" if rds.now() >= proxy.available_at else "creating"


def _describe(rds: Rds, proxy: DBProxy) -> dict[str, Any]:
    return {
        "DBProxyName": proxy.id,
        "DBProxyArn": proxy.arn,
        "Status": _status(rds, proxy),
        "EngineFamily": FAMILY,
        "VpcSecurityGroupIds": proxy.security_groups,
        "VpcSubnetIds": proxy.subnets,
        "DefaultAuthScheme": "NONE",
        "Auth": [{name: each[name] for name in SHOWN_AUTH if name in each} for each in proxy.auth],
        "RoleArn": proxy.role,
        "Endpoint": rds.servers.proxies.address(proxy.number),
        "RequireTLS": proxy.require_tls,
        "IdleClientTimeout": 1800,
        "DebugLogging": False,
        "CreatedDate": proxy.created,
        "UpdatedDate": proxy.created,
    }


def _describe_group(rds: Rds, proxy: DBProxy) -> dict[str, Any]:
    return {
        "DBProxyName": proxy.id,
        "TargetGroupName": GROUP,
        "TargetGroupArn": proxy.arn.replace(":db-proxy:prx-", ":target-group:prx-tg-"),
        "IsDefault": True,
        "Status": _status(rds, proxy),
        "ConnectionPoolConfig": {
            "MaxConnectionsPercent": 100,
            "MaxIdleConnectionsPercent": 50,
            "ConnectionBorrowTimeout": BORROW_TIMEOUT,
            "SessionPinningFilters": [],
        },
        "CreatedDate": proxy.created,
        "UpdatedDate": proxy.created,
    }


def _targets(rds: Rds, proxy: DBProxy) -> Iterator[dict[str, Any]]:
    """The cluster, and each of its instances with its health."""
    cluster = proxy.target
    if cluster is None:
        return
    yield {
        "Endpoint": rds.servers.endpoints(cluster).writer,
        "TrackedClusterId": cluster.id,
        "RdsResourceId": cluster.id,
        "Port": cluster.port,
        "Type": "TRACKED_CLUSTER",
    }
    for number, instance in enumerate(cluster.instances):
        yield {
            "TargetArn": instance.arn,
            "Endpoint": rds.servers.address(instance),
            "TrackedClusterId": cluster.id,
            "RdsResourceId": instance.id,
            "Port": cluster.port,
            "Type": "RDS_INSTANCE",
            "Role": "READ_ONLY" if number else "READ_WRITE",
            "TargetHealth": _shown(_of_reader(rds, proxy, instance) if number else proxy.health),
        }


def _of_reader(rds: Rds, proxy: DBProxy, reader: Instance) -> Health:
    there = reader.status(rds.now()) == aurora.AVAILABLE
    return proxy.health if there or proxy.health is REGISTERING else AWAY


def _shown(health: Health) -> dict[str, Any]:
    said = {"State": health.state, "Reason": health.reason, "Description": health.description}
    return {name: its for name, its in said.items() if its}


OPERATIONS: dict[str, Callable[[Rds, Call], dict[str, Any]]] = {
    "CreateDBProxy": create_db_proxy,
    "DeleteDBProxy": delete_db_proxy,
    "DescribeDBProxies": describe_db_proxies,
    "DescribeDBProxyTargetGroups": describe_db_proxy_target_groups,
    "DescribeDBProxyTargets": describe_db_proxy_targets,
    "RegisterDBProxyTargets": register_db_proxy_targets,
}
