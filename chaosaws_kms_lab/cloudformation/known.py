"""Every type of resource that the lab makes itself in a stack."""

from __future__ import annotations

from chaosaws_kms_lab.cloudformation import kinds_of_kms, kinds_of_others, kinds_of_rds
from chaosaws_kms_lab.cloudformation.kinds import Kind

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {
    **kinds_of_kms.KINDS,
    **kinds_of_others.KINDS,
    **kinds_of_rds.KINDS,
}
