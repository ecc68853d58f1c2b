"""RDS Proxy and pending maintenance whole: labs that have them, under TLS too, and runs there."""

from __future__ import annotations

import json
import os
import signal
import socket

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.chaos import LabAsAws
from tests.support.chaos_runs import error, experiment
from tests.support.labs import client, until

pytestmark = pytest.mark.soak

FRONT = {"DBProxyName": "orders-proxy"}


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def lab(request):
    its = LocalLab.start(100, "observed", proxy=True, tls=request.param, readers=1)
    yield its
    its.stop()


def through(lab, **options):
    address = client(lab, "rds").describe_db_proxies(**FRONT)["DBProxies"][0]["Endpoint"]
    return make_conninfo(lab.clusters[0]["database"], host=address, connect_timeout=30, **options)


def health(lab):
    """Of the writer and of the reader: AVAILABLE, or the reason why not."""
    found = client(lab, "rds").describe_db_proxy_targets(**FRONT)["Targets"]
    its = [each["TargetHealth"] for each in found if "TargetHealth" in each]
    return [each.get("Reason", each["State"]) for each in its]


def writer(rds):
    """The writer of the cluster, once that is available."""
    (its,) = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"]
    members = [each for each in its["DBClusterMembers"] if each["IsClusterWriter"]]
    return its["Status"] == "available" and members[0]["DBInstanceIdentifier"]


def listens(address, port):
    try:
        socket.create_connection((address, port), 30).close()
    except ConnectionRefusedError:
        return False
    return True


def ask(connection, what="SELECT count(*) FROM users"):
    return connection.execute(what).fetchone()[0]


def test_an_idle_client_lives_through_the_loss_of_the_key_a_failover_and_a_secret_without_key(lab):
    kms, rds = client(lab, "kms"), client(lab, "rds")
    idle = psycopg.connect(through(lab), autocommit=True)
    assert ask(idle) == 4
    kms.disable_key(KeyId=lab.clusters[0]["key"])
    until(lambda: health(lab) == ["CONNECTION_FAILED", "CONNECTION_FAILED"])
    with pytest.raises(psycopg.OperationalError, match="Timed-out waiting to acquire"):
        psycopg.connect(through(lab))
    kms.enable_key(KeyId=lab.clusters[0]["key"])
    rds.start_db_cluster(DBClusterIdentifier="orders")
    until(lambda: health(lab) == ["AVAILABLE", "AVAILABLE"])
    assert ask(idle) == 4
    process = ask(idle, "SELECT pg_postmaster_start_time()")
    before = writer(rds)
    rds.failover_db_cluster(DBClusterIdentifier="orders")
    # It asks nothing before that is over: a statement that is under way would be cancelled.
    until(lambda: writer(rds) not in (False, before))
    until(lambda: health(lab) == ["AVAILABLE", "AVAILABLE"])
    assert ask(idle, "SELECT pg_postmaster_start_time()") != process
    secret = kms.describe_key(KeyId="alias/orders-proxy")["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=secret)
    until(lambda: health(lab) == ["AUTH_FAILURE", "AUTH_FAILURE"])
    with pytest.raises(psycopg.OperationalError, match="has no credentials for the role app"):
        psycopg.connect(through(lab))
    assert ask(idle) == 4
    kms.enable_key(KeyId=secret)
    until(lambda: health(lab) == ["AVAILABLE", "AVAILABLE"])
    psycopg.connect(through(lab)).close()


def test_under_tls_it_takes_nothing_else(lab):
    if lab.ca is None:
        psycopg.connect(through(lab)).close()
        return
    with pytest.raises(psycopg.OperationalError, match="requires TLS connections"):
        psycopg.connect(through(lab, sslmode="disable"))
    psycopg.connect(through(lab, sslmode="verify-full")).close()


def test_it_goes_with_the_lab_however_that_ends(lab):
    named = conninfo_to_dict(through(lab))
    connection = psycopg.connect(through(lab), autocommit=True)
    os.kill(lab._child.process.pid, signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        until(lambda: not ask(connection))
    until(lambda: not listens(named["host"], int(named["port"])))
    until(lambda: not lab.passfile.exists())  # its reaper has been there


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"CHAOS_PROXY": "nowhere"}, "there is no RDS Proxy nowhere in eu-west-1: check CHAOS_PRO"),
        ({"CHAOS_LAB_PROXY": "no"}, "CHAOS_PROXY is auto, and the lab has no RDS Proxy: set CHAOS"),
        (
            {"CHAOS_LAB_FAULTS": json.dumps([error("rds", "DescribeDBProxies")])},
            "whether CHAOS_PROXY can be used is not known: rds:DescribeDBProxies",
        ),
    ],
)
def test_a_run_that_cannot_go_through_it_is_refused_with_the_reason(chaos, env, why):
    ran = chaos.run(experiment("kms-proxy"), **env)
    assert ran.status == 1
    assert why in ran.output
    assert "Action: disable-the-key" not in ran.output


def test_a_run_says_what_the_proxy_said(chaos):
    ran = chaos.run(experiment("kms-proxy"))
    assert ran.status == 0, ran.output
    its = ran.summary["proxy"]
    assert (its["name"], its["reason"], its["state"]) == (
        "orders-proxy", "CONNECTION_FAILED", "AVAILABLE",
    )  # fmt: skip
    assert its["time_to_unavailable_seconds"] > 0
    assert its["time_to_available_seconds"] > 0
    assert ran.summary["writes"]["lost"] == 0
    assert ran.summary["hang"]["open_sessions"] is False


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", ["kms-proxy", "kms-maintenance"])
def test_on_aws_it_is_the_same_and_the_doctor_names_what_there_is(tmp_path, name):
    """The lab's proxies listen on their target's port, which AWS' do not."""
    there = LabAsAws.start(tmp_path, proxy=True, maintenance=3000, CHAOS_STATUS_POLL_EVERY="0.5")
    try:
        port = conninfo_to_dict(there.database)["port"]
        env = {"CHAOS_LAB_PROXY": "", "CHAOS_LAB_MAINTENANCE": ""}
        if name == "kms-proxy":
            env |= {"CHAOS_DATABASE": f"port={port}"}
        told = there.chaos.kms("doctor", **env)
        assert "orders-proxy is before orders, whose writer is AVAILABLE to it" in told.output
        assert "pending is system-update of orders" in told.output
        assert told.status == 0
        ran = there.chaos.run(experiment(name), **env)
        assert ran.status == 0, ran.output
        assert (ran.summary["proxy"] is not None) is (name == "kms-proxy")
        (spell,) = ran.summary["maintenance"]["spells"]
        assert spell["status"] == "maintenance"
    finally:
        there.lab.stop()


@pytest.mark.timeout(280)
def test_a_run_whose_proxy_is_deleted_gives_up_and_puts_the_key_back(tmp_path):
    there = LabAsAws.start(tmp_path, proxy=True, CHAOS_STATUS_POLL_EVERY="0.5")
    try:
        port = conninfo_to_dict(there.database)["port"]
        env = {"CHAOS_LAB_PROXY": "", "CHAOS_DATABASE": f"port={port}"}
        running = there.chaos.start_run(experiment("kms-proxy"), **env)
        until(lambda: there.key_state() == "Disabled")
        there.client("rds").delete_db_proxy(**FRONT)
        ran = running.wait(200)
        assert ran.status == 1
        assert "action wait-until-the-proxy-loses-the-writer: rds:DescribeDBProxyT" in ran.output
        assert (there.key_state(), there.cluster_status()) == ("Enabled", "available")
    finally:
        there.lab.stop()
