"""`chaos` that is forked, and what it starts; some tests start the programs themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from botocore.session import Session

from chaosaws_kms_ext import processes
from chaosaws_kms_ext.lab_client import local_lab
from chaosaws_kms_ext.loadgen import locust_processes
from chaosaws_kms_ext.processes import Child
from chaosaws_kms_ext.undo import watchdog
from tests.support.forked_child import ForkedChild
from tests.support.models import models_once

__all__ = ["STARTS", "prepare"]

STARTS = {"run": ("tests.support.forked_labs", "tests.support.forked_locust")}
"""Command → who forks what it starts."""

IMPORTED = (
    "audit.probes", "aurora.actions", "aurora.probes", "cli.doctor", "cli.lab", "cli.policy",
    "cli.report", "cli.restore", "cli.watch", "controls.run", "kms.actions", "kms.probes",
    "load.actions", "load.probes", "loadgen.drop_schema", "report.page.page",
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
    for module in (local_lab, locust_processes, processes):
        assert module.Child is Child
    for module in (local_lab, locust_processes, processes):
        module.Child = ForkedChild  # type: ignore[misc]

    def main() -> Any:
        if sys.argv[0] == watchdog.__name__:
            return watchdog.main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
        return cli()

    return main
