"""A Chaos Toolkit extension: what happens to Aurora when its KMS key becomes unusable."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

__all__ = ["__version__", "discover"]

__version__ = version("chaostoolkit-aws-kms")

ACTIONS = (
    "chaosaws_kms_ext.aurora.actions",
    "chaosaws_kms_ext.aurora.point_in_time",
    "chaosaws_kms_ext.kms.actions",
    "chaosaws_kms_ext.kms.flapping",
    "chaosaws_kms_ext.kms.secondary",
    "chaosaws_kms_ext.load.actions",
)
PROBES = (
    "chaosaws_kms_ext.audit.probes",
    "chaosaws_kms_ext.aurora.failover",
    "chaosaws_kms_ext.aurora.maintenance",
    "chaosaws_kms_ext.aurora.probes",
    "chaosaws_kms_ext.aurora.proxy",
    "chaosaws_kms_ext.kms.canaries",
    "chaosaws_kms_ext.kms.probes",
    "chaosaws_kms_ext.load.probes",
)


def discover(discover_system: bool = True) -> Any:
    """What Chaos Toolkit can use of this package (`chaos discover`)."""
    from chaoslib.discovery import discover_actions, discover_probes, initialize_discovery_result

    found = initialize_discovery_result("chaostoolkit-aws-kms", __version__, "aws")
    for module in ACTIONS:
        found["activities"].extend(discover_actions(module))
    for module in PROBES:
        found["activities"].extend(discover_probes(module))
    return found
