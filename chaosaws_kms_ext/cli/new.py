"""`chaos kms new`: four questions, and an experiment that runs."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import click

from chaosaws_kms_ext.cli.stored import cannot
from chaosaws_kms_ext.faults import FAULTS
from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.shipped.new_experiment import new_experiment

__all__ = ["command"]

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not NAME.fullmatch(value):
        raise click.BadParameter("has small letters, digits and hyphens, 63 at most")
    return value


def _minutes(_context: click.Context, _option: click.Parameter, value: float) -> float:
    if not math.isfinite(value):  # a range lets nan pass
        raise click.BadParameter(f"{value} is no number of minutes")
    return value


def _load(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if value and not Path(value).is_file():
        raise click.BadParameter(f"there is no file {value}")
    return value


@click.command("new")
@click.option("--name", prompt="What is it called", default="our-game-day", callback=_name)
@click.option(
    "--fault",
    prompt="How is the key lost",
    type=click.Choice(sorted(name for name, each in FAULTS.items() if each.on == "target")),
    default="disable-key",
)
@click.option(
    "--rto",
    prompt="How many minutes after the key is back has the service to be back",
    type=click.FloatRange(min=1 / 60, max=7 * 1440),
    default=60,
    callback=_minutes,
    help="AWS minutes.",
)
@click.option(
    "--load",
    prompt="Which Locust file has your queries (empty: a load that any PostgreSQL answers)",
    default="",
    show_default=False,
    callback=_load,
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("experiments"),
    show_default=True,
    help="Where it is written.",
)
def command(name: str, fault: str, rto: float, load: str, folder: Path) -> None:
    """Write an experiment of your own: asks what the options do not say.

    Nothing is overwritten: exits with 2 if the file is there already.
    """
    file = folder / f"{name}.json"
    if file.exists():
        raise cannot(f"{file} is there already: take another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(new_experiment(name, fault, rto, load), indent=4) + "\n")
    except OSError as problem:
        raise cannot(f"{file} cannot be written: {problem}") from None
    click.echo(f"chaos run {file}    # on the lab, unless CHAOS_TARGET=aws")
