"""Parameters that many operations take: GrantTokens and DryRun."""

from __future__ import annotations

from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.world import World

__all__ = ["check_tokens", "stop_if_dry"]


def check_tokens(world: World, call: Call) -> None:
    """Raises InvalidGrantTokenException for a token that no grant of the Region has.

    In the lab a grant counts at once, so that is all a token has to be.
    """
    given = set(call.params.get("GrantTokens") or ())
    if not given:
        return
    keys = world.region(call.region).keys.values()
    if given - {grant.token for key in keys for grant in key.grants.values()}:
        raise AwsError("InvalidGrantTokenException", "A grant token is not valid")


def stop_if_dry(call: Call) -> None:
    """Raises DryRunOperationException when the call only asked whether it would succeed."""
    if call.params.get("DryRun"):
        raise AwsError(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.",
        )
