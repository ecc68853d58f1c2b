"""How to connect to a cluster: this run's target, one that it made, or one restored from another.

A connection string has no password, since it goes to logs and to the load's process. The password
is where the database's own programs look for it, or in a passfile that ends with the run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.connection_strings import (
    MYSQL,
    POSTGRESQL,
    SPOKEN,
    options_of,
    protocol_of,
    with_options,
    written,
)
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.loadgen import engines
from chaosaws_kms_ext.loadgen.engines.passfile import Line, Passfile, password_in
from chaosaws_kms_ext.loadgen.passwords import passwords
from chaosaws_kms_ext.run import Refused, Run

__all__ = [
    "conninfo_as",
    "conninfo_for",
    "conninfo_for_readers",
    "given_for_target",
    "refuse_unspoken",
    "spoken",
]

ADDRESS = frozenset({"host", "hostaddr", "port", "service"})
LOGIN = frozenset({"dbname", "passfile", "user"})

FORMS = {
    POSTGRESQL: "as libpq has it, host=… dbname=… user=…",
    MYSQL: "as mysql://user@host:3306/database",
}


def refuse_unspoken(cluster: Database, given: str) -> None:
    """Raises Refused where no load can speak with a cluster, or not as `given` says
    (`CHAOS_DATABASE`); Hopeless where the driver for it is not installed."""
    protocol = _protocol(cluster, given)
    if given and protocol_of(given) != protocol:
        raise Refused(
            f"{cluster.in_words} is of the engine {cluster.engine}, so CHAOS_DATABASE must be "
            f"{FORMS[protocol]}, or be left out"
        )
    engines.named(protocol)


def spoken(cluster: Database, given: str) -> Finding:
    """Whether a load can speak with a cluster, as the guard says what it finds."""
    try:
        refuse_unspoken(cluster, given)
    except PlainError as why:
        return refused("load", str(why))
    return ok("load", f"it can speak with {cluster.engine or 'the database of CHAOS_DATABASE'}")


def _protocol(cluster: Database, given: str) -> str:
    """Of a cluster whose engine RDS does not tell it is known by `given` alone."""
    if not cluster.engine:
        return protocol_of(given)
    if cluster.engine not in SPOKEN:
        raise Refused(
            f"{cluster.in_words} is of the engine {cluster.engine}, and the load speaks with "
            "PostgreSQL, MySQL and MariaDB alone: without it nothing can be measured"
        )
    return SPOKEN[cluster.engine]


def conninfo_for(run: Run, cluster: Database) -> str:
    """A connection string of the cluster's database, without a password in it.

    A cluster that the run made is reached as its master user; every other one as the run's target
    is (`database`, `database_auth`), at its own address: what is restored from a snapshot has the
    users and passwords of its source. Raises AwsError, Refused, Hopeless or OSError.
    """
    refuse_unspoken(cluster, _given(run, cluster))
    # By its address as well, which a cluster that is still being made does not have yet.
    known = f"{cluster.arn} {cluster.address}"
    if known not in run.conninfos:
        run.conninfos[known] = _conninfo(run, cluster)
    return run.conninfos[known]


def given_for_target(run: Run, cluster: Database) -> str:
    """CHAOS_DATABASE as it is for the run's own cluster: by the way through its RDS Proxy, if the
    load goes through one."""
    given = run.settings.database
    if run.proxy is None:
        return given
    named = options_of(given).get("port") if given else None
    port = named or run.proxy.port(cluster.port, on_lab=run.settings.target == "lab")
    through = {"host": run.proxy.address, **({"port": port} if port else {})}
    return with_options(given or written(_protocol(cluster, ""), {}), **through)


def conninfo_as(run: Run, cluster: Database, user: str, password: str) -> str:
    """A connection string of the cluster's database for this user, whose password is in a passfile
    of the run. Raises OSError, and as `conninfo_for`."""
    refuse_unspoken(cluster, _given(run, cluster))
    known = f"{cluster.arn} {cluster.address} {user} {hash(password)}"
    if known not in run.conninfos:
        given = _without(options_of(_given(run, cluster)), ADDRESS | LOGIN)
        database = rds.conninfo(cluster, _written(run, cluster, {**given, "user": user}))
        run.conninfos[known] = _with_passfile(run, database, Line(user, password))
    return run.conninfos[known]


def conninfo_for_readers(run: Run, cluster: Database) -> str:
    """The same for the reader endpoint of the run's own cluster.

    Raises AwsError, Refused or OSError; Refused also where `database` leads to the cluster by
    another way than its endpoint: nothing is known of such a way to the readers.
    """
    if run.proxy:
        raise Refused(
            f"the load goes through the RDS Proxy {run.proxy.name}, and nothing is known of a way "
            "to the readers through it"
        )
    database = run.settings.database or written(_protocol(cluster, ""), {})
    given, options = options_of(database), _options(database)
    if any(options.get(name) for name in ("hostaddr", "service")) or given.get(
        "host", cluster.address
    ) not in (cluster.address, cluster.reader_address):
        raise Refused(
            "CHAOS_DATABASE names an address of its own, which says nothing of the reader endpoint"
        )
    port = given.get("port") or cluster.port
    there = {"host": cluster.reader_address, **({"port": port} if port else {})}
    return _of_settings(run, cluster, {**_without(given, ADDRESS), **there})


def _conninfo(run: Run, cluster: Database) -> str:
    masters = run.master_passwords
    given = options_of(_given(run, cluster))
    if cluster.id in masters:
        user, password = masters[cluster.id]
        kept = _written(run, cluster, {**_without(given, ADDRESS | LOGIN), "user": user})
        return _with_passfile(run, rds.conninfo(cluster, kept), Line(user, password))
    own = _is_target(run, cluster)
    if own and run.passwords:
        return run.passwords.database
    if own:
        given = options_of(given_for_target(run, cluster))
    else:
        given = {**_same_database(run), **_without(given, ADDRESS)}
    return _of_settings(run, cluster, given, at_target=own)


def _of_settings(
    run: Run, cluster: Database, given: dict[str, Any], at_target: bool = False
) -> str:
    """A connection string with what `given` says, and the password as `database_auth` says;
    `at_target`: at the address at which the user's own password file has the target."""
    if run.settings.database_auth == "libpq":
        database = rds.conninfo(cluster, _written(run, cluster, given))
        line = None if at_target and not run.proxy else _line_of_target(run, database)
        return database if line is None else _with_passfile(run, database, line)
    settings = replace(run.settings, database=_written(run, cluster, given))
    key = run.target.key.arn if run.target else cluster.key
    kept_new = passwords(Aws.of(run), settings, cluster, key)
    run.at_end.callback(kept_new.stop)
    kept_new.start()
    return kept_new.database


def _written(run: Run, cluster: Database, options: dict[str, Any]) -> str:
    return written(_protocol(cluster, run.settings.database), options)


def _given(run: Run, cluster: Database) -> str:
    """CHAOS_DATABASE, as far as it is about a cluster: one that the run made may be of another
    engine than its target."""
    given = run.settings.database
    other = cluster.id in run.master_passwords and _protocol(cluster, given) != protocol_of(given)
    return "" if other else given


def _is_target(run: Run, cluster: Database) -> bool:
    if run.target:
        return run.target.cluster.arn == cluster.arn
    return run.settings.target_id in (cluster.id, cluster.arn)


def _same_database(run: Run) -> dict[str, Any]:
    """The name of the target's database: a restored cluster does not always tell its own."""
    name = run.target.cluster.database_name if run.target else ""
    return {"dbname": name} if name else {}


def _without(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _with_passfile(run: Run, database: str, line: Line) -> str:
    file = Passfile()
    run.at_end.callback(file.close)
    file.write([line])
    # An empty password: else PGPASSWORD, which is the target's, would come before the passfile.
    empty = {"password": ""} if protocol_of(database) == POSTGRESQL else {}
    return with_options(database, passfile=file.path, **empty)


def _line_of_target(run: Run, database: str) -> Line | None:
    """The target's password in the user's own password file, for another address.

    None: there is none, or the driver finds one for the address by itself.
    """
    if not run.target:
        return None
    target = _options(rds.conninfo(run.target.cluster, run.settings.database))
    if target.get("password"):
        return None
    password = _in_passfile(target)
    if not password or _in_passfile(_options(database)):
        return None
    return Line(target["user"], password)


def _options(database: str) -> dict[str, str]:
    """What a connection string names, with what its driver adds."""
    return {**engines.engine_of(database).defaults(), **options_of(database)}


def _in_passfile(options: dict[str, str]) -> str:
    """What is in the user's own password file, which only libpq looks for by itself."""
    named = options.get("passfile", "")
    return password_in(Path(named), options) if named else ""
