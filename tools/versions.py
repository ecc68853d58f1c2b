"""`make lowest`, `make newest`: the ends of the versions that pyproject.toml allows, tried.

Each resolves the dependencies from nothing, installs them into an empty environment, once without
and once with the extra `lab`, and runs a part of the tests there; with the lab a whole run as well.
constraints.txt has no say in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import programs
from programs import ROOT, Failed

RESOLUTION = {"lowest": "lowest-direct", "newest": "highest"}
"""Lowest: of what pyproject.toml names; what that needs in turn is the newest that fits."""

TOOLS = (
    "chaostoolkit-addons", "chaostoolkit-opentracing", "colorama", "duckdb", "hypothesis",
    "jsonschema", "pandas", "pyarrow", "pytest", "pytest-timeout", "pytest-xdist",
)  # fmt: skip
"""What the tests need beside what is tried. Not the AWS CLI: it wants a boto3 of its own."""

CORE = (
    "tests/unit/checkers/test_outage.py", "tests/unit/cli/test_runs.py",
    "tests/unit/history/test_reader.py", "tests/unit/report/live/test_process.py",
    "tests/unit/report/page", "tests/unit/report/test_arrow_files.py",
    "tests/unit/report/test_screen.py", "tests/unit/settings",
)  # fmt: skip
LAB = (
    "tests/unit/aws", "tests/unit/guard", "tests/unit/loadgen/test_process.py",
    "tests/lab/test_any_calls.py", "tests/lab/test_moto_together.py", "tests/e2e/test_one_run.py",
)  # fmt: skip
"""The tests that are run, without and with the extra `lab`."""

run = partial(programs.run, speed=100, limit=3000.0)


class DoesNotWork(Failed):
    """What does not work with these versions."""


def main(which: str) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            for extra, tests in {"": CORE, "lab": LAB}.items():
                tried(Path(folder) / (extra or "core"), which, extra, tests)
    except Failed as problem:
        sys.exit(f"Not with the {which} versions: {problem}")
    print(f"The {which} versions work.")


def tried(folder: Path, which: str, extra: str, tests: tuple[str, ...]) -> None:
    """An environment with these versions, in which the tests pass; raises Failed."""
    home = folder / "empty"
    home.mkdir(parents=True)
    pins, python = folder / "pins.txt", folder / "venv" / "bin" / "python"
    version = ".".join(map(str, sys.version_info[:2]))
    uv(
        "compile", "--resolution", RESOLUTION[which], "--python-version", version,
        *(("--extra", extra) if extra else ()), "--no-emit-index-url", "--no-header",
        "--no-annotate", "--output-file", pins, ROOT / "pyproject.toml",
    )  # fmt: skip
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv")
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    uv("install", "--python", python, "--constraint", pins, "--editable", what, *TOOLS)
    print(f"== {which}, {extra or 'core'}, Python {version}")
    print("   " + ", ".join(pins.read_text().split()), flush=True)
    if extra:
        run(python.with_name("chaos"), "kms", "try", folder=home)
        summary = json.loads((home / "reports" / "latest" / "summary.json").read_text())
        if summary["verdict"] != "passed":
            raise DoesNotWork(f"chaos kms try has the verdict {summary['verdict']}")
    chosen = "not alone and not soak and not browser and not deploy"
    run(python, "-m", "pytest", "-n", "2", "-m", chosen, *tests)


def uv(command: str, *arguments: object) -> None:
    run(sys.executable, "-m", "uv", "pip", command, "--quiet", *arguments)


if __name__ == "__main__":
    if sys.argv[1:] not in (["lowest"], ["newest"]):
        sys.exit("usage: python tools/versions.py lowest|newest")
    main(sys.argv[1])
