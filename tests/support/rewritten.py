"""The test modules with their assertions rewritten: once, and not by each of the workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

__all__ = ["rewrite_once"]


def rewrite_once(config: pytest.Config, folder: Path) -> None:
    """Writes what pytest would write at the first import; its workers begin at the same time."""
    if sys.dont_write_bytecode:
        return
    state = config.stash[rewrite.assertstate_key]
    for path in folder.rglob("test_*.py"):
        compiled = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
        if rewrite._read_pyc(path, compiled) is None:
            source, code = rewrite._rewrite_test(path, config)
            if rewrite.try_makedirs(compiled.parent):
                rewrite._write_pyc(state, code, source, compiled)
