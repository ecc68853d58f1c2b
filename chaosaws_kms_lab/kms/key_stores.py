"""Custom key stores: made, connected, disconnected, changed, deleted.

There is no CloudHSM cluster and no external key manager behind a store: the lab takes any for what
it is said to be, and the keys of a store have material of the lab's own.
"""

from __future__ import annotations

import secrets
from typing import Any

from chaosaws_kms_lab.calls import ACCOUNT, AwsError, Call
from chaosaws_kms_lab.data_misbehaviours import KEY_STORE_FAILS, KEY_STORE_SLOW
from chaosaws_kms_lab.key import Key
from chaosaws_kms_lab.key_store import (
    CLOUDHSM,
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    DISCONNECTING,
    EXTERNAL,
    FAILED,
    KeyStore,
)
from chaosaws_kms_lab.kms.authorize import authorize_account
from chaosaws_kms_lab.kms.paging import HUNDRED, page
from chaosaws_kms_lab.kms.states import Handler
from chaosaws_kms_lab.world import Region, World

__all__ = ["OPERATIONS", "at_rest", "check_connected", "for_new_key", "make", "named", "tick"]

MOST = 10
"""Of an account in a Region (KMS Developer Guide, resource-limits)."""

CONNECTS_IN = {CLOUDHSM: 1200.0, EXTERNAL: 300.0}
"""AWS seconds. "Up to 20 minutes", and "approximately five minutes" (KMS Developer Guide,
disconnect-keystore and xks-connect-disconnect)."""

DISCONNECTS_IN = 60.0
"""AWS seconds: assumed, no document says how long a store is DISCONNECTING."""

NEEDED = {
    CLOUDHSM: ("CloudHsmClusterId", "KeyStorePassword", "TrustAnchorCertificate"),
    EXTERNAL: (
        "XksProxyAuthenticationCredential", "XksProxyConnectivity", "XksProxyUriEndpoint",
        "XksProxyUriPath",
    ),
}  # fmt: skip
"""API reference, CreateCustomKeyStore: type → the parameters that a store of it has to have."""

BY_VPC = "VPC_ENDPOINT_SERVICE"
VPC = "XksProxyVpcEndpointService"


def make(
    world: World, region: Region, name: str, kind: str, properties: dict[str, str]
) -> KeyStore:
    """A new store, which is not connected; `kind` is its type."""
    found = KeyStore(f"cks-{secrets.token_hex(9)[:17]}", name, kind, world.clock.utc(), properties)
    region.key_stores[found.id] = found
    return found


def named(world: World, call: Call) -> KeyStore:
    """The store that CustomKeyStoreId names; raises CustomKeyStoreNotFoundException."""
    wanted = call.params["CustomKeyStoreId"]
    for store in _of_caller(world, call):
        if store.id == wanted:
            return store
    raise _not_found(wanted)


def check_connected(store: KeyStore) -> None:
    """Raises CustomKeyStoreInvalidStateException for what takes a connected store."""
    if not store.connected:
        raise _invalid(store)


def for_new_key(world: World, call: Call, origin: str) -> tuple[KeyStore, str | None]:
    """The store of a key that is to be made in one, and its external key.

    API reference, CreateKey, CustomKeyStoreId, Origin and XksKeyId.
    """
    params = call.params
    store, external = named(world, call), params.get("XksKeyId")
    if store.type != origin:
        raise AwsError(
            "UnsupportedOperationException",
            f"The origin {origin} is not valid in the custom key store {store.id}, which is of "
            f"type {store.type}.",
        )
    check_connected(store)
    if (external is not None) is not (origin == EXTERNAL):
        raise AwsError(
            "ValidationException",
            f"XksKeyId is required with the origin {EXTERNAL}, and valid with no other.",
        )
    if external and any(key.external_key == external for key in _keys(world, call.region, store)):
        raise AwsError(
            "XksKeyAlreadyInUseException",
            f"The external key {external} is already associated with another KMS key in this "
            "external key store.",
        )
    return store, external


def create_custom_key_store(world: World, call: Call) -> dict[str, Any]:
    """CreateCustomKeyStore."""
    authorize_account(world, call, "CreateCustomKeyStore")
    region, params = world.region(call.region), call.params
    if call.caller.account != ACCOUNT:
        why = f"The lab has custom key stores of {ACCOUNT} only."
        raise AwsError("ValidationException", why)
    kind = params.get("CustomKeyStoreType", CLOUDHSM)
    _check_type(kind, params)
    missing = [name for name in NEEDED[kind] if name not in params]
    if params.get("XksProxyConnectivity") == BY_VPC and f"{VPC}Name" not in params:
        missing.append(f"{VPC}Name")
    if missing:
        why = f"A custom key store of type {kind} needs {', '.join(missing)}."
        raise AwsError("ValidationException", why)
    _check_name(region, params["CustomKeyStoreName"])
    if len(region.key_stores) >= MOST:
        raise AwsError("LimitExceededException", f"There are {MOST} custom key stores already.")
    properties = _of_proxy(params) if kind == EXTERNAL else _of_cluster(params)
    _check_backing(region, properties)
    store = make(world, region, params["CustomKeyStoreName"], kind, properties)
    return {"CustomKeyStoreId": store.id}


def describe_custom_key_stores(world: World, call: Call) -> dict[str, Any]:
    """DescribeCustomKeyStores: one, by id or by name, or all."""
    authorize_account(world, call, "DescribeCustomKeyStores")
    params, stores = call.params, _of_caller(world, call)
    by_id, by_name = params.get("CustomKeyStoreId"), params.get("CustomKeyStoreName")
    if by_id and by_name:
        why = "CustomKeyStoreId and CustomKeyStoreName cannot be given together."
        raise AwsError("ValidationException", why)
    if by_id or by_name:
        stores = [store for store in stores if store.id == by_id or store.name == by_name]
        if not stores:
            raise _not_found(by_id or by_name)
    return page(HUNDRED, "CustomKeyStores", map(_described, stores), params)


def connect_custom_key_store(world: World, call: Call) -> dict[str, Any]:
    """ConnectCustomKeyStore: begins it; a store that is connected, or is being so, stays as it
    is."""
    authorize_account(world, call, "ConnectCustomKeyStore")
    store = named(world, call)
    if store.state in (DISCONNECTING, FAILED):
        raise _invalid(store)
    if store.state == DISCONNECTED:
        late = sum(each.seconds for each in world.active_misbehaviours(KEY_STORE_SLOW))
        _becomes(world, call.region, store, CONNECTING, CONNECTS_IN[store.type] + late)
    return {}


def disconnect_custom_key_store(world: World, call: Call) -> dict[str, Any]:
    """DisconnectCustomKeyStore: its keys are unusable at once."""
    authorize_account(world, call, "DisconnectCustomKeyStore")
    store = named(world, call)
    if store.state in (DISCONNECTING, DISCONNECTED):
        raise _invalid(store)
    _becomes(world, call.region, store, DISCONNECTING, DISCONNECTS_IN)
    return {}


def update_custom_key_store(world: World, call: Call) -> dict[str, Any]:
    """UpdateCustomKeyStore: of a connected store the name alone."""
    authorize_account(world, call, "UpdateCustomKeyStore")
    store, region = named(world, call), world.region(call.region)
    given = {k: v for k, v in call.params.items() if k != "CustomKeyStoreId"}
    _check_type(store.type, given)
    name = given.pop("NewCustomKeyStoreName", None)
    if store.state != DISCONNECTED and (given or not store.connected):
        raise _invalid(store)
    new = _of_proxy(given) if store.type == EXTERNAL else _of_cluster(given)
    if name is not None and name != store.name:
        _check_name(region, name)
    properties = {**store.properties, **new}
    _check_backing(region, properties, but=store)
    store.name, store.properties = name or store.name, properties
    return {}


def delete_custom_key_store(world: World, call: Call) -> dict[str, Any]:
    """DeleteCustomKeyStore."""
    authorize_account(world, call, "DeleteCustomKeyStore")
    store = named(world, call)
    if _keys(world, call.region, store):
        why = f"The custom key store {store.id} contains KMS keys."
        raise AwsError("CustomKeyStoreHasCMKsException", why)
    if store.state != DISCONNECTED:
        raise _invalid(store)
    del world.region(call.region).key_stores[store.id]
    return {}


OPERATIONS: dict[str, Handler] = {
    "ConnectCustomKeyStore": connect_custom_key_store,
    "CreateCustomKeyStore": create_custom_key_store,
    "DeleteCustomKeyStore": delete_custom_key_store,
    "DescribeCustomKeyStores": describe_custom_key_stores,
    "DisconnectCustomKeyStore": disconnect_custom_key_store,
    "UpdateCustomKeyStore": update_custom_key_store,
}


# With time


def tick(world: World) -> None:
    """Ends what is due: stores that are being connected or disconnected."""
    now = world.clock.now()
    for region in world.regions():
        for store in region.key_stores.values():
            if store.done_at is None or store.done_at > now:
                continue
            if store.state == DISCONNECTING:
                _becomes(world, region.name, store, DISCONNECTED)
            elif failing := world.active_misbehaviours(KEY_STORE_FAILS):
                _becomes(world, region.name, store, FAILED, error=failing[-1].code)
            else:
                _becomes(world, region.name, store, CONNECTED)


def at_rest(world: World, until: float) -> bool:
    """Whether nothing happens to any store until this lab second, unless somebody calls."""
    due = (store.done_at for region in world.regions() for store in region.key_stores.values())
    return not any(at is not None and at <= until for at in due)


# Internals


def _becomes(
    world: World,
    region: str,
    store: KeyStore,
    state: str,
    lasting: float | None = None,
    error: str | None = None,
) -> None:
    store.state, store.error = state, error
    store.done_at = None if lasting is None else world.clock.now() + lasting
    for key in _keys(world, region, store):
        key.changes += 1


def _of_caller(world: World, call: Call) -> list[KeyStore]:
    """The stores of the caller's own account, in the Region."""
    ours = call.caller.account == ACCOUNT
    return list(world.region(call.region).key_stores.values()) if ours else []


def _keys(world: World, region: str, store: KeyStore) -> list[Key]:
    return [key for key in world.region(region).keys.values() if key.store is store]


def _described(store: KeyStore) -> dict[str, Any]:
    """API reference, CustomKeyStoresListEntry."""
    external = store.type == EXTERNAL
    said = {
        "CustomKeyStoreId": store.id,
        "CustomKeyStoreName": store.name,
        "CustomKeyStoreType": store.type,
        "CreationDate": store.created,
        "ConnectionState": store.state,
        **({"XksProxyConfiguration": dict(store.properties)} if external else store.properties),
    }
    return said | ({"ConnectionErrorCode": store.error} if store.error else {})


def _of_cluster(params: dict[str, Any]) -> dict[str, str]:
    names = ("CloudHsmClusterId", "TrustAnchorCertificate")
    return {name: params[name] for name in names if name in params}


def _of_proxy(params: dict[str, Any]) -> dict[str, str]:
    said = {
        name.removeprefix("XksProxy"): params[name]
        for name in (
            "XksProxyConnectivity", "XksProxyUriEndpoint", "XksProxyUriPath", f"{VPC}Name",
            f"{VPC}Owner",
        )
        if name in params
    }  # fmt: skip
    credential = params.get("XksProxyAuthenticationCredential")
    return said | ({"AccessKeyId": credential["AccessKeyId"]} if credential else {})


def _check_type(kind: str, params: dict[str, Any]) -> None:
    """Raises ValidationException for what only a store of the other type has."""
    wrong = [
        name
        for name in params
        if (name.startswith("XksProxy") if kind == CLOUDHSM else name in NEEDED[CLOUDHSM])
    ]
    if wrong:
        why = f"{', '.join(wrong)} is not valid for a custom key store of type {kind}."
        raise AwsError("ValidationException", why)


def _check_name(region: Region, name: str) -> None:
    if any(store.name == name for store in region.key_stores.values()):
        why = f"The custom key store name {name} is already assigned to another custom key store."
        raise AwsError("CustomKeyStoreNameInUseException", why)


def _check_backing(region: Region, properties: dict[str, str], but: KeyStore | None = None) -> None:
    """Each store has a CloudHSM cluster, or a proxy's address with its path, of its own."""
    others = [store.properties for store in region.key_stores.values() if store is not but]
    cluster = properties.get("CloudHsmClusterId")
    if cluster and any(each.get("CloudHsmClusterId") == cluster for each in others):
        raise AwsError(
            "CloudHsmClusterInUseException",
            f"The CloudHSM cluster {cluster} is already associated with a custom key store.",
        )
    address = [properties.get(name) for name in ("UriEndpoint", "UriPath")]
    if all(address) and any(
        [each.get(name) for name in ("UriEndpoint", "UriPath")] == address for each in others
    ):
        raise AwsError(
            "XksProxyUriInUseException",
            f"{address[0]}{address[1]} is already associated with another external key store.",
        )


def _not_found(wanted: object) -> AwsError:
    return AwsError(
        "CustomKeyStoreNotFoundException", f"There is no custom key store {wanted} in this Region."
    )


def _invalid(store: KeyStore) -> AwsError:
    return AwsError(
        "CustomKeyStoreInvalidStateException",
        f"The connection state of the custom key store {store.id} is {store.state}.",
    )
