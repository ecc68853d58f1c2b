"""Whether the credentials are valid until the end of the longest run: the undo needs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from chaosaws_kms_ext.aws.client import Credentials
from chaosaws_kms_ext.guard.findings import Finding, ok, refused

__all__ = ["EXPIRATION", "lasting"]

EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"
"""The SDKs' variable beside AWS_SESSION_TOKEN, as `aws configure export-credentials` prints it."""

RENEW = "use a profile or a role that renews them (AWS_PROFILE), or shorten the run"


def lasting(
    credentials: Credentials,
    longest: timedelta,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
) -> Finding:
    """Whether they never expire, renew themselves, or are valid for `longest` from now on."""
    by = credentials.method or "an unnamed source"
    if not credentials.temporary:
        return ok("credentials", f"from {by}, which never expire")
    if credentials.renewed:
        return ok("credentials", f"from {by}, which are renewed automatically")
    need = f"the longest run takes {_in_words(longest)}"
    until = _instant(environ.get(EXPIRATION, ""))
    if until is None:
        return refused(
            "credentials",
            f"it is not known when the temporary credentials from {by} end, and {need}: {RENEW}, "
            f"or set {EXPIRATION} to the time when they end",
        )
    left = until - (now or datetime.now(UTC))
    if left < longest:
        return refused(
            "credentials",
            f"temporary credentials from {by} end in {_in_words(left)}, and {need}: {RENEW}",
        )
    return ok("credentials", f"from {by}, for {_in_words(left)} more; {need}")


# Internals


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _in_words(span: timedelta) -> str:
    minutes = max(span.total_seconds(), 0) / 60
    return f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{minutes:.0f} minutes"
