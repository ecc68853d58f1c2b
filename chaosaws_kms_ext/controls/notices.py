"""Tells an SNS topic (CHAOS_NOTIFY_TOPIC) that a run begins, that its fault is there, and its end.

Nothing of it keeps the run up or makes it fail: what cannot be told is a warning. It is told from a
thread of its own, but for the end, which is told when everything else is done.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from chaosaws_kms_ext.aws.topic import CannotTell, Topic
from chaosaws_kms_ext.history import EventName, utc
from chaosaws_kms_ext.report.figures import FIGURES, exact
from chaosaws_kms_ext.report.kept import CannotBeRead, read_summary
from chaosaws_kms_ext.report.run_files import PAGE
from chaosaws_kms_ext.report.verdict import Verdict
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.text import shortened

__all__ = ["following", "tell_end"]

logger = logging.getLogger("chaostoolkit")

SCHEMA = 1
LOOK = 0.5
"""Seconds between two looks at whether a fault is there."""
ENDS_WITHIN = 20.0
"""Seconds for what is being told when the run ends: about what two tries take."""
REASONS, REASON = 10, 300
"""How many, and characters of each."""


@contextlib.contextmanager
def following(run: Run) -> Iterator[None]:
    """Tells that the run begins, and its first fault, as long as this is open; without a topic
    nothing."""
    if not run.settings.notify_topic:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_follow, args=(run, stop), name="notices", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(ENDS_WITHIN)


def tell_end(run: Run, verdict: Verdict, redact: Callable[[str], str]) -> None:
    """Tells how the run ended; without a topic nothing. Raises nothing."""
    if not run.settings.notify_topic:
        return
    try:
        _tell_end(run, verdict, redact)
    except Exception as problem:  # nothing of it may cost the run
        logger.warning(f"CHAOS_NOTIFY_TOPIC could not be told (run-ended): {problem!r:.300}")


# Internals


def _tell_end(run: Run, verdict: Verdict, redact: Callable[[str], str]) -> None:
    figures = _figures(run)
    sentence = redact(_sentence(run, verdict, figures))
    folder = run.folder
    page = folder / PAGE if folder and (folder / PAGE).is_file() else folder
    reasons = [shortened(redact(why), REASON) for why in verdict.reasons[:REASONS]]
    _tell(
        Topic(run.settings.notify_topic),
        run,
        "run-ended",
        sentence,
        verdict=verdict.word,
        reasons=reasons,
        figures=figures,
        report=str(page.absolute()) if page and page.exists() else None,
    )


def _follow(run: Run, stop: threading.Event) -> None:
    topic = Topic(run.settings.notify_topic)
    _tell(topic, run, "run-began", f"{_named(run)} has begun")
    while True:
        ended = stop.is_set()
        if injected := run.last(EventName.INJECTED):
            fault = str(injected.details.get("fault", ""))
            _tell(topic, run, "fault-injected", f"{_named(run)}: {fault} is injected", fault=fault)
            return
        if ended:
            return
        stop.wait(LOOK)


def _tell(topic: Topic, run: Run, event: str, sentence: str, **more: Any) -> None:
    target = run.target
    message = {
        "schema": SCHEMA,
        "event": event,
        "sentence": sentence,
        "at": utc(datetime.now(UTC)),
        "run": run.id,
        "experiment": run.experiment,
        "region": run.aws.region if run.aws else None,
        "cluster": target.cluster.id if target else None,
        "key": target.key.arn if target else None,
        **more,
    }
    attributes = {"event": event, **{k: v for k, v in more.items() if k == "verdict"}}
    try:
        topic.tell(sentence, json.dumps(message, indent=2), attributes)
    except CannotTell as problem:
        logger.warning(f"CHAOS_NOTIFY_TOPIC could not be told ({event}): {problem}")
    except Exception as problem:  # nothing of it may cost the run
        logger.warning(f"CHAOS_NOTIFY_TOPIC could not be told ({event}): {problem!r:.300}")


def _named(run: Run) -> str:
    on = f" on {run.target.cluster.in_words}" if run.target else ""
    return f"KMS game day {run.experiment}{on}"


def _figures(run: Run) -> Mapping[str, int | float | None]:
    """Those of the trend; none where the run left no summary."""
    summary: Mapping[str, Any] = {}
    if run.folder:
        with contextlib.suppress(CannotBeRead):
            summary = read_summary(run.folder)
    return {each.name: each.read(summary) for each in FIGURES}


def _sentence(run: Run, verdict: Verdict, figures: Mapping[str, int | float | None]) -> str:
    known = [
        f"{each.label} {exact(value)}{f' {each.unit}' if each.unit else ''}"
        for each in FIGURES
        if (value := figures[each.name]) is not None
    ]
    why = verdict.reasons[0] if verdict.reasons else ", ".join(known)
    return f"{_named(run)} {verdict.word}" + (f": {why}" if why else "")
