"""Probes of the load: is the service's own traffic answered, and how fast."""

from __future__ import annotations

import logging
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.connection_strings import with_options
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.loadgen.checksum import Checksum, checksum
from chaosaws_kms_ext.loadgen.conninfo import conninfo_for
from chaosaws_kms_ext.loadgen.loads import MAIN, named
from chaosaws_kms_ext.loadgen.process import KEPT, Window
from chaosaws_kms_ext.loadgen.schema import Hopeless, LoadFailed, within
from chaosaws_kms_ext.run import Instant, Refused, Run
from chaosaws_kms_ext.waiting import Wait

__all__ = [
    "answered_share",
    "first_answer",
    "latency_p99",
    "rows_equal",
    "rows_unchanged",
    "table_checksum",
]

logger = logging.getLogger("chaostoolkit")

LONGEST = 1000
"""Letters of a name in SQL, with its schema's: more than PostgreSQL has for two."""

ANSWER_TIMEOUT = 5.0
"""Seconds for one attempt to connect and to be answered."""

CHECKSUM_TIMEOUT, LONGEST_CHECKSUM = 600.0, 86400.0
"""Seconds for the server to read the whole table, on AWS as on the lab; and the most of them."""


def answered_share(
    seconds: float = 2.0,
    name: str = MAIN,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> float:
    """The share (0 to 1) of a load's arrivals of the last `seconds` that were answered in time.

    Of those that were due, not of those that were sent: a database that hangs answers none of
    them. Raises ActivityFailed when no load runs: without the control
    `chaosaws_kms_ext.controls.run` there is none.
    """
    return _window(seconds, name, configuration).share


def latency_p99(
    seconds: float = 2.0,
    name: str = MAIN,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> float:
    """The 99th percentile of the latency in the last `seconds`, in milliseconds.

    From the instant at which an arrival was due. Raises ActivityFailed when nothing was answered,
    or no load runs.
    """
    p99 = _window(seconds, name, configuration).p99_ms
    if p99 is None:
        raise ActivityFailed(f"nothing was answered in the last {seconds} s")
    return p99


def first_answer(
    cluster_id: str, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Wait until a cluster answers a query, at most `provision_timeout` AWS seconds.

    A connection of its own and `SELECT 1`: for a cluster that `restore_cluster` made, and that was
    seen to be available, the end of the time to replacement.

    Returns `cluster` and `within_seconds`: it could have answered so much earlier. Raises
    ActivityFailed. IAM: rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id)
        conninfo = conninfo_for(run, cluster)

        silent = False

        def answered() -> bool:
            nonlocal silent
            try:
                within(conninfo, ANSWER_TIMEOUT, lambda c: c.execute("SELECT 1").fetchone())
            except Hopeless:
                raise
            except LoadFailed:
                silent = True
                return False
            return True

        limit = run.settings.real(run.settings.provision_timeout)
        _, before = Wait(
            f"{cluster.id} to answer", limit, run.settings.status_poll, run.observer
        ).found(answered)
        restored = run.last(EventName.RESTORED, cluster=cluster.id)
        if restored and not silent:  # it could have answered as soon as it was available
            before = restored.at - int(restored.details["within_seconds"] * 1e9)
        when = Instant.now(before)
        run.event(EventName.FIRST_ANSWER, when, cluster=cluster.id)
        return {"cluster": cluster.id, "within_seconds": when.within_seconds}


def table_checksum(
    table: str,
    cluster_id: str = "",
    database: str = "",
    timeout: float = CHECKSUM_TIMEOUT,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """What is in a table of a cluster, as one number that the order of its rows does not change.

    The server adds up a hash of each row as text, with fixed formats; nothing of the table is
    carried here.

    Parameters
    ----------
    table : named as in SQL: `users`, `shop.users`, `"My Shop"."Users"`; a view will do.
    cluster_id : the DB cluster; by default the one of this run.
    database : the database in it; by default the run's own, or the cluster's.
    timeout : seconds to connect and to read all of it.

    Returns `table`, `rows` and `checksum` (32 hexadecimal digits). Raises ActivityFailed.
    IAM: rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        found = _checksum(run, table, cluster_id, database, timeout)
        return {"table": table, "rows": found.rows, "checksum": found.checksum}


def rows_equal(
    table: str,
    cluster_id: str,
    other_cluster_id: str = "",
    database: str = "",
    timeout: float = CHECKSUM_TIMEOUT,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Whether a table holds the same rows in two clusters; the log says what differs.

    `other_cluster_id` is by default the DB cluster of this run; the rest as in `table_checksum`,
    `timeout` for each of the two.
    """
    with activities.plainly(configuration) as run:
        other = other_cluster_id or activities.cluster_id(run)
        if cluster_id in ("", other):
            raise Refused("two clusters must be named: a table always equals itself")
        here, there = (
            _checksum(run, table, name, database, timeout) for name in (cluster_id, other)
        )
        if here != there:
            what = f"{table} has {here.rows} rows in {cluster_id} and {there.rows} in {other}"
            logger.warning(what if here.rows != there.rows else f"{what}, but not the same")
        return here == there


def rows_unchanged(
    table: str,
    checksum: str,
    cluster_id: str = "",
    database: str = "",
    timeout: float = CHECKSUM_TIMEOUT,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> bool:
    """Whether a table holds what it did when `table_checksum` returned this `checksum`.

    The rest as in `table_checksum`.
    """
    with activities.plainly(configuration) as run:
        return _checksum(run, table, cluster_id, database, timeout).checksum == checksum


def _checksum(run: Run, table: str, cluster_id: str, database: str, timeout: float) -> Checksum:
    for what, given in {"table": table, "database": database}.items():
        if not isinstance(given, str) or len(given) > LONGEST or not given.isprintable():
            raise Refused(f"the {what} must be named by at most {LONGEST} printable letters")
    cluster = rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run))
    conninfo = conninfo_for(run, cluster)
    if database:
        conninfo = with_options(conninfo, dbname=database)
    try:
        return checksum(conninfo, table, _seconds(timeout, LONGEST_CHECKSUM))
    except LoadFailed as problem:
        raise ActivityFailed(f"{table} of {cluster.id}: {problem}") from problem


def _window(seconds: float, name: str, configuration: Configuration) -> Window:
    with activities.plainly(configuration) as run:
        load = run.loads.get(named(name))
        span = _seconds(seconds, KEPT)
        if load is None:
            raise ActivityFailed(
                f"no load runs that is called {name}: the experiment must name the control "
                "chaosaws_kms_ext.controls.run, or start one"
            )
        if load.ended:
            raise ActivityFailed(f"the load {name} has ended by itself")
        return load.window(span)


def _seconds(given: object, most: float) -> float:
    """A number of seconds; raises Refused for what is none."""
    try:
        seconds = float(given) if isinstance(given, (int, float, str)) else 0.0
    except (OverflowError, ValueError):
        seconds = 0.0
    if isinstance(given, bool) or not 0 < seconds <= most:
        raise Refused(f"the seconds must be a number above 0, and at most {most:g}")
    return seconds
