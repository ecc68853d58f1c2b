"""What the text of a setting may be: each makes it a value, or says in a few words what it must be.

All raise ValueError, whose words follow the setting's name in a sentence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.connection_strings import MYSQL, options_of, protocol_of

__all__ = [
    "QUEUE",
    "TOPIC",
    "Choice",
    "Parser",
    "accounts",
    "address",
    "alarms",
    "choice",
    "conninfo",
    "file",
    "folder",
    "instance",
    "name",
    "names",
    "number",
    "orders",
    "queue",
    "role",
    "seconds",
    "topic",
]

MOST_NAMES = 100
"""As many alarms as CloudWatch describes at once (API reference, DescribeAlarms)."""

ALARM = re.compile(r"arn:aws[a-z-]*:cloudwatch:[a-z0-9-]+:[0-9]{12}:alarm:(.*)", re.DOTALL)
"""The ARN of an alarm, with its name (CloudWatch User Guide, "CloudWatch resources")."""

QUEUE = re.compile(
    r"(?:arn:aws[a-z-]*:sqs:[a-z0-9-]+:|https?://[^/\s]{1,255}/)"
    r"(?P<account>[0-9]{12})[:/](?P<name>[A-Za-z0-9_-]{1,80})"
)
"""The ARN or the URL of a standard queue (SQS Developer Guide, "Queue and message identifiers")."""

TOPIC = re.compile(
    r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]{1,40}):(?P<account>[0-9]{12}):"
    r"(?P<id>[A-Za-z0-9_-]{1,256})"
)
"""The ARN of a standard topic (API reference, CreateTopic, Name)."""

IDENTIFIER = re.compile(r"[A-Za-z](-?[A-Za-z0-9]){0,62}", re.ASCII)
"""The id of a DB instance, or the name of an RDS Proxy (API reference, CreateDBInstance,
DBInstanceIdentifier; CreateDBProxy, DBProxyName)."""

Parser = Callable[[str], Any]


class Choice(tuple[str, ...]):
    """One of these words."""

    def __call__(self, text: str) -> str:
        if text not in self:
            raise ValueError(f"must be one of {', '.join(self)}")
        return text


def choice(*names: str) -> Parser:
    """One of these words."""
    return Choice(names)


def number(least: float, most: float, unit: str, whole: bool = False) -> Parser:
    """A number in these bounds; `unit`: words for what it counts."""
    kind = "a whole number" if whole else "a number"

    def parse(text: str) -> float:
        wrong = f"must be {kind}{unit} from {least:g} to {most:g}"
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            raise ValueError(wrong) from None
        if not math.isfinite(value) or not least <= value <= most:
            raise ValueError(wrong)
        return value

    return parse


def seconds(least: float, most: float) -> Parser:
    """A number of seconds."""
    return number(least, most, " of seconds")


def name(text: str) -> str:
    """What AWS calls something."""
    if len(text) > 2048 or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("must be a name without blanks, at most 2048 characters")
    return text


def proxy(text: str) -> str:
    """The name of an RDS Proxy, or `auto` (API reference, CreateDBProxy)."""
    if len(text) > 63 or not IDENTIFIER.fullmatch(text):
        raise ValueError(
            "must be the name of an RDS Proxy: at most 63 letters, digits and single hyphens, "
            "first a letter"
        )
    return text


def instance(text: str) -> str:
    """The id of a DB instance."""
    if len(text) > 63 or not IDENTIFIER.fullmatch(text):
        raise ValueError("must be the id of a DB instance: letters, digits and single hyphens")
    return text


def conninfo(text: str) -> str:
    """A connection string without a password."""
    parts = options_of(text)
    if "password" in parts and protocol_of(text) == MYSQL:
        raise ValueError("must not hold a password: put it in MYSQL_PWD or in ~/.my.cnf")
    if {"password", "sslpassword"} & set(parts):
        raise ValueError(
            "must not hold a password: put it in PGPASSWORD or in ~/.pgpass, as for psql"
        )
    return text


def file(text: str) -> str:
    """A file that exists."""
    where = ""
    try:
        found = Path(text).is_file()
        if not Path(text).is_absolute():
            where = f" (seen from {Path.cwd()})"
    except (OSError, ValueError):
        found = False
    if not found:
        raise ValueError(f"must be a Locust file that exists{where}")
    return text


def address(text: str) -> str:
    """A host and a port."""
    host, colon, port = text.rpartition(":")
    fits = colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not fits or not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]", host):
        raise ValueError("must be HOST:PORT, as in 10.0.0.5:5557")
    return text


def folder(text: str) -> str:
    """A folder, which may have to be made."""
    if "\0" in text or len(text) > 4096 or Path(text).is_file():
        raise ValueError("must be a folder, which is made when it is missing")
    return text


def orders(text: str) -> tuple[dict[str, Any], ...]:
    """What the lab does wrong, as a JSON list."""
    try:
        orders = json.loads(text)
    except (ValueError, RecursionError):
        orders = None
    if not isinstance(orders, list) or not all(isinstance(each, dict) for each in orders):
        raise ValueError(
            'must be a JSON list of faults: [{"kind": "no-recovery", "cluster": "orders"}]'
        )
    return tuple(orders)


def accounts(text: str) -> tuple[str, ...]:
    """Account numbers, with commas between them."""
    found = tuple(part.strip() for part in text.split(","))
    if len(found) > MOST_NAMES or not all(
        len(each) == 12 and each.isascii() and each.isdigit() for each in found
    ):
        raise ValueError(
            f"must be at most {MOST_NAMES} account numbers of 12 digits, with commas between them"
        )
    return found


def role(text: str) -> str:
    """The ARN of an IAM role."""
    if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", text, re.ASCII):
        raise ValueError("must be the ARN of an IAM role: arn:aws:iam::123456789012:role/…")
    return text


def queue(text: str) -> str:
    """The ARN or the URL of an SQS queue."""
    if not QUEUE.fullmatch(text):
        raise ValueError(
            "must be the ARN or the URL of an SQS standard queue: "
            "arn:aws:sqs:eu-west-1:123456789012:…"
        )
    return text


def topic(text: str) -> str:
    """The ARN of an SNS topic."""
    if not TOPIC.fullmatch(text):
        raise ValueError(
            "must be the ARN of an SNS standard topic: arn:aws:sns:eu-west-1:123456789012:…"
        )
    return text


def names(text: str) -> tuple[str, ...]:
    """Names, with commas between them."""
    return _names(text, "names", str)


def alarms(text: str) -> tuple[str, ...]:
    """The names or ARNs of CloudWatch alarms, with commas between them."""
    return _names(text, "names or ARNs of alarms", _name_of_alarm)


def _names(text: str, what: str, name_of: Callable[[str], str]) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if len(found) > MOST_NAMES or not all(
        0 < len(name_of(each)) <= 255 and each.isprintable() for each in found
    ):
        raise ValueError(f"must be at most {MOST_NAMES} {what} with commas between them")
    return found


def _name_of_alarm(given: str) -> str:
    """Empty where it begins as an ARN and is none of an alarm."""
    arn = ALARM.fullmatch(given)
    return arn[1] if arn else "" if given.startswith("arn:") else given
