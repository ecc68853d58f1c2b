"""DB subnet groups, which a stack makes before its cluster."""

from __future__ import annotations

import pytest

from tests.support.clusters import refusal
from tests.support.document import deviates, shows


@pytest.fixture
def rds(own_lab):
    return own_lab.client("rds")


def make(rds, name="Mine", subnets=("subnet-1", "subnet-2")):
    made = rds.create_db_subnet_group(
        DBSubnetGroupName=name, DBSubnetGroupDescription="of two", SubnetIds=list(subnets)
    )
    return made["DBSubnetGroup"]


@shows("rds:CreateDBSubnetGroup", "rds:DescribeDBSubnetGroups", "rds:DeleteDBSubnetGroup")
def test_a_group_is_made_with_a_small_name_described_and_deleted(rds):
    made = make(rds)
    assert made["DBSubnetGroupName"] == "mine"
    assert [each["SubnetIdentifier"] for each in made["Subnets"]] == ["subnet-1", "subnet-2"]
    assert rds.describe_db_subnet_groups()["DBSubnetGroups"] == [made]
    assert rds.describe_db_subnet_groups(DBSubnetGroupName="MINE")["DBSubnetGroups"] == [made]
    rds.delete_db_subnet_group(DBSubnetGroupName="mine")
    assert rds.describe_db_subnet_groups()["DBSubnetGroups"] == []
    again = {"DBSubnetGroupName": "mine"}
    assert refusal(rds.delete_db_subnet_group, **again) == "DBSubnetGroupNotFoundFault"
    assert refusal(rds.describe_db_subnet_groups, **again) == "DBSubnetGroupNotFoundFault"


@deviates("rds:CreateDBSubnetGroup", "counts subnets in place of their Availability Zones")
def test_a_group_has_two_subnets_and_a_name_of_its_own(rds):
    make(rds)
    for name in ("mine", "Default"):
        assert refusal(make, rds=rds, name=name) == "DBSubnetGroupAlreadyExists"
    one = {"rds": rds, "name": "other", "subnets": ["subnet-1", "subnet-1"]}
    assert refusal(make, **one) == "DBSubnetGroupDoesNotCoverEnoughAZs"


@shows("rds:DeleteDBSubnetGroup")
def test_a_group_in_use_stays(rds):
    make(rds)
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        MasterUsername="app",
        MasterUserPassword="not-so-secret",
        DBSubnetGroupName="mine",
    )
    in_use = refusal(rds.delete_db_subnet_group, DBSubnetGroupName="mine")
    assert in_use == "InvalidDBSubnetGroupStateFault"
