"""Which experiment is about which fault, read from the experiments."""

from __future__ import annotations

import json

from tests.support.chaos import ROOT

__all__ = ["experiment_of"]


def experiment_of(name: str) -> str:
    """The name of the shortest experiment that injects the fault `name`."""
    found = {
        path.stem: len(method)
        for path in sorted((ROOT / "experiments").glob("*.json"))
        for method in [json.loads(path.read_text()).get("method", [])]
        if any(_injects(each.get("provider", {}), name) for each in method)
    }
    assert found, f"no experiment injects {name}"
    return min(found, key=lambda each: found[each])


def _injects(provider: dict[str, object], name: str) -> bool:
    given = provider.get("arguments")
    named = given.get("name") if isinstance(given, dict) else None
    func = provider.get("func")
    return func == name.replace("-", "_") or (func == "inject_fault" and named == name)
