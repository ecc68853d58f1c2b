"""Keeps the marks honest from which docs/lab.md is made: a test calls what it says it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.lab.document import marked


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
