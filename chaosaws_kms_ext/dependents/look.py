"""One look at what is under a key: how its calls are made, how many, and until when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError

__all__ = ["MOST", "SECONDS", "Look"]

MOST = 1000
"""Resources of one service that a look asks about, at most."""

SECONDS = 120.0
"""For one look at all services. Assumed to be enough for MOST of some, which need a call each."""

TOKENS = (
    ("NextToken", "NextToken"), ("nextToken", "nextToken"), ("NextMarker", "Marker"),
    ("LastEvaluatedTableName", "ExclusiveStartTableName"),
    ("ContinuationToken", "ContinuationToken"), ("PaginationToken", "PaginationToken"),
)  # fmt: skip
"""What an answer calls the begin of the next page, and what the next call does."""


class Look:
    """The calls of one look, which ends at a deadline."""

    def __init__(
        self, aws: Aws, key_arn: str, aliases: frozenset[str] | None, seconds: float = SECONDS
    ) -> None:
        """`aliases`: those of the key, by name and by ARN; None: they are not known."""
        self.aws = aws
        self.region = aws.region
        self.key = key_arn
        self._names = frozenset({key_arn, key_arn.rpartition("/")[2], *(aliases or ())})
        self._knows_aliases = aliases is not None
        self._until = time.monotonic() + seconds
        self._seconds = seconds

    def is_under(self, named: object) -> bool:
        """Whether that names the key: its id, its ARN or an alias. Raises AwsError for an alias
        where those of the key are not known."""
        if not isinstance(named, str) or not named:
            return False
        if named in self._names:
            return True
        alias = named.rpartition(":")[2]
        by_alias = alias.startswith("alias/") and not alias.startswith("alias/aws/")
        if by_alias and not self._knows_aliases:
            raise AwsError(f"{named:.300} may be an alias of the key, whose aliases are not known")
        return False

    def ask(self, service: str, operation: str, **params: Any) -> Mapping[str, Any]:
        """One call; raises AwsError, also where the time is over."""
        if time.monotonic() > self._until:
            raise AwsError(f"there was no time for it: {self._seconds:g} s were over")
        return self.aws.call(service, operation, params)

    def each(self, service: str, operation: str, items: str, **params: Any) -> Iterator[Any]:
        """All that a list has, page by page; raises AwsError as `ask`, and after MOST."""
        token: dict[str, Any] = {}
        number = 0
        while True:
            answer = self.ask(service, operation, **params, **token)
            for item in answer.get(items) or []:
                number += 1
                if number > MOST:
                    raise AwsError(f"there are more than {MOST}, of which the rest was not asked")
                yield item
            given = [(new, answer[old]) for old, new in TOKENS if answer.get(old)]
            if not given or dict(given[:1]) == token:
                return
            token = dict(given[:1])
