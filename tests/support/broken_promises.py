"""Each experiment's promise, broken: what the lab is told to do wrong, and what the verdict says.

A new experiment takes one line here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.chaos_runs import error

__all__ = ["BROKEN", "Broken"]

SHORT = {"CHAOS_MAX_KEY_UNUSABLE": "90"}
"""Shorter than an import token is valid on a lab of this speed."""
QUICK = {"CHAOS_RECOVERY_TIMEOUT": "3000", "CHAOS_RECOVERY_STRATEGY": "self-only"}
"""A cluster that does not come back is not waited for long."""


@dataclass(frozen=True)
class Broken:
    """One experiment on a lab that misbehaves."""

    order: dict[str, Any]
    """As in `CHAOS_LAB_FAULTS`."""
    reason: str
    """A regular expression for one of the verdict's reasons."""
    verdict: str = "failed"
    env: dict[str, str] = field(default_factory=dict)


def of(kind: str, cluster: str = "orders", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "cluster": cluster, **more}


UNANSWERED = error("cloudtrail", "LookupEvents")

BROKEN = {
    "audit-trail": Broken(UNANSWERED, "CloudTrail could not be asked: ", "inconclusive"),
    "backup-under-same-key": Broken(of("copy-keeps-key"), r"action copy-under-b: the copy \S+ is "),
    "cmk-encryption": Broken({"kind": "create-ignores-key"}, r"make-cluster: the cluster \S+ is "),
    "encryption-context": Broken({"kind": "context-ignored"}, "wrong_contexts was 1, "),
    "key-rotation": Broken(of("rotation-breaks-reads"), "what-was-sealed-before-decrypts "),
    "kms-dependents": Broken(
        {"kind": "dependents-stay-lost"},
        "dependents_rto was not within",
        env={"CHAOS_DEPENDENTS": "look", "CHAOS_RTO": "2400", "CHAOS_RECOVERY_STRATEGY": "start"},
    ),
    "kms-disable": Broken(of("lose-writes", writes=20), r"objective missed: lost_writes was \d+"),
    "kms-failover": Broken(of("failover-without-key"), "RDS accepted a failover of orders, which "),
    "kms-flap": Broken(of("detection-lag", seconds=60), "objective missed: missed_arrivals was "),
    "kms-keystore-disconnected": Broken(
        {"kind": "key-store-fails"},
        "connect-the-key-store: .* is FAILED ",
        env={"CHAOS_HOLD": "60"},
    ),
    "kms-late-recovery": Broken(of("slow-recovery", seconds=4000), "objective missed: rto was "),
    "kms-longest-blink": Broken(
        of("detection-lag", seconds=20), "objective missed: longest_blink was "
    ),
    "kms-maintenance": Broken(
        of("slow-recovery", seconds=3000), "objective missed: rto_without_maintenance was "
    ),
    "kms-material-deleted": Broken(
        {"kind": "import-breaks-reads"}, "action see-it-recover: ", env=SHORT | QUICK
    ),
    "kms-material-expired": Broken(
        {"kind": "import-breaks-reads"}, "action see-it-recover: ", env=SHORT | QUICK
    ),
    "kms-pending-deletion": Broken(of("change-writes", writes=20), "objective missed: changed_"),
    "kms-point-in-time": Broken(
        of("terminal-comes-back"), "action the-cluster-stays-lost: orders was "
    ),
    "kms-policy-deny": Broken(
        {"kind": "deny-ignored"},
        "wait-until-the-cluster-is-inaccessible",
        env={"CHAOS_IMPACT_TIMEOUT": "1500"},
    ),
    "kms-proxy": Broken(
        of("proxy-stays-away"), "the RDS Proxy orders-proxy to reach its writer", env=QUICK
    ),
    "kms-secondary-keys": Broken(
        {"kind": "secret-outlives-key"}, "objective missed: usable_without_key was "
    ),
    "kms-shared-key": Broken(
        of("lose-writes", "carts", writes=20), "lost_writes of the load second was "
    ),
    "kms-terminal": Broken(of("terminal-comes-back"), "action the-cluster-stays-lost: orders was "),
    "policy-deny": Broken({"kind": "deny-ignored"}, "no-cluster-can-be-made-under-it: a cluster "),
    "snapshot-rekey": Broken(of("copy-keeps-key"), r"action copy-under-b: the copy \S+ is "),
    "watch-only": Broken(of("lose-writes", writes=20), r"objective missed: lost_writes was \d+"),
}
"""Experiment → how its promise is broken."""
