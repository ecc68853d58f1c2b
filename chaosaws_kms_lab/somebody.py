"""Somebody else in the account: takes a cluster's key away when it is ordered, and gives it back.

Their calls go the way of all others, and CloudTrail has them under their name: what a run that only
watches has to find. The order is a misbehaviour of the data (data_misbehaviours.py).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call, Caller, administrator
from chaosaws_kms_lab.world import DataMisbehaviour, World

__all__ = ["SOMEBODY", "Somebody"]

logger = logging.getLogger(__name__)

SOMEBODY = replace(
    administrator(ACCOUNT, access_key="somebody"), arn=f"arn:aws:iam::{ACCOUNT}:user/somebody"
)

LOOK = 0.05
"""Seconds between two looks whether the order was cleared."""

DENY = {
    "Sid": "SomebodyDeniesRds",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": ["kms:Decrypt", "kms:GenerateDataKey*", "kms:CreateGrant"],
    "Resource": "*",
}

Answer = dict[str, Any]


class Somebody:
    """Carries out orders, each in a thread of its own."""

    def __init__(
        self, world: World, handle: Callable[[Call], Answer], caller: Caller = SOMEBODY
    ) -> None:
        """`handle`: answers a call; it is called under the world's lock."""
        self._world, self._handle, self._caller = world, handle, caller

    def begin(self, order: DataMisbehaviour) -> None:
        """Takes the key away when the order says so; it is over when the key is back."""
        assert order.about is not None
        assert order.about.encryption is not None
        key = order.about.encryption.key_arn
        work = threading.Thread(
            target=self._take_and_give_back, args=(order, key), daemon=True, name="somebody"
        )
        work.start()

    def _take_and_give_back(self, order: DataMisbehaviour, key: str) -> None:
        self._wait(order, order.after)
        if order.over:
            return
        try:
            give_back = self._take(order.call, key)
            self._wait(order, order.seconds)
            self._call(*give_back)
        except AwsError as error:
            # The key may be gone, or in another state: somebody else was first.
            logger.warning("somebody could not do %s: %s", order.call, error.message)
        order.over = True

    def _take(self, call: str, key: str) -> tuple[str, Answer]:
        """Takes it away; returns what gives it back."""
        if call == "DisableKey":
            self._call(call, {"KeyId": key})
            return "EnableKey", {"KeyId": key}
        with self._world.lock:
            named = {"KeyId": key, "PolicyName": "default"}
            old = self._call("GetKeyPolicy", named)["Policy"]
            policy = json.loads(old)
            policy["Statement"] = [*policy["Statement"], DENY]
            self._call("PutKeyPolicy", {**named, "Policy": json.dumps(policy)})
        return "PutKeyPolicy", {**named, "Policy": old}

    def _call(self, operation: str, params: Answer) -> Answer:
        region = params["KeyId"].split(":")[3]
        with self._world.lock:
            answer = self._handle(Call("kms", operation, params, region, self._caller))
        self._world.called.set()
        return answer

    def _wait(self, order: DataMisbehaviour, aws_seconds: float) -> None:
        """So long, or until the order is cleared."""
        end = time.monotonic() + aws_seconds / self._world.clock.speed
        while not order.over and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))
