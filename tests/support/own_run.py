"""A run in the process of a test, on a lab, without any control."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.undo import journal

__all__ = ["own_run"]


@contextmanager
def own_run(lab: LocalLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """What it leaves in the journal is closed."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    runs.end()
    run = runs.current({})
    run.lab = lab
    yield run
    runs.end()
    for entry in journal.open_entries():
        entry.close()
