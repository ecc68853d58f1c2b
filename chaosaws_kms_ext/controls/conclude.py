"""What is done at the end: measure, judge, write it down."""

from __future__ import annotations

import logging
from dataclasses import replace

from chaoslib.types import Journal

from chaosaws_kms_ext.files import write_whole
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.reader import read_what_is_there
from chaosaws_kms_ext.inject.injection import close_recovered
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.loads import STEADY_FOR
from chaosaws_kms_ext.loadgen.process import Load
from chaosaws_kms_ext.loadgen.schema import LoadFailed, within
from chaosaws_kms_ext.report.files import Found, write_files
from chaosaws_kms_ext.report.summary import as_json, judge
from chaosaws_kms_ext.report.table import show
from chaosaws_kms_ext.report.verdict import Course, Verdict, of_journal
from chaosaws_kms_ext.run import Run

__all__ = ["conclude"]

logger = logging.getLogger("chaostoolkit")

ROWS_TIMEOUT, UNANSWERED, HURRY = 30.0, 5.0, 1.0
"""Seconds to read the written rows back; where nothing is answered; where it was interrupted."""

SEED_ROWS, SEED_TIMEOUT = 4, 5.0
"""In the lab's table `users`; seconds to count them."""


def conclude(run: Run, journal: Journal, status: str) -> Verdict:
    """Stops the loads, judges the run by its history, leaves its files and shows the table.

    `status` is what Chaos Toolkit says of the run; `journal` already says `failed`.
    """
    assert run.folder is not None
    assert run.conditions is not None
    course = _course(run, journal, status)
    doubts = _stop_and_collect(run, course)
    unrecorded = run.unrecorded
    said = replace(course, doubts=tuple(doubts)).details()
    tried = {"canary_tries": run.canaries.tries} if run.canaries else {}
    run.event(EventName.ENDED, **said, aws_calls=run.aws_calls, **tried)
    history, damage = read_what_is_there(run.folder / "history")
    # Those in memory: the disk may have had no room for the last of them.
    rows = {**history.rows, **run.loads.rows}
    whole = replace(history, events=list(run.events), rows=rows, anchor=run.anchor)
    history = whole.until_its_end()
    judgement = judge(history, run.conditions, damage)
    if run.unrecorded != unrecorded:  # the last event itself
        judgement = judgement.with_doubt(f"not every event could be recorded: {run.unrecorded}")
    kept = {**journal, "status": status if judgement.verdict.passed else "failed"}
    try:
        kept["kms"] = {"verdict": judgement.verdict.word}
        write_whole(run.folder / "journal.json", as_json(kept))
        judgement.write(run.folder)
        run.point_latest()
    except OSError as problem:
        judgement = judgement.with_doubt(f"the report could not be written: {problem}")
    found = Found(judgement, history, run.conditions, kept)
    for why_not in write_files(run.folder, found):
        logger.warning(why_not)
    show(judgement, str(run.folder), history, run.conditions)
    return judgement.verdict


def _course(run: Run, journal: Journal, status: str) -> Course:
    course = of_journal(journal, status)
    broken = [
        f"the key {entry.key} was NOT put back: run `chaos kms restore`, which calls "
        f"{', '.join(entry.undo.actions)} by the undo journal's entry {entry.path}"
        for entry in run.open_faults.key_away
    ]
    if not run.lab:  # whose cluster goes with it
        broken += close_recovered(run)
        if run.ledger and (left := run.ledger.resources):
            resources = ", ".join(map(str, left))
            broken.append(f"left behind: {resources}; `chaos kms restore` removes it")
    return replace(course, by=run.interrupted, failures=(*course.failures, *broken))


def _stop_and_collect(run: Run, course: Course) -> list[str]:
    """The steady state once more, then everything is stopped and read; what went wrong with it."""
    problems = []
    running = [each for each in run.loads if each.config.name not in run.loads.stopped]
    main = run.loads.get(loads.MAIN)
    injected = run.last(EventName.INJECTED)
    others = injected.details.get("others", ()) if injected else ()
    hit = [*loads.of_target(run), *(load for each in others for load in loads.beside(run, each))]
    if run.last(EventName.PUT_BACK) and not _broken(course):
        for load in running:
            if load in hit:
                problems += _steady_again(run, load)
    for load in running:
        problems += _end(run, load, course.interrupted)
    if run.lab and main in running and _of_the_lab(run):
        _count_seed(run, main.config.database)
    if run.canaries:
        run.canaries.stop()
    if run.watcher:
        run.watcher.stop()
    for other in run.other_watchers.values():
        other.stop()
    if run.unrecorded:
        problems.append(f"not every event could be recorded: {run.unrecorded}")
    return problems


def _steady_again(run: Run, load: Load) -> list[str]:
    """Whether the load, if it still runs, is answered as before the fault; what is wrong if not."""
    if load.ended:
        return []
    try:
        loads.steady(run, load)
    except LoadFailed as problem:
        of_it = "" if load.config.name == loads.MAIN else f" of the load {load.config.name}"
        return [f"the steady state{of_it} did not hold again: {problem}"]
    return []


def _broken(course: Course) -> bool:
    return course.interrupted or bool(course.failures)


def _end(run: Run, load: Load, interrupted: bool) -> list[str]:
    """Stops a load and reads its rows back; what went wrong with it."""
    name = load.config.name
    of_it = "" if name == loads.MAIN else f" of the load {name}"
    answered = load.window(STEADY_FOR).answered
    ran = loads.end(run, load)
    if run.lab and (interrupted or not run.lab.running):
        why = "the run was interrupted" if interrupted else "the lab has ended"
        return [f"nothing was read back: {why}"]
    try:
        patience = ROWS_TIMEOUT if answered or not ran else UNANSWERED
        loads.read_rows_back(run, load, HURRY if interrupted else patience)
    except LoadFailed as problem:
        return [f"the written rows{of_it} could not be read back: {problem}"]
    return []


def _of_the_lab(run: Run) -> bool:
    """Whether the cluster is the one that the lab begins with, which has the origin's table."""
    if run.target is None or run.lab is None:
        return False
    return bool(run.target.cluster.id == run.lab.clusters[0]["id"])


def _count_seed(run: Run, database: str) -> None:
    """The origin's four rows: are they still there?"""
    count = "SELECT count(*) FROM users"
    try:
        row = within(database, SEED_TIMEOUT, lambda each: each.execute(count).fetchone())
        present = row[0] if row else None
    except LoadFailed:
        present = None
    run.event(EventName.SEED_ROWS, expected=SEED_ROWS, present=present)
