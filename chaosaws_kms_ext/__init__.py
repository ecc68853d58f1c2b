"""A Chaos Toolkit extension: what happens to Aurora when its KMS key becomes unusable."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

__all__ = ["__version__", "discover"]

__version__ = version("chaostoolkit-aws-kms")

ACTIVITIES = (
    ("discover_actions", "chaosaws_kms_ext.aurora.actions"),
    ("discover_actions", "chaosaws_kms_ext.kms.actions"),
    ("discover_probes", "chaosaws_kms_ext.aurora.probes"),
    ("discover_probes", "chaosaws_kms_ext.kms.probes"),
    ("discover_probes", "chaosaws_kms_ext.load.probes"),
)


def discover(discover_system: bool = True) -> Any:
    """What Chaos Toolkit can use of this package (`chaos discover`)."""
    from chaoslib.discovery import discover as chaoslib_discover

    found = chaoslib_discover.initialize_discovery_result(
        "chaostoolkit-aws-kms", __version__, "aws"
    )
    for kind, module in ACTIVITIES:
        found["activities"].extend(getattr(chaoslib_discover, kind)(module))
    return found
