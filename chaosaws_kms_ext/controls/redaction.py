"""Takes the secrets of an experiment out of what Chaos Toolkit writes: its journal and its log.

Both contain them without our doing (Chaos Toolkit 1.19 and 1.21): where a configuration is dynamic,
the journal gets a copy of all secrets; where an activity uses one, its output or its error may
repeat it; and secrets written into the experiment itself are in the journal with it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from chaoslib.types import Journal, Secrets

__all__ = ["Redaction"]

HIDDEN = "***"

SHORTEST = 4
"""Letters: what is shorter is only hidden where it stands alone, else half the journal would be."""


class Redaction(logging.Filter):
    """What replaces the values of these secrets, however deep; and a filter for a logger."""

    def __init__(self, secrets: Secrets = None) -> None:
        super().__init__()
        self._values = {value for value in _texts(secrets) if value}
        spelt = {s for v in self._values if len(v) >= SHORTEST for s in _spellings(v)}
        # The longest first: one may be a part of another.
        self._spellings = sorted(spelt, key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without them."""
        if text in self._values:
            return HIDDEN
        for spelling in self._spellings:
            text = text.replace(spelling, HIDDEN)
        return text

    def of(self, value: Any) -> Any:
        """A copy of `value` without them; what is neither text nor holds any is the same."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.of(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(each) for each in value]
        return value

    def clean(self, journal: Journal) -> None:
        """Takes them out of the journal, which stays the same object."""
        if self._values:
            journal.update(self.of(journal))

    def filter(self, record: logging.LogRecord) -> bool:
        """Takes them out of a record, and lets it pass."""
        record.msg, record.args = self.text(record.getMessage()), None
        if record.exc_info:
            said = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = self.text(said), None
        return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _spellings(value: str) -> set[str]:
    """As it is, and as Python, JSON and a URL write it."""
    return {value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")}
