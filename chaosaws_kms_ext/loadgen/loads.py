"""The loads of a run, by name: `main` on the cluster that it is about, others beside it."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.checkers.degraded import normal_latency, slice_width
from chaosaws_kms_ext.checkers.outage_windows import ANSWERED
from chaosaws_kms_ext.checkers.recovery_curve import AS_BEFORE
from chaosaws_kms_ext.checkers.stale_reads import READER as READER_ENDPOINT
from chaosaws_kms_ext.history import MAIN, READER, EventName
from chaosaws_kms_ext.history.history import History
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.reader import read_history, read_what_is_there
from chaosaws_kms_ext.history.writer import write_rows
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.process import KEPT, Load, LoadConfig
from chaosaws_kms_ext.loadgen.schema import Hopeless, LoadFailed
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.resources.ledger import Ledger
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import TimedOut, Wait

__all__ = [
    "MAIN",
    "STEADY_FOR",
    "STEADY_TIMEOUT",
    "are_answered",
    "beside",
    "drop_schema",
    "end",
    "named",
    "of_target",
    "read_rows_back",
    "start",
    "start_over_readers",
    "steady",
    "steady_timeout",
    "stop",
    "stop_lost",
    "until_as_fast_as_before",
]

logger = logging.getLogger("chaostoolkit")

NAME = re.compile(r"[a-z][a-z0-9]{0,29}")

STEADY_FOR, STEADY_TIMEOUT = 2.0, 30.0
"""Seconds that arrivals have to be answered to count as steady; seconds until it must be so."""

WORKERS_WITHIN = 600.0
"""Seconds in which somebody has to start the workers on other machines."""

ROWS_TIMEOUT = 30.0
"""Seconds to read the written rows back."""

READS, READ_AGAIN = 5, 0.2
"""How often records that are still written are read, and seconds between."""


def named(name: object) -> str:
    """Returns the name of a load; raises Refused if it cannot be one."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Refused("a load's name has at most 30 lower-case letters and digits")
    return name


def start(run: Run, name: str, cluster: Database, database: str, file: str = "") -> Load:
    """Starts a load on a cluster and waits until it is steady.

    Which cluster it is, and under which key, is recorded: who judges has to know what hits it.

    Its schema is written to the run's ledger before it is made, so that it can be dropped if the
    run is killed. Raises LoadFailed, Refused, AwsError or OSError.

    `database`: a connection string without a password. `file`: a Locust file; by default what
    `load_file` says, and without that a load that any database of the engine answers.
    """
    config = _config(run, name, database, file)
    load = Load(config)
    run.loads.add(load)
    run.event(
        EventName.LOAD_STARTED,
        load=name,
        users=config.users,
        cluster=cluster.id,
        key=cluster.key,
        **_way(run, cluster),
        reconnect_spacing_seconds=config.reconnect_spacing,
    )
    # The lab goes with the run, and so do the clusters that it makes.
    if config.writes and run.settings.target == "aws" and not ledgers.is_of(run, cluster.id):
        run.loads.schemas[name] = Ledger.of(run).record("schema", cluster.id)
    try:
        load.start()
    except Hopeless:
        if schema := run.loads.schemas.pop(name, None):
            Ledger.of(run).deleted(schema)  # the database said that it was not made
        raise
    if config.master:
        logger.info(
            f"the load waits for {config.workers} workers: start each, on a machine that reaches "
            f"this one and the database, by `chaos kms load-worker {config.master}`"
        )
        load.wait_for_workers(WORKERS_WITHIN, run.observer)
    steady(run, load)
    run.event(EventName.LOAD_STEADY, load=name)
    return load


def _way(run: Run, cluster: Database) -> dict[str, str]:
    """Through which RDS Proxy the loads on a cluster go, if that is the run's own."""
    own = run.target is not None and run.target.cluster.arn == cluster.arn
    return {"proxy": run.proxy.name} if run.proxy and own else {}


def start_over_readers(run: Run, database: str) -> Load:
    """Starts the load `reader`, which only reads, and waits until it is steady.

    Raises LoadFailed, Refused or OSError: there is no such load then, and nothing is recorded of
    one.
    """
    load = Load(_config(run, READER, database))
    run.loads.add(load)
    try:
        load.start()
        steady(run, load)
    except BaseException:
        load.stop()
        run.loads.discard(load)
        load.forget()
        raise
    run.event(
        EventName.LOAD_STARTED,
        load=READER,
        users=load.config.users,
        reconnect_spacing_seconds=load.config.reconnect_spacing,
        endpoint=READER_ENDPOINT,
        registers_of=MAIN,
    )
    run.event(EventName.LOAD_STEADY, load=READER)
    return load


def _config(run: Run, name: str, database: str, file: str = "") -> LoadConfig:
    """What a load of this run does; raises Refused."""
    if run.folder is None:
        raise Refused("a load needs the folder of the control chaosaws_kms_ext.controls.run")
    settings, over_readers = run.settings, name == READER
    own_schema = settings.load_writes == "own-schema"
    users = settings.users_over_reader if over_readers else settings.load_users
    config = LoadConfig(
        database=database,
        rate=settings.arrivals_over_reader if over_readers else settings.load_rate,
        users=users,
        writes=own_schema and not over_readers,
        reads_registers=own_schema and over_readers,
        deadline=settings.query_deadline,
        folder=run.folder / "history",
        log=run.folder / ("load.log" if name == MAIN else f"load-{name}.log"),
        name=name,
        workers=min(settings.load_processes, users),
        master=settings.load_master if name == MAIN else "",
    )
    path = file or settings.load_file or engine_of(database).default_load
    return replace(config, file=Path(path))


def end(run: Run, load: Load) -> bool:
    """Stops a load, and records when; returns whether it was still running. Safe to call again."""
    ran = load.retire()
    if run.last(EventName.LOAD_STOPPED, load=load.config.name) is None:
        why = {} if ran else {"why": load.why_ended()}
        run.event(EventName.LOAD_STOPPED, load=load.config.name, ran=ran, **why)
    load.stop()
    return ran


def drop_schema(run: Run, load: Load, timeout: float) -> None:
    """Removes what a load made in a database that stays, within about `timeout` seconds.

    Raises LoadFailed.
    """
    if schema := run.loads.schemas.get(load.config.name):
        load.drop(timeout)
        Ledger.of(run).deleted(schema)


def steady(run: Run, load: Load) -> None:
    """Waits until the load's arrivals are answered; raises LoadFailed."""
    observer = run.observer
    load.wait_until_steady(STEADY_FOR, ANSWERED, steady_timeout(load.config), observer)


def steady_timeout(config: LoadConfig) -> float:
    """Seconds until a load has to be steady after it was started."""
    return config.settle + STEADY_TIMEOUT


def of_target(run: Run) -> list[Load]:
    """The loads on the run's own cluster."""
    return [load for name in (MAIN, READER) if (load := run.loads.get(name))]


def beside(run: Run, cluster_id: str) -> list[Load]:
    """The loads on another cluster."""
    return [
        load
        for load in run.loads
        if run.last(EventName.LOAD_STARTED, load=load.config.name, cluster=cluster_id)
    ]


def are_answered(run: Run, loads: Sequence[Load]) -> bool:
    """Whether those of these loads that still run are answered."""
    return all(
        load.window(run.settings.steady_window_at(load.config.rate)).share >= ANSWERED
        for load in loads
        if not load.ended
    )


def until_as_fast_as_before(run: Run, load: Load) -> bool:
    """Waits until a load's answers come as fast as before the fault; false: not in time.

    At most `normal_latency_within` AWS seconds. What was before is read from what the load has
    recorded, as the checker does that judges it.
    """
    limit = run.settings.real(run.settings.normal_latency_within)
    if not limit or run.folder is None or run.interrupted:
        return False
    before = normal_latency(_while_written(run.folder / "history"), load.config.name, [])
    # Two slices: one of the checker's lies in them whole.
    seconds = 2 * slice_width(load.config.rate)
    if before is None or seconds > KEPT / 2:  # so few arrivals say nothing in time
        return False

    def as_fast() -> bool:
        if load.ended:
            return True
        p99 = load.window(seconds).p99_ms
        return p99 is not None and p99 * 1e6 <= AS_BEFORE * before

    try:
        Wait("answers to come as fast as before", limit, 0.2, run.observer).until(as_fast)
    except TimedOut:
        return False
    return not load.ended


def _while_written(folder: Path) -> History:
    """The history of a run that goes on: a batch that is just being written looks damaged."""
    for _ in range(READS):
        with contextlib.suppress(HistoryDamaged):
            return read_history(folder)
        time.sleep(READ_AGAIN)
    return read_what_is_there(folder)[0]


def stop(run: Run, name: str) -> None:
    """Ends a load whose arrivals are answered, and reads back what it wrote.

    Raises Refused if there is none; LoadFailed if its arrivals are not answered, or nothing could
    be read: it has ended then as well.
    """
    loads = run.loads
    load = loads.get(name)
    if load is None:
        raise Refused(f"no load called {name} was started")
    was_steady = run.last(EventName.LOAD_STEADY, load=name) is not None
    try:
        if was_steady and not run.interrupted:  # else nothing is judged any more
            steady(run, load)
    except LoadFailed as problem:
        raise LoadFailed(f"the load {name}: {problem}") from problem
    finally:
        end(run, load)
        loads.stopped.add(name)
    if was_steady:  # else there may be nothing to read yet
        read_rows_back(run, load, ROWS_TIMEOUT)


def stop_lost(run: Run, name: str, cluster: Database, database: str) -> None:
    """Ends a load whose own cluster is lost for good, and reads what it wrote back from another
    cluster (`database`: a conninfo of it).

    Raises Refused if there is no such load, or its cluster is not lost; LoadFailed.
    """
    load = run.loads.get(name)
    if load is None:
        raise Refused(f"no load called {name} was started")
    started = run.last(EventName.LOAD_STARTED, load=name)
    its = started.details.get("cluster") if started else None
    if its is None or run.last(EventName.TERMINAL, cluster=its) is None:
        raise Refused(f"the cluster of the load {name} is not lost for good: stop it by stop_load")
    end(run, load)
    run.loads.stopped.add(name)
    read_rows_back(run, load, ROWS_TIMEOUT, database)
    run.event(EventName.ROWS_FROM, load=name, cluster=cluster.id)


def read_rows_back(run: Run, load: Load, timeout: float, database: str = "") -> None:
    """Keeps the rows that a load's writes left, in memory and in the history.

    `database`: a conninfo, if they are read elsewhere than they were written. Raises LoadFailed,
    also where they could be read and not written down.
    """
    found = load.rows(timeout, database)
    if found is None:
        return
    run.loads.rows[load.config.name] = found
    try:
        write_rows(load.config.folder, load.config.name, found)
    except OSError as problem:
        raise LoadFailed(f"they cannot be written down: {problem}") from problem
