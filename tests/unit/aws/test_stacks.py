"""What is read of a CloudFormation stack: one that is there and finished, or a plain reason."""

from __future__ import annotations

import json
import uuid

import pytest

from chaosaws_kms_ext.aws import stacks
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.errors import PlainError
from tests.support import staging
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import InProcessLab

KEY = {"Type": "AWS::KMS::Key"}
CLUSTER = {
    "Type": "AWS::RDS::DBCluster",
    "DeletionPolicy": "Delete",
    "Properties": {"Engine": "aurora-postgresql", "DBClusterIdentifier": "orders"},
}
BAD_ALIAS = {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "no-alias"}}


@pytest.fixture
def lab(tmp_path):
    return InProcessLab(tmp_path / "requests.jsonl")


@pytest.fixture
def aws(lab, tmp_path):
    return InProcessAws(lab, tmp_path)


def order(lab, outputs=None, **resources):
    """Orders a stack with a key and these; its name."""
    name = f"s{uuid.uuid4().hex[:8]}"
    said = {"Outputs": {key: {"Value": value} for key, value in (outputs or {}).items()}}
    body = json.dumps({"Resources": {"Key": KEY, **resources}, **(said if outputs else {})})
    lab.client("cloudformation").create_stack(StackName=name, TemplateBody=body)
    return name


def finish(lab, name):
    return staging.finished(lab.client, name, lambda: lab.pass_time(100))


def test_a_finished_stack_says_its_region_and_its_outputs(lab, aws):
    name = order(lab, {"ChaosClusterId": "orders", "Key": {"Ref": "Key"}})
    arn = finish(lab, name)["StackId"]
    (key,) = lab.client("kms").list_keys()["Keys"]
    for reference in (name, arn):
        found = stacks.describe(aws, reference)
        assert (found.name, found.region) == (name, "eu-west-1")
        assert found.outputs == {"ChaosClusterId": "orders", "Key": key["KeyId"]}


def test_a_stack_without_outputs_has_none(lab, aws):
    name = order(lab)
    finish(lab, name)
    assert stacks.describe(aws, name).outputs == {}


def test_of_one_that_is_not_there_the_region_is_said(aws):
    with pytest.raises(PlainError, match="there is no stack nobody in eu-west-1: look at its name"):
        stacks.describe(aws, "nobody")


def test_one_that_goes_on_is_not_finished(lab, aws):
    name = order(lab, Cluster=CLUSTER)  # which takes until the clock is moved
    with pytest.raises(PlainError) as refused:
        stacks.describe(aws, name)
    assert str(refused.value) == (
        f"the stack {name} is CREATE_IN_PROGRESS, so not everything of it is there: wait until it "
        "is finished"
    )
    finish(lab, name)
    assert stacks.describe(aws, name).name == name


def test_one_that_was_rolled_back_is_not_there_either(lab, aws):
    name = order(lab, Alias=BAD_ALIAS)
    finish(lab, name)
    with pytest.raises(PlainError, match=r"is ROLLBACK_COMPLETE, .*: look at its events"):
        stacks.describe(aws, name)


def test_other_errors_of_aws_are_said_as_they_are(aws):
    with pytest.raises(AwsError, match="cloudformation:DescribeStacks"):
        stacks.describe(aws, "")
