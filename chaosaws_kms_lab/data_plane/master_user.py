"""The master user and the first database of a new cluster."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from chaosaws_kms_lab.world import Cluster

__all__ = ["make_master_user"]


def make_master_user(connection: psycopg.Connection[Any], cluster: Cluster) -> None:
    """Makes the cluster's master user and its database, unless they exist."""
    user, database = cluster.master_username, cluster.database
    if not _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", user):
        connection.execute(_new_role(connection, user, cluster.master_password))
    if database and not _exists(connection, "SELECT FROM pg_database WHERE datname = %s", database):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    for each in dict.fromkeys(("postgres", database or "postgres")):
        own = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        connection.execute(own.format(sql.Identifier(each), sql.Identifier(user)))


def _exists(connection: psycopg.Connection[Any], query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None


def _new_role(connection: psycopg.Connection[Any], user: str, password: str) -> sql.Composed:
    """The statement that makes a master user, who is no superuser; it has only the password's hash.

    Before PostgreSQL 16 it gets no CREATEROLE: with that a user can give itself any role but a
    superuser's, and so reach programs and files of the server.
    """
    hashed = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
    may = "CREATEDB CREATEROLE" if connection.info.server_version >= 160000 else "CREATEDB"
    return sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
        sql.Identifier(user), sql.SQL(may), sql.Literal(hashed.decode())
    )
