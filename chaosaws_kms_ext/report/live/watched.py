"""The run that is shown: found or waited for, read now and then, seen by any number of pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.report.drawing import Drawing
from chaosaws_kms_ext.report.live.drawing import drawing_of
from chaosaws_kms_ext.report.live.moment import moment_of
from chaosaws_kms_ext.report.live.tail import Tail
from chaosaws_kms_ext.report.live.view import view_of, waiting_view
from chaosaws_kms_ext.report.page.timeline import Columns, columns_of
from chaosaws_kms_ext.text import printable

__all__ = ["READS_FOR", "Watched"]

logger = logging.getLogger("chaostoolkit")

DRAWS_EVERY, DRAWS_SELDOM = 1.0, 5.0
"""Seconds between two pictures of the timeline: of a short run, and of a long one, at most."""

READS_FOR = 0.2
"""Seconds that are read at a time: pages are answered in between."""


class Watched:
    """One run; until it is there, the wait for it."""

    def __init__(self, folder: Path | None, find: Callable[[], Path | None], where: str) -> None:
        """`folder`: the run's, if it is known; else `find` is asked for it, and `where` says in
        words where it looks."""
        self._find = find
        self._tail = Tail(folder) if folder else None
        self._where = where
        self.view: Mapping[str, Any] = waiting_view(where)
        self.drawing: Drawing | None = None
        self.columns: Mapping[str, Columns] = {}
        self.number = 0
        """Grows with each look at which something was drawn anew."""
        self._draws_at = 0.0
        self.looks = 0
        """A page that does not hear of a new one in a while is not up to date."""
        self.over_since: float | None = None
        """When it was first seen to be over, time.monotonic()."""

    @property
    def folder(self) -> Path | None:
        """The run's; None: there is none yet."""
        return self._tail.folder if self._tail else None

    def look(self) -> bool:
        """Reads what came, and now and then draws the timeline anew.

        Whether there is more to read at once. Raises nothing: a page that stood still would not
        say why.
        """
        self.looks += 1
        try:
            return self._look()
        except Exception as problem:
            logger.debug("the page could not be made", exc_info=True)
            why = printable(f"the page cannot be made any more: {problem!r:.200}")
            self.view = {**self.view, "warnings": [why]}
            return False

    def _look(self) -> bool:
        if self._tail is None:
            found = self._find()
            if found is None:
                return False
            self._tail = Tail(found)
        if self.over_since is not None:
            return False
        more = self._tail.step(READS_FOR)
        moment = moment_of(self._tail)
        if moment.fate.kind == "gone" and self._tail.anchor is not None and self._where:
            # It was refused: whoever waits for a run waits for one that happens.
            self._tail, self.drawing, self.view = None, None, waiting_view(self._where)
            self._draws_at = 0.0
            self.number += 1
            return False
        self.view = view_of(self._tail, moment, more)
        over = moment.fate.over and not more
        if over or time.monotonic() >= self._draws_at:
            self._draws_at = time.monotonic() + self._draws_every()
            self.drawing = drawing_of(self._tail, moment)
            self.columns = columns_of(self.drawing) if self.drawing else {}
            self.number += 1
        if over:
            self.over_since = time.monotonic()
        return more

    def _draws_every(self) -> float:
        """Seconds: whoever looks at hours does not see the last second."""
        assert self._tail is not None
        widths = [load.slices.width / SECOND for load in self._tail.loads.values()]
        return min(max([DRAWS_EVERY, *widths]), DRAWS_SELDOM)
