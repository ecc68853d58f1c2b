"""How to connect to a cluster: this run's target, one that it made, or one restored from another.

A conninfo has no password, since it goes to logs and to the load's process. The password is where
libpq looks for it, or in a passfile that ends with the run.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.loadgen.passfile import Line, Passfile
from chaosaws_kms_ext.loadgen.passwords import passwords
from chaosaws_kms_ext.run import Refused, Run

__all__ = ["conninfo_as", "conninfo_for", "conninfo_for_readers"]

ADDRESS = frozenset({"host", "hostaddr", "port", "service"})
LOGIN = frozenset({"dbname", "passfile", "user"})

SPOKEN = frozenset({"", "aurora-postgresql", "postgres"})
"""Engines that answer in PostgreSQL's protocol; empty: RDS does not say which it is."""


def conninfo_for(run: Run, cluster: Database) -> str:
    """A conninfo of the cluster's database, without a password in it.

    A cluster that the run made is reached as its master user; every other one as the run's target
    is (`database`, `database_auth`), at its own address: what is restored from a snapshot has the
    users and passwords of its source. Raises AwsError, Refused or OSError.
    """
    if cluster.engine not in SPOKEN:
        raise Refused(
            f"{cluster.in_words} is of the engine {cluster.engine}, and the load speaks with "
            "PostgreSQL alone: without it nothing can be measured"
        )
    # By its address as well, which a cluster that is still being made does not have yet.
    known = f"{cluster.arn} {cluster.address}"
    if known not in run.conninfos:
        run.conninfos[known] = _conninfo(run, cluster)
    return run.conninfos[known]


def conninfo_as(run: Run, cluster: Database, user: str, password: str) -> str:
    """A conninfo of the cluster's database for this user, whose password is in a passfile of the
    run. Raises OSError."""
    known = f"{cluster.arn} {cluster.address} {user} {hash(password)}"
    if known not in run.conninfos:
        given = _without(conninfo_to_dict(run.settings.database), ADDRESS | LOGIN)
        database = rds.conninfo(cluster, make_conninfo("", **given, user=user))
        run.conninfos[known] = _with_passfile(run, database, Line(user, password))
    return run.conninfos[known]


def conninfo_for_readers(run: Run, cluster: Database) -> str:
    """The same for the reader endpoint of the run's own cluster.

    Raises AwsError, Refused or OSError; Refused also where `database` leads to the cluster by
    another way than its endpoint: nothing is known of such a way to the readers.
    """
    given, options = conninfo_to_dict(run.settings.database), _options(run.settings.database)
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
    given = conninfo_to_dict(run.settings.database)
    if cluster.id in masters:
        user, password = masters[cluster.id]
        kept = make_conninfo("", **_without(given, ADDRESS | LOGIN), user=user)
        return _with_passfile(run, rds.conninfo(cluster, kept), Line(user, password))
    own = _is_target(run, cluster)
    if own and run.passwords:
        return run.passwords.database
    if not own:
        given = {**_same_database(run), **_without(given, ADDRESS)}
    return _of_settings(run, cluster, given, at_target=own)


def _of_settings(
    run: Run, cluster: Database, given: dict[str, Any], at_target: bool = False
) -> str:
    """A conninfo with what `given` says, and the password as `database_auth` says; `at_target`: at
    the address at which the user's own password file has the target."""
    if run.settings.database_auth == "libpq":
        database = rds.conninfo(cluster, make_conninfo("", **given))
        line = None if at_target else _line_of_target(run, database)
        return database if line is None else _with_passfile(run, database, line)
    settings = replace(run.settings, database=make_conninfo("", **given))
    key = run.target.key.arn if run.target else cluster.key
    kept_new = passwords(Aws.of(run), settings, cluster, key)
    run.at_end.callback(kept_new.stop)
    kept_new.start()
    return kept_new.database


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
    return make_conninfo(database, passfile=file.path, password="")


def _line_of_target(run: Run, database: str) -> Line | None:
    """The target's password in the user's own password file, for another address.

    None: there is none, or libpq finds one for the address by itself.
    """
    options = _options(run.settings.database)
    if options.get("password") or not run.target:
        return None
    target = _options(rds.conninfo(run.target.cluster, run.settings.database))
    password = _in_passfile(target)
    if not password or _in_passfile(_options(database)):
        return None
    return Line(target["user"], password)


def _options(database: str) -> dict[str, str]:
    """A conninfo with what libpq adds to it."""
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }
    return {**defaults, **{k: str(v) for k, v in conninfo_to_dict(database).items()}}


def _in_passfile(options: dict[str, str]) -> str:
    """What libpq would find (PostgreSQL manual, "The Password File"); empty if nothing."""
    path = Path(options.get("passfile") or Path.home() / ".pgpass")
    asked = [options.get(name, "") for name in ("host", "port", "dbname", "user")]
    try:
        if os.stat(path).st_mode & 0o077:
            return ""  # libpq does not read what others may
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    for line in lines:
        *names, password = _fields(line)
        if (
            not line.startswith("#")
            and len(names) == len(asked)
            and all(name in ("*", wanted) for name, wanted in zip(names, asked, strict=True))
        ):
            return password
    return ""


def _fields(line: str) -> list[str]:
    """The fields between the colons; a backslash escapes the next character."""
    fields, escaped = [""], False
    for letter in line:
        if not escaped and letter == "\\":
            escaped = True
            continue
        if letter == ":" and not escaped and len(fields) < 5:
            fields.append("")
        else:
            fields[-1] += letter
        escaped = False
    return fields
