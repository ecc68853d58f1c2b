"""An undo as data: the calls that put things back.

A fault makes one before it acts. It goes to the journal as JSON, and whoever finds it there can
replay it without knowing the fault. What an undo can consist of is one table (`UNDOES`), with the
look that shows whether such a call has had its effect: a file can name nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.text import printable

__all__ = ["UNDOES", "Call", "Check", "NotAnUndo", "Undo", "in_words"]

STORE = re.compile(r"cks-[0-9a-z]{1,60}")
"""The id of a custom key store (API reference, CreateCustomKeyStore: at most 64 letters)."""

LONGEST = 200
"""Letters of a call's parameters that are said."""


class NotAnUndo(ValueError):
    """What cannot be replayed, and why; ends a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why))


@dataclass(frozen=True)
class Call:
    """One AWS call, e.g. `Call("kms", "EnableKey", {"KeyId": …})`."""

    service: str
    operation: str
    params: Mapping[str, Any]

    def __str__(self) -> str:
        return in_words(self.service, self.operation, self.params)

    @property
    def already_done(self) -> frozenset[str]:
        """The error codes after which it need not be repeated: every replay can be repeated."""
        known = UNDOES.get((self.service, self.operation))
        return known.already_done if known else frozenset()

    @property
    def not_yet(self) -> frozenset[str]:
        """The error codes after which it is to be repeated."""
        known = UNDOES.get((self.service, self.operation))
        return known.not_yet if known else frozenset()

    @property
    def asked(self) -> dict[str, Any]:
        """Its parameters as AWS is asked with them: what is base64 in a file as bytes."""
        return {**self.params, **{name: _blob(self.params, name) for name in self._blobs}}

    @property
    def whole(self) -> str:
        """All of it, with the documents in it (a key policy) as they are."""
        said = [in_words(self.service, self.operation, self.params)]
        for name, value in self.params.items():
            if isinstance(value, str) and len(value) > LONGEST // 2 and name not in self._blobs:
                said.append(f"  whose {name} is {_document(value)}")
        return "\n".join(said)

    @property
    def _blobs(self) -> frozenset[str]:
        known = UNDOES.get((self.service, self.operation))
        return known.blobs if known else frozenset()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "service": self.service,
            "operation": self.operation,
            "params": dict(self.params),
        }

    @classmethod
    def of_json(cls, said: Any) -> Call:
        """The opposite of `as_json`; raises NotAnUndo."""
        if not isinstance(said, dict) or said.keys() != {"service", "operation", "params"}:
            raise NotAnUndo(f"has a call with other fields than those of a call: {said!r:.200}")
        call = cls(said["service"], said["operation"], said["params"])
        if not all(isinstance(each, str) for each in (call.service, call.operation)):
            raise NotAnUndo(f"has a call without a name: {said!r:.200}")
        if not isinstance(call.params, dict):
            raise NotAnUndo(f"has a call whose parameters are none: {said!r:.200}")
        return call


@dataclass(frozen=True)
class Check:
    """A call whose answer has `equals` at the JMESPath `jmespath` once things are back."""

    call: Call
    jmespath: str
    equals: Any
    under_way: tuple[Any, ...] = ()
    """What it has while AWS is about it: then the call need not be repeated."""
    failed: tuple[Any, ...] = ()
    """What it has when AWS could not do it, and will not by a repeated call."""
    reason: str = ""
    """JMESPath of why."""


@dataclass(frozen=True)
class Undoing:
    """One call that an undo can have."""

    params: Mapping[str, str | None]
    """Beside what it is about: name → the value that it has; None: any text."""
    check: Callable[[Mapping[str, Any]], Check]
    """What shows that it has had its effect, from its parameters."""
    already_done: frozenset[str] = frozenset()
    """Error codes with which AWS answers when there is nothing to put back any more."""
    blobs: frozenset[str] = frozenset()
    """The parameters that are bytes; in a file they are base64."""
    once: bool = False
    """Whether AWS promises to take it only once, and until some instant."""
    not_yet: frozenset[str] = frozenset()
    """Error codes with which AWS answers while it does not take the call: it is repeated."""
    slow: bool = False
    """Whether its effect may take many minutes."""
    of_store: bool = False
    """Whether it is about the custom key store of the key, by `CustomKeyStoreId`, not the key."""


def _enabled(params: Mapping[str, Any]) -> Check:
    key = {"KeyId": params["KeyId"]}
    return Check(Call("kms", "DescribeKey", key), "KeyMetadata.KeyState", "Enabled")


def _not_deleted(params: Mapping[str, Any]) -> Check:
    key = {"KeyId": params["KeyId"]}
    pending = 'contains(`["PendingDeletion", "PendingReplicaDeletion"]`, KeyMetadata.KeyState)'
    return Check(Call("kms", "DescribeKey", key), pending, False)


def _policy(params: Mapping[str, Any]) -> Check:
    of_it = {"KeyId": params["KeyId"], "PolicyName": params["PolicyName"]}
    return Check(Call("kms", "GetKeyPolicy", of_it), "Policy", params["Policy"])


def _imported(params: Mapping[str, Any]) -> Check:
    key = {"KeyId": params["KeyId"]}
    wanted = ["Enabled", params["ExpirationModel"], params["KeyMaterialId"]]
    said = "KeyMetadata.[KeyState, ExpirationModel, CurrentKeyMaterialId]"
    return Check(Call("kms", "DescribeKey", key), said, wanted)


def _connected(params: Mapping[str, Any]) -> Check:
    store = {"CustomKeyStoreId": params["CustomKeyStoreId"]}
    return Check(
        Call("kms", "DescribeCustomKeyStores", store),
        "CustomKeyStores[0].ConnectionState",
        "CONNECTED",
        under_way=("CONNECTING",),
        failed=("FAILED",),
        reason="CustomKeyStores[0].ConnectionErrorCode",
    )


UNDOES: Mapping[tuple[str, str], Undoing] = {
    ("kms", "EnableKey"): Undoing({}, _enabled),
    ("kms", "PutKeyPolicy"): Undoing({"PolicyName": "default", "Policy": None}, _policy),
    # KMS API reference, CancelKeyDeletion: the key must be pending deletion.
    ("kms", "CancelKeyDeletion"): Undoing(
        {}, _not_deleted, frozenset({"KMSInvalidStateException"})
    ),
    # So a file can bring nothing but material that the key has had, and no expiry. KMS says nothing
    # of what it answers to a token that was used before: the check tells whether that helped.
    ("kms", "ImportKeyMaterial"): Undoing(
        {
            "EncryptedKeyMaterial": None,
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
            "ImportToken": None,
            "ImportType": "EXISTING_KEY_MATERIAL",
            "KeyMaterialId": None,
        },
        _imported,
        frozenset({"InvalidImportTokenException"}),
        frozenset({"EncryptedKeyMaterial", "ImportToken"}),
        once=True,
    ),
    # API reference, ConnectCustomKeyStore: it begins the connecting, and is refused for a store
    # that is DISCONNECTING or FAILED. For one that is connected, or is being so, it does nothing.
    ("kms", "ConnectCustomKeyStore"): Undoing(
        {},
        _connected,
        not_yet=frozenset({"CustomKeyStoreInvalidStateException"}),
        slow=True,
        of_store=True,
    ),
}
"""Service and operation of every call that puts something back; each is about one key, or the
custom key store that it is in."""


@dataclass(frozen=True)
class Undo:
    """What puts one fault back."""

    calls: tuple[Call, ...] = ()
    until: datetime | None = None
    """When AWS takes these calls no more, if it says so."""

    @property
    def once(self) -> bool:
        """Whether AWS promises to take a call of it only once."""
        known = (UNDOES.get((call.service, call.operation)) for call in self.calls)
        return any(each.once for each in known if each)

    @property
    def slow(self) -> bool:
        """Whether the effect of one of its calls may take many minutes."""
        known = (UNDOES.get((call.service, call.operation)) for call in self.calls)
        return any(each.slow for each in known if each)

    @property
    def has_expired(self) -> bool:
        """Whether it is too late for it."""
        return self.until is not None and datetime.now(UTC) >= self.until

    @property
    def checks(self) -> tuple[Check, ...]:
        """What shows that everything is back: by the table, whoever wrote the calls down."""
        return tuple(UNDOES[call.service, call.operation].check(call.params) for call in self.calls)

    @property
    def actions(self) -> tuple[str, ...]:
        """The IAM action of each call, e.g. `kms:EnableKey`."""
        return tuple(f"{call.service}:{call.operation}" for call in self.calls)

    def check_about(self, key: str) -> None:
        """Raises NotAnUndo unless every call can be one of an undo, and is about this key."""
        if len({(call.service, call.operation) for call in self.calls}) < len(self.calls):
            raise NotAnUndo("has a call more than once")
        for call in self.calls:
            known = UNDOES.get((call.service, call.operation))
            if known is None:
                raise NotAnUndo(f"has a call that puts nothing back: {call}")
            wanted = {**_about(call, key, known), **known.params}
            if call.params.keys() != wanted.keys() or not all(
                isinstance(call.params[name], str) and value in (None, call.params[name])
                for name, value in wanted.items()
            ):
                raise NotAnUndo(f"has a call with other parameters than an undo's: {call}")
            for name in known.blobs:
                _blob(call.params, name)
        if self.once and self.until is None:
            raise NotAnUndo("has a call that AWS takes until some instant, and does not say which")
        if self.until is not None and not self.once:
            raise NotAnUndo("says until when it can be made, which none of its calls has")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        until = {"until": self.until.isoformat()} if self.until else {}
        return {"calls": [call.as_json() for call in self.calls], **until}

    @classmethod
    def of_json(cls, said: Any) -> Undo:
        """The opposite of `as_json`; raises NotAnUndo."""
        if not isinstance(said, dict) or said.keys() - {"until"} != {"calls"}:
            raise NotAnUndo("has an undo with other fields than `calls` and `until`")
        if not isinstance(said["calls"], list):
            raise NotAnUndo("has an undo whose calls are no list")
        calls = tuple(Call.of_json(call) for call in said["calls"])
        return cls(calls, _instant(said["until"]) if "until" in said else None)


def in_words(service: str, operation: str, params: Mapping[str, Any]) -> str:
    """`kms:EnableKey {"KeyId": …}`, for people."""
    known = UNDOES.get((service, operation))
    blobs = known.blobs if known else ()
    said = json.dumps({k: "(wrapped)" if k in blobs else v for k, v in params.items()}, default=str)
    shown = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
    return printable(f"{service}:{operation} {shown}")


def _about(call: Call, key: str, known: Undoing) -> dict[str, str]:
    """The parameter that names what the call is about; raises NotAnUndo for another than of this
    key."""
    if known.of_store:
        store = call.params.get("CustomKeyStoreId")
        if isinstance(store, str) and STORE.fullmatch(store):
            return {"CustomKeyStoreId": store}
        raise NotAnUndo(f"has a call for no custom key store: {call}")
    if call.params.get("KeyId") != key:
        raise NotAnUndo(f"is about the key {key}, and has a call for another: {call}")
    return {"KeyId": key}


def _blob(params: Mapping[str, Any], name: str) -> bytes:
    """Raises NotAnUndo."""
    try:
        return base64.b64decode(params[name], validate=True)
    except ValueError:
        raise NotAnUndo(f"has a call whose {name} is no base64") from None


def _instant(said: Any) -> datetime:
    """Raises NotAnUndo."""
    with contextlib.suppress(OverflowError, TypeError, ValueError):
        found = datetime.fromisoformat(said)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    raise NotAnUndo(f"has an undo that ends at no instant: {said!r:.100}")


def _document(text: str) -> str:
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2)
    return "\n".join(map(printable, text.splitlines()))
