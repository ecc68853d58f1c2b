"""The files of a run's folder that others look for, by name, and the folders that runs leave."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["PAGE", "SUMMARY", "folders_in"]

SUMMARY = "summary.json"
PAGE = "report.html"
"""The file to look at, if the run wants one."""


def folders_in(folder: Path) -> list[Path]:
    """The folders in it, but for links: `latest` is one. Raises OSError."""
    with os.scandir(folder) as entries:
        return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
