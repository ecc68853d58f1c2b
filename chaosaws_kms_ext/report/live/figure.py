"""The one figure that matters now, in words for a wall: what it is, how long, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaosaws_kms_ext.history import SECOND, Conditions
from chaosaws_kms_ext.report.live.moment import Moment
from chaosaws_kms_ext.report.screen import span

__all__ = ["Figure", "figure_of"]

ANSWERED = "queries are still answered"

SAY_EVERY = 30
"""Seconds between two times that a figure which grows is read out."""

Tone = Literal["calm", "out", "over", "well"]


@dataclass(frozen=True)
class Figure:
    """What the page shows large."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "calm"
    """`out`: the service is out; `over`: for longer than the objective allows; `well`: it is back,
    in time."""
    said: str = ""
    """For a screen reader; changes far less often than the value."""


def figure_of(moment: Moment, conditions: Conditions | None, began: int | None) -> Figure:
    """`began`: when the run began, CLOCK_MONOTONIC ns; None: it has not."""
    if over := _over(moment):
        return over
    if began is None:
        return _said(Figure("The run begins", "…"))
    if moment.put_back is not None:
        return _after_return(moment, conditions)
    if moment.injected is not None:
        return _while_away(moment)
    main = moment.main
    if main is not None and main.steady is not None and main.answered is not None:
        label = "Before the fault" if conditions and conditions.expects_outage else "Under load"
        return _said(Figure(label, f"{main.answered:.0f}", "answers a second"), label)
    return _growing("Since the run began", moment.at - began)


def _over(moment: Moment) -> Figure | None:
    fate = moment.fate
    if fate.kind == "going-on":
        return None
    if fate.kind == "concluding":
        label = "Judged: the report is being written" if fate.verdict else "Everything is measured"
        return _said(Figure(label, fate.verdict or "judging", fate.reason))
    if fate.kind == "gone":
        note = "It was refused, or ended before anything was measured: nothing is left of it."
        return _said(Figure("The run left nothing", "refused", note))
    if fate.kind == "killed":
        away = moment.injected is not None and moment.put_back is None
        note = "`chaos kms restore` puts back what it left. " if away else ""
        note += "`chaos kms report` judges it by what it had recorded until then."
        return _said(Figure("The run was killed", "killed", note, "over"))
    if not fate.verdict:
        return _said(Figure("The run has ended", "ended", "It left no summary."))
    tone: Tone = "well" if fate.verdict == "passed" else "over"
    return _said(Figure("The run has ended", fate.verdict, fate.reason, tone))


def _while_away(moment: Moment) -> Figure:
    assert moment.injected is not None
    outage = _outage(moment)
    if outage is None:
        since = moment.at - moment.injected.at
        return _growing("Since the key was taken away", since, ANSWERED if moment.main else "")
    begin, end = outage
    if end is None:
        return _growing("Outage so far", moment.at - begin, "", "out")
    return _growing("Outage, over while the key is away", end - begin)


def _after_return(moment: Moment, conditions: Conditions | None) -> Figure:
    assert moment.put_back is not None
    limit = _limit(conditions)
    allowed = "" if limit is None else f"limit {span(limit)}"
    outage, back = _outage(moment), moment.put_back.at
    if outage is None:
        seen = "no outage was seen" if moment.main else ""
        return _growing("Since the key was put back", moment.at - back, seen)
    begin, end = outage
    took = ((moment.at if end is None else end) - back) / SECOND
    late = limit is not None and took > limit
    if end is None:
        so_far = f"outage so far {span((moment.at - begin) / SECOND)}"
        over = f"over the limit of {span(limit)}" if late and limit is not None else allowed
        note = " · ".join(filter(None, (over, so_far)))
        return _growing(
            "Since the key was put back", moment.at - back, note, "over" if late else "out"
        )
    lasted = f"outage of about {span((end - begin) / SECOND)}"
    note = " · ".join(filter(None, (allowed, lasted, "the report has it exactly")))
    value = f"{span(max(took, 0.0))}"
    label = "Recovered after about"
    return _said(Figure(label, value, note, "over" if late else "well"), f"{label} {value}")


def _outage(moment: Moment) -> tuple[int, int | None] | None:
    """From the first of this fault to the last: a database that flaps is back when it stays."""
    main = moment.main
    since = moment.injected.at if moment.injected else 0
    found = [each for each in main.outages if each.end is None or each.end > since] if main else []
    return (found[0].begin, found[-1].end) if found else None


def _limit(conditions: Conditions | None) -> float | None:
    """The recovery time objective, in seconds of this run; None: the experiment has none."""
    if conditions is None or "rto" not in conditions.objectives:
        return None
    asked = conditions.objectives["rto"]
    return conditions.settings.real(conditions.settings.rto if asked is None else asked)


def _growing(label: str, nanoseconds: int, note: str = "", tone: Tone = "calm") -> Figure:
    """A duration that goes on, which is read out now and then."""
    seconds = max(nanoseconds, 0) // SECOND
    steps = seconds // SAY_EVERY * SAY_EVERY
    said = f"{label}: {span(steps)}" if steps else label
    return _said(Figure(label, span(seconds), note, tone), said)


def _said(figure: Figure, said: str = "") -> Figure:
    spoken = said or f"{figure.label}: {figure.value}. {figure.note}"
    return Figure(figure.label, figure.value, figure.note, figure.tone, spoken)
