"""Where a database is and how to log in, as one text: each protocol has a form of its own.

PostgreSQL's is libpq's conninfo (PostgreSQL manual, "Connection Strings"). MySQL's is a URL,
`mysql://user@host:3306/database?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path`, whose options are called as
those of MySQL's own programs (MySQL manual, "Connecting to the Server Using URI-Like Strings").
Neither holds a password. As options both have libpq's names: host, hostaddr, port, user, dbname,
passfile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

__all__ = [
    "MYSQL",
    "POSTGRESQL",
    "SPOKEN",
    "SSL_MODES",
    "options_of",
    "protocol_of",
    "with_options",
    "written",
]

POSTGRESQL, MYSQL = "postgresql", "mysql"

SPOKEN: Mapping[str, str] = {
    "aurora-postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    "aurora-mysql": MYSQL,
    "mysql": MYSQL,
    "mariadb": MYSQL,
}
"""An engine, as RDS calls it → the protocol that it speaks, of those that a load speaks."""

SCHEME = "mysql://"

SSL_MODES = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""Of MySQL, but for PREFERRED, which may fall back to none; without one it is REQUIRED."""

MORE = ("hostaddr", "passfile", "ssl-ca", "ssl-mode")
"""What may follow the question mark of a MySQL URL."""

NAME = re.compile(r"[A-Za-z]+([_-][A-Za-z]+){0,3}")
"""What an option is called, here or elsewhere."""


def protocol_of(text: str) -> str:
    """The protocol whose form a connection string has; an empty one has PostgreSQL's."""
    return MYSQL if text.startswith(SCHEME) else POSTGRESQL


def options_of(text: str) -> dict[str, str]:
    """What a connection string names. Raises ValueError with what is wrong, in words."""
    if protocol_of(text) == MYSQL:
        return _of_url(text)
    # Imported late: a watchdog, which has no use for it, is there in two thirds of the time.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        named = conninfo_to_dict(text)
    except (ProgrammingError, UnicodeError):
        raise ValueError("must be a libpq connection string: host=… dbname=… user=…") from None
    return {name: str(value) for name, value in named.items() if value is not None}


def written(protocol: str, options: Mapping[str, Any]) -> str:
    """The connection string of a protocol that names these options; None is left out."""
    if protocol == MYSQL:
        return _as_url({k: str(v) for k, v in options.items() if v is not None})
    from psycopg.conninfo import make_conninfo

    return make_conninfo("", **options)


def with_options(text: str, **options: Any) -> str:
    """The same connection string with these options in place of its own."""
    return written(protocol_of(text), {**options_of(text), **options})


# MySQL's URL


def _of_url(text: str) -> dict[str, str]:
    parts = _split(text)
    more = dict(_pairs(parts))
    if unknown := sorted(set(more) - set(MORE)):
        # What is no name is not repeated: it may be the end of a password with a question mark.
        what = repr(unknown[0]) if NAME.fullmatch(unknown[0]) else "what is no option"
        raise ValueError(f"names {what}: a mysql:// URL has only {', '.join(MORE)}")
    mode = more.get("ssl-mode", SSL_MODES[1])
    if mode not in SSL_MODES:
        raise ValueError(f"has the ssl-mode {mode!r:.50}: it must be one of {', '.join(SSL_MODES)}")
    host = parts.hostname or ""
    if "," in host:
        raise ValueError("names several hosts: a mysql:// URL has one")
    named = {
        "host": host,
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
        **more,
    }
    if any(letter < " " for value in named.values() for letter in value):
        raise ValueError("must not hold a line break, or any other control character")
    return {name: value for name, value in named.items() if value}


def _split(text: str) -> SplitResult:
    form = "must be mysql://user@host:3306/database, of which each part may be left out"
    if not text.isprintable():
        raise ValueError(form)
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname  # raises ValueError for what is none
    except ValueError:
        raise ValueError(form) from None
    if parts.fragment or "/" in parts.path.removeprefix("/"):
        raise ValueError(form)
    return parts


def _pairs(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query, keep_blank_values=True)


def _as_url(options: Mapping[str, str]) -> str:
    host = options.get("host", "")
    user, port = options.get("user", ""), options.get("port", "")
    place = (
        (f"{quote(user, safe='')}@" if user else "")
        + (f"[{host}]" if ":" in host else host)
        + (f":{port}" if port else "")
    )
    more = {name: options[name] for name in MORE if options.get(name)}
    query = f"?{urlencode(more, quote_via=quote)}" if more else ""
    return f"{SCHEME}{place}/{quote(options.get('dbname', ''), safe='')}{query}"
