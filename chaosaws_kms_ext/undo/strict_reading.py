"""What an earlier process of ours wrote down, read back: nothing in such a file is believed unseen.

A file may come from another machine, from a newer version, or from somebody who wants something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypedDict

from chaosaws_kms_ext.files import NotPrivate, read_private
from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.lab_client.presence import is_endpoint
from chaosaws_kms_ext.text import printable

__all__ = [
    "CLUSTER",
    "KEY",
    "RUN",
    "BadRecord",
    "check_place",
    "check_texts",
    "document",
    "place_of",
]

RUN = re.compile(r"[A-Za-z0-9][\w-]{0,63}", re.ASCII)
CLUSTER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}", re.ASCII)
"""API reference, CreateDBCluster, DBClusterIdentifier."""
KEY = re.compile(
    r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):key/[A-Za-z0-9-]+", re.ASCII
)
LONGEST = 300
"""Letters of a text that people read."""


class Place(TypedDict):
    """Where a run is, as it is written down."""

    target: str
    endpoint: str
    lab: str
    credentials: str


class BadRecord(ValueError):
    """Why a file of ours is not believed; ends a sentence that begins with its name."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why))


def document(
    path: Path, schemas: Collection[int], fields: Collection[str], new: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON object in a file, without its schema; raises BadRecord.

    It has one of these schemas and exactly these fields: a newer version may have written
    down what this one would drop. `new`: those that an older one did not have, with what they were.
    """
    try:
        said = json.loads(read_private(path))
    except NotPrivate as problem:
        raise BadRecord(f"is not read: {problem}") from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise BadRecord(f"cannot be read ({type(problem).__name__})") from problem
    if not isinstance(said, dict):
        raise BadRecord("cannot be read (it is no JSON object)")
    if (schema := said.pop("schema", None)) not in schemas or isinstance(schema, bool):
        known = " and ".join(map(str, schemas))
        raise BadRecord(f"has the schema {schema!r:.20}, and this version reads {known}")
    if unknown := sorted(said.keys() - set(fields)):
        raise BadRecord(f"has fields that this version does not know: {', '.join(unknown):.200}")
    if missing := sorted(set(fields) - new.keys() - said.keys()):
        raise BadRecord(f"has no {', '.join(missing)}")
    return {**new, **said}


def check_texts(said: Mapping[str, Any], fields: Collection[str]) -> None:
    """Raises BadRecord unless these fields are texts that a terminal can show."""
    for name in fields:
        value = said[name]
        if not isinstance(value, str) or len(value) > LONGEST or not (value + " ").isprintable():
            raise BadRecord(f"says what cannot be its {name}: {value!r:.100}")


def place_of(lab: LocalLab | None) -> Place:
    """Where a run is, as it is written down."""
    return {
        "target": "lab" if lab else "aws",
        "endpoint": lab.endpoint if lab else "",
        "lab": lab.id if lab else "",
        "credentials": str(lab.credentials) if lab else "",
    }


def check_place(said: Mapping[str, Any]) -> None:
    """Raises BadRecord unless what `place_of` says goes together.

    Only a lab has an endpoint, on this machine: credentials go nowhere else because of a file.
    """
    if said["target"] == "aws":
        if said["endpoint"] or said["lab"] or said["credentials"]:
            raise BadRecord("is about AWS, and names an endpoint or a lab")
    elif said["target"] != "lab":
        raise BadRecord(f"has no target that there is: {said['target']!r:.100}")
    elif not (said["lab"] and said["credentials"]) or not is_endpoint(said["endpoint"]):
        raise BadRecord(f"names no lab of this machine: {said['endpoint']!r:.100}")
