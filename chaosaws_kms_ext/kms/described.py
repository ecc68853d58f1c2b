"""Grants and dates as a probe returns them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.aws.database import Database

__all__ = ["grant", "is_for", "utc"]


def utc(date: datetime | None) -> str | None:
    return date.astimezone(UTC).isoformat() if date else None


def grant(said: Mapping[str, Any]) -> dict[str, Any]:
    bound = said.get("Constraints") or {}
    return {
        "id": str(said.get("GrantId", "")),
        "grantee": str(said.get("GranteePrincipal", "")),
        "operations": sorted(said.get("Operations", [])),
        "context": {
            **(bound.get("EncryptionContextSubset") or {}),
            **(bound.get("EncryptionContextEquals") or {}),
        },
    }


def is_for(grant: Mapping[str, Any], cluster: Database) -> bool:
    name, mine = cluster.context
    return bool(mine) and grant["context"].get(name) == mine
