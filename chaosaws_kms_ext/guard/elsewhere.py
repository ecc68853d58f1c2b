"""What other services than RDS have under the key: how it enters the guard's consent, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents import SERVICES, Dependent
from chaosaws_kms_ext.dependents.find import Found, find_all
from chaosaws_kms_ext.guard.findings import Finding, ok, refused, unproven
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings

__all__ = ["findings", "look", "record"]

SHOWN = 20
"""Names of one service's things in a sentence, at most."""

ABOUT = "dependents"


def look(aws: Aws, settings: Settings, keys: Sequence[str]) -> Found | None:
    """What was found under any of these keys (ARNs); None: nobody looked.

    A lab that was started for the run has nothing else under its key, unless it was told to.
    """
    asked = settings.target == "aws" or settings.canaries == "yes"
    return find_all(aws, keys) if asked and settings.dependents != "skip" else None


def findings(found: Found | None, settings: Settings) -> Iterator[Finding]:
    """How each service's things fail, and of which services nothing is known.

    Their number is in the consent to the blast radius. What is unknown refuses only where that is
    wanted (CHAOS_DEPENDENTS=require): there may always be a service that nobody here can ask.
    """
    if found is None:
        if settings.target == "aws":
            yield unproven(
                ABOUT,
                "other services than RDS were not asked what they have under the key "
                "(CHAOS_DEPENDENTS=skip): that is not known, and not counted",
            )
        return
    for name, its in SERVICES.items():
        if mine := [each for each in found.dependents if each.service == name]:
            yield ok(ABOUT, f"{_named(mine)}: {its.fails} ({its.source})")
    if found.unknown:
        told = "; ".join(f"{name}: {why}" for name, why in found.unknown.items())
        say = refused if settings.dependents == "require" else unproven
        yield say(
            ABOUT, f"not known whether these have more under the key, which is not counted: {told}"
        )


def record(run: Run, found: Found | None) -> None:
    """What was found, for whoever judges the run."""
    if found is None:
        return
    run.event(EventName.DEPENDENTS_UNKNOWN, unknown=dict(found.unknown))
    for each in found.dependents:
        its = SERVICES[each.service]
        run.event(
            EventName.DEPENDENT,
            service=each.service,
            kind=each.kind,
            name=each.name,
            arn=each.arn,
            keep=each.keep,
            fails=its.fails,
            source=its.source,
        )


def _named(dependents: Sequence[Dependent]) -> str:
    rest = len(dependents) - SHOWN
    names = ", ".join(map(str, dependents[:SHOWN]))
    return f"{names} and {rest} more" if rest > 0 else names
