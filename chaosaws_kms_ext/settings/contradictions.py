"""Settings that are well each, and do not go together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from chaosaws_kms_ext.connection_strings import options_of

__all__ = ["contradictions"]

ADDRESSES = frozenset({"host", "hostaddr", "service"})
"""What a conninfo names of the way to a database, but for the port."""


def contradictions(
    values: Mapping[str, Any], given: Collection[str], needs_cluster: bool
) -> list[str]:
    """Each in a sentence. `values`: of all settings; `given`: those that are no defaults;
    `needs_cluster`: whether a run on AWS has to name one."""
    of_target = _on_lab if values["target"] == "lab" else _on_aws
    return [*of_target(values, given, needs_cluster), *_of_the_load(values), *_of_proxy(values)]


def _on_aws(values: Mapping[str, Any], given: Collection[str], needs_cluster: bool) -> list[str]:
    problems = []
    cluster, instance = values["cluster_id"], values["instance_id"]
    if needs_cluster and not cluster and not instance:
        problems.append(
            "CHAOS_TARGET is aws, so CHAOS_CLUSTER_ID must name the cluster to attack, or "
            "CHAOS_INSTANCE_ID an instance that is no cluster's"
        )
    if cluster and instance:
        problems.append(
            f"CHAOS_CLUSTER_ID names {cluster} and CHAOS_INSTANCE_ID {instance}: a run is about "
            "one of them, so leave the other out"
        )
    if cluster.startswith("db:"):
        problems.append(
            f"CHAOS_CLUSTER_ID names an instance, {cluster}: set CHAOS_INSTANCE_ID={cluster[3:]} "
            "in its place"
        )
    if values["lab_faults"]:
        problems.append("CHAOS_LAB_FAULTS is for the lab: AWS takes no orders; leave it out")
    return problems + _wrong_auth(values, given)


def _on_lab(values: Mapping[str, Any], given: Collection[str], _: bool) -> list[str]:
    of_another = (
        "cluster_id", "instance_id", "key_id", "database", "database_auth", "database_secret",
        "events_queue",
    )  # fmt: skip
    problems = []
    if values["lab_database"] == "instance" and values["lab_readers"]:
        problems.append(
            "CHAOS_LAB_DATABASE is instance, which has no readers: leave CHAOS_LAB_READERS out"
        )
    if values["notify_topic"]:
        problems.append(
            "CHAOS_NOTIFY_TOPIC is on AWS, and a run on the lab asks nothing of AWS: set "
            "CHAOS_TARGET=aws or leave it out"
        )
    named = [f"CHAOS_{key.upper()}" for key in of_another if values[key] not in ("", "libpq")]
    if not named:
        return problems
    return [
        *problems,
        f"CHAOS_TARGET is lab, which has a cluster of its own, but {' and '.join(named)} names "
        "another: set CHAOS_TARGET=aws or leave it out",
    ]


def _wrong_auth(values: Mapping[str, Any], given: Collection[str]) -> list[str]:
    by_secret, named = values["database_auth"] == "secret", "database_secret" in given
    if by_secret and not named:
        return [
            "CHAOS_DATABASE_AUTH is secret, so CHAOS_DATABASE_SECRET must name one of Secrets "
            "Manager's"
        ]
    if named and not by_secret:
        return ["CHAOS_DATABASE_SECRET is only read with CHAOS_DATABASE_AUTH=secret: set that too"]
    return []


def _of_proxy(values: Mapping[str, Any]) -> list[str]:
    problems, named = [], values["proxy"]
    given = values["database"]
    if named and given and ADDRESSES & set(options_of(given)):
        problems.append(
            f"CHAOS_PROXY is {named}, and CHAOS_DATABASE names an address too: the load goes one "
            "way, so leave one of them out"
        )
    if values["target"] != "lab":
        return problems
    if named and values["lab_proxy"] == "no":
        problems.append(
            f"CHAOS_PROXY is {named}, and the lab has no RDS Proxy: set CHAOS_LAB_PROXY=yes too"
        )
    if values["lab_proxy"] == "yes" and values["lab_database"] == "instance":
        problems.append(
            "CHAOS_LAB_PROXY is yes, and the lab's RDS Proxy stands before a cluster: leave "
            "CHAOS_LAB_DATABASE out"
        )
    return problems


def _of_the_load(values: Mapping[str, Any]) -> list[str]:
    problems = []
    processes, users = values["load_processes"], values["load_users"]
    if processes > users:
        problems.append(
            f"CHAOS_LOAD_PROCESSES is {processes}, but CHAOS_LOAD_USERS only {users}: each process "
            "needs a connection"
        )
    remote = values["load_workers"] == "remote"
    if remote and not values["load_master"]:
        problems.append(
            "CHAOS_LOAD_WORKERS is remote, so CHAOS_LOAD_MASTER must say at which HOST:PORT of "
            "this machine they find the load"
        )
    if remote and values["target"] == "lab":
        problems.append(
            "CHAOS_LOAD_WORKERS is remote, but CHAOS_TARGET is lab: other machines do not reach a "
            "lab, and have no password of it. Set CHAOS_TARGET=aws, or use local ones"
        )
    if values["load_master"] and not remote:
        problems.append("CHAOS_LOAD_MASTER is only used with CHAOS_LOAD_WORKERS=remote: set it too")
    if remote and values["database_auth"] != "libpq":
        problems.append(
            "CHAOS_LOAD_WORKERS is remote, so CHAOS_DATABASE_AUTH must be libpq: no password is "
            "sent to other machines"
        )
    return problems
