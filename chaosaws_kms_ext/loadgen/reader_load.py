"""The load over the reader endpoint: it is there where the run's cluster has readers."""

from __future__ import annotations

import logging

from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.statuses import AVAILABLE
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.conninfo import conninfo_for_readers
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.schema import within
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import Wait

__all__ = ["start_where_readers_are"]

logger = logging.getLogger("chaostoolkit")

LOOK_TIMEOUT, SEEN_WITHIN = 5.0, 15.0
"""Seconds for one connection to the reader endpoint; until a reader has what `main` has made."""


def start_where_readers_are(run: Run, cluster: Database) -> None:
    """Starts the load `reader`, as `reader_load` says, after `main`.

    With `auto` readers that cannot be reached are told, and the run goes on without this load; with
    `yes` that raises Refused.
    """
    wanted = run.settings.reader_load
    if wanted == "no":
        return
    try:
        _check(cluster)
        database = conninfo_for_readers(run, cluster)
        if run.settings.load_writes == "own-schema":
            _wait_for_registers(run, database)
        loads.start_over_readers(run, database)
    except (PlainError, OSError) as problem:
        if wanted == "yes":
            raise Refused(f"CHAOS_READER_LOAD is yes, and it cannot run: {problem}") from None
        if cluster.readers:
            logger.warning(f"No load runs over the reader endpoint: {problem}")


def _check(cluster: Database) -> None:
    """Raises Refused if there is no reader that could answer."""
    if not cluster.readers or not cluster.reader_address:
        raise Refused(f"{cluster.in_words} has no reader")
    if not any(cluster.instances.get(each) == AVAILABLE for each in cluster.readers):
        raise Refused(f"no reader of the cluster {cluster.id} is available")


def _wait_for_registers(run: Run, database: str) -> None:
    """Until a reader has the tables that `main` has made; raises LoadFailed and TimedOut."""
    there = engine_of(database).has_registers
    Wait(
        "the readers to have the load's schema", SEEN_WITHIN, run.settings.status_poll, run.observer
    ).until(lambda: within(database, LOOK_TIMEOUT, there))
