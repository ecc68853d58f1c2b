"""An experiment that loses the key of the target in one way, under a load of one's own."""

from __future__ import annotations

import json
from typing import Any

from chaosaws_kms_ext.shipped import experiment

__all__ = ["new_experiment"]

LIKE = "kms-policy-deny"
"""The experiment that a new one is like."""
OF_THIS_FAULT = ("the-key-is-still-enabled",)
"""Steps of it that hold for its own fault alone."""


def new_experiment(name: str, fault: str, rto_minutes: float, load_file: str) -> dict[str, Any]:
    """The experiment as Chaos Toolkit reads it.

    `fault`: a registered one of the target's key. `rto_minutes`: AWS minutes from the key's return
    to a steady service. `load_file`: a Locust file; empty for a load that any PostgreSQL answers.
    """
    made: dict[str, Any] = json.loads(experiment(LIKE).read_text("utf-8"))
    made["title"] = f"What happens to our service when the KMS key is lost by {fault}?"
    made["description"] = (
        f"Injects the fault {fault} into the key that encrypts the cluster, waits until the "
        "cluster is inaccessible, keeps it so for a while, undoes the fault, and measures until "
        "queries are answered again. On the local lab unless CHAOS_TARGET=aws."
    )
    made["configuration"] = {"load_file": load_file} if load_file else {}
    made["configuration"]["rto"] = f"{rto_minutes * 60:g}"
    made["controls"][0]["provider"]["arguments"]["experiment_name"] = name
    made["method"] = [step for step in made["method"] if step["name"] not in OF_THIS_FAULT]
    made["method"][0]["name"] = "lose-the-key"
    made["method"][0]["provider"]["arguments"] = {"name": fault}
    made["rollbacks"][0]["name"] = "bring-the-key-back"
    return made
