"""Clients of a module's lab; and the marks that docs/lab.md is made from are kept honest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.support.document import marked
from tests.support.in_process_lab import InProcessLab


@pytest.fixture
def own_lab(tmp_path: Path) -> InProcessLab:
    """A lab of the test's own in this process, with a clock that is moved by hand."""
    return InProcessLab(tmp_path / "requests.jsonl")


@pytest.fixture(autouse=True)
def _shows_what_it_says(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    wanted = marked(request.node.iter_markers())
    if not wanted:
        yield
        return
    called: set[str] = set()
    real = BaseClient._make_api_call

    def recording(self: Any, operation: str, params: dict[str, Any]) -> Any:
        called.add(f"{self.meta.service_model.service_name}:{operation}")
        return real(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", recording)
    yield
    assert wanted <= called, f"marked to show what it does not call: {sorted(wanted - called)}"
