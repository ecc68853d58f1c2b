"""Which dependents may be tried: those whose owner has said so, by the opt-in tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.dependents import SERVICES, Dependent, Request
from chaosaws_kms_ext.guard import consent

__all__ = ["MOST", "Choice", "choose"]

MOST = 20
"""Dependents that are tried at most, each by a thread of its own."""


@dataclass(frozen=True)
class Choice:
    """A dependent, and what of it is tried; or why nothing is."""

    dependent: Dependent
    request: Request | None = None
    why_not: str = ""


def choose(aws: Aws, dependents: Sequence[Dependent], key_arn: str) -> list[Choice]:
    """What can be tried of each; raises nothing: what cannot be known is not tried.

    The tags are read of the resource itself, right now. Whatever says that it is production is not
    tried, whatever else its tags say.
    """
    return list(_chosen(aws, dependents, key_arn))


def _chosen(aws: Aws, dependents: Sequence[Dependent], key_arn: str) -> Iterator[Choice]:
    number = 0
    for each in dependents:
        its = SERVICES.get(each.service)
        if its is None or not its.canary_uses:
            yield Choice(each, why_not=f"there is no canary for a {each.kind}")
            continue
        if number >= MOST:
            yield Choice(each, why_not=f"{MOST} others are tried, which is the most")
            continue
        try:
            refusals = [
                found.why
                for found in consent.tags(str(each), its.tags(aws, each))
                if found.state == "refused"
            ]
            made = "; ".join(refusals) or its.canary(aws, each, each.key or key_arn)
        except AwsError as problem:
            made = f"it could not be asked: {problem}"
        except (KeyError, TypeError, AttributeError) as problem:
            made = f"its description is not as it is documented: {problem!r:.200}"
        if isinstance(made, str):
            yield Choice(each, why_not=made)
        else:
            number += 1
            yield Choice(each, made)
