"""A disabled key on a lab: what those see that ask AWS for the cluster's status."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import psycopg

from bench.outages import CLIENTS, RATE, compared
from bench.tool import Tool
from chaosaws_kms_ext.lab_client.local_lab import LocalLab, only_the_lab

__all__ = ["SPEED", "run_lab"]

SPEED = 100.0
HOLD, BEFORE, AFTER = 3.0, 3.0, 3.0
"""Seconds with the key away after the impact; of service before and after."""
WITHIN = 90.0
"""Seconds for each step."""


def run_lab(tools: Sequence[type[Tool]], folder: Path) -> dict[str, Any]:
    """What each tool says of one outage whose cause is the key, by its name."""
    lab = LocalLab.start(SPEED, "observed")
    try:
        with only_the_lab(lab):
            return _measured(lab, tools, folder)
    finally:
        lab.stop()


def _measured(lab: LocalLab, tools: Sequence[type[Tool]], folder: Path) -> dict[str, Any]:
    cluster, database = lab.clusters[0]["id"], lab.clusters[0]["database"]
    _make_table(database)
    running: list[Tool] = []
    try:
        for tool in tools:
            its = tool(folder / tool.name)
            running.append(its)
            if tool.watches == "cluster":
                its.start(cluster, SPEED, 1)
            else:
                its.start(database, RATE, CLIENTS)
        time.sleep(BEFORE + 3)
        truth = _lose_the_key(lab, cluster)
        time.sleep(AFTER)
        survived = {each.name: each.survived() for each in running}
    finally:
        for each in running:
            each.stop()
    return {
        each.name: {
            "survived": survived[each.name],
            "said": each.said(*truth),
            **compared(each.outages(), [truth]),
        }
        for each in running
    }


def _make_table(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench (id int PRIMARY KEY, value text)")
        connection.execute(
            "INSERT INTO bench SELECT n, md5(n::text) FROM generate_series(1, 10000) n"
        )


def _lose_the_key(lab: LocalLab, cluster: str) -> tuple[float, float]:
    """Disables the key and enables it again; when the servers froze and when they were ready."""
    rds, kms = boto3.client("rds"), boto3.client("kms")
    key = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]["KmsKeyId"]
    kms.disable_key(KeyId=key)
    frozen = _told(lab, cluster, "frozen", 0)
    time.sleep(HOLD)
    kms.enable_key(KeyId=key)
    return frozen, _told(lab, cluster, "ready", frozen)


def _told(lab: LocalLab, cluster: str, what: str, after: float) -> float:
    """When something happened to the servers after an instant, CLOCK_MONOTONIC seconds."""
    path, end = lab.requests.with_name("truth.jsonl"), time.monotonic() + WITHIN
    while time.monotonic() < end:
        for line in path.read_text().splitlines():
            told = json.loads(line)
            at = float(told["at"]) / 1e9
            if (told["cluster"], told["what"]) == (cluster, what) and at > after:
                return at
        time.sleep(0.1)
    raise TimeoutError(f"the lab's servers were not {what} within {WITHIN:g} s")
