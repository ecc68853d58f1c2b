"""A PostgreSQL of the tests' own, to be frozen and killed directly."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import psycopg

from chaosaws_kms_lab.data_plane import PORTS, Binaries, Postgres
from chaosaws_kms_lab.processes import freeze_trees, kill_everything_in
from tests.support.labs import scratch

RATE = 100.0


TRUST = "host all all 127.0.0.0/8 trust\n"


def free_port() -> int:
    for port in random.sample(PORTS, 200):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def freeze(server: Postgres) -> None:
    """What a lost key does to a server."""
    freeze_trees([server.postmaster.pid])


class Trusting(Postgres):
    """A server of the tests' own: whoever comes by TCP may be a superuser."""

    trusts = TRUST

    @property
    def conninfo(self) -> str:
        return f"host={self.listens[0]} port={self.port} dbname=postgres user=postgres"

    def initialise(self) -> None:
        super().initialise()
        hba = self.data / "pg_hba.conf"
        hba.write_text(self.trusts + hba.read_text())

    def trust(self) -> None:
        with psycopg.connect(super().conninfo, autocommit=True) as connection:
            connection.execute("CREATE ROLE postgres LOGIN SUPERUSER")


@cache
def _binaries() -> Binaries:
    return Binaries.find(scratch())


@contextlib.contextmanager
def a_postgres(addresses=("127.0.0.1",), trusts=""):
    """A PostgreSQL that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    folder.chmod(0o711)
    server = Trusting(replace(_binaries(), scratch=folder), folder / "data", free_port(), addresses)
    server.trusts += trusts
    try:
        server.initialise()
        server.start()
        server.wait_until_ready()
        server.trust()
        yield server
    finally:
        kill_everything_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert not os.path.exists(folder)
