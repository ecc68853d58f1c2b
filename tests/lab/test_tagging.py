"""The tagging API knows the lab's own keys and clusters, and what is moto's beside them."""

from __future__ import annotations

import uuid

import pytest

from tests.support.clusters import refusal

CHAOS = {"Key": "chaos:allow", "Value": "kms"}


@pytest.fixture
def tagged(own_lab):
    """The ARNs of a key, a cluster and an instance with a tag, and of a topic of moto's."""
    kms, rds = own_lab.client("kms"), own_lab.client("rds")
    key = kms.create_key(Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}])["KeyMetadata"]["Arn"]
    kms.create_key()
    engine = {"Engine": "aurora-postgresql"}
    cluster = rds.create_db_cluster(DBClusterIdentifier="c", Tags=[CHAOS], **engine)["DBCluster"]
    instance = rds.create_db_instance(
        DBInstanceIdentifier="i",
        DBClusterIdentifier="c",
        DBInstanceClass="db.r6g.large",
        Tags=[{"Key": "chaos:allow", "Value": "no"}],
        **engine,
    )["DBInstance"]
    name = f"tagged-{uuid.uuid4()}"  # moto's resources outlive a lab
    topic = own_lab.client("sns").create_topic(Name=name, Tags=[CHAOS])["TopicArn"]
    return key, cluster["DBClusterArn"], instance["DBInstanceArn"], topic


def found(own_lab, **params):
    pages = (
        own_lab.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(**params)
    )
    return [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]


def test_everything_that_has_tags_is_found_once(own_lab, tagged):
    for params in ({}, {"ResourcesPerPage": 1}):
        everything = found(own_lab, **params)
        assert len(everything) == len(set(everything))
        assert set(tagged) <= set(everything)


def test_resources_are_found_by_tag_type_and_arn(own_lab, tagged):
    key, cluster, instance, topic = tagged
    allowed = [{"Key": "chaos:allow", "Values": ["kms"]}]
    assert set(found(own_lab, TagFilters=allowed)) & set(tagged) == {key, cluster, topic}
    assert set(tagged) <= set(found(own_lab, TagFilters=[{"Key": "chaos:allow"}]))
    assert found(own_lab, TagFilters=[{"Key": "nobody"}]) == []
    assert found(own_lab, ResourceTypeFilters=["kms:key"]) == [key]
    assert found(own_lab, ResourceTypeFilters=["rds"]) == [cluster, instance]
    assert found(own_lab, ResourceTypeFilters=["rds:cluster"], TagFilters=allowed) == [cluster]
    assert found(own_lab, ResourceARNList=[instance]) == [instance]


def test_of_another_region_nothing_is_found(own_lab, tagged):
    far = own_lab.client("resourcegroupstaggingapi", region="us-east-1")
    assert far.get_resources()["ResourceTagMappingList"] == []
    ask = own_lab.client("resourcegroupstaggingapi").get_resources
    assert refusal(ask, PaginationToken="nonsense") == "InvalidParameterException"
    assert refusal(ask, ResourcesPerPage=101) == "InvalidParameterException"
