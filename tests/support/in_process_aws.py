"""The extension's way to AWS, to a lab in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chaosaws_kms_ext.aws.client import Aws
from tests.support.in_process_lab import REGION, InProcessLab
from tests.support.labs import credentials


class InProcessAws(Aws):
    """Its clients are the lab's; each client is made once."""

    def __init__(self, lab: InProcessLab, folder: Path, **more: Any) -> None:
        super().__init__(REGION, "http://127.0.0.1:1", lab=credentials(folder), **more)
        self._lab = lab

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._lab.client(service)
            return self._clients[service]
