"""The workers of pytest-xdist, forked from a process that has imported what they collect.

Each would import the same again: test modules, boto3, moto, bokeh. What a worker then does is its
own: it reads pytest's configuration, collects and runs tests as one that was started.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import _prepareconfig
from execnet import gateway_base, gateway_io

from tests.support import forks

__all__ = ["fork_workers", "prepare"]

STDIN = "TESTS_WORKER_STDIN"
"""Variable with the descriptor at which a worker is told what to do."""

IMPORTED = "TESTS_IMPORTED"
"""Variable with the files that are imported before any worker is forked."""


class ForkedIO(gateway_base.Popen2IO):  # type: ignore[misc]
    """As execnet's Popen2IOMaster."""

    remoteaddress: str

    def __init__(self, args: list[str], execmodel: Any) -> None:
        theirs, ours = os.pipe()
        answers, written = os.pipe()
        try:
            self.popen = forks.fork(__name__, args[1:], written, 2, kept={STDIN: theirs})
        finally:
            os.close(theirs)
            os.close(written)
        super().__init__(os.fdopen(ours, "wb"), os.fdopen(answers, "rb"), execmodel=execmodel)

    def wait(self) -> int:
        return self.popen.wait()

    def kill(self) -> None:
        self.popen.kill()


def fork_workers(config: pytest.Config) -> None:
    """From now on, in the pytest that has the workers."""
    if not forks.POSSIBLE:
        return
    ignored = [Path(each).absolute() for each in config.getoption("ignore") or ()]
    files = [
        str(path)
        for path in _named(config.args)
        if not any(path.is_relative_to(each) for each in ignored)
    ]
    os.environ[IMPORTED] = os.pathsep.join(files)
    gateway_io.Popen2IOMaster = ForkedIO


def _named(arguments: list[str]) -> Iterator[Path]:
    for argument in arguments:
        path = Path(argument.partition("::")[0]).absolute()
        yield from path.rglob("test_*.py") if path.is_dir() else [path]


# In the process that forks


def prepare() -> Callable[[], int]:
    """Imports the test modules as pytest does, with their assertions rewritten."""
    tests = Path(__file__).parents[1]
    config = _prepareconfig([str(tests), "-n0"], None)
    importlib.import_module("tests.support.replaced").before_the_imports()
    for path in map(Path, os.environ.pop(IMPORTED).split(os.pathsep)):
        if path.suffix == ".py" and path.is_relative_to(tests):
            name = ".".join(path.relative_to(tests.parent).with_suffix("").parts)
            with contextlib.suppress(Exception):  # whoever collects it tells why
                importlib.import_module(name)
    config._ensure_unconfigure()  # without its hook of the imports: each worker has its own
    return _main


def _main() -> int:
    """What `python -c` does that execnet starts."""
    given = int(os.environ.pop(STDIN))
    os.dup2(given, 0)
    os.close(given)
    os.environ.pop(IMPORTED, None)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    exec(eval(sys.stdin.readline()), {"__name__": "__main__"})
    return 0
