"""Stacks with keys and clusters: made as a whole, changed, rolled back, deleted."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from tests.support import staging
from tests.support.clusters import refusal
from tests.support.document import deviates, shows
from tests.support.identities import allow, somebody

pytestmark = pytest.mark.thorough

KEY = {"Type": "AWS::KMS::Key", "Properties": {"Description": "one", "PendingWindowInDays": "7"}}
CLUSTER = {
    "Type": "AWS::RDS::DBCluster",
    "DeletionPolicy": "Delete",
    "Properties": {
        "DBClusterIdentifier": {"Fn::Sub": "${AWS::StackName}-db"},
        "Engine": "aurora-postgresql",
        "MasterUsername": "app",
        "StorageEncrypted": True,
        "KmsKeyId": {"Fn::GetAtt": "Key.Arn"},
        "ServerlessV2ScalingConfiguration": {"MinCapacity": "0.5", "MaxCapacity": {"Ref": "Most"}},
    },
}
INSTANCE = {
    "Type": "AWS::RDS::DBInstance",
    "Properties": {
        "DBClusterIdentifier": {"Ref": "Cluster"},
        "DBInstanceClass": "db.serverless",
        "Engine": "aurora-postgresql",
    },
}
OF_KEY = {"TargetKeyId": {"Ref": "Key"}}
ALIAS = {
    "Type": "AWS::KMS::Alias",
    "Properties": {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}"}, **OF_KEY},
}
BAD_ALIAS = {
    "Type": "AWS::KMS::Alias",
    "DependsOn": "Alias",
    "Properties": {"AliasName": "no-alias", **OF_KEY},
}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "AWS::StackName"}}}
MOST = {"Most": {"Type": "Number", "Default": 4}}


def text(parameters=MOST, **resources):
    return json.dumps({"Parameters": parameters, "Resources": {"Key": KEY, **resources}})


class Stacks:
    """CloudFormation, with a clock that is moved while a stack is worked on."""

    def __init__(self, own_lab):
        self.client = own_lab.client
        self.cloud = own_lab.client("cloudformation")
        self.name = f"s{uuid.uuid4().hex[:8]}"
        self._lab = own_lab

    def finish(self):
        return staging.finished(self.client, self.name, self.pass_time)

    def pass_time(self):
        self._lab.pass_time(100)

    def create(self, body, **more):
        self.cloud.create_stack(StackName=self.name, TemplateBody=body, **more)
        return self.finish()

    def update(self, body, **more):
        self.cloud.update_stack(StackName=self.name, TemplateBody=body, **more)
        return self.finish()

    def delete(self):
        self.cloud.delete_stack(StackName=self.name)
        return self.finish()

    def ids(self):
        found = self.cloud.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def events(self):
        found = self.cloud.describe_stack_events(StackName=self.name)["StackEvents"]
        return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in reversed(found)]

    def key_state(self, key):
        return self.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]

    def aliases(self):
        return [each["AliasName"] for each in self.client("kms").list_aliases()["Aliases"]]

    def clusters(self):
        found = self.client("rds").describe_db_clusters()["DBClusters"]
        return {each["DBClusterIdentifier"]: each for each in found}


@pytest.fixture
def stacks(own_lab):
    return Stacks(own_lab)


def parameters(**given):
    return staging.parameters(given)


@shows(
    "cloudformation:CreateStack", "cloudformation:DescribeStacks", "cloudformation:DeleteStack",
    "cloudformation:DescribeStackEvents", "cloudformation:ListStackResources",
)  # fmt: skip
def test_a_stack_is_made_in_the_order_of_what_needs_what_and_deleted_in_the_other(stacks):
    body = json.loads(text(Instance=INSTANCE, Cluster=CLUSTER))
    body["Outputs"] = {
        "Cluster": {"Value": {"Ref": "Cluster"}, "Description": "its id"},
        "Endpoint": {"Value": {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}},
    }
    made = stacks.create(json.dumps(body), Tags=[{"Key": "team", "Value": "shop"}])
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert made["Tags"] == [{"Key": "team", "Value": "shop"}]
    done = [name for name, status in stacks.events() if status == "CREATE_COMPLETE"]
    assert done == ["Key", "Cluster", "Instance", stacks.name]
    cluster = stacks.clusters()[f"{stacks.name}-db"]
    ids = stacks.ids()
    assert (cluster["Status"], cluster["KmsKeyId"].rsplit("/")[-1]) == ("available", ids["Key"])
    said = staging.outputs(made)
    assert said["Cluster"] == cluster["DBClusterIdentifier"]
    assert said["Endpoint"] == cluster["Endpoint"]

    arn = made["StackId"]
    assert stacks.delete() == {}
    gone = stacks.cloud.describe_stacks(StackName=arn)["Stacks"][0]
    assert (gone["StackStatus"], gone["Outputs"]) == ("DELETE_COMPLETE", [])
    assert stacks.clusters() == {}
    assert stacks.key_state(ids["Key"]) == "PendingDeletion"
    found = stacks.cloud.describe_stack_events(StackName=arn)["StackEvents"]
    deleted = [each["LogicalResourceId"] for each in reversed(found)
               if each["ResourceStatus"] == "DELETE_COMPLETE"]  # fmt: skip
    assert deleted == ["Instance", "Cluster", "Key", stacks.name]


@shows("cloudformation:CreateStack", "cloudformation:DescribeStackResources")
def test_a_resource_that_fails_takes_all_that_was_made_before_it_away(stacks):
    failed = stacks.create(text(Alias=ALIAS, Bad=BAD_ALIAS))
    assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
    (why,) = staging.failures(stacks.client, stacks.name)
    assert why.startswith("Bad: ")
    assert "ValidationException" in why
    assert stacks.aliases() == []
    found = stacks.cloud.describe_stack_resources(StackName=stacks.name)["StackResources"]
    assert found == []
    assert refusal(stacks.update, body=text()) == "ValidationError"
    assert stacks.delete() == {}


def test_without_a_rollback_it_stays_as_it_is(stacks):
    failed = stacks.create(text(Alias=ALIAS, Bad=BAD_ALIAS), OnFailure="DO_NOTHING")
    assert (failed["StackStatus"], failed["DisableRollback"]) == ("CREATE_FAILED", True)
    assert set(stacks.ids()) == {"Key", "Alias"}
    assert stacks.delete() == {}
    assert stacks.aliases() == []


def test_what_is_there_only_in_part_goes_as_well(stacks):
    half = {
        "Type": "AWS::KMS::Key",
        "Properties": {"Origin": "EXTERNAL", "EnableKeyRotation": True},
    }
    assert stacks.create(text(Half=half))["StackStatus"] == "ROLLBACK_COMPLETE"
    (why,) = staging.failures(stacks.client, stacks.name)
    assert why.startswith("Half: ")
    assert ("Half", "DELETE_COMPLETE") in stacks.events()
    keys = [each["KeyId"] for each in stacks.client("kms").list_keys()["Keys"]]
    assert [stacks.key_state(key) for key in keys] == ["PendingDeletion"] * 2


@shows("cloudformation:UpdateStack")
def test_an_update_changes_makes_and_removes(stacks):
    stacks.create(text(Cluster=CLUSTER, Alias=ALIAS))
    had = stacks.ids()
    done = stacks.update(text(Cluster=CLUSTER, Instance=INSTANCE), Parameters=parameters(Most="8"))
    assert done["StackStatus"] == "UPDATE_COMPLETE"
    (cluster,) = stacks.clusters().values()
    assert cluster["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 8
    now = stacks.ids()
    assert set(now) == {"Key", "Cluster", "Instance"}
    assert (now["Key"], now["Cluster"]) == (had["Key"], had["Cluster"])
    assert stacks.aliases() == []
    again = {"Parameters": [{"ParameterKey": "Most", "UsePreviousValue": True}]}
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update(text(Cluster=CLUSTER, Instance=INSTANCE), **again)


@shows("cloudformation:UpdateStack")
def test_an_update_that_fails_is_undone(stacks):
    stacks.create(text(Cluster=CLUSTER))
    had = stacks.ids()
    worse = text(
        Cluster=CLUSTER, Topic=TOPIC, Alias={**BAD_ALIAS, "DependsOn": ["Topic", "Cluster"]}
    )
    done = stacks.update(worse, Parameters=parameters(Most="8"))
    assert done["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    (cluster,) = stacks.clusters().values()
    assert cluster["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 4
    assert stacks.ids() == had
    assert stacks.aliases() == []


def test_an_update_may_be_of_parameters_alone(stacks):
    stacks.create(text(Cluster=CLUSTER))
    stacks.cloud.update_stack(
        StackName=stacks.name, UsePreviousTemplate=True, Parameters=parameters(Most="2")
    )
    assert stacks.finish()["StackStatus"] == "UPDATE_COMPLETE"
    (cluster,) = stacks.clusters().values()
    assert cluster["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 2


def test_what_cannot_be_changed_is_made_anew_and_the_old_one_goes(stacks):
    stacks.create(text(Alias=ALIAS))
    had = stacks.ids()
    other = {**KEY, "Properties": {**KEY["Properties"], "MultiRegion": True}}
    stacks.update(text(Key=other, Alias=ALIAS))
    now = stacks.ids()
    (alias,) = stacks.client("kms").list_aliases()["Aliases"]
    assert alias["TargetKeyId"] == now["Key"]
    assert stacks.key_state(now["Key"]) == "Enabled"
    assert stacks.key_state(had["Key"]) == "PendingDeletion"


def test_a_stack_can_be_deleted_while_it_is_made(stacks):
    stacks.cloud.create_stack(StackName=stacks.name, TemplateBody=text(Cluster=CLUSTER))
    staging.until(lambda: stacks.clusters())
    assert refusal(stacks.update, body=text()) == "ValidationError"
    assert stacks.delete() == {}
    assert stacks.clusters() == {}


def test_a_key_stays_as_long_as_its_cluster_cannot_be_deleted(stacks):
    properties = {**CLUSTER["Properties"], "DeletionProtection": True}
    protected = {**CLUSTER, "Properties": properties}
    stacks.create(text(Cluster=protected, Alias=ALIAS))
    key = stacks.ids()["Key"]
    failed = stacks.delete()
    assert failed["StackStatus"] == "DELETE_FAILED"
    assert "failed to delete: [Cluster]" in failed["StackStatusReason"]
    assert set(stacks.ids()) == {"Key", "Cluster"}
    assert stacks.key_state(key) == "Enabled"
    stacks.client("rds").modify_db_cluster(
        DBClusterIdentifier=stacks.ids()["Cluster"], DeletionProtection=False
    )
    assert stacks.delete() == {}
    assert stacks.key_state(key) == "PendingDeletion"


def test_a_stack_can_be_deleted_while_it_is_rolled_back(stacks):
    stacks.cloud.create_stack(
        StackName=stacks.name,
        TemplateBody=text(Cluster=CLUSTER, Bad={**BAD_ALIAS, "DependsOn": "Cluster"}),
    )
    staging.until(lambda: stacks.clusters())
    stacks.pass_time()
    staging.until(lambda: (stacks.name, "ROLLBACK_IN_PROGRESS") in stacks.events())
    assert stacks.delete() == {}
    assert stacks.clusters() == {}


def test_the_resources_are_made_as_whoever_orders_the_stack(own_lab, stacks):
    client = somebody(own_lab, allow("cloudformation:*"), allow("kms:TagResource"))
    client("cloudformation").create_stack(StackName=stacks.name, TemplateBody=text())
    assert stacks.finish()["StackStatus"] == "ROLLBACK_COMPLETE"
    (why,) = staging.failures(stacks.client, stacks.name)
    assert "not authorized to perform: kms:CreateKey" in why


@shows("cloudformation:DescribeStacks")
def test_without_a_name_the_stacks_of_both_kinds_are_listed(stacks):
    other = f"{stacks.name}-other"
    only_topic = json.dumps({"Resources": {"Topic": TOPIC}})
    stacks.cloud.create_stack(StackName=other, TemplateBody=only_topic)
    stacks.create(text())
    names = {each["StackName"] for each in stacks.cloud.describe_stacks()["Stacks"]}
    assert {stacks.name, other} <= names
    for name in (stacks.name, other):
        with pytest.raises(ClientError, match="already exists"):
            stacks.cloud.create_stack(StackName=name, TemplateBody=text())
    stacks.cloud.delete_stack(StackName=other)
    stacks.delete()


@deviates("cloudformation:CreateStack", "makes no resources as a role (RoleARN)")
@deviates(
    "cloudformation:CreateStack",
    "makes stacks with keys or clusters of the types of `deploy/staging.yaml` alone, and of their "
    "functions those that it uses; others are answered `NotImplemented`",
)
@deviates("cloudformation:CreateStack", "takes no final snapshot of a DB cluster, and says so")
def test_what_the_lab_does_not_do_is_said_before_anything_is_made(stacks):
    kept = {**CLUSTER, "DeletionPolicy": "Snapshot"}
    output = {"Value": "a", "Export": {"Name": "b"}}
    exporting = json.dumps({**json.loads(text()), "Outputs": {"A": output}})
    for body, more, why in [
        (text(), {"RoleARN": "arn:aws:iam::123456789012:role/cloud"}, "leave RoleARN out"),
        (text(), {"OnFailure": "DELETE"}, "leave OnFailure DELETE out"),
        (text(Cluster=kept), {}, "no final snapshot of Cluster"),
        (text(Q={"Type": "AWS::SQS::Queue"}), {}, "does not do cloudformation:CreateStack with"),
        (text(Topic={**TOPIC, "Properties": {"TopicName": {"Fn::Base64": "a"}}}), {}, "Fn::Base64"),
        (exporting, {}, "does no exports"),
        (json.dumps({**json.loads(text()), "Transform": "Own"}), {}, "does no transforms"),
    ]:
        with pytest.raises(ClientError, match=why):
            stacks.create(body, **more)
    assert stacks.finish() == {}


@deviates("cloudformation:DescribeStackEvents", "has all events on one page")
def test_what_else_is_asked_of_such_a_stack_is_not_implemented(stacks):
    stacks.create(text())
    assert stacks.events()[0] == (stacks.name, "CREATE_IN_PROGRESS")
    more = {"StackName": stacks.name, "ChangeSetName": "c", "TemplateBody": text()}
    assert refusal(stacks.cloud.create_change_set, **more) == "NotImplemented"
    assert refusal(stacks.cloud.get_template, StackName=stacks.name) == "NotImplemented"
    assert refusal(stacks.cloud.list_stacks) == "NotImplemented"


WRONG = {
    "a circle": (
        {"A": {**TOPIC, "DependsOn": "B"}, "B": {**TOPIC, "DependsOn": "A"}}, {}, "Circular",
    ),
    "nothing of that name": (
        {"A": {**TOPIC, "Properties": {"TopicName": {"Ref": "Nobody"}}}}, {}, "Unresolved",
    ),
    "no such condition": ({"A": {**TOPIC, "Condition": "Nobody"}}, {}, "Unresolved condition"),
    "a function of no use": (
        {"A": {**TOPIC, "Properties": {"TopicName": {"Fn::If": ["x"]}}}}, {}, "format error",
    ),
    "properties that are none": ({"A": {**TOPIC, "Properties": [1]}}, {}, "format error"),
    "a resource that is none": ({"A": "AWS::SNS::Topic"}, {}, "The lab does not do"),
    "no such parameter": ({}, {"Least": "1"}, "do not exist in the template"),
    "no number": ({}, {"Most": "many"}, "must be a number"),
    "IAM": (
        {"R": {"Type": "AWS::IAM::Role", "Properties": {}}}, {}, "Requires capabilities",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_template_that_cannot_be_is_refused_in_a_sentence(stacks, case):
    resources, given, why = WRONG[case]
    with pytest.raises(ClientError, match=why) as refused:
        stacks.create(text(**resources), Parameters=parameters(**given))
    assert refused.value.response["Error"]["Code"] in (
        "ValidationError", "InsufficientCapabilitiesException", "NotImplemented",
    )  # fmt: skip
    assert stacks.finish() == {}


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"AliasName": {"Fn::GetAtt": "Key.Nothing"}}, "Key has no attribute Nothing"),
        ({"AliasName": "no good name!"}, "ValidationException"),
        ({"AliasName": "alias/a", "Of": "b"}, "unsupported property Of"),
        ({"AliasName": ["alias/a"]}, "Parameter validation failed"),
        ({}, "Missing required parameter"),
    ],
)
def test_properties_that_cannot_be_fail_their_resource_and_roll_back(stacks, properties, why):
    done = stacks.create(text(Alias={**ALIAS, "Properties": {**OF_KEY, **properties}}))
    assert done["StackStatus"] == "ROLLBACK_COMPLETE"
    (failed,) = staging.failures(stacks.client, stacks.name)
    assert failed.startswith("Alias: ")
    assert why in failed
