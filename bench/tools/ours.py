"""This suite's load, and its checkers on what it recorded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

from bench.leash import cpu_of
from bench.tool import DEADLINE, Outage, Sustained, Tool, register
from chaosaws_kms_ext.checkers.edge_bounds import begin_within, end_within
from chaosaws_kms_ext.checkers.fault_outage import usual_delay
from chaosaws_kms_ext.checkers.hung_sessions import ended_in, that_hung, times_of
from chaosaws_kms_ext.checkers.outage_windows import (
    Load as Judged,
)
from chaosaws_kms_ext.checkers.outage_windows import (
    Window,
    failed_arrivals,
    find_windows,
)
from chaosaws_kms_ext.checkers.percentile import nearest_rank
from chaosaws_kms_ext.history import END_OF_TIME, MAIN, SECOND, Operation
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.reader import read_history
from chaosaws_kms_ext.loadgen.process import Load, LoadConfig

SETTLED = 10 / 60
"""Seconds for which 99 % have to be answered: 10 of AWS' on a lab at its usual speed of 60."""

LOCUST = ["-m", "locust"]
"""How the command of the load's process goes on after Python's name."""


@register
class Ours(Tool):
    """The load's process, and find_windows on its history."""

    name = "ours"
    title = "this suite"
    settings = (
        f"open-loop arrivals, {DEADLINE:g} s deadline from the instant an arrival is due, no "
        f"writes; an outage has ended when 99 % are answered for {SETTLED:.2f} s (10 AWS seconds "
        "on a lab at speed 60)"
    )
    measures_rate = True
    processes = 1
    """Of the load."""
    load: Load

    @classmethod
    def version(cls) -> str:
        return f"chaostoolkit-aws-kms {version('chaostoolkit-aws-kms')}"

    def start(self, conninfo: str, rate: float, clients: int) -> None:
        history = self.folder / "history"
        history.mkdir()
        self.load = Load(
            LoadConfig(
                database=f"{conninfo} application_name={self.name}",
                rate=rate,
                users=clients,
                writes=False,
                workers=self.processes,
                deadline=DEADLINE,
                folder=history,
                log=self.folder / "log",
                file=Path(__file__).parents[1] / "loads" / "ours.py",
            )
        )
        self.load.start()

    def stop(self) -> None:
        self.load.stop()

    def survived(self) -> str:
        if not self.load.running:
            return f"no: {self.load.why_ended()}"
        return "yes" if self.load.window(0.5).share >= 0.99 else "no: it does not answer again"

    def outages(self) -> Sequence[Outage]:
        found = [(each.begin, each.end) for each in self._windows]
        found += [
            (begin, end)
            for begin, end in ((its[0].due, ended_in(its)) for its in self._hung)
            if not any(a < (end or END_OF_TIME) and begin < (b or END_OF_TIME) for a, b in found)
        ]
        return [
            (begin / SECOND, None if end is None else end / SECOND) for begin, end in sorted(found)
        ]

    def said(self, begin: float, end: float) -> str:
        found = [
            each
            for each in self._windows
            if each.begin < end * SECOND and (each.end is None or each.end > begin * SECOND)
        ]
        if found:
            return "; ".join(map(self._in_words, found))
        arrivals = self._history.arrivals(MAIN)
        due = (arrivals.due >= begin * SECOND) & (arrivals.due < end * SECOND)
        failed = failed_arrivals(arrivals, self._judged.stalls) & due
        hung = [
            f"{sum((o.sent or 0) <= each[0].due for o in each)} of {self.load.config.users} open "
            "sessions hung for "
            f"{max(o.done - o.due for o in each) / SECOND:.3f} s"
            for each in self._hung
            if each[0].due < end * SECOND and max(o.done for o in each) > begin * SECOND
        ]
        return "; ".join(
            [
                *hung,
                "no outage, which is 10 arrivals that fail or more: "
                f"{np.count_nonzero(failed)} of {np.count_nonzero(due)} failed",
            ]
        )

    def cpu_seconds(self) -> float:
        children = psutil.Process().children()
        return sum(cpu_of(each) for each in children if each.cmdline()[1:3] == LOCUST)

    def sustained(self, begin: float, end: float) -> Sustained:
        its = self._history.arrivals(MAIN)
        its = its.only((its.due >= begin * SECOND) & (its.due < end * SECOND))
        answered = its.answered
        p99 = nearest_rank(its.took(answered), 0.99)
        return Sustained(
            int(np.count_nonzero(answered)) / (end - begin),
            float("inf") if p99 is None else p99 / 1e6,
        )

    @cached_property
    def _history(self) -> History:
        return read_history(self.load.config.folder)

    @cached_property
    def _judged(self) -> Judged:
        arrivals, config = self._history.arrivals(MAIN), self.load.config
        stalls = self._history.witness(MAIN, "stall")
        failed = arrivals.due[failed_arrivals(arrivals, stalls)]
        until = int(failed[0]) if len(failed) else int(arrivals.done[-1])
        settled = max(SETTLED, 20 / config.rate)
        usual = usual_delay(arrivals, until)
        lags = self._history.witness(MAIN, "lag")
        return Judged(config.rate, settled, config.deadline, usual, stalls, lags=lags)

    @cached_property
    def _windows(self) -> list[Window]:
        return find_windows(self._history.arrivals(MAIN), self._judged)

    @cached_property
    def _hung(self) -> list[list[Operation]]:
        return times_of(that_hung(self._history, MAIN, DEADLINE))

    def _in_words(self, window: Window) -> str:
        depth = "" if window.depth >= 0.99 else f", {window.depth:.0%} not answered"
        if window.end is None:
            return f"an outage that has not ended{depth}"
        arrivals = self._history.arrivals(MAIN)
        attempts = self._history.attempts(MAIN)
        spacing = self.load.config.reconnect_spacing
        begin = begin_within(arrivals, self._judged, window)
        end = end_within(arrivals, self._judged, window, attempts, spacing)
        length = (window.end - window.begin) / SECOND
        return (
            f"{length:.3f} s{depth}, {window.failed} arrivals failed "
            f"(begin within {begin * 1000:.0f} ms, end within {end * 1000:.0f} ms)"
        )
