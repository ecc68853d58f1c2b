"""Actions that take the key away for a short time: does anybody notice, and from when on?"""

from __future__ import annotations

from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.inject.bisection import LONGEST, MOST_STEPS, BadSearch, Bisection
from chaosaws_kms_ext.inject.composition import wanted
from chaosaws_kms_ext.kms.blink import blink, check_length
from chaosaws_kms_ext.run import Refused

__all__ = ["find_longest_blink", "flap_key"]


def flap_key(
    seconds: float = 120,
    times: int = 1,
    watch_for: float = 600,
    fault: str = "disable-key",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Take the key of the run's cluster away for a short time, and put it back; several times.

    Each time through the guard, the journal and the safeguards of every fault, with the load
    answered before it. As soon as an outage is certain, by the cluster's status or the load, the
    key is put back, the recovery is waited for, and no other blink follows. `undo_faults` has to be
    among the rollbacks. Aurora was seen to notice a lost key after 5 to 10 minutes; no document
    promises that it overlooks a shorter loss.

    Parameters
    ----------
    seconds : AWS seconds that the key is away each time.
    times : how often, 1 to 20.
    watch_for : AWS seconds after each, in which an outage may still begin.
    fault : the fault: `disable-key`, say; one of the run's cluster.

    Returns `blinks` (how many there were) and `outage`. Raises ActivityFailed, as `inject_fault`
    and `wait_for_recovery` do. IAM: `chaos kms policy run --fault NAME`.
    """
    with activities.plainly(configuration) as run:
        step = wanted(fault, None, None)
        _check_seconds(seconds=seconds, watch_for=watch_for)
        if not isinstance(times, int) or isinstance(times, bool) or not 0 < times <= MOST_STEPS:
            raise Refused(f"`times` is a number from 1 to {MOST_STEPS}, not {times!r:.60}")
        for done in range(1, times + 1):
            if blink(run, step, seconds, watch_for).outage:
                return {"blinks": done, "outage": True}
        return {"blinks": times, "outage": False}


def find_longest_blink(
    shortest: float = 60,
    longest: float = 900,
    resolution: float = 60,
    steps: int = 6,
    outages: int = 1,
    watch_for: float = 600,
    fault: str = "disable-key",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Find how long the key can be away without an outage, by bisection; this causes an outage.

    The shortest blink comes first; then each is halfway between the longest without an outage and
    the shortest with one. It stops at the first outage that is certain (`outages`), after its
    steps, or when both are near enough. Each blink is one of `flap_key`. What was found is measured
    from the records: `longest_blink_without_outage_seconds` and what goes with it, in summary.json.

    Parameters
    ----------
    shortest, longest : AWS seconds of a blink, at least and at most.
    resolution : AWS seconds between both bounds with which it is content.
    steps : blinks at most, 1 to 20.
    outages : with how many outages it ends; 1 by default. With more of them it is more exact.
    watch_for : AWS seconds after each blink, in which an outage may still begin.
    fault : the fault: `disable-key`, say; one of the run's cluster.

    Returns in AWS seconds `longest_without_outage` and `shortest_with_outage` (null: there was
    none), `steps` and `why` it ended. Raises ActivityFailed, as `flap_key`. IAM: `chaos kms policy
    run --fault NAME`.
    """
    with activities.plainly(configuration) as run:
        try:
            search = Bisection.asked(shortest, longest, resolution, steps, outages)
        except BadSearch as problem:
            raise ActivityFailed(str(problem)) from None
        step = wanted(fault, None, None)
        _check_seconds(watch_for=watch_for)
        check_length(run, search.longest)
        while (seconds := search.next) is not None:
            tried = blink(run, step, seconds, watch_for)
            search = search.after(tried.seconds, tried.outage)
        return {
            "longest_without_outage": search.lower,
            "shortest_with_outage": search.upper,
            "steps": len(search.tried),
            "why": search.why_over,
        }


def _check_seconds(**seconds: object) -> None:
    """Raises Refused for what cannot be a time."""
    for name, value in seconds.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= LONGEST:  # type: ignore[operator]
            raise Refused(
                f"`{name}` is a number of AWS seconds, more than 0 and at most {LONGEST:.0f}, not "
                f"{value!r:.60}"
            )
