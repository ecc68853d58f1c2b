"""A staging stack (deploy/staging.yaml) on a lab that plays AWS."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import ClientError

from tests.support.labs import until

TEMPLATE = Path(__file__).parents[2] / "deploy" / "staging.yaml"
CLUSTER = "kms-staging"
NAME = "game-days"

EVERYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


def network(client):
    """The parameters that every stack takes: a VPC, two of its subnets, and a security group."""
    ec2 = client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ours = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=ours)["Subnets"]]
    groups = ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
    return {
        "VpcId": vpc,
        "SubnetIds": ",".join(subnets[:2]),
        "ClientSecurityGroup": groups[0]["GroupId"],
    }


def parameters(given):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]


def described(client, name=NAME):
    """What DescribeStacks says of a stack; nothing if it is not there."""
    try:
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as problem:
        assert "does not exist" in str(problem)
        return {}


def finished(client, name=NAME, between=lambda: None, timeout=60):
    """The stack, when nothing goes on in it any more. `between`: what is done between two looks."""

    def over():
        between()
        found = described(client, name)
        return not found.get("StackStatus", "").endswith("IN_PROGRESS") and [found]

    return until(over, timeout=timeout)[0]


def outputs(stack):
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def failures(client, name=NAME):
    """The events of a stack that say that something failed: for a test that does."""
    events = client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return [
        f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason')}"
        for each in reversed(events)
        if "FAILED" in each["ResourceStatus"]
    ]


def session(lab_as_aws, role, seconds=43200):
    """The environment of a session of a role."""
    given = lab_as_aws.client("sts").assume_role(
        RoleArn=role, RoleSessionName="game-day", DurationSeconds=seconds
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
        "AWS_CREDENTIAL_EXPIRATION": given["Expiration"].isoformat(),
    }


def evaluated(text):
    """What a shell has after `eval "$(…)"` of a text of export lines."""
    script = 'eval "$1"; env -0'
    done = subprocess.run(
        ["sh", "-c", script, "sh", text], env={}, capture_output=True, text=True, timeout=10
    )
    assert (done.returncode, done.stderr) == (0, "")
    pairs = (each.partition("=") for each in done.stdout.split("\0") if each)
    return {name: value for name, _, value in pairs if name not in ("PWD", "SHLVL", "_", "OLDPWD")}


@contextmanager
def as_people_assume_it(lab_as_aws, role):
    """A session of a new role that has the policies of a role of a service."""
    iam = lab_as_aws.client("iam")
    iam.create_role(
        RoleName="twin",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [EVERYBODY]}),
    )
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    for name in names:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        iam.put_role_policy(RoleName="twin", PolicyName=name, PolicyDocument=json.dumps(document))
    yield session(lab_as_aws, "arn:aws:iam::123456789012:role/twin", 3600)
    for name in names:
        iam.delete_role_policy(RoleName="twin", PolicyName=name)
    iam.delete_role(RoleName="twin")
