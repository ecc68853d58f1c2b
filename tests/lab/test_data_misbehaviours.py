"""Misbehaviours of the data: each happens as it was ordered, and the truth says what it did."""

from __future__ import annotations

import json
import subprocess
import time

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import NotALab
from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    connect,
    described,
    kept,
    new_cluster,
    new_instance,
    new_writer,
    query,
    shared_writer,
    up,
    write,
)
from tests.support.labs import FAST, client, program, until

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def made():
    """The newest cluster that the tests share."""
    return []


@pytest.fixture
def cluster(rds, kms, made):
    return shared_writer(rds, kms, made)


@pytest.fixture
def own(rds, kms):
    """A cluster of the test's own, for other tables."""
    return new_writer(rds, kms) | {"since": 0}


def name_of(cluster):
    return cluster["DBClusterIdentifier"]


def lose_the_key(rds, kms, cluster):
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    becomes(rds, cluster, RECOVERABLE)


def crash(rds, kms, cluster):
    """The key is lost and put back; the cluster is being started."""
    lose_the_key(rds, kms, cluster)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))


def told(lab, cluster, what):
    lines = map(json.loads, lab.requests.with_name("truth.jsonl").read_text().splitlines())
    mine = [line for line in lines if (line["cluster"], line["what"]) == (name_of(cluster), what)]
    return [line for line in mine if line["at"] >= cluster.get("since", 0)]


ROWS = [f"row {number}" for number in range(60)]


def test_a_crash_loses_the_acknowledged_writes_that_the_truth_names(
    lab, rds, kms, misbehaviours, cluster
):
    write(cluster, *ROWS)
    misbehaviours.order(kind="lose-writes", cluster=name_of(cluster), writes=5, seed=3)
    crash(rds, kms, cluster)
    becomes(rds, cluster, AVAILABLE)
    (loss,) = told(lab, cluster, "lost writes")
    lost = [row["row"]["name"] for row in loss["rows"]]
    assert len(lost) == len(set(lost)) == 5
    assert kept(cluster) == [row for row in ROWS if row not in lost]
    assert set(lost) <= set(ROWS[-50:])  # of those that were written last
    assert {(row["database"], row["table"]) for row in loss["rows"]} == {
        ("postgres", "public.kept")
    }
    assert misbehaviours.holding() == []


def test_the_same_data_and_seed_lose_the_same_rows_and_others_lose_others(
    lab, rds, kms, misbehaviours
):
    lost = []
    for seed in (1, 1, 2):
        cluster = new_writer(rds, kms)
        write(cluster, *ROWS)
        misbehaviours.order(kind="lose-writes", cluster=name_of(cluster), writes=4, seed=seed)
        crash(rds, kms, cluster)
        becomes(rds, cluster, AVAILABLE)
        (loss,) = told(lab, cluster, "lost writes")
        lost.append({row["row"]["name"] for row in loss["rows"]})
    assert lost[0] == lost[1] != lost[2]


def test_an_orderly_stop_loses_nothing_and_the_next_crash_does(
    lab, rds, kms, misbehaviours, cluster
):
    write(cluster, *ROWS)
    misbehaviours.order(kind="lose-writes", cluster=name_of(cluster))
    rds.stop_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, "stopped")
    rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
    becomes(rds, cluster, AVAILABLE)
    assert kept(cluster) == ROWS
    assert told(lab, cluster, "lost writes") == []
    crash(rds, kms, cluster)
    becomes(rds, cluster, AVAILABLE)
    assert len(kept(cluster)) == len(ROWS) - 1


def test_readers_lose_what_their_writer_lost_and_constraints_do_not_stop_it(
    lab, rds, kms, misbehaviours, own
):
    up(rds, new_instance(rds, own, 2))
    with psycopg.connect(
        host="127.0.0.1", port=own["Port"], user=own["MasterUsername"], dbname="postgres"
    ) as connection:
        connection.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        connection.execute("INSERT INTO parent VALUES (1)")
        connection.execute("CREATE TABLE child (id int REFERENCES parent)")
        connection.execute("INSERT INTO child VALUES (1)")
    misbehaviours.order(kind="lose-writes", cluster=name_of(own), writes=2)
    crash(rds, kms, own)
    becomes(rds, own, AVAILABLE)
    count = "SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child)"
    assert query(own, count) == [0]
    reader = described(rds, own)["ReaderEndpoint"]
    until(lambda: query(own, count, reader) == [0])


def test_a_slow_recovery_takes_that_much_longer(rds, kms, misbehaviours, cluster):
    misbehaviours.order(kind="slow-recovery", cluster=name_of(cluster), seconds=2 * FAST)
    began = time.monotonic()
    crash(rds, kms, cluster)
    until(lambda: described(rds, cluster)["Status"] == "starting")
    becomes(rds, cluster, AVAILABLE)
    # 180 AWS seconds for the start and 600 more, 300 times as fast.
    assert time.monotonic() - began > 2.55
    assert query(cluster, "SELECT 1") == [1]


def test_a_cluster_that_comes_back_elsewhere_says_so_and_goes_back_with_the_next(
    lab, rds, kms, misbehaviours, cluster
):
    if len(cluster["DBClusterMembers"]) == 1:
        up(rds, new_instance(rds, cluster, 2))
    write(cluster, "a")
    moves = []
    for _ in range(2):
        misbehaviours.order(kind="other-address", cluster=name_of(cluster))
        crash(rds, kms, cluster)
        becomes(rds, cluster, AVAILABLE)
        now = described(rds, cluster)
        assert kept(now) == ["a"]
        moves.append(now["Endpoint"])
        if now["Endpoint"] != cluster["Endpoint"]:
            with pytest.raises(psycopg.OperationalError, match="refused"):
                kept(cluster)
        until(lambda now=now: kept(now, now["ReaderEndpoint"]) == ["a"])
    assert moves == ["127.0.0.3", "127.0.0.1"]
    assert [line["address"] for line in told(lab, cluster, "moved")] == moves


def test_a_cluster_that_never_comes_back_is_starting_until_the_fault_is_cleared(
    rds, kms, misbehaviours, cluster
):
    misbehaviours.order(kind="no-recovery", cluster=name_of(cluster))
    crash(rds, kms, cluster)
    time.sleep(2)
    assert described(rds, cluster)["Status"] == "starting"
    with pytest.raises(psycopg.OperationalError):
        query(cluster, "SELECT 1")
    assert misbehaviours.holding() == [{"kind": "no-recovery", "cluster": name_of(cluster)}]
    misbehaviours.clear()
    becomes(rds, cluster, AVAILABLE)


def test_a_key_that_is_lost_again_while_it_recovers_slowly_is_no_way_round_it(
    rds, kms, misbehaviours, cluster
):
    misbehaviours.order(kind="no-recovery", cluster=name_of(cluster))
    crash(rds, kms, cluster)
    until(lambda: described(rds, cluster)["Status"] == "starting")
    kms.disable_key(KeyId=cluster["KmsKeyId"])
    time.sleep(1)
    kms.enable_key(KeyId=cluster["KmsKeyId"])
    time.sleep(1)
    assert described(rds, cluster)["Status"] in ("starting", RECOVERABLE)
    assert misbehaviours.holding()


def test_what_was_cleared_does_not_happen(lab, rds, kms, misbehaviours, cluster):
    write(cluster, *ROWS)
    for order in (
        {"kind": "lose-writes"},
        {"kind": "other-address"},
        {"kind": "no-recovery"},
    ):
        misbehaviours.order(cluster=name_of(cluster), **order)
    misbehaviours.clear()
    crash(rds, kms, cluster)
    becomes(rds, cluster, AVAILABLE)
    assert kept(cluster) == ROWS
    assert described(rds, cluster)["Endpoint"] == cluster["Endpoint"]


ODD = """
CREATE TABLE "T%x" (i int); INSERT INTO "T%x" SELECT generate_series(1, 20);
CREATE TABLE nul (j json); INSERT INTO nul VALUES ('"\\u0000"');
CREATE TABLE p (x int); CREATE TABLE c () INHERITS (p);
INSERT INTO p SELECT generate_series(1, 20); INSERT INTO c SELECT generate_series(1, 20);
CREATE TABLE exact (n numeric); INSERT INTO exact VALUES (12345678901234567890.123456789);
CREATE TABLE kept_back (x int); INSERT INTO kept_back SELECT generate_series(1, 20);
CREATE RULE keep AS ON DELETE TO kept_back DO INSTEAD NOTHING;
ALTER TABLE kept_back ENABLE ALWAYS RULE keep;
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET statement_timeout = '50ms';
"""
COUNTED = """
SELECT (SELECT count(*) FROM "T%x") + (SELECT count(*) FROM nul) + (SELECT count(*) FROM p)
     + (SELECT count(*) FROM exact) + (SELECT count(*) FROM kept_back)
"""


def test_in_odd_tables_as_many_rows_are_gone_as_the_truth_names(lab, rds, kms, misbehaviours, own):
    with connect(own) as connection:
        for statement in ODD.strip().splitlines():
            connection.execute(statement)
    before = query(own, COUNTED)[0]
    misbehaviours.order(kind="lose-writes", cluster=name_of(own), writes=82)
    crash(rds, kms, own)
    becomes(rds, own, AVAILABLE)
    (loss,) = told(lab, own, "lost writes")
    assert query(own, COUNTED)[0] == before - len(loss["rows"])
    assert len(loss["rows"]) >= 60
    assert "public.kept_back" not in {row["table"] for row in loss["rows"]}
    exact = [row["row"]["n"] for row in loss["rows"] if row["table"] == "public.exact"]
    assert exact == ["12345678901234567890.123456789"]


def test_of_clusters_of_one_name_an_arn_says_which(lab, rds, misbehaviours):
    here = new_writer(rds)
    name = {"DBClusterIdentifier": name_of(here)}
    client(lab, "rds", region="us-east-1").create_db_cluster(Engine="aurora-postgresql", **name)
    with pytest.raises(NotALab, match=r"several clusters .*: name one by its ARN"):
        misbehaviours.order(kind="no-recovery", cluster=name_of(here))
    misbehaviours.order(kind="no-recovery", cluster=here["DBClusterArn"])
    assert len(misbehaviours.holding()) == 1
    rds.delete_db_instance(DBInstanceIdentifier=f"{name_of(here)}-1")
    rds.delete_db_cluster(SkipFinalSnapshot=True, **name)
    until(lambda: misbehaviours.holding() == [])


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            {"kind": "nonsense", "cluster": "orders"},
            "no misbehaviour of the data 'nonsense': lose",
        ),
        ({"kind": "no-recovery", "cluster": "nobody"}, "there is no cluster 'nobody'"),
        ({"kind": "lose-writes", "cluster": "orders", "writes": 0}, "number of rows from 1"),
        ({"kind": "lose-writes", "cluster": "orders", "seed": "x"}, "seed is a number: "),
        ({"kind": "slow-recovery", "cluster": "orders"}, "slow-recovery needs seconds"),
        ({"kind": "no-recovery", "cluster": "orders", "writes": 3}, "writes is for lose-writes"),
        ({"cluster": "orders"}, "there is no misbehaviour of the data ''"),
        (
            {"kind": "context-ignore", "cluster": "orders"},
            "no misbehaviour of the data 'context-ignore'",
        ),
        ({"kind": "no-recovery"}, "^no-recovery needs a cluster$"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_sentence(misbehaviours, order, said):
    with pytest.raises(NotALab, match=said):
        misbehaviours.order(**order)
    assert misbehaviours.holding() == []


def test_a_cluster_without_data_has_none_that_could_be_lost(rds, misbehaviours):
    empty = new_cluster(rds)
    with pytest.raises(NotALab, match="has no data: give it an instance first"):
        misbehaviours.order(kind="lose-writes", cluster=name_of(empty))


@pytest.mark.soak
def test_they_are_ordered_from_a_shell(lab, misbehaviours):
    command = [program("chaos"), "--no-version-check", "kms", "lab", "fault", "data"]
    ran = subprocess.run(
        [*command, "lose-writes", "orders", "--writes", "3", "--seed", "7"],
        env=lab.environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    ordered = {"kind": "lose-writes", "cluster": "orders", "writes": 3, "seed": 7}
    assert json.loads(ran.stdout) == ordered
    assert misbehaviours.holding() == [ordered]
