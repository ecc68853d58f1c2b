"""What of the code only Linux has, by its text: what mypy cannot know (paths, addresses)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["only_linux"]

PATHS = re.compile(r"^/(?:proc|sys|run|dev/shm)(?:/|$)")
LOOPBACK = re.compile(r"^127\.0\.(?!0\.1(?![\d.{]))[\d.{}]+$")
"""A loopback address that only Linux has without being told."""

PROGRAMS = {"ip", "ionice", "nsenter", "prlimit", "setpriv", "systemctl", "taskset", "unshare"}
NAMES = {"cpu_affinity", "ionice", "io_counters", "prctl", "prlimit", "rlimit", "syscall"}
"""Of psutil and of C: their stubs and ctypes have them everywhere."""


def only_linux(source: str) -> set[str]:
    """The paths, addresses, programs and names of a module that only Linux has."""
    return set(_found(ast.parse(source)))


def _found(tree: ast.AST) -> Iterator[str]:
    documents = set(_documents(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if node not in documents and (PATHS.match(text) or LOOPBACK.match(text)):
                yield text.rstrip("/") or text
        elif isinstance(node, ast.List) and node.elts:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and first.value in PROGRAMS:
                yield str(first.value)


def _documents(tree: ast.AST) -> Iterator[ast.AST]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))


def modules(root: Path, *packages: str) -> Iterator[tuple[str, str]]:
    """Name and text of each module of these packages."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path.read_text("utf-8")
