"""How a service is registered; and that each says everything that a reader wants to know."""

from __future__ import annotations

import re
from pathlib import Path

import boto3
import pytest

from chaosaws_kms_ext.dependents import BROKEN, SERVICES, Service, service
from chaosaws_kms_ext.dependents.base import tags_of


def test_all_are_there():
    assert BROKEN == {}
    assert set(SERVICES) == {
        "dynamodb", "ec2", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs", "ssm",
    }  # fmt: skip


def test_a_name_twice_is_an_error():
    with pytest.raises(ValueError, match="two services are called s3"):

        @service
        class Again(Service):
            name = "s3"

            def under(self, look):
                return iter(())


@pytest.mark.parametrize("its", SERVICES.values(), ids=list(SERVICES))
def test_each_says_how_it_fails_and_where_aws_says_so(its):
    assert len(its.fails) > 40
    assert re.search("reference|Guide", its.source)
    assert its.looks
    for action in (*its.looks, *its.canary_looks, *its.canary_uses):
        assert re.fullmatch(r"[a-z0-9]+:[A-Z]\w+", action)
    client = boto3.client(
        its.name, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    assert client.meta.service_model.signing_name in {*map(prefix, its.looks), "lambda"}


@pytest.mark.parametrize("its", SERVICES.values(), ids=list(SERVICES))
def test_the_page_says_the_same(its):
    page = (Path(__file__).parents[3] / "docs" / "dependents.md").read_text()
    assert f"| {its.fails} | {its.source} |" in page


def prefix(action):
    return action.partition(":")[0]


def test_tags_are_a_mapping_whatever_the_service_answers():
    assert tags_of([{"Key": "a", "Value": "1"}, {"Key": "b"}]) == {"a": "1", "b": ""}
    assert tags_of(None) == {}
