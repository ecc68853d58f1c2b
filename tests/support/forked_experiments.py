"""The experiments of `experiments/` are forked; one of them starts the programs themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chaosaws_kms_ext import pytest_plugin
from tests.support import forked_chaos, forks

__all__ = ["fork_experiments"]

STARTED = "experiments/kms-disable.json"
"""The one that starts `chaos`, Locust and the lab as a person would."""


WITH_A_PAGE = ("audit-trail", "backup-under-same-key", "kms-shared-key")
"""Beside that one: their pages have parts that no other has. The others leave all other files."""

NO_PAGE = "md,junit,metrics"


def fork_experiments() -> None:
    """In this pytest, not in those that its tests start."""
    if forks.POSSIBLE:
        kept = {name: getattr(subprocess, name) for name in ("DEVNULL", "STDOUT", "TimeoutExpired")}
        pytest_plugin.subprocess = SimpleNamespace(Popen=_start, **kept)  # type: ignore[assignment]


def _start(command: Sequence[str], *, env: dict[str, str], cwd: Any, stdout: Any, **more: Any):
    if command[-1].endswith(STARTED):
        return subprocess.Popen(command, env=env, cwd=cwd, stdout=stdout, **more)
    for needed in forked_chaos.STARTS["run"]:
        forks.ready(needed)
    if Path(command[-1]).stem not in WITH_A_PAGE:
        env = {"CHAOS_REPORT_FILES": NO_PAGE, **env}
    output = stdout.fileno()
    return forks.fork(
        forked_chaos.__name__,
        command[1:],
        output,
        output,
        environment={**env, forks.SOCKETS: os.environ[forks.SOCKETS]},
        folder=str(cwd),
    )
