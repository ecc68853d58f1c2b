"""Maintenance that is pending is told, with the window if that is near; it refuses nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.cluster import cluster_of
from chaosaws_kms_ext.aws.instance import instance_of
from chaosaws_kms_ext.guard.maintenance import findings

ARN = "arn:aws:rds:eu-west-1:123456789012"
SUNDAY = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)


def cluster(window="sun:05:00-sun:05:30"):
    return cluster_of(
        {
            "DBClusterIdentifier": "orders",
            "DBClusterArn": f"{ARN}:cluster:orders",
            "Status": "available",
            "PreferredMaintenanceWindow": window,
        },
        [{"DBInstanceIdentifier": "orders-1", "DBInstanceStatus": "available"}],
    )


INSTANCE = instance_of(
    {
        "DBInstanceIdentifier": "orders",
        "DBInstanceArn": f"{ARN}:db:orders",
        "DBInstanceStatus": "available",
    }
)


class Rds:
    """Has this pending, by the filter that it is asked with."""

    def __init__(self, **pending):
        self.pending, self.asked = pending, []

    def pages(self, service, operation, params, member):
        assert (operation, member) == (
            "DescribePendingMaintenanceActions", "PendingMaintenanceActions",
        )  # fmt: skip
        ((its,),) = (params["Filters"],)
        self.asked.append((its["Name"], its["Values"]))
        return self.pending.get(its["Name"].replace("-", "_"), [])


def action(resource, name="system-update", **more):
    return {
        "ResourceIdentifier": f"{ARN}:{resource}",
        "PendingMaintenanceActionDetails": [{"Action": name, **more}],
    }


def told(aws, database=None, longest=600.0, now=SUNDAY):
    found = findings(aws, database or cluster(), longest, now)
    assert all((each.about, each.state) == ("maintenance", "unproven") for each in found)
    return [each.why for each in found]


def test_nothing_pending_is_nothing_to_say():
    aws = Rds()
    assert told(aws, longest=86400) == []
    assert aws.asked == [("db-cluster-id", ["orders"]), ("db-instance-id", ["orders-1"])]


def test_what_is_pending_of_the_cluster_and_its_instances_is_told_once():
    when = datetime(2026, 12, 6, 5, 0, tzinfo=UTC)
    its = action("cluster:orders", AutoAppliedAfterDate=when)
    aws = Rds(db_cluster_id=[its], db_instance_id=[its, action("db:orders-1", "os-upgrade")])
    assert told(aws) == [
        "pending is system-update of orders, to be applied on 2026-12-06 05:00 UTC, os-upgrade of "
        "orders-1: if it is applied meanwhile, the recovery takes longer"
    ]


def test_the_window_is_told_where_the_run_may_reach_into_it():
    aws = Rds(db_cluster_id=[action("cluster:orders")])
    (why,) = told(aws, longest=4000)
    assert why.endswith(
        "; the maintenance window is 2026-11-29 05:00 to 05:30 UTC, while the run may go on "
        "(CHAOS_NOT_DURING=maintenance keeps it free)"
    )
    (why,) = told(aws, longest=3000)
    assert "window" not in why


@pytest.mark.parametrize("window", ["", "whenever"])
def test_a_window_that_is_not_known_is_left_out(window):
    (why,) = told(Rds(db_cluster_id=[action("cluster:orders")]), cluster(window), 86400)
    assert "window" not in why


def test_of_an_instance_that_is_no_clusters_the_instance_is_asked_about():
    aws = Rds(db_instance_id=[action("db:orders")])
    assert len(told(aws, INSTANCE)) == 1
    assert aws.asked == [("db-instance-id", ["orders"])]


def test_what_rds_leaves_out_is_left_out():
    (why,) = told(Rds(db_cluster_id=[{}, {"PendingMaintenanceActionDetails": [{}]}]))
    assert why.startswith("pending is  of : if it is applied")


def test_whoever_may_not_ask_is_told_so():
    class Denied:
        def pages(self, *_):
            raise AwsError("rds:DescribePendingMaintenanceActions failed with AccessDenied")

    (why,) = told(Denied())
    assert why.startswith("whether maintenance of orders is pending is not known: rds:Describe")
