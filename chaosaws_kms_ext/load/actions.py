"""Actions on loads: starting one on a cluster of the run's own, ending it before that goes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities
from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.history import READER
from chaosaws_kms_ext.loadgen import loads
from chaosaws_kms_ext.loadgen.conninfo import conninfo_for
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.waiting import TimedOut, Wait
from chaosaws_kms_ext.watcher import watch_beside

__all__ = ["read_back_from", "run_on", "start_load", "stop_load"]


def start_load(
    cluster_id: str = "",
    name: str = loads.MAIN,
    file: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Start a load on a cluster, and wait until its arrivals are answered.

    The status of a cluster that the run is not about, and its key, are watched from here on: both
    are on the page of the run.

    As many arrivals and connections, the same deadline and the same writes (schema `chaos_kms`) as
    the run's other loads. What was recorded of it is in the summary under `loads`, by its name.

    Parameters
    ----------
    cluster_id : the DB cluster; by default the one of this run.
    name : of the load: `main` is the one whose figures are the run's; at most 30 lower-case letters
        and digits. `reader` is taken.
    file : a Locust file; by default the setting `load_file`.

    Returns `load` and `cluster`. Raises ActivityFailed: no such cluster, not answered within 30 s,
    no control `chaosaws_kms_ext.controls.run`. IAM: rds:DescribeDBClusters,
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        loads.named(name)
        if name == READER:
            raise Refused(
                f"{READER} is the load that a run has over the reader endpoint: name this another"
            )
        if file and not _is_file(file):
            raise Refused("the Locust file that was named does not exist")
        cluster = rds.describe(Aws.of(run), cluster_id or activities.cluster_id(run))
        watch_beside(run, Aws.of(run), cluster)
        loads.start(run, name, cluster, conninfo_for(run, cluster), file)
        return {"load": name, "cluster": cluster.id}


def run_on(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Let the loads run on for `hold` AWS seconds, so that what they miss is seen.

    At least twice `query_deadline`: at the end of a load nobody knows what would still be answered.

    Returns `seconds`. Raises ActivityFailed when no load runs, or one ends.
    """
    with activities.plainly(configuration) as run:
        started = run.loads
        running = [load for load in started if load.config.name not in started.stopped]
        if not running:
            raise Refused("no load runs")
        settings = run.settings
        seconds = max(settings.real(settings.hold), 2 * settings.query_deadline)

        def ended() -> bool:
            return any(load.ended for load in running)

        observer = run.observer
        with contextlib.suppress(TimedOut):
            Wait("the loads to run on", seconds, run.settings.status_poll, observer).until(ended)
            raise Refused("a load has ended by itself")
        return {"seconds": seconds}


def stop_load(
    name: str = loads.MAIN, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """End a load while it is answered, and read back what it wrote.

    Before its cluster is removed: what a load misses then would look like an outage. The loads that
    are still running at the end of a run are ended by the control.

    Returns `load`. One that was never started is no error: a rollback has nothing to do then.
    Raises ActivityFailed: its arrivals are not answered, or its rows cannot be read; it has ended
    then as well.
    """
    with activities.plainly(configuration) as run:
        if run.loads.get(loads.named(name)) is None:
            return {"load": name, "why": "it was not started"}
        loads.stop(run, name)
        return {"load": name}


def read_back_from(
    cluster_id: str,
    name: str = loads.MAIN,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """End a load whose cluster is lost for good, and look for its writes in another cluster.

    After `wait_until_terminal`, in a cluster that replaces the lost one: what was acknowledged and
    is not there is the loss that `recovery_point` in the summary counts and dates. Before a load
    is started there, which begins with an empty schema.

    Parameters
    ----------
    cluster_id : the DB cluster that replaces the lost one.
    name : of the load.

    Returns `load` and `cluster`. Raises ActivityFailed. IAM: rds:DescribeDBClusters,
    rds:DescribeDBInstances.
    """
    with activities.plainly(configuration) as run:
        cluster = rds.describe(Aws.of(run), cluster_id)
        loads.stop_lost(run, loads.named(name), cluster, conninfo_for(run, cluster))
        return {"load": name, "cluster": cluster.id}


def _is_file(path: object) -> bool:
    try:
        return isinstance(path, str) and Path(path).is_file()
    except (OSError, ValueError):
        return False
