"""The list of clusters as a table, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaosaws_kms_ext.fleet.look import Exposed
from chaosaws_kms_ext.report.page.template import render
from chaosaws_kms_ext.report.table import print_plain
from chaosaws_kms_ext.text import shortened

__all__ = ["as_json", "as_page", "print_table"]

HEAD = (
    "Region",
    "cluster",
    "status",
    "key",
    "backup under another key",
    "last rehearsal",
    "look at",
)
WORDS = 60
"""Characters of what others have named."""


def print_table(clusters: Sequence[Exposed], console: Console | None = None) -> None:
    """For a terminal, or as lines with tabs without one."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        lines = ["\t".join(HEAD), *("\t".join(cells_of(each)) for each in clusters)]
        print_plain("\n".join(lines), console)
        return
    shown = Table(*HEAD, box=HORIZONTALS, padding=(0, 1))
    for each in clusters:
        *cells, last = cells_of(each)
        shown.add_row(*map(Text, cells), Text(last, "bold yellow" if last else ""))
    console.print(shown)


def cells_of(each: Exposed) -> tuple[str, ...]:
    """A cluster's row."""
    backup = rehearsal = ""
    if each.backup and each.backup_days is not None:
        backup = f"{shortened(each.backup, WORDS)}, {each.backup_days:.1f} days"
    if each.rehearsal:
        its = each.rehearsal
        rehearsal = f"{its.started[:10]} {its.experiment} {its.verdict}"
    return (
        each.region,
        shortened(each.cluster, WORDS),
        each.status,
        key_of(each),
        backup,
        shortened(rehearsal, WORDS),
        "; ".join(each.concerns),
    )


def key_of(each: Exposed) -> str:
    """Its key in a few words."""
    if not each.key:
        return "none"
    name = each.key.rsplit("/", 1)[-1]
    if each.manager == "AWS":
        return f"{name} (AWS managed)"
    return name


def as_json(clusters: Sequence[Exposed], unread: Mapping[str, str], account: str) -> str:
    """For programs. `unread`: Region → why it could not be looked at."""
    said: dict[str, Any] = {
        "account": account,
        "clusters": [{**asdict(each), "concerns": each.concerns} for each in clusters],
        "unread": dict(unread),
    }
    return json.dumps(said, indent=1, ensure_ascii=False)


def as_page(clusters: Sequence[Exposed], unread: Mapping[str, str], account: str, made: str) -> str:
    """For people: one file that asks nobody for anything."""
    rows = [(cells_of(each), bool(each.concerns)) for each in clusters]
    concerned = sum(marked for _, marked in rows)
    return render(
        "fleet.html.jinja",
        account=account,
        made=made,
        head=HEAD,
        rows=rows,
        unread=unread,
        concerned=concerned,
    )
