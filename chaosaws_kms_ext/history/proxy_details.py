"""What the events of an RDS Proxy say beside their name and their instant."""

from __future__ import annotations

from chaosaws_kms_ext.history.event_details import Exact

__all__ = ["ProxyTarget"]


class ProxyTarget(Exact):
    """How it sees the writer, in the words of DescribeDBProxyTargets; `reason` and `description`
    are empty where it says none."""

    proxy: str
    state: str
    reason: str
    description: str
