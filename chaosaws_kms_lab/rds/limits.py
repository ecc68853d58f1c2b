"""Limits of single parameters in RDS' API reference that are not in botocore's model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaosaws_kms_lab.calls import AwsError

__all__ = ["check"]

# API reference, CreateDBCluster, CreateDBInstance and DescribeEvents: parameter → its values.
RANGES: dict[str, range] = {
    "BackupRetentionPeriod": range(1, 36),
    "Duration": range(1, 14 * 24 * 60 + 1),
    "PromotionTier": range(16),
}

# The same: parameter → its form. With a name that PostgreSQL reserves no server would start.
FORMS: dict[str, re.Pattern[str]] = {
    "DatabaseName": re.compile(r"(?!template\d$)[A-Za-z][A-Za-z0-9_-]{0,62}"),
    "EngineVersion": re.compile(r"\d+(\.\d+)*"),
    "MasterUsername": re.compile(r"(?!(?i:pg_|public$|none$|rdsadmin$))[A-Za-z][A-Za-z0-9_]{0,62}"),
    "PreferredMaintenanceWindow": re.compile(
        r"((mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d-?){2}", re.IGNORECASE
    ),
}

# API reference, data type Tag.
TAG_KEY = re.compile(r"(?!aws:|rds:)[\w \t.:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w \t.:/=+@-]{0,256}")
MOST_TAGS = 50


def check(params: Mapping[str, Any]) -> None:
    """Raises InvalidParameterValue for a parameter that RDS would not take."""
    for name, allowed in RANGES.items():
        if params.get(name, allowed.start) not in allowed:
            why = f"{name} must be from {allowed.start} to {allowed.stop - 1}."
            raise AwsError("InvalidParameterValue", why)
    for name, form in FORMS.items():
        if name in params and not form.fullmatch(params[name]):
            raise AwsError("InvalidParameterValue", f"{params[name]!r} is not a valid {name}.")
    tags = params.get("Tags", [])
    if len(tags) > MOST_TAGS:
        raise AwsError("InvalidParameterValue", f"A resource has at most {MOST_TAGS} tags.")
    for tag in tags:
        if not TAG_KEY.fullmatch(tag.get("Key", "")) or not TAG_VALUE.fullmatch(
            tag.get("Value", "")
        ):
            raise AwsError("InvalidParameterValue", f"{tag} is not a tag that RDS takes.")
