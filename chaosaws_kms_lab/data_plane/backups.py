"""Copies out of a cluster's volume and into one: snapshots, restores, points in time."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from chaosaws_kms_lab.data_plane.archive import new_file, pack, transfer, unpack
from chaosaws_kms_lab.data_plane.postgres import Postgres, ServerFailed
from chaosaws_kms_lab.data_plane.sealed import Sink, opened, sealing
from chaosaws_kms_lab.data_plane.volume import Volume
from chaosaws_kms_lab.private_files import make_passable

__all__ = [
    "COPY_ADDRESS",
    "Seal",
    "copy_changed",
    "copy_snapshot",
    "restore",
    "restore_to",
    "take_snapshot",
    "take_snapshot_of_nothing",
]

Seal = tuple[bytes | None, Mapping[str, str]]
"""A plain data key and the encryption context; no key: not encrypted."""

BACKUP_SILENCE = 60.0
"""Seconds without a byte after which a base backup is given up."""
RECOVER_WITHIN = 1800.0
"""Seconds for a server to recover what was copied."""
COPY_ADDRESS = "127.255.0.2"
"""The address of a server that changes data between two files."""
UNREACHABLE = {"unix_socket_directories": "."}
"""A server that only recovers needs no address, but PostgreSQL wants some socket."""

SEGMENT = re.compile(r"[0-9A-F]{24}")
TOO_LATE = "recovery ended before configured recovery target was reached"


# Snapshots


def take_snapshot(volume: Volume, to: Path, seal: Seal) -> None:
    """Writes the volume's data to one file, sealed, with every write acknowledged before."""
    with volume.at_rest() as (server, epoch), new_file(to) as file, sealing(file, *seal) as sink:
        if server:
            _back_up(volume, server, epoch, sink)
        else:
            pack(volume.data, sink)


def take_snapshot_of_nothing(template: Postgres, to: Path, seal: Seal) -> None:
    """Writes a snapshot of a cluster that never had an instance."""
    with new_file(to) as file, sealing(file, *seal) as sink:
        pack(template.data, sink)


def copy_snapshot(source: Path, to: Path, opens: Seal, seals: Seal) -> None:
    """Copies a snapshot under another key."""
    with source.open("rb") as old, new_file(to) as file, sealing(file, *seals) as sink:
        transfer(opened(old, *opens), sink)


def copy_changed(
    server: Postgres,
    source: Path,
    to: Path,
    opens: Seal,
    seals: Seal,
    change: Callable[[Postgres], None],
) -> None:
    """Copies a snapshot under another key, after `change` has changed it.

    `server` is made for this: it runs on the data meanwhile.
    """
    folder = server.data.parent
    make_passable(folder)
    try:
        with source.open("rb") as old:
            unpack(opened(old, *opens), server.data)
        server.binaries.own(server.data)
        _run(server, change)
        with new_file(to) as file, sealing(file, *seals) as sink:
            pack(server.data, sink)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _back_up(volume: Volume, server: Postgres, epoch: int, sink: Sink) -> None:
    # The slot keeps the log that is written during the backup, which has to be in it.
    slot = f"snapshot_{secrets.token_hex(8)}"
    command = (
        "pg_basebackup",
        f"--dbname={server.conninfo}",
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--no-sync",
    )
    with server.connected() as connection:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", (slot,))
        with volume.helper(epoch, *command) as process:
            assert process.stdout is not None
            transfer(_PipeWithTimeout(process.stdout), sink)
            _, said = process.communicate(timeout=BACKUP_SILENCE)
        volume.check(epoch)
        if process.returncode:
            raise ServerFailed(f"pg_basebackup failed: {said.decode(errors='replace')}")


class _PipeWithTimeout:
    """A pipe to read from; raises ServerFailed if nothing comes for a while."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)

    def read(self, size: int) -> bytes:
        if not self._poll.poll(BACKUP_SILENCE * 1000):
            raise ServerFailed(f"the base backup said nothing for {BACKUP_SILENCE:g} s")
        return os.read(self._pipe.fileno(), size)


# Restores


def restore(volume: Volume, source: Path, seal: Seal) -> None:
    """Fills a new volume with a snapshot's data."""
    with _filling(volume) as data, source.open("rb") as file:
        unpack(opened(file, *seal), data)
        _recover(volume, data, {})


def restore_to(volume: Volume, source: Volume, when: datetime | None) -> None:
    """Fills a new volume with the data that `source` had at an instant; None: that it has now."""
    with _filling(volume) as data:
        _collect_log(source, volume.wal)
        base = source.base if source.base.exists() else source.template.data
        _copy_base(base, data)
        (data / "recovery.signal").touch()
        to_the_end = {
            "hot_standby": "off",  # so that `ready` means recovered
            "restore_command": "test -f ../wal/%f && cp ../wal/%f %p",
        }
        target = {"recovery_target_action": "promote"}
        if when:
            target["recovery_target_time"] = when.astimezone(UTC).isoformat(sep=" ")
        try:
            _recover(volume, data, to_the_end | target)
        except ServerFailed as problem:
            if TOO_LATE not in str(problem):
                raise
            # Nothing was committed after that instant, so it is the end of the log.
            _recover(volume, data, to_the_end)


def _collect_log(source: Volume, to: Path) -> None:
    """Copies all write-ahead log since the base of `source`, archived or not yet."""
    to.mkdir(mode=0o700)
    # Frozen servers write nothing, and what they acknowledged is in their files.
    with source.at_rest(frozen_too=True) as (server, _):
        if server:
            with server.connected() as asked:
                # A commit of now, at which a recovery to now can end, in a finished segment.
                asked.execute("SELECT pg_current_xact_id()")
                asked.execute("SELECT pg_switch_wal()")
        # First what is not archived: a segment that is archived meanwhile is then found there.
        for path in (source.data / "pg_wal").iterdir():
            is_log = SEGMENT.fullmatch(path.name) or path.suffix == ".history"
            if is_log and not (source.wal / path.name).exists():
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(path, to / path.name)
        for path in source.wal.iterdir():
            (to / path.name).unlink(missing_ok=True)
            os.link(path, to / path.name)


@contextlib.contextmanager
def _filling(volume: Volume) -> Iterator[Path]:
    """A folder to make the data in; after a failure nothing is left.

    The volume has been held since it was made, so that no server starts without its data.
    """
    data = volume.directory / "filling"
    with volume.held():
        try:
            make_passable(volume.directory, parents=True)
            yield data
            shutil.rmtree(volume.wal, ignore_errors=True)
            _copy_base(data, volume.base)
            data.rename(volume.data)
        except BaseException as problem:
            volume.unfilled = f"the cluster has no data: {problem}"
            shutil.rmtree(volume.directory, ignore_errors=True)
            raise


def _copy_base(data: Path, to: Path) -> None:
    """A data directory without its write-ahead log."""
    shutil.copytree(
        data,
        to,
        symlinks=True,
        ignore=lambda _, names: [name for name in names if SEGMENT.fullmatch(name)],
    )


def _recover(volume: Volume, data: Path, settings: Mapping[str, str]) -> None:
    """Lets a server recover and shut down: afterwards the data need no log."""
    binaries = volume.template.binaries
    for path in (data, volume.wal):
        if path.exists():
            binaries.own(path)
    _run(Postgres(binaries, data, 1, (), {**UNREACHABLE, **settings}), lambda _: None)


def _run(server: Postgres, work: Callable[[Postgres], None]) -> None:
    """Lets a server recover, works with it, and shuts it down."""
    server.start()
    try:
        server.wait_until_ready(RECOVER_WITHIN)
        work(server)
    finally:
        in_order = server.stop()
    if not in_order:
        raise ServerFailed("PostgreSQL did not shut down after its recovery")
    server.log.unlink()
