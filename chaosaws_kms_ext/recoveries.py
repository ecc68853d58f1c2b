"""Waits until everything that lost its key with the run's cluster is back and answered again."""

from __future__ import annotations

from functools import partial
from typing import Any

from chaosaws_kms_ext.history import Event
from chaosaws_kms_ext.inject.injection import close_recovered
from chaosaws_kms_ext.inject.recovery import Recovery, wait_for_all
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.loads import MAIN, until_as_fast_as_before
from chaosaws_kms_ext.run import Run

__all__ = ["recover"]


def recover(run: Run, cluster_id: str, back: Event) -> dict[str, Any]:
    """Waits for a cluster, and for the others under its key, since that was put back (`back`).

    Returns how, as `aurora.actions.wait_for_recovery` does. Raises TimedOut, AwsError, or Refused
    where a cluster is lost for good.
    """
    entries = [each for each in run.open_faults.awaiting_cluster if each.cluster == cluster_id]
    others = {other: loads.beside(run, other) for each in entries for other in each.others}
    main, *beside = recoveries = [
        Recovery(run, cluster_id, back, partial(loads.are_answered, run, loads.of_target(run))),
        *(
            Recovery(run, each, back, partial(loads.are_answered, run, its))
            for each, its in others.items()
        ),
    ]
    wait_for_all(run, recoveries, back)
    close_recovered(run)
    watched = [run.loads.get(MAIN), *(load for its in others.values() for load in its)]
    fast = [load is not None and until_as_fast_as_before(run, load) for load in watched]
    found = {"recovered": True, "path": main.path, "as_fast_as_before": all(fast)}
    return found | ({"others": {e.cluster_id: e.path for e in beside}} if beside else {})
