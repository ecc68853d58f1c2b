"""A data directory as a stream: packed, unpacked, and written to a file that is whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from chaosaws_kms_lab.data_plane.sealed import CHUNK, Sink, Source

__all__ = ["new_file", "pack", "spread_over_disk", "transfer", "unpack"]

A_SERVERS_OWN = frozenset({
    "postmaster.pid", "postmaster.opts", "pg_stat_tmp", "pg_notify", "pg_replslot", "pg_dynshmem",
})  # fmt: skip
"""Files of a running server, which are left out; folders stay, empty."""


# Python before 3.11.4 (Debian 12) has no filters.
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}

# linux/fs.h; the same as `chattr +T`.
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL = 0x80086601, 0x40086602, 0x00020000


def spread_over_disk(folder: Path) -> None:
    """Lets ext4 put each new folder in `folder` into a part of the disk of its own.

    Without a journal, as small virtual machines often have it, ext4 looks at every inode that was
    deleted within the last minute or more before it makes a file (fs/ext4/ialloc.c,
    find_inode_bit): where some labs had just been removed, the thousand files of a data directory
    took 0.9 s instead of 0.1 s. Does nothing on other file systems.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            flags = bytearray(8)
            fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, flags)
            (now,) = struct.unpack("l", flags)
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", now | FS_TOPDIR_FL))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A private file, which gets its name at the end of the block."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        with open(os.open(partial, flags, 0o600), "wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def transfer(source: Source, sink: Sink) -> None:
    """Everything from `source` to `sink`."""
    while data := source.read(CHUNK):
        sink.write(data)


def pack(data: Path, sink: Sink) -> None:
    """The data directory of a server that does not run, as a tar stream."""

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        folder, _, rest = entry.name.removeprefix("./").partition("/")
        own = folder in A_SERVERS_OWN and (rest or not entry.isdir())
        return None if own else entry

    with tarfile.open(fileobj=cast("BinaryIO", sink), mode="w|", bufsize=CHUNK) as tar:
        tar.add(data, arcname=".", filter=kept)


def unpack(source: Source, data: Path) -> None:
    """Unpacks a tar stream into the data directory `data`, and reads the stream to its end."""
    data.mkdir(mode=0o700)
    with tarfile.open(fileobj=cast("BinaryIO", source), mode="r|", bufsize=CHUNK) as tar:
        tar.extractall(data, **SAFELY)
    # A seal proves only at its end that nothing is missing.
    while source.read(CHUNK):
        pass
    data.chmod(0o700)
