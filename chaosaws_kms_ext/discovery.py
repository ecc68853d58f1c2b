"""Finds what registers itself when its file is imported: faults, checkers."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterable

__all__ = ["import_all"]

logger = logging.getLogger("chaostoolkit")


def import_all(folders: Iterable[str], package: str) -> dict[str, str]:
    """Imports every module of a package's folders: the files that are broken, and why.

    Those are left out, and said: nothing of them may keep `chaos kms restore` from its work.
    """
    broken = {}
    for found in pkgutil.iter_modules(folders, f"{package}."):
        try:
            importlib.import_module(found.name)
        except Exception as problem:
            broken[found.name.rpartition(".")[2]] = repr(problem)
            logger.error(f"{found.name} cannot be used: {problem!r}")
    return broken
