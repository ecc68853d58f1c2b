"""`chaos` that is forked; the tests of interrupts and of whole runs start the program itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from botocore.session import Session

from tests.support.models import models_once

__all__ = ["prepare"]

IMPORTED = (
    "audit.probes", "aurora.actions", "aurora.probes", "cli.doctor", "cli.lab", "cli.policy",
    "cli.report", "cli.restore", "controls.run", "kms.actions", "kms.probes", "load.actions",
    "load.probes", "loadgen.drop_schema",
)  # fmt: skip

SERVICES = ("kms", "rds", "sts")
"""Those that every run calls."""


def prepare() -> Callable[[], Any]:
    """In the process that forks."""
    from chaostoolkit.__main__ import cli

    for name in IMPORTED:
        import_module(f"chaosaws_kms_ext.{name}")
    models_once()
    session = Session()
    session.set_credentials("none", "none")
    for service in SERVICES:
        session.create_client(service, region_name="eu-west-1")
    return cli
