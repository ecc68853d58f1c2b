"""A lab that plays AWS for a run: whether there is one, and whether it has gone with all its keys.

Only what the clients of this process themselves say counts: every call that puts something back has
to go to one port of this machine, where a lab has said which one it is. So it is never AWS.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Self

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.lab_client import presence
from chaosaws_kms_ext.run import Refused

__all__ = ["PlayedAws"]

SERVICES = ("kms", "rds", "scheduler", "sts")
"""Whom a restore calls."""

LOOKS, LOOK_AGAIN = 3, 0.5
"""Looks that have to find nobody, and seconds between two."""


@dataclass(frozen=True)
class PlayedAws:
    """The lab that plays it."""

    endpoint: str
    lab: str
    """Its id: another one that listens there later knows nothing of the run."""

    @classmethod
    def find(cls, region: str) -> Self | None:
        """The lab that this process would call in place of AWS; None: it is AWS, or not known."""
        if not presence.is_endpoint(os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")):
            return None  # as on AWS: four clients less to make
        try:
            aws = Aws(region)
            endpoints = {aws.endpoint(each).rstrip("/") for each in SERVICES}
        except (AwsError, Refused):
            return None
        endpoint = endpoints.pop()
        if endpoints or not presence.is_endpoint(endpoint):
            return None
        lab = presence.which(endpoint)
        return cls(endpoint, lab) if lab else None

    def is_gone(self) -> bool:
        """Whether nobody listens there any more, or somebody else does: seen several times."""
        for number in range(LOOKS):
            if number:
                time.sleep(LOOK_AGAIN)
            if not presence.is_gone(self.endpoint, self.lab):
                return False
        return True
