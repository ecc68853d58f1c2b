"""What is wrong with a command that a page shows, as its own program would say it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest
from botocore.awsrequest import AWSResponse

from chaosaws_kms_ext.settings import BadSetting, Settings, parse
from tests.support.documented import ROOT, Command

__all__ = ["unknown_settings", "wrong_with", "wrong_with_part"]

VARIABLE = re.compile(r"\bCHAOS_[A-Z_]+[A-Z]\b")

IN_THE_REPOSITORY = ("deploy/", "docs/", "experiments/", "policies/", "probes/", "tests/", "tools/")
"""An argument that begins so is a file of the repository."""

FILES = (".json", ".py", ".sh", ".toml")
"""And one that ends so is a file that has to be there."""


@cache
def _settings() -> frozenset[str]:
    """Every variable: the settings, and what experiments take from the environment."""
    ours = {f"CHAOS_{name.upper()}" for name, *_ in Settings.documented()}
    for path in (ROOT / "experiments").glob("*.json"):
        for value in json.loads(path.read_text("utf-8")).get("configuration", {}).values():
            if isinstance(value, dict) and "key" in value:
                ours.add(value["key"])
    return frozenset(ours)


def unknown_settings(text: str) -> list[str]:
    """The variables CHAOS_… of a text that nothing reads."""
    return sorted(set(VARIABLE.findall(text)) - _settings())


def wrong_with(command: Command, folder: Path) -> str | None:
    """What is wrong with it in this folder (documented.sandbox), or None."""
    if command.words == ("end",):
        return _wrong_settings(dict(command.settings), whole=False)
    program, *words = command.words
    if program not in CHECKS:
        return f"{program} is no program that this test knows"
    if missing := _missing_file(words, folder):
        return f"there is no {missing}"
    with contextlib.chdir(folder):
        wrong = CHECKS[program](words)
    return wrong or (_wrong_settings(dict(command.settings)) if program == "chaos" else None)


def _missing_file(words: Sequence[str], folder: Path) -> str | None:
    """The first argument that names a file which is not there; what options write is not meant."""
    for before, word in pairwise(["", *words]):
        path = word.rpartition("=")[2]
        named = path.endswith(FILES) and not before.startswith("--") and ":" not in path
        if (named or path.startswith(IN_THE_REPOSITORY)) and not (
            (folder / path).exists() or (ROOT / path).exists()
        ):
            return path
    return None


def wrong_with_part(text: str) -> str | None:
    """What is wrong with a command in a sentence: it need not be whole."""
    program, *words = [word for word in text.split() if word != "…"]
    if program == "chaos":
        return _wrong_with_chaos(words, whole=False)
    if program == "make":
        return _wrong_with_make(words)
    return _wrong_with_aws(words, whole=False)


def _wrong_settings(settings: Mapping[str, str], whole: bool = True) -> str | None:
    if unknown := set(settings) - _settings():
        return f"nothing reads {', '.join(sorted(unknown))}"
    if not whole:
        return None
    try:
        parse({}, {"AWS_REGION": "eu-west-1", **settings}, needs_cluster=False)
    except BadSetting as wrong:
        return str(wrong)
    return None


def _wrong_with_chaos(words: Sequence[str], whole: bool = True) -> str | None:
    from chaostoolkit.cli import cli

    command: click.Command = cli
    context = None
    name: str | None = "chaos"
    rest, options = list(words), set[str]()
    try:
        while True:
            context = command.make_context(name, rest, parent=context, resilient_parsing=not whole)
            options |= {opt for each in command.get_params(context) for opt in each.opts}
            rest = [*context._protected_args, *context.args]
            if not isinstance(command, click.Group) or not rest:
                break
            word = rest[0]
            name, found, rest = command.resolve_command(context, rest)
            if found is None:
                return f"No such command '{word}'"
            command = found
    except click.UsageError as wrong:
        return wrong.format_message()
    # Of a command that is not whole click names nothing that is wrong.
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"No such option: {unknown[0]}" if unknown else None


@cache
def _aws_cli() -> Any:
    """The AWS CLI in this process; its requests are answered before they are sent."""
    from awscli.clidriver import create_clidriver

    def answered(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        return AWSResponse("http://127.0.0.1:1", 200, {}, None), {}

    driver = create_clidriver()
    driver.session.register("before-call", answered)
    return driver


AWS = {
    "AWS_ACCESS_KEY_ID": "documented",
    "AWS_SECRET_ACCESS_KEY": "documented",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_PAGER": "",
}


def _wrong_with_aws(words: Sequence[str], whole: bool = True) -> str | None:
    said = io.StringIO()
    with (
        patch.dict(os.environ, AWS),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            status = _aws_cli().main(list(words))
        except SystemExit as ended:
            status = ended.code
    wrong = said.getvalue().partition("error: ")[2] or said.getvalue()
    if status and not whole and MISSING.match(wrong):
        return _unknown_options_of_aws(words)
    return " ".join(wrong.split())[-300:] or f"it ends with {status}" if status else None


MISSING = re.compile(r"the following arguments are required: -|argument --[-a-z]+: expected")


def _unknown_options_of_aws(words: Sequence[str]) -> str | None:
    service, operation, *rest = words
    commands = _aws_cli()._get_command_table()[service]._get_command_table()
    its = commands[operation].arg_table
    unknown = [word for word in rest if word.startswith("--") and word[2:] not in its]
    return f"Unknown options: {', '.join(unknown)}" if unknown else None


def _wrong_with_make(words: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(" ".join(re.findall(r"^([a-z][-a-z ]*):", makefile, re.MULTILINE)).split())
    variables = set(re.findall(r"^([A-Z]+) *\?=", makefile, re.MULTILINE))
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in (variables if equals else targets):
            return f"the Makefile has no {name}"
    return None


def _wrong_with_pytest(words: Sequence[str]) -> str | None:
    from _pytest.config import get_config

    config = get_config()
    try:
        config.parse(["--co", "-p", "no:cacheprovider", *words])
    except (pytest.UsageError, SystemExit) as wrong:
        return str(wrong)
    return None


def _anything(words: Sequence[str]) -> str | None:
    """For programs that are not here: their files are looked at all the same."""
    return None


CHECKS: Mapping[str, Callable[[Sequence[str]], str | None]] = {
    ".": _anything,
    "aws": _wrong_with_aws,
    "chaos": _wrong_with_chaos,
    "docker": _anything,
    "kubectl": _anything,
    "make": _wrong_with_make,
    "pytest": _wrong_with_pytest,
    "sh": _anything,
}
