"""The lab's own paths, which no AWS service has: which lab it is, and orders of misbehaviours."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.wrappers import Request, Response

from chaosaws_kms_lab import data_misbehaviours
from chaosaws_kms_lab.answers import as_json
from chaosaws_kms_lab.misbehaviour_orders import BadOrder
from chaosaws_kms_lab.misbehaviours import ApiMisbehaviour, Misbehaviours
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.signatures import credential, is_signed
from chaosaws_kms_lab.somebody import Somebody
from chaosaws_kms_lab.world import Cluster, DataMisbehaviour

__all__ = ["Control"]

IDENTITY = "/chaos-kms-lab"
MISBEHAVIOURS = "/chaos-kms-lab/misbehaviours"

SIGNED_FOR = "chaos-kms-lab"
"""The service that orders of misbehaviours are signed for."""


class Control:
    """Answers requests to the lab itself."""

    def __init__(
        self,
        lab_id: str,
        secret: str,
        service: Rds,
        misbehaviours: Misbehaviours,
        somebody: Somebody,
    ) -> None:
        """`secret`: the secret access key that orders are signed with; `somebody`: who takes keys
        away."""
        self._lab_id = lab_id
        self._secret = secret
        self._rds = service
        self._world = service.world
        self._misbehaviours = misbehaviours
        self._somebody = somebody

    def answer(self, request: Request, body: bytes) -> Response | None:
        """The answer; None: the request is for AWS."""
        if request.path == IDENTITY:
            return as_json({"lab": self._lab_id})
        if request.path == MISBEHAVIOURS:
            return self._answer_misbehaviours(request, body)
        return None

    def _answer_misbehaviours(self, request: Request, body: bytes) -> Response:
        """POST orders one, DELETE clears all, GET lists those that hold."""
        if not self._may_order(request, body):
            why = "to order a misbehaviour takes the lab's secret access key"
            return as_json({"error": why}, 403)
        if request.method == "POST" and request.mimetype != "application/json":
            return as_json({"error": "an order is JSON (application/json)"}, 415)
        with self._world.lock:
            if request.method == "POST":
                try:
                    ordered = self._order(json.loads(body))
                except (BadOrder, ValueError, AttributeError, TypeError, RecursionError) as problem:
                    return as_json({"error": str(problem)}, 400)
                return as_json({"misbehaviours": [_described(ordered)]})
            if request.method == "DELETE":
                self._clear()
            return as_json({"misbehaviours": [_described(each) for each in self._active()]})

    def _may_order(self, request: Request, body: bytes) -> bool:
        signed = credential(request)
        if signed is None or (signed.access_key, signed.service) != ("lab", SIGNED_FOR):
            return False
        return is_signed(request, body, self._secret)

    def _order(self, order: dict[str, Any]) -> ApiMisbehaviour | DataMisbehaviour:
        """Orders one: of the data if it names a cluster or a kind of those, else of the API.

        Raises BadOrder.
        """
        if "cluster" not in order and str(order.get("kind")) not in data_misbehaviours.KINDS:
            keys = [key for region in self._world.regions() for key in region.keys.values()]
            return self._misbehaviours.add(order, keys)
        misbehaviour = data_misbehaviours.order(self._world, order)
        if misbehaviour.about and misbehaviour.kind in data_misbehaviours.OF_SERVERS:
            try:
                self._rds.servers.misbehave(misbehaviour.about, misbehaviour)
            except BadOrder:
                self._world.data_misbehaviours.remove(misbehaviour)
                raise
        if misbehaviour.kind == data_misbehaviours.KEY_TAKEN:
            self._somebody.begin(misbehaviour)
        return misbehaviour

    def _clear(self) -> None:
        self._misbehaviours.clear()
        for misbehaviour in self._world.data_misbehaviours:
            misbehaviour.over = True

    def _active(self) -> list[ApiMisbehaviour | DataMisbehaviour]:
        """Those that can still happen; the others are forgotten."""
        ordered = self._world.data_misbehaviours
        for misbehaviour in ordered:
            misbehaviour.over = misbehaviour.over or self._is_gone(misbehaviour.about)
        ordered[:] = [misbehaviour for misbehaviour in ordered if not misbehaviour.over]
        return [*self._misbehaviours.active(), *ordered]

    def _is_gone(self, cluster: Cluster | None) -> bool:
        if cluster is None:
            return False
        return cluster not in self._world.region(cluster.region).databases()


def _described(ordered: ApiMisbehaviour | DataMisbehaviour) -> dict[str, Any]:
    if isinstance(ordered, DataMisbehaviour):
        return data_misbehaviours.described(ordered)
    return ordered.described()
