"""A cluster that is lost for good: refused on AWS, and each promise of the experiment broken once.

That it passes on a lab that behaves is shown by `pytest experiments/`.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.chaos_runs import experiment

pytestmark = pytest.mark.soak

TERMINAL = experiment("kms-terminal")


def misbehaving(chaos, kind, **env):
    order = [{"kind": kind, "cluster": "orders"}]
    ran = chaos.run(TERMINAL, CHAOS_LAB_FAULTS=json.dumps(order), **env)
    assert ran.status == 1, ran.output
    assert "Traceback" not in ran.output
    return ran


def test_on_aws_it_is_refused_before_anything_is_asked(aws):
    on_aws = aws()
    before = on_aws.lab.requests.read_bytes()
    ran = on_aws.chaos.run(TERMINAL)
    assert (ran.status, ran.reports.exists()) == (1, False)
    assert ran.said.startswith("this experiment loses its cluster for good, so it runs on the lab")
    assert on_aws.lab.requests.read_bytes() == before


def test_a_cluster_that_comes_back_from_the_terminal_state_is_found(chaos):
    ran = misbehaving(chaos, "terminal-comes-back")
    assert ran.summary["verdict"] == "failed"
    assert re.match(
        r"action the-cluster-stays-lost: orders was inaccessible-encryption-credentials, and is "
        r"(starting|available) now that its key is back",
        ran.summary["reasons"][0],
    )
    assert ran.summary["lost_for_good"]["stayed_seconds"] is None
    assert ran.summary["recovery_point"]["lost_before_backup"] == 0


def test_a_row_that_is_not_as_it_was_in_the_copy_is_found(chaos):
    ran = misbehaving(chaos, "row-changed-in-copy")
    assert (
        ran.summary["reasons"][0]
        == "action the-table-is-as-it-was returned False, and its tolerance is not met"
    )


def test_a_loss_that_is_longer_than_the_objective_is_missed(chaos):
    ran = chaos.run(TERMINAL, CHAOS_RPO="1")
    assert ran.status == 1
    (why,) = ran.summary["reasons"]
    assert why.startswith("objective missed: rpo was ")
    its = ran.summary["recovery_point"]
    assert its["lost_writes"] == its["acknowledged"] - its["present"] > 0
    assert its["last_present"]["acknowledged"] < its["first_lost"]["acknowledged"]
    assert its["backup_ordered"] < its["first_lost"]["acknowledged"]
    assert ran.summary["lab"]["recoverable_for"] == 1200
    assert ran.summary["lost_for_good"]["compressed_to_aws_seconds"] == 1200
