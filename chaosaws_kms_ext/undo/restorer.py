"""Access to AWS for an undo from a file: makes only calls that undo something, and prints each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.lab_client import presence
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo.store import Origin
from chaosaws_kms_ext.undo.undo import UNDOES, Call

__all__ = ["CALLS", "Restorer", "restorer_for"]

Say = Callable[[str], object]

LOOKS = ("Describe", "Get", "List")
"""How the names of operations begin that change nothing."""

CALLS = frozenset(
    {
        *UNDOES,
        *(("rds", kind.start_operation) for kind in rds.KINDS),
        ("scheduler", "DeleteSchedule"),
        # What a run made is removed.
        ("kms", "DeleteAlias"),
        ("kms", "ScheduleKeyDeletion"),
        ("rds", "DeleteDBCluster"),
        ("rds", "DeleteDBClusterSnapshot"),
        ("rds", "DeleteDBInstance"),
    }
)
"""Service and operation of every call that puts something back."""


class Restorer(Aws):
    """Makes no changing call except those in `CALLS`, and reports each of them."""

    def __init__(self, region: str, endpoint: str, say: Say, lab: Path | None = None) -> None:
        super().__init__(region, endpoint, lab)
        self._say = say

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """As `Aws.call`; raises Refused for a call that would change something else."""
        if not operation.startswith(LOOKS):
            if (service, operation) not in CALLS:
                raise Refused(f"{service}:{operation} puts nothing back: it is not called")
            self._say(f"  calls {Call(service, operation, params).whole}")
        return super().call(service, operation, params)


def restorer_for(origin: Origin, say: Say) -> Restorer:
    """AWS, or the lab of the run that wrote this down; raises Refused.

    The endpoint of AWS comes from this process' own configuration, never from a file.
    """
    if not origin.lab:
        return Restorer(origin.region, "", say)
    if not presence.is_there(origin.endpoint, origin.lab):
        raise Refused(
            f"the lab {origin.lab} of run {origin.run} does not answer: {origin.endpoint}"
        )
    return Restorer(origin.region, origin.endpoint, say, Path(origin.credentials))
