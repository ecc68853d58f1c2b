"""The lab's AWS in this process, which goes wrong at any step of whoever calls it.

A step is a call to AWS, or a write of the undo journal. At each the caller can be killed; a call
can be refused, cut off, or carried out without an answer.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import mock

from chaosaws_kms_ext.aws.client import AwsError, _sentence
from chaosaws_kms_lab import calls, kms, rds, scheduler
from chaosaws_kms_lab.aurora import PROFILES
from chaosaws_kms_lab.calls import ACCOUNT, Call, administrator
from chaosaws_kms_lab.key_store import CONNECTED, EXTERNAL, KeyStore
from chaosaws_kms_lab.rds import Rds
from chaosaws_kms_lab.scheduler import InvocationFailed, Scheduler
from chaosaws_kms_lab.world import Key, World
from tests.support.clock import HandClock
from tests.support.no_servers import NoServers
from tests.support.virtual_time import EPOCH

__all__ = ["KINDS", "KMS_ONLY", "REGION", "FaultyAws", "Killed", "Trouble"]

REGION = "eu-west-1"
TICK = 300.0
"""Seconds: a longer sleep is cut into these, between which schedules and clusters have their
turn."""
LATE = 2.0
"""Seconds after which a call that was cut off is carried out: less than `replay.IN_FLIGHT`."""

CODES = {
    "throttled": "ThrottlingException",
    "failed": "KMSInternalException",
    "denied": "AccessDeniedException",
    "expired": "ExpiredTokenException",
    "cut": "",
}
"""What befalls a call → the error code that its caller gets; empty: there is no answer."""
CARRIED_OUT = ("failed", "cut")
"""Of these the call may have been carried out all the same."""

KILLED = ("killed before", "killed after")
KMS_ONLY = ("cut, late", "killed, late")
"""The call is carried out only after its caller has got no answer, or has died."""
KINDS = (
    *KILLED,
    *KMS_ONLY,
    *CODES,
    *(f"{kind} after" for kind in CARRIED_OUT),
    "twice",
    "full",
    "restored",
)
"""`twice`: it is carried out, its answer is lost, and the SDK makes it once more. `full`: the disk,
at a write of the journal. `restored`: just before a call of KMS is carried out, somebody
calls `chaos kms restore`."""

LOOKS = ("Describe", "Get", "List")
"""How the names of operations begin that change nothing."""


class Killed(BaseException):
    """The caller is dead: nothing of it catches this, and nothing that it does has an effect."""


@dataclass(frozen=True)
class Trouble:
    """What befalls the steps of one command."""

    kind: str
    at: int
    """From the how manieth step on, beginning with 0."""
    times: int = 1
    """How many steps in a row."""
    changing: bool = False
    """Whether only those steps count that are to change something."""

    def meets(self, steps: int, changes: int, changing: bool) -> bool:
        """Whether it befalls a step after so many steps, so many of them changing something."""
        if self.changing and not changing:
            return False
        return self.at <= (changes if self.changing else steps) < self.at + self.times


class FaultyAws:
    """A cluster under a key, the schedules of switches, and what is to befall the next steps."""

    def __init__(self, check: Callable[[], None] = lambda: None, in_store: bool = False) -> None:
        """`check` is called whenever something may have changed. `in_store`: the key is in a
        custom key store, with another one."""
        self.clock = HandClock()
        self.clock._born = EPOCH
        self.world = World(self.clock, PROFILES["documented"])
        self.rds = Rds(self.world, NoServers())
        self.schedules = Scheduler(self.clock, self._invoke)
        self.check = check
        self.restore: Callable[[], object] = lambda: None
        """As somebody else calls it."""
        self._troubles: list[Trouble] = []
        self._steps = self._changes = 0
        self._writing: list[str] = []
        """What befalls the write that goes on."""
        self.dead = False
        """Whether whoever calls has been killed."""
        self._late: list[tuple[float, Call]] = []
        self._numbers = itertools.count(1)
        stored = self._new_store() if in_store else {}
        if in_store:
            self._new_key(**stored, XksKeyId="other")
            stored["XksKeyId"] = "orders"
        self.key = self._new_key(Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}], **stored)
        self.ask("kms", "CreateAlias", AliasName="alias/orders", TargetKeyId=self.key)
        self.ask("rds", "CreateDBCluster", DBClusterIdentifier="orders",
                 Engine="aurora-postgresql", StorageEncrypted=True, KmsKeyId=self.key)  # fmt: skip
        self.sleep(600)

    # What a test sees and does

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """What an administrator is answered, whatever goes wrong for others."""
        return self._handle(Call(service, operation, params, REGION, administrator()))

    def own_key(self, run: str) -> str:
        """The ARN of a new key for imported material, as a run makes one."""
        return self._new_key(Origin="EXTERNAL", Tags=[{"TagKey": "chaos:run", "TagValue": run}])

    def number(self) -> int:
        """A number that nothing else has."""
        return next(self._numbers)

    def _new_key(self, **params: Any) -> str:
        # A random id would order schedules at random, and no sequence could be tried again.
        with mock.patch.object(uuid, "uuid4", return_value=uuid.UUID(int=self.number())):
            return str(self.ask("kms", "CreateKey", **params)["KeyMetadata"]["Arn"])

    def _new_store(self) -> dict[str, str]:
        """A connected custom key store, as a key is made in it."""
        region = self.world.region(REGION)
        with mock.patch.object(secrets, "token_hex", return_value=f"{self.number():017x}"):
            store = kms.make_key_store(self.world, region, "shop", EXTERNAL, {})
        store.state = CONNECTED
        return {"Origin": EXTERNAL, "CustomKeyStoreId": store.id}

    @property
    def keys(self) -> dict[str, dict[str, Any]]:
        """Every key, by its ARN, and every custom key store, by its id, as far as a fault could
        change it."""
        found: dict[str, dict[str, Any]] = {}
        for region in self.world.regions():
            for key in region.keys.values():
                found[key.arn] = _as_it_is(key, region.aliases)
            for store in region.key_stores.values():
                found[store.id] = _store_as_it_is(store)
        return found

    def store_of(self, key: str) -> str:
        """The id of the custom key store that a key (an ARN) is in; empty for none."""
        store = self.world.region(REGION).keys[key.rpartition("/")[2]].store
        return store.id if store else ""

    @property
    def status(self) -> str:
        """That of the cluster."""
        return self.world.region(REGION).clusters["orders"].status

    @property
    def armed(self) -> list[str]:
        """The schedules that there are."""
        return [each.name for each in self.schedules.schedules(REGION)]

    @contextlib.contextmanager
    def troubled(self, troubles: list[Trouble]) -> Iterator[None]:
        """Inside, these befall whoever calls."""
        self._troubles, self._steps, self._changes = troubles, 0, 0
        try:
            yield
        finally:
            self._troubles, self.dead = [], False

    # What a program has of it

    def now(self) -> float:
        return self.clock.seconds

    def sleep(self, seconds: float) -> None:
        """Time passes; what is due in it happens."""
        if self.dead:
            raise Killed
        end = self.clock.seconds + max(seconds, 0.001)
        while self.clock.seconds < end:
            due = [at for at, _ in self._late]
            self.clock.seconds = min(end, self.clock.seconds + TICK, *due, end)
            self._carry_out_late()
            kms.tick(self.world)
            self.rds.tick()
            self.schedules.tick()
            self.check()

    def at_step(self, write: Callable[[], None], takes_room: bool) -> None:
        """A step that is no call: a write of the journal. Its writer can be killed at it."""
        self.before_write(takes_room)
        write()
        self.after_write()

    def before_write(self, takes_room: bool) -> None:
        """The first half of such a step; raises OSError or Killed."""
        self._writing = self._befalls()
        self._die_if("killed before" in self._writing)
        if takes_room and "full" in self._writing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def after_write(self) -> None:
        """The second; raises Killed."""
        self.check()
        self._die_if("killed after" in self._writing)

    def answer(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call of the program that is tested; raises AwsError or Killed."""
        kinds = self._befalls(changing=not operation.startswith(LOOKS))
        name, call = f"{service}:{operation}", _call(service, operation, params)
        self._die_if("killed before" in kinds)
        for kind in kinds:
            if kind in KMS_ONLY and service == "kms":
                self._late.append((self.clock.seconds + LATE, call))
                self._die_if(kind.startswith("killed"))
                raise AwsError(f"{name} got no answer: cut off")
            if kind in CODES:
                raise _error(name, params, CODES[kind])
        if "restored" in kinds and service == "kms":
            self._restored_by_another()
        try:
            if "twice" in kinds:
                self._handle(call)
            answer = self._handle(call)
        except calls.AwsError as problem:
            raise _error(name, params, problem.code, problem.message) from None
        finally:
            self.check()
        self._die_if("killed after" in kinds)
        for kind in kinds:
            if kind.endswith(" after"):
                raise _error(name, params, CODES[kind.partition(" ")[0]])
        return answer

    # Internals

    def _befalls(self, changing: bool = True) -> list[str]:
        """What befalls this step."""
        if self.dead:
            raise Killed
        here = (self._steps, self._changes, changing)
        self._steps, self._changes = self._steps + 1, self._changes + changing
        return [each.kind for each in self._troubles if each.meets(*here)]

    def _die_if(self, killed: bool) -> None:
        if killed:
            self.dead = True
            raise Killed

    def _handle(self, call: Call) -> dict[str, Any]:
        if call.service == "kms":
            return kms.handle(self.world, call)
        if call.service == "rds":
            return rds.handle(self.rds, call)
        if call.service == "scheduler":
            return scheduler.handle(self.schedules, call)
        assert (call.service, call.operation) == ("sts", "GetCallerIdentity"), call
        return {"Account": ACCOUNT}

    def _restored_by_another(self) -> None:
        troubles, self._troubles = self._troubles, []
        try:
            self.restore()
        finally:
            self._troubles = troubles

    def _carry_out_late(self) -> None:
        due = [call for at, call in self._late if at <= self.clock.seconds]
        self._late = [each for each in self._late if each[0] > self.clock.seconds]
        for call in due:
            with contextlib.suppress(calls.AwsError):  # nobody hears of it
                self._handle(call)
            self.check()

    def _invoke(self, service: str, operation: str, params: dict[str, Any], *_: Any) -> None:
        """A schedule fires."""
        try:
            self.ask(service, operation, **params)
        except calls.AwsError as problem:
            raise InvocationFailed(problem.code, problem.message) from None


def _call(service: str, operation: str, params: dict[str, Any]) -> Call:
    given = {
        # As on the wire, which knows no subclass.
        name: datetime.fromisoformat(value.isoformat()) if isinstance(value, datetime) else value
        for name, value in params.items()
    }
    return Call(service, operation, given, REGION, administrator())


def _error(name: str, params: dict[str, Any], code: str, message: str = "so ordered") -> AwsError:
    if not code:
        return AwsError(f"{name} got no answer: cut off")
    return AwsError(_sentence(name, params, {"Code": code, "Message": message}), code)


def _as_it_is(key: Key, aliases: dict[str, str]) -> dict[str, Any]:
    return {
        "state": key.state,
        "deletion": (key.deletion_at, key.pending_window_days),
        "policy": json.loads(key.policy),
        "materials": [(e.id, e.secret, e.expiration_model, e.valid_to) for e in key.materials],
        "pending material": key.pending,
        "rotation": key.rotation_period_days,
        "tags": dict(key.tags),
        "aliases": sorted(name for name, its in aliases.items() if its == key.id),
        "grants": {each.id: (each.grantee, each.operations) for each in key.grants.values()},
        "related": key.multi_region and (key.multi_region.primary, *key.multi_region.replicas),
    }


def _store_as_it_is(store: KeyStore) -> dict[str, Any]:
    return {
        "name": store.name,
        "type": store.type,
        "properties": dict(store.properties),
        "connection": (store.state, store.error),
    }
