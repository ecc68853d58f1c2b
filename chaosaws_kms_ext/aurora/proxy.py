"""RDS Proxy: a probe of the targets of the one that the load goes through, and waiting for them."""

from __future__ import annotations

import logging
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import proxies, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.proxies import AVAILABLE, Proxy
from chaosaws_kms_ext.guard.proxy import chosen
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.key_away import time_left
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.text import printable
from chaosaws_kms_ext.waiting import Wait

logger = logging.getLogger("chaostoolkit")

__all__ = [
    "proxy_reaches_writer",
    "proxy_targets",
    "wait_until_proxy_loses_writer",
    "wait_until_proxy_reaches_writer",
]


def proxy_targets(
    proxy_name: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """The targets of an RDS Proxy with their health, and the keys of its secrets.

    By default that of CHAOS_PROXY. Returns `proxy`, `status`, `address`, `targets` (each `id`,
    `role`, `state`, `reason` and `description`) and `secrets` (the secret's ARN → the ARN of its
    KMS key; empty: AWS' own; null: it cannot be asked for). Raises ActivityFailed. IAM:
    rds:DescribeDBProxies, rds:DescribeDBProxyTargets, secretsmanager:ListSecrets, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        proxy = _proxy(run, proxy_name)
        return {
            "proxy": proxy.name,
            "status": proxy.status,
            "address": proxy.address,
            "targets": [
                {
                    "id": each.id,
                    "role": each.role,
                    "state": each.state,
                    "reason": each.reason,
                    "description": each.description,
                }
                for each in proxy.targets
            ],
            "secrets": {each: _key_of(aws, each) for each in proxy.secrets},
        }


def proxy_reaches_writer(
    proxy_name: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> bool:
    """Whether the writer is AVAILABLE to an RDS Proxy, by default that of CHAOS_PROXY.

    IAM: rds:DescribeDBProxies, rds:DescribeDBProxyTargets.
    """
    with activities.plainly(configuration) as run:
        writer = _proxy(run, proxy_name).writer
        return writer is not None and writer.state == AVAILABLE


def wait_until_proxy_loses_writer(
    proxy_name: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, str]:
    """Wait until the writer is UNAVAILABLE to an RDS Proxy, by default that of CHAOS_PROXY.

    At most `impact_timeout` AWS seconds, and not longer than the key may be away. Returns `state`,
    `reason` and `description`, as DescribeDBProxyTargets says them. Raises ActivityFailed. IAM:
    rds:DescribeDBProxies, rds:DescribeDBProxyTargets.
    """
    with activities.plainly(configuration) as run:
        limit = min(run.settings.real(run.settings.impact_timeout), time_left(run))
        return _wait(run, proxy_name, "lose its writer", limit, lost=True)


def wait_until_proxy_reaches_writer(
    proxy_name: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, str]:
    """Wait until the writer is AVAILABLE to an RDS Proxy, by default that of CHAOS_PROXY.

    At most `recovery_timeout` AWS seconds. Returns as `wait_until_proxy_loses_writer`. Without a
    fault of this run nothing is waited for or called, nor where the run was interrupted on the lab:
    it returns `why` alone. Raises ActivityFailed. IAM: rds:DescribeDBProxies,
    rds:DescribeDBProxyTargets.
    """
    with activities.plainly(configuration) as run:
        if run.last(EventName.PUT_BACK) is None:
            if run.open_faults.key_away:
                raise Refused("the key has not been put back, so nothing can recover")
            return {"why": "nothing to wait for"}
        if run.interrupted and run.settings.target == "lab":
            return {"why": "interrupted: the lab goes with us"}
        limit = run.settings.real(run.settings.recovery_timeout)
        return _wait(run, proxy_name, "reach its writer", limit, lost=False)


def _key_of(aws: Aws, secret: str) -> str | None:
    """None: it cannot be asked for, which is no reason to end a run in the middle of an outage."""
    try:
        return proxies.key_of_secret(aws, secret)
    except AwsError as problem:
        logger.warning(f"the key of the secret {secret} is not known: {printable(str(problem))}")
        return None


def _wait(run: Run, proxy_name: str, what: str, limit: float, lost: bool) -> dict[str, str]:
    aws, name = Aws.of(run), _name(run, proxy_name)

    def look() -> dict[str, str] | None:
        try:
            writer = proxies.writer_of(proxies.targets(aws, name))
        except AwsError as problem:
            go_on_after(run, problem)
            return None
        if writer is None or (writer.state == AVAILABLE) is lost:
            return None
        return {
            "state": writer.state,
            "reason": writer.reason,
            "description": writer.description,
        }

    waited_for = f"the RDS Proxy {name} to {what}"
    return Wait(waited_for, limit, run.settings.status_poll, run.observer).until(look)


def _name(run: Run, given: str) -> str:
    """The proxy that is meant; raises Refused and AwsError."""
    return given or (run.proxy.name if run.proxy else _proxy(run, "").name)


def _proxy(run: Run, given: str) -> Proxy:
    aws = Aws.of(run)
    if name := given or (run.proxy.name if run.proxy else ""):
        return proxies.describe(aws, name)
    found = chosen(aws, run.settings, rds.describe(aws, activities.cluster_id(run)))
    if found is None:
        raise Refused("no RDS Proxy is named: set CHAOS_PROXY, or give proxy_name")
    return found
