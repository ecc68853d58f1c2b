"""What can happen to a file of a run: each damage is a name and a function of its path."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

__all__ = ["DAMAGES", "NOT_SEEN", "inputs_of"]

Damage = Callable[[Path], object]


def cut(share: float, path: Path) -> None:
    """Leaves the first part of it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def cut_end(number: int, path: Path) -> None:
    """Takes its last bytes away."""
    path.write_bytes(path.read_bytes()[:-number])


def noise(begin: float, end: float, path: Path) -> None:
    """Writes any bytes over a part of it."""
    content = bytearray(path.read_bytes())
    places = slice(int(len(content) * begin), max(int(len(content) * end), 1))
    content[places] = random.Random(1).randbytes(len(content[places]))
    path.write_bytes(content)


def folder(path: Path) -> None:
    """Puts a folder in its place."""
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    """A link that leads to itself: nobody can open it, not even root."""
    path.unlink()
    path.symlink_to(path)


DAMAGES: dict[str, Damage] = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "one byte": partial(cut, 0.0001),
    **{f"cut at {share:.0%}": partial(cut, share) for share in (0.1, 0.35, 0.5, 0.75, 0.97)},
    **{f"{number} bytes less": partial(cut_end, number) for number in (1, 2, 14, 15, 40)},
    "noise": partial(noise, 0, 1),
    "noise at its begin": partial(noise, 0, 0.05),
    "noise within": partial(noise, 0.45, 0.55),
    "noise at its end": partial(noise, 0.99, 1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": folder,
    "a loop": loop,
    "of another": lambda path: shutil.copy(__file__, path),
}

NOT_SEEN = {("run.json", "1 bytes less"), ("journal.json", "1 bytes less")}
"""What changes nothing that is read: a last line without its end."""


def inputs_of(run: Path) -> list[Path]:
    """The files that a run is judged from."""
    found = [*(run / "history").iterdir(), run / "journal.json"]
    return sorted(path for path in found if path.exists())
