"""What a run needs before its hypothesis is checked: started in the order of PARTS, and stopped."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import Any

from chaoslib.types import Configuration, Experiment

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext import settings as our_settings
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.canaries import canaries
from chaosaws_kms_ext.controls import experiment_rules, notices, watching
from chaosaws_kms_ext.controls.experiment_rules import Loss
from chaosaws_kms_ext.controls.guarded import guarded
from chaosaws_kms_ext.controls.run_folder import earlier_runs, open_folder
from chaosaws_kms_ext.controls.stop_conditions import StopConditions
from chaosaws_kms_ext.guard import permissions
from chaosaws_kms_ext.history import MAIN, Conditions, EventName, utc
from chaosaws_kms_ext.inject.by_others import Sight
from chaosaws_kms_ext.inject.injection import last_resort
from chaosaws_kms_ext.lab_client.local_lab import LocalLab, only_the_lab
from chaosaws_kms_ext.lab_client.misbehaviours import NotALab, order_all
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.conninfo import conninfo_for, given_for_target
from chaosaws_kms_ext.loadgen.passwords import passwords
from chaosaws_kms_ext.loadgen.reader_load import start_where_readers_are
from chaosaws_kms_ext.loadgen.restarts import Restarts
from chaosaws_kms_ext.loadgen.schema import LoadFailed
from chaosaws_kms_ext.proxy_watcher import watch_proxy
from chaosaws_kms_ext.report.files import kinds_of
from chaosaws_kms_ext.report.live import process
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import BadSetting
from chaosaws_kms_ext.watcher import watch, watch_beside

__all__ = ["PARTS", "Start", "begin", "bring_up"]

logger = logging.getLogger("chaostoolkit")


@dataclass(frozen=True)
class Start:
    """A run that is about to begin, and the experiment that it is of."""

    run: Run
    experiment: Experiment
    asked: experiment_rules.Asked
    """What it has to meet."""
    on: str
    """What the experiment is about: `cluster`, `key` or `nothing`."""
    configuration: Configuration
    """Chaos Toolkit's: what is put there stands in the experiment as `${name}`."""
    expects_outage: bool = False
    """Whether the experiment itself has a fault that has to be noticed."""

    @cached_property
    def losses(self) -> list[Loss]:
        """The faults that take a key of the run's cluster away."""
        found = experiment_rules.losses(self.experiment.get("method") or [])
        return [each for each in found if each.fault.on == "target"]

    @cached_property
    def caller(self) -> permissions.Identity:
        """Who the run is to AWS."""
        return permissions.identity(Aws.of(self.run))

    def tell(self, **values: str) -> None:
        """For the experiment's own and other extensions' activities, as `${cluster_id}`."""
        if self.configuration is not None:
            self.configuration.update(values)


Part = Callable[[Start], contextlib.AbstractContextManager[None]]


def begin(
    experiment: Experiment,
    name: str,
    objectives: Sequence[Any],
    on: str,
    configuration: Configuration,
    expects_outage: object = True,
) -> Start:
    """The run, if its settings and its experiment allow one; raises PlainError."""
    try:
        settings = our_settings.parse(configuration, needs_cluster=on != "nothing")
    except BadSetting:
        # The rollbacks come next and must find a run in which there is nothing to undo.
        runs.begin(our_settings.Settings(), name)
        raise
    run = runs.begin(settings, name)
    kinds_of(settings.report_files)
    if settings.target == "aws":
        experiment_rules.refuse_on_aws(experiment)
    asked = experiment_rules.check(experiment, objectives, on)
    outage = experiment_rules.expects_outage(experiment, expects_outage)
    return Start(run, experiment, asked, on, configuration, outage)


def bring_up(start: Start, stack: contextlib.ExitStack) -> None:
    """Starts every part until the load is steady; `stack` puts them down in reverse."""
    for part in PARTS:
        stack.enter_context(part(start))
    run = start.run
    what = f"cluster {run.target.cluster.id}" if run.target else "no existing cluster"
    logger.info(f"Run {run.id} on {run.settings.target}: {what}, {run.folder}")


# The parts


@contextlib.contextmanager
def signals_end_the_run(start: Start) -> Iterator[None]:
    """Makes every signal that ends a run end it as Ctrl-C does: with its rollbacks.

    Chaos Toolkit 1.19 swallows SIGTERM inside a Python activity, and SIGUSR2 would skip the
    rollbacks; SystemExit with this code does neither.
    """
    run = start.run

    def stop(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not run.interrupted:
            run.interrupted = run.stopping or name
            logger.warning(f"Stopped by {run.interrupted}: {_what_follows(run)}")
        else:
            logger.warning(
                f"Stopped again, by {name}: the key is put back, without waiting for the recovery."
            )
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(20)

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    with contextlib.ExitStack() as before:
        for number in ending:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup
            before.callback(signal.signal, number, signal.signal(number, stop))
        yield


def _what_follows(run: Run) -> str:
    """What a run still does that was interrupted once."""
    if not run.open_faults.key_away:
        return "no key is away; what is up goes down."
    if run.settings.target == "lab":
        return "the key is put back, and the lab goes down."
    return (
        "the key is put back, and the recovery measured; once more (Ctrl-C), and only the key "
        "is put back."
    )


@contextlib.contextmanager
def live_line(start: Start) -> Iterator[None]:
    """What a person sees while something is waited for."""
    screen = Screen(lambda: _facts(start.run))
    start.run.observer = screen
    screen.open()
    try:
        yield
    finally:
        screen.close()


def _facts(run: Run) -> str:
    """The live line's end: load, key, and the cluster's status, which is the longest."""
    facts = []
    main = run.loads.get(MAIN)
    if main and main.running:
        window = main.window(1.0)
        facts.append(f"{window.answered:.0f} answered/s, {window.failing:.0f} failing/s")
    if run.watcher and (look := run.watcher.latest):
        facts += look.in_words()
    return " · ".join(facts)


@contextlib.contextmanager
def local_lab(start: Start) -> Iterator[None]:
    """With target=lab: starts a lab, and blocks any access to AWS as long as it is up."""
    settings = start.run.settings
    if settings.target != "lab":
        yield
        return
    lab = LocalLab.of(settings)
    try:
        start.run.lab = lab
        with only_the_lab(lab):
            yield
    finally:
        lab.stop()


@contextlib.contextmanager
def lab_misbehaviours(start: Start) -> Iterator[None]:
    """What the lab was told to do wrong.

    A part of its own: where an order is refused the rollbacks are run, and the lab's part still
    keeps them from AWS.
    """
    lab = start.run.lab
    if lab:
        try:
            order_all(lab, start.run.settings.lab_faults)
        except NotALab as problem:
            raise Refused(str(problem)) from None
    yield


@contextlib.contextmanager
def told_of_leftovers(start: Start) -> Iterator[None]:
    """Says what runs before this one have left."""
    Aws.of(start.run)  # without a way to AWS nothing can be said
    found, problems = ledgers.leftovers()
    for each in found:
        resources = ", ".join(map(str, each.things))
        logger.warning(f"run {each.run} left {resources}: `chaos kms restore` removes it")
    for problem in problems:
        logger.warning(problem)
    yield


@contextlib.contextmanager
def guarded_target(start: Start) -> Iterator[None]:
    """The cluster and its key; where the key is to be taken away: allowed, and safeguarded."""
    if start.on != "nothing":
        start.run.target = guarded(start.run, start.losses, start.on == "cluster")
    yield


@contextlib.contextmanager
def fresh_passwords(start: Start) -> Iterator[None]:
    """Keeps the newest password where new connections find it; not needed with libpq."""
    run = start.run
    if not run.target or run.settings.database_auth == "libpq":
        yield
        return
    target = run.target
    settings = replace(run.settings, database=given_for_target(run, target.cluster))
    kept = passwords(Aws.of(run), settings, target.cluster, target.key.arn)
    try:
        kept.start()
        run.passwords = kept
        yield
    finally:
        kept.stop()


@contextlib.contextmanager
def key_put_back_at_last(start: Start) -> Iterator[None]:
    """Puts back what the rollbacks did not."""
    try:
        yield
    finally:
        last_resort(start.run)


@contextlib.contextmanager
def folder(start: Start) -> Iterator[None]:
    """The run's folder, with what its judgement depends on, if there is room for all of it."""
    run, aws = start.run, Aws.of(start.run)
    who = start.caller
    start.tell(
        aws_region=aws.region,
        run_id=run.id,
        account=who.account,
        partition=who.arn.split(":")[1],
        caller=permissions.role_of(aws, who) or who.principal,
    )
    opened = open_folder(run, start.on)
    expected = watching.expected(
        start.experiment, start.expects_outage, run.settings, start.asked.objectives
    )
    run.conditions = Conditions(
        run=run.id,
        experiment=run.experiment,
        started=utc(run.started),
        settings=run.settings,
        region=aws.region,
        expects_outage=expected.outage,
        by_others=expected.by_others,
        objectives=expected.objectives,
        earlier=earlier_runs(run, aws.region, start.asked.not_worse),
    )
    try:
        run.conditions.write(opened / "history")
    except OSError as problem:
        raise Refused(f"no report can be written to {opened}: {problem}") from None
    yield


def told_to_a_topic(start: Start) -> contextlib.AbstractContextManager[None]:
    """That it begins and that its fault is there, if that is wanted."""
    return notices.following(start.run)


@contextlib.contextmanager
def live_page(start: Start) -> Iterator[None]:
    """What shows the run while it happens, if that is wanted."""
    process.show(start.run)
    yield


@contextlib.contextmanager
def stop_conditions(start: Start) -> Iterator[None]:
    """Ends the run when an alarm goes off, a safeguard breaks, or the key is away too long."""
    run = start.run
    conditions = StopConditions(
        run, Aws.of(run), run.settings.stop_alarms, run.settings.status_poll
    )
    conditions.start()
    try:
        yield
    finally:
        conditions.stop()


@contextlib.contextmanager
def loads_put_away(start: Start) -> Iterator[None]:
    """Loads are started again if they die; all are stopped in the end, and what they made in a
    database that stays is dropped."""
    run = start.run
    restarts = Restarts(run)
    restarts.start()
    try:
        yield
    finally:
        restarts.stop()
        for load in run.loads:
            load.stop()
        for load in run.loads:
            try:
                loads.drop_schema(run, load, timeout=1 if run.interrupted else 10)
            except LoadFailed as problem:
                logger.warning(
                    f"the schema chaos_kms is not dropped: {problem}; `chaos kms restore` drops it"
                )


def tried_dependents(start: Start) -> contextlib.AbstractContextManager[None]:
    """What else is under the key, if that is wanted; before the load, which it would disturb."""
    return canaries.running(start.run)


@contextlib.contextmanager
def watched_and_loaded(start: Start) -> Iterator[None]:
    """The watcher of key and cluster, and the loads, which are steady from here on."""
    run = start.run
    with contextlib.ExitStack() as stack:
        if run.target:
            cluster, key = run.target.cluster, run.target.key.arn
            run.event(EventName.TARGET, cluster=cluster.id, key=key)
            start.tell(cluster_id=cluster.id, key_arn=key)
            if start.on == "cluster":
                stack.callback(watch(run, Aws.of(run), cluster.id, key).stop)
                watch_proxy(run, Aws.of(run))
                loads.start(run, MAIN, cluster, conninfo_for(run, cluster))
                for each in run.target.others:
                    watch_beside(run, Aws.of(run), each)
                start_where_readers_are(run, cluster)
                if experiment_rules.watches(start.experiment):
                    run.sight = Sight(run)
        run.event(EventName.READY, caller=start.caller.arn)
        yield


PARTS: Sequence[Part] = (
    signals_end_the_run,
    live_line,
    local_lab,
    lab_misbehaviours,
    told_of_leftovers,
    guarded_target,
    fresh_passwords,
    key_put_back_at_last,
    folder,
    told_to_a_topic,
    live_page,
    stop_conditions,
    loads_put_away,
    tried_dependents,
    watched_and_loaded,
)
