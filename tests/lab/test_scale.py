"""Many clusters: paginators, waiters, and what a cluster without an instance costs."""

from __future__ import annotations

import boto3
import psutil
import pytest
from botocore.config import Config

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.clusters import RECOVERABLE, new_cluster
from tests.support.document import shows
from tests.support.in_process_lab import InProcessLab
from tests.support.labs import FAST, client, mostly_soak, until

pytestmark = pytest.mark.thorough


def create(rds, number, **params):
    for n in range(number):
        new_cluster(rds, DBClusterIdentifier=f"many-{n:04}", **params)


@shows("rds:DescribeDBClusters", "rds:DescribeDBInstances")
def test_boto3s_paginators_see_each_of_250_clusters_once(tmp_path):
    own_lab = InProcessLab(tmp_path / "requests.jsonl")
    rds = own_lab.client("rds")
    for n in range(250):
        engine = {"DBClusterIdentifier": f"many-{n:04}", "Engine": "aurora-postgresql"}
        own_lab.ask("rds", "CreateDBCluster", **engine)
        instance = {"DBInstanceIdentifier": f"i-{n}", "DBInstanceClass": "db.r6g.large"}
        own_lab.ask("rds", "CreateDBInstance", **engine, **instance)
    for operation, field, size, name in [
        ("describe_db_clusters", "DBClusters", 20, "DBClusterIdentifier"),
        ("describe_db_clusters", "DBClusters", 100, "DBClusterIdentifier"),
        ("describe_db_instances", "DBInstances", 30, "DBInstanceIdentifier"),
    ]:
        pages = list(rds.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}))
        assert len(pages) == -(-250 // size)
        assert len({item[name] for page in pages for item in page[field]}) == 250


@pytest.fixture
def lab(start_lab):
    return start_lab()


@pytest.fixture
def started():
    """One that is the program itself: what it takes is its own, and not shared with others."""
    running = LocalLab.start(FAST, "observed")
    yield running
    running.stop()


@pytest.mark.parametrize("number", mostly_soak([200, 1000], lambda number: number == 200))
def test_many_clusters_are_known_without_as_many_servers(lab, number):
    process = psutil.Process(lab._child.process.pid)
    rds, kms = client(lab, "rds"), client(lab, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    files, servers = process.num_fds(), len(process.children(recursive=True))
    create(rds, number, StorageEncrypted=True, KmsKeyId=key)
    assert process.num_fds() <= files + 20
    assert len(process.children(recursive=True)) <= servers + 5  # the seeded cluster's own
    assert len(list((lab.requests.parent).iterdir())) < 50
    waiter = rds.get_waiter("db_cluster_available")
    waiter.wait(
        DBClusterIdentifier=f"many-{number - 1:04}", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    kms.disable_key(KeyId=key)
    until(
        lambda: (
            rds.describe_db_clusters(DBClusterIdentifier="many-0000")["DBClusters"][0]["Status"]
            == RECOVERABLE
        )
    )


def test_the_default_lab_is_small(started):
    # What the lab and its servers have to themselves, and their share of what they have together.
    tree = psutil.Process(started._child.process.pid)
    client(started, "rds").describe_db_clusters()
    boto3.client(
        "sts",
        endpoint_url=started.endpoint,
        region_name=started.region,
        aws_access_key_id="lab",
        aws_secret_access_key=started.secret_key,
        config=Config(retries=None),
    ).get_caller_identity()
    used = sum(p.memory_full_info().pss for p in (tree, *tree.children(recursive=True)))
    assert used < 400 * 2**20
