"""A query given as its SQL text and its values: asked at a fraction of what a driver needs for it.

psycopg waits for each answer by a selector of its own, and makes Python objects of it, of which the
load needs none. Here the text is prepared once on each connection, libpq's asynchronous functions
do the rest (PostgreSQL manual, "Asynchronous Command Processing"), and the answer is looked at for
errors only. On MySQL it is asked as a method would ask it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Sql"]

Values = Callable[[], Sequence[Any]]

NUMBERS = itertools.count(1)


class Sql:
    """A query of the mix: `one = Sql("SELECT … WHERE id = $1", lambda: (random.randint(1, 4),))`.

    Placeholders are PostgreSQL's own, `$1` and so on; those of MySQL's driver are `%s`.
    """

    def __init__(self, text: str, values: Values | None = None, weight: int = 1) -> None:
        """`values` makes those of one arrival; of weights 3 and 1 the first is asked three times as
        often."""
        self._text = text.encode()
        self._values = values
        self._name = f"chaos_{next(NUMBERS)}".encode()
        self.weight = weight

    def __call__(self, user: object, connection: Any) -> None:
        """Asks it; raises the driver's errors. `user` is the Locust user, as for a method of it."""
        values = self._values
        connection.ask(self._name, self._text, values() if values else None)
