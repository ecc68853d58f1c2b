"""Writes the pages of this folder that are made from the code: `make docs`."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from chaosaws_kms_ext.checkers import CHECKERS, Checker
from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.report.schemas import SCHEMAS
from chaosaws_kms_ext.report.summary import HEADER
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo.journal import MOVES, State
from chaosaws_kms_lab import aurora

FOLDER = Path(__file__).parent
MADE = "<!-- Made from the code by `make docs`: do not edit. -->\n"

SETTINGS = """\
# Settings

Environment variables, or keys of the experiment's `configuration` (`rto` for `CHAOS_RTO`). The
environment wins; empty means the default. Durations about Aurora are AWS seconds: on the lab they
pass `CHAOS_LAB_SPEED` times as fast. A wrong value is one sentence, before anything was touched.
(aws): only with `CHAOS_TARGET=aws`.

| variable | default | |
|---|---|---|
"""

CATALOGUE = """\
# Actions and probes

All are in `chaosaws_kms_ext`. `chaos discover chaostoolkit-aws-kms --no-install` writes them down
with their whole documentation: parameters, what they return, when they fail, IAM actions. They work
beside those of `chaostoolkit-aws`. The control `chaosaws_kms_ext.controls.run` sets for all of them
`${cluster_id}`, `${key_arn}`, `${aws_region}`, `${account}`, `${partition}`, `${caller}` and
`${run_id}`.
"""

SUMMARY = """\
# The fields of `summary.json`

Durations are seconds of the run's own clock (on the lab: the lab's own, not Aurora's). `null` is
what does not apply to a run, or could not be measured: where a verdict depends on it, `reasons`
says why. At the top stand the figures of the load called `main`. "Taken away" and "put back" are
the instants at which AWS had answered the call that did it (DisableKey and EnableKey, or
PutKeyPolicy, say); material that expires is taken away when KMS is seen to have deleted it.

`chaos kms report FOLDER` makes the file again from the run's records, without a lab or AWS.

| field | what it is |
|---|---|
"""

OBJECTIVES = """\

## Objectives

An experiment names those that it has to meet, in the arguments of its control. Durations are AWS
seconds. Each can be held [against earlier runs](report.md#against-earlier-runs) as well.

| objective | at most | the question |
|---|---|---|
"""

COMMANDS = """\
# Commands

`chaos kms COMMAND`. Completion in the shell is Chaos Toolkit's:
`eval "$(_CHAOS_COMPLETE=bash_source chaos)"`, or `zsh_source`, `fish_source`.
"""

STATES = """\
# States

## Of a database without its key

The lab's own tables, from which it acts: what time does, what a call does, and how long each takes
(AWS seconds). What of it AWS documents, and what was only seen: [what Aurora does](aurora.md).

"""

WITH_TIME = {"any": "with time"}

JOURNAL = """\

## Of an entry of the undo journal

An entry is written before the key is touched, and says how to put it back. Whoever finds it (the
run itself, its watchdog, `chaos kms restore`) does what its state asks for, and moves it on. Each
may die at any instant: the next one reads the state and goes on. No entry moves back.

"""

OF_AN_ENTRY: dict[State, str] = {
    "key-away": "puts the key back as it was, by the calls of the entry",
    "key-back": "starts the cluster if it does not start by itself, waits until it is available, "
    "and disarms the switch",
    "closed": "nothing: key and cluster are as they were",
}

MODULES = (
    "kms.actions", "kms.canaries", "kms.flapping", "kms.probes", "kms.secondary", "aurora.actions",
    "aurora.failover", "aurora.maintenance", "aurora.point_in_time", "aurora.probes",
    "aurora.proxy", "load.actions", "load.probes", "audit.probes",
)  # fmt: skip


def settings() -> str:
    """Every setting, from its own declaration."""
    rows = []
    for name, default, choices, doc in Settings.documented():
        said = f"`{choices}`" if (choices := "`, `".join(choices)) else ""
        shown = _default(default)
        rows.append(f"| `CHAOS_{name.upper()}` | {shown} | {doc}{f': {said}' if said else ''} |\n")
    return f"{MADE}{SETTINGS}{''.join(rows)}"


def catalogue() -> str:
    """Every action and probe, with the first sentence of its document."""
    parts = [MADE, CATALOGUE]
    for name in MODULES:
        module = importlib.import_module(f"chaosaws_kms_ext.{name}")
        parts.append(f"\n## `{name}`\n\n| | |\n|---|---|\n")
        parts += [_row(getattr(module, each)) for each in module.__all__]
    return "".join(parts)


def commands() -> str:
    """Every command with its options, as `--help` has them."""
    return f"{MADE}{COMMANDS}{_commands(kms, 'kms')}"


def _commands(group: click.Group, path: str) -> str:
    parts = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        help_ = inspect.cleandoc(command.help or "").replace("\b\n", "")
        inner = click.Context(command, info_name=f"chaos {path} {name}")
        usage = " ".join(command.collect_usage_pieces(inner))
        parts.append(f"\n## `{path} {name}`\n\n```\nchaos {path} {name} {usage}\n```\n\n{help_}\n")
        rows = [
            each.get_help_record(inner)
            for each in command.get_params(inner)
            if isinstance(each, click.Option)
        ]
        options = [row for row in rows if row and row[0] != "--help"]
        if options:
            parts.append("\n| option | |\n|---|---|\n")
            parts += [f"| `{_cell(option)}` | {_cell(said)} |\n" for option, said in options]
        if isinstance(command, click.Group):
            parts.append(_commands(command, f"{path} {name}"))
    return "".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def summary() -> str:
    """Every field and every objective, from the checker that has it."""
    fields = [*HEADER.items(), *(each for its in CHECKERS.values() for each in its.fields.items())]
    rows = [f"| `{name}` | {field.doc} |\n" for name, field in fields]
    objectives = [
        f"| `{each.name}` | {_limit(each.limit)} | {_question(its)} |\n"
        for its in CHECKERS.values()
        for each in its.objectives
    ]
    return f"{MADE}{SUMMARY}{''.join(rows)}{OBJECTIVES}{''.join(objectives)}"


def states() -> str:
    """The lab's transitions, as its code has them."""
    moves = [
        (str(each.phase), str(each.becomes), WITH_TIME.get(each.key, f"key {each.key}"))
        for each in aurora.TRANSITIONS
    ]
    calls = [(str(of), str(to), call) for (of, call), (to, _) in aurora.REQUESTS.items()]
    parts = [MADE, STATES, _drawn([*moves, *calls])]
    parts.append("\n### With time\n\n| from | its key is | after | becomes | servers |\n")
    parts.append("|---|---|---|---|---|\n")
    for each in aurora.TRANSITIONS:
        kind = {None: "", True: ", if it can be stopped", False: ", if it cannot be stopped"}
        after = f"`{each.after}`" if each.after else "its servers are ready"
        parts.append(
            f"| `{each.phase}` | {each.key}{kind[each.recoverable]} | {after} | `{each.becomes}` | "
            f"{_effects(each.effects)} |\n"
        )
    parts.append("\n### By a call\n\n| from | call | becomes | servers |\n|---|---|---|---|\n")
    for (phase, call), (becomes, effects) in aurora.REQUESTS.items():
        parts.append(f"| `{phase}` | {call} | `{becomes}` | {_effects(effects)} |\n")
    names = [each.name for each in fields(aurora.Profile)]
    parts.append(f"\n### How long\n\n| AWS seconds | {' | '.join(aurora.PROFILES)} |\n")
    parts.append("|---|" + "---|" * len(aurora.PROFILES) + "\n")
    for name in names:
        took = [getattr(each, name) for each in aurora.PROFILES.values()]
        shown = [f"{each:g}" if each is not None else "never by itself" for each in took]
        parts.append(f"| `{name}` | {' | '.join(shown)} |\n")
    parts += [JOURNAL, _drawn([(of, to, "") for of, its in MOVES.items() for to in its])]
    parts.append("\n| state | then | whoever finds it |\n|---|---|---|\n")
    for state, then in MOVES.items():
        named = " or ".join(f"`{each}`" for each in then) or "the end"
        parts.append(f"| `{state}` | {named} | {OF_AN_ENTRY[state]} |\n")
    return "".join(parts)


def _drawn(moves: Sequence[tuple[str, str, str]]) -> str:
    """A state diagram, as GitHub draws it: from, to, and what moves it."""
    by: dict[tuple[str, str], list[str]] = {}
    for of, to, what in moves:
        known = by.setdefault((of, to), [])
        if what and what not in known:
            known.append(what)
    ids = {name: f"s{n}" for n, name in enumerate(dict.fromkeys(n for its in by for n in its))}
    lines = [f'    state "{name}" as {short}\n' for name, short in ids.items()]
    for (of, to), why in by.items():
        said = f": {', '.join(why)}" if why else ""
        lines.append(f"    {ids[of]} --> {ids[to]}{said}\n")
    return f"```mermaid\nstateDiagram-v2\n{''.join(lines)}```\n"


def _effects(effects: Sequence[aurora.Effect]) -> str:
    return ", ".join(each.name.lower().replace("_", " ") for each in effects)


def schema(name: str) -> str:
    """A schema of what a run leaves."""
    return json.dumps(SCHEMAS[name](), indent=1, ensure_ascii=False) + "\n"


def _limit(limit: str | int) -> str:
    return f"`CHAOS_{limit.upper()}`" if isinstance(limit, str) else str(limit)


def _question(checker: Checker) -> str:
    """The first line of its file."""
    return str(importlib.import_module(type(checker).__module__).__doc__).split("\n")[0]


def _row(function: Callable[..., Any]) -> str:
    names = [n for n in inspect.signature(function).parameters if n not in HIDDEN]
    first = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return f"| `{function.__name__}({', '.join(names)})` | {first} |\n"


HIDDEN = ("configuration", "secrets")


def _default(value: Any) -> str:
    if value in ("", (), 0.0) and not isinstance(value, int):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "catalogue.md": catalogue,
    "commands.md": commands,
    "summary.md": summary,
    "states.md": states,
    **{f"schemas/{name}": partial(schema, name) for name in SCHEMAS},
}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).parent.mkdir(exist_ok=True)
        (FOLDER / page).write_text(make())
