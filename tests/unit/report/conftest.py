"""The summary that kept runs are made of."""

from __future__ import annotations

import pytest

from tests.support.kept import a_summary


@pytest.fixture(scope="session")
def summary(tmp_path_factory):
    return a_summary(tmp_path_factory.mktemp("reports"))
