"""A cluster with readers: its reader endpoint has a load, and figures, of its own."""

from __future__ import annotations

import json

import pytest

from tests.support.clusters import new_instance, up
from tests.support.labs import FAST

pytestmark = pytest.mark.thorough

LOST = 1200
"""AWS seconds."""


def test_a_reader_that_is_lost_is_in_its_windows_and_not_in_those_of_main(chaos):
    fault = {"kind": "lose-reader", "cluster": "orders", "seconds": LOST}
    ran = chaos.run(
        CHAOS_LAB_READERS="1",
        CHAOS_LAB_FAULTS=json.dumps([fault]),
        CHAOS_QUERY_DEADLINE="0.5",
        CHAOS_HOLD=str(LOST + 400),
    )
    assert ran.status == 0, ran.output
    summary = ran.summary
    lost, restart = summary["loads"]["reader"]["windows"]
    assert lost["seconds"] == pytest.approx(LOST / FAST, abs=0.8)
    assert lost["depth"] > 0.95
    assert lost["end"] < summary["timeline"]["put_back"]
    # Writer and readers are restarted together when the key is back.
    (of_main,) = summary["windows"]
    for each in (restart, of_main):
        assert each["begin"] > summary["timeline"]["put_back"]
        assert each["seconds"] < LOST / FAST
    assert summary["availability"] > summary["loads"]["reader"]["availability"] + 0.1
    assert "load reader" in ran.output


@pytest.mark.soak
def test_the_loss_of_the_key_is_an_outage_of_both_endpoints(aws):
    lab_as_aws = aws(CHAOS_READER_LOAD="yes")
    rds = lab_as_aws.client("rds")
    up(rds, new_instance(rds, {"DBClusterIdentifier": "orders"}, 2))
    ran = lab_as_aws.chaos.run(PGPASSWORD=lab_as_aws.lab.clusters[0]["password"])
    assert ran.status == 0, ran.output
    summary = ran.summary
    reader = summary["loads"]["reader"]
    (of_main,), (of_reader,) = summary["windows"], reader["windows"]
    assert of_reader["seconds"] == pytest.approx(of_main["seconds"], abs=1.5)
    assert reader["outage_seconds"] == of_reader["seconds"]
    assert reader["recovery_path"] == summary["recovery_path"]
    assert reader["connections"]["addresses"].keys() == {"127.0.0.2"}
    assert reader["client_saw"]["outage"]["hang"] > 0
    seen = reader["register_reads"]
    assert (seen["endpoint"], seen["in_session"]) == ("reader", 0)
    assert seen["seen"] > 10
    assert reader["writes"] is None
    assert summary["writes"]["lost"] == 0
