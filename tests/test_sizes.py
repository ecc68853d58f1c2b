"""No file and no function is too long to be read at one go; a literal table may be longer."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for package in ("chaosaws_kms_ext", "chaosaws_kms_lab", "probes", "bench")
    for path in (ROOT / package).rglob("*.py")
)
LINES, FUNCTION = 400, 50


def too_long(text, lines=LINES, function=FUNCTION):
    """What of a module is too long, each by its name."""
    found = ["the file"] if len(text.splitlines()) > lines else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno + 1 > function:
                found.append(node.name)
    return found


def test_every_file_and_its_functions_can_be_read_at_one_go():
    long = {path.relative_to(ROOT).as_posix(): too_long(path.read_text()) for path in FILES}
    assert {path: its for path, its in long.items() if its} == {}


def test_what_is_too_long_is_named():
    body = "def f():\n" + "    x = 1\n" * 50
    assert too_long(body) == ["f"]
    assert too_long(body + "\n" * 400) == ["the file", "f"]
    assert too_long("def f():\n" + "    x = 1\n" * 49) == []
