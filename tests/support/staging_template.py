"""The template deploy/staging.yaml with its functions carried out, as if all had been made."""

from __future__ import annotations

import copy
import functools

from chaosaws_kms_ext.cli.policy import USUAL
from chaosaws_kms_ext.faults import needs_of
from chaosaws_kms_ext.iam.permissions import Caller
from chaosaws_kms_ext.iam.policies import Place, policy, trust
from chaosaws_kms_lab import cloudformation_templates
from chaosaws_kms_lab.cloudformation.template import Made, Template
from tests.support.staging import TEMPLATE

ACCOUNT, REGION = "123456789012", "eu-west-1"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!cluster-1234-AbCdEf"
GIVEN = {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "ClientSecurityGroup": "sg-1"}
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/game-days/1",
    "AWS::StackName": "game-days",
    "AWS::URLSuffix": "amazonaws.com",
}


@functools.cache
def read():
    return cloudformation_templates.read(TEMPLATE.read_text())


def body():
    return copy.deepcopy(read())


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def made(template):
    """Everything of the template, as if it had been made."""
    arns = {
        name: Made(f"its-{name}", {"Arn": role(name), "GroupId": "sg-2"}) for name in template.order
    }
    key_arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
    return {
        **arns,
        "Key": Made(KEY, {"Arn": f"{key_arn}{KEY}"}),
        "CopyKey": Made("other", {"Arn": f"{key_arn}other"}),
        "Cluster": Made("kms-staging", {"MasterUserSecret.SecretArn": SECRET}),
    }


def stack(of=None, **given):
    return Template(of or body(), {**GIVEN, **given}, PSEUDO)


PLACE = Place(
    account=ACCOUNT,
    region=REGION,
    cluster="kms-staging",
    key=KEY,
    principal=role("RunRole"),
    switch_role=role("SwitchRole"),
    secret=SECRET,
)
"""The stack's own cluster, key, roles and secret."""

TARGET, OWN = needs_of(USUAL)


def as_iam_reads_it(document):
    """Without what makes no difference: one thing, or a list of one; the order of lists."""

    def listed(value):
        return sorted([value] if isinstance(value, str) else value)

    statements = [
        {
            name: listed(value) if name in ("Action", "Resource") else value
            for name, value in each.items()
        }
        for each in document["Statement"]
    ]
    return document["Version"], sorted(statements, key=str)


def document(template, resource, name="PolicyDocument"):
    return template.properties(resource, made(template))[name]


def generated():
    """What `chaos kms policy` prints for the stack: resource and property → document."""
    return {
        ("RunPolicy", "PolicyDocument"): policy(Caller.RUN, PLACE, TARGET, OWN),
        ("SwitchPolicy", "PolicyDocument"): policy(Caller.SWITCH, PLACE, TARGET, OWN),
        ("SwitchRole", "AssumeRolePolicyDocument"): trust(PLACE),
    }
