"""What the figures of a run depend on: only runs with the same are held against each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from chaosaws_kms_ext.settings import Settings

__all__ = ["Setup", "lab_of", "place_of", "setup_of"]


class Setup(NamedTuple):
    """Where a run was, and what it did there; of a summary.json."""

    experiment: str
    target: str
    """`lab` or `aws`."""
    lab: str
    """Its speed, profile, TLS and ordered misbehaviours, as JSON; empty on AWS."""
    region: str
    cluster: str
    """Empty: none."""


def setup_of(summary: Mapping[str, Any]) -> Setup:
    """That of a run whose summary.json this is, or the first fields of it."""
    lab = ""
    if its := summary["lab"]:
        lab = json.dumps({**its, "speed": float(its["speed"])}, sort_keys=True)
    names = (str(summary.get(name) or "") for name in ("region", "cluster"))
    return Setup(str(summary["experiment"]), str(summary["target"]), lab, *names)


def place_of(summary: Mapping[str, Any]) -> str:
    """Where a run was, as short as it is clear: `lab observed 60`, `aws orders`."""
    lab = summary["lab"]
    if not lab:
        return f"{summary['target']} {summary['cluster'] or 'no cluster'}"
    tls = " tls" if lab.get("tls") else ""
    ordered = f" {len(lab['faults'])} misbehaviours" if lab.get("faults") else ""
    return f"{summary['target']} {lab['profile']} {lab['speed']:g}{tls}{ordered}"


def lab_of(settings: Settings) -> dict[str, Any] | None:
    """What the figures of a lab depend on, as summary.json has it; None on AWS."""
    if settings.target != "lab":
        return None
    faults = {"faults": list(settings.lab_faults)} if settings.lab_faults else {}
    tls = {"tls": True} if settings.lab_tls == "yes" else {}
    days = settings.lab_recoverable_for
    shorter = {"recoverable_for": days} if days != Settings.lab_recoverable_for else {}
    said = {"speed": settings.lab_speed, "profile": settings.lab_profile}
    return {**said, **tls, **shorter, **faults}
