"""The Terraform module makes the same as the CloudFormation template.

Its files are parsed; expressions that it has are in `VALUES`, and one that is not there fails.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import hcl2
import pytest

from tests.support.staging import TEMPLATE
from tests.support.staging_template import (
    ACCOUNT,
    GIVEN,
    KEY,
    REGION,
    SECRET,
    as_iam_reads_it,
    document,
    generated,
    made,
    role,
    stack,
)

pytestmark = pytest.mark.deploy

MODULE = TEMPLATE.with_name("terraform")
CLUSTER = "kms-staging"
ISSUER, SUBJECT = "gitlab.com", "project_path:shop/orders:ref_type:branch:ref:main"
OIDC = {"OidcIssuer": ISSUER, "OidcSubject": SUBJECT}

KINDS = {
    "AWS::CloudWatch::Alarm": "aws_cloudwatch_metric_alarm",
    "AWS::EC2::SecurityGroup": "aws_security_group",
    "AWS::Events::Rule": "aws_cloudwatch_event_rule",
    "AWS::IAM::OIDCProvider": "aws_iam_openid_connect_provider",
    "AWS::IAM::Policy": "aws_iam_role_policy",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::KMS::Alias": "aws_kms_alias",
    "AWS::KMS::Key": "aws_kms_key",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
    "AWS::Logs::ResourcePolicy": "aws_cloudwatch_log_resource_policy",
    "AWS::RDS::DBCluster": "aws_rds_cluster",
    "AWS::RDS::DBInstance": "aws_rds_cluster_instance",
    "AWS::RDS::DBSubnetGroup": "aws_db_subnet_group",
    "AWS::SNS::Topic": "aws_sns_topic",
    "AWS::Scheduler::Schedule": "aws_scheduler_schedule",
    "AWS::StepFunctions::StateMachine": "aws_sfn_state_machine",
}

PARTS = {
    "aws_cloudwatch_event_target": 3,
    "aws_sns_topic_subscription": 1,
    "aws_vpc_security_group_ingress_rule": 1,
}
"""What are resources in Terraform, and properties in CloudFormation."""

THREE = "${local.patterns}"
"""What a resource is for each of; there are three."""


def files():
    return {path.name: path.read_text() for path in sorted(MODULE.glob("*.tf"))}


class Module:
    """What the files declare, by kind and name."""

    def __init__(self, texts):
        parsed = [hcl2.loads(text) for text in texts.values()]
        self.resources = _named(each for file in parsed for each in file.get("resource", []))
        self.data = _named(each for file in parsed for each in file.get("data", []))
        self.locals = {
            name: value
            for file in parsed
            for block in file.get("locals", [])
            for name, value in block.items()
        }
        self.variables = {
            _text(name): block
            for file in parsed
            for each in file.get("variable", [])
            for name, block in each.items()
        }

    def values(self):
        """What the module's expressions give for a stack."""
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
        copy_key = {"key_id": "other", "arn": f"{arn}other"}
        return {
            "local.account": ACCOUNT,
            "local.partition": "aws",
            "local.region": REGION,
            "local.runner": f"arn:aws:iam::{ACCOUNT}:root",
            "local.keys": [KEY, f"{arn}{KEY}", *copy_key.values()],
            "local.allow": {"chaos:allow": "kms"},
            "local.event_log": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:its-EventLog",
            "var.cluster_id": CLUSTER,
            "var.copy_every": "rate(1 day)",
            "var.min_capacity": "0.5",
            "var.max_capacity": "4",
            "var.oidc_issuer": ISSUER,
            "var.oidc_subject": SUBJECT,
            "aws_iam_role.run.arn": role("RunRole"),
            "aws_iam_role.switch.arn": role("SwitchRole"),
            "aws_iam_role.copy.arn": role("CopyRole"),
            "aws_kms_key.key.arn": f"{arn}{KEY}",
            "aws_kms_key.key.key_id": KEY,
            "aws_kms_key.copy.arn": copy_key["arn"],
            "aws_rds_cluster.database.id": CLUSTER,
            "aws_rds_cluster.database.master_user_secret[0].secret_arn": SECRET,
            "aws_sfn_state_machine.copy.arn": "its-Copy",
            "concat([aws_rds_cluster_instance.writer.id], aws_rds_cluster_instance.reader[*].id)":
                ["its-Writer"],
        }  # fmt: skip

    def value(self, said):
        """A value with its expressions carried out; raises KeyError for one that is not known."""
        known = self.values()
        if isinstance(said, list):
            return [self.value(each) for each in said]
        if isinstance(said, dict):
            return {
                _text(name): self.value(each) for name, each in said.items() if "__" not in name
            }
        if not isinstance(said, str):
            return said
        if said.startswith('"'):
            text = json.loads(said)
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(known[found[1]]), text)
        return known[said.removeprefix("${").removesuffix("}")]

    def document(self, name):
        """An IAM policy, from its data source."""
        declared = self.data["aws_iam_policy_document", name]
        blocks = [*declared["statement"]]
        for each in declared.get("dynamic", []):
            (block,) = each.values()
            blocks += block["content"]
        return {"Version": "2012-10-17", "Statement": [self._statement(each) for each in blocks]}

    def _statement(self, block):
        conditions = {}
        for each in block.get("condition", []):
            values = self.value(each["values"])
            of_test = conditions.setdefault(self.value(each["test"]), {})
            of_test[self.value(each["variable"])] = values[0] if len(values) == 1 else values
        principal = {
            self.value(each["type"]): _one(self.value(each["identifiers"]))
            for each in block.get("principals", [])
        }
        return {
            "Effect": "Allow",
            "Action": self.value(block["actions"]),
            **({"Resource": self.value(block["resources"])} if "resources" in block else {}),
            **({"Principal": principal} if principal else {}),
            **({"Condition": conditions} if conditions else {}),
        }


def _text(name):
    return json.loads(name) if name.startswith('"') else name


def _one(values):
    return values[0] if len(values) == 1 else values


def _named(blocks):
    found = {}
    for each in blocks:
        ((kind, named),) = each.items()
        ((name, block),) = named.items()
        assert (_text(kind), _text(name)) not in found
        found[_text(kind), _text(name)] = block
    return found


@pytest.fixture(scope="module")
def module():
    return Module(files())


DOCUMENTS = {
    "run": ("RunPolicy", "PolicyDocument"),
    "switch": ("SwitchPolicy", "PolicyDocument"),
    "switch_trust": ("SwitchRole", "AssumeRolePolicyDocument"),
}
OF_THE_TEMPLATE = {
    "copy": ("CopyPolicy", "PolicyDocument"),
    "copy_trust": ("CopyRole", "AssumeRolePolicyDocument"),
    "events": ("EventLogPolicy", "PolicyDocument"),
    "key": ("Key", "KeyPolicy"),
    "run_trust": ("RunRole", "AssumeRolePolicyDocument"),
    "start_copy": ("StartCopyPolicy", "PolicyDocument"),
    "start_copy_trust": ("StartCopyRole", "AssumeRolePolicyDocument"),
}


def differing(module):
    """The policies that are not those of the generator, or of the template."""
    template, wanted = stack(**OIDC), generated()
    theirs = {name: wanted[its] for name, its in DOCUMENTS.items()}
    for name, (resource, its) in OF_THE_TEMPLATE.items():
        said = document(template, resource, its)
        theirs[name] = json.loads(said) if isinstance(said, str) else said
    assert {name for _, name in module.data if _ == "aws_iam_policy_document"} == set(theirs)
    return {
        name
        for name, their in theirs.items()
        if as_iam_reads_it(module.document(name)) != as_iam_reads_it(their)
    }


def test_every_policy_is_that_of_chaos_kms_policy_or_of_the_template(module):
    assert differing(module) == set()


@pytest.mark.parametrize(
    ("file", "right", "wrong", "policy"),
    [
        ("roles.tf", '["kms:DisableKey"]', '["kms:*"]', "run"),
        ("roles.tf", '"ArnLike"', '"ArnEquals"', "switch_trust"),
        ("roles.tf", "values   = [var.oidc_subject]", 'values   = ["*"]', "run_trust"),
        ("copies.tf", "[aws_kms_key.key.arn, aws_kms_key.copy.arn]", '["*"]', "copy"),
        ("database.tf", 'type        = "AWS"', 'type        = "Service"', "key"),
    ],
)
def test_another_policy_is_noticed(file, right, wrong, policy):
    texts = files()
    assert texts[file].count(right) == 1
    assert differing(Module(texts | {file: texts[file].replace(right, wrong)})) == {policy}


def test_it_has_the_same_resources(module):
    of_template = Counter(
        KINDS[each["Type"]] for each in stack(**OIDC, Reader="yes").resources.values()
    )
    assert set(of_template) == set(KINDS.values())
    ours = Counter()
    for (kind, _), block in module.resources.items():
        ours[kind] += 3 if block.get("for_each") == THREE else 1
    assert len(module.locals["patterns"]) - 1 <= 3  # hcl2 may add a mark of its own
    assert ours == of_template + Counter(PARTS)


SAME = {
    ("aws_rds_cluster", "database", "Cluster"): {
        "backup_retention_period": "BackupRetentionPeriod",
        "cluster_identifier": "DBClusterIdentifier",
        "copy_tags_to_snapshot": "CopyTagsToSnapshot",
        "database_name": "DatabaseName",
        "engine": "Engine",
        "iam_database_authentication_enabled": "EnableIAMDatabaseAuthentication",
        "kms_key_id": "KmsKeyId",
        "manage_master_user_password": "ManageMasterUserPassword",
        "master_username": "MasterUsername",
        "storage_encrypted": "StorageEncrypted",
    },
    ("aws_rds_cluster_instance", "writer", "Writer"): {
        "engine": "Engine",
        "identifier": "DBInstanceIdentifier",
        "instance_class": "DBInstanceClass",
        "publicly_accessible": "PubliclyAccessible",
    },
    ("aws_rds_cluster_instance", "reader", "SecondInstance"): {
        "engine": "Engine",
        "identifier": "DBInstanceIdentifier",
        "instance_class": "DBInstanceClass",
        "publicly_accessible": "PubliclyAccessible",
    },
    **{
        ("aws_kms_key", ours, theirs): {
            "deletion_window_in_days": "PendingWindowInDays",
            "description": "Description",
            "enable_key_rotation": "EnableKeyRotation",
        }
        for ours, theirs in (("key", "Key"), ("copy", "CopyKey"))
    },
    ("aws_iam_role", "run", "RunRole"): {"max_session_duration": "MaxSessionDuration"},
    ("aws_cloudwatch_log_group", "events", "EventLog"): {
        "name": "LogGroupName",
        "retention_in_days": "RetentionInDays",
    },
    ("aws_scheduler_schedule", "copy", "CopySchedule"): {
        "name": "Name",
        "schedule_expression": "ScheduleExpression",
    },
    **{
        ("aws_cloudwatch_metric_alarm", ours, theirs): {
            "alarm_description": "AlarmDescription",
            "alarm_name": "AlarmName",
            "comparison_operator": "ComparisonOperator",
            "evaluation_periods": "EvaluationPeriods",
            "metric_name": "MetricName",
            "namespace": "Namespace",
            "period": "Period",
            "statistic": "Statistic",
            "threshold": "Threshold",
            "treat_missing_data": "TreatMissingData",
        }
        for ours, theirs in (("stop", "StopAlarm"), ("copy_failed", "CopyFailedAlarm"))
    },
}
"""Terraform's resource and CloudFormation's → attribute → property."""


@pytest.mark.parametrize("which", SAME, ids=lambda which: which[2])
def test_the_resources_are_alike(module, which):
    kind, ours, theirs = which
    template = stack(Reader="yes")
    properties = template.properties(theirs, made(template))
    block = module.resources[kind, ours]
    for attribute, name in SAME[which].items():
        assert module.value(block[attribute]) == properties[name], attribute


def test_key_and_cluster_carry_the_tag_and_nothing_else_does(module):
    tagged = {name for name, block in module.resources.items() if "tags" in block}
    assert tagged == {("aws_kms_key", "key"), ("aws_rds_cluster", "database")}
    for name in tagged:
        assert module.value(module.resources[name]["tags"]) == {"chaos:allow": "kms"}
    assert module.value(module.locals["allow"]) == {"chaos:allow": "kms"}


def test_the_cluster_scales_and_goes_as_it_does_there(module):
    block = module.resources["aws_rds_cluster", "database"]
    (scaling,) = block["serverlessv2_scaling_configuration"]
    assert (scaling["min_capacity"], scaling["max_capacity"]) == (
        "${var.min_capacity}", "${var.max_capacity}",
    )  # fmt: skip
    assert block["skip_final_snapshot"] is True


def test_the_events_are_matched_by_the_same_patterns(module):
    template = stack()
    patterns = module.value(module.locals["patterns"])
    for name, resource in (
        ("disabled-by-somebody", "DisabledBySomebody"),
        ("deletion-scheduled", "DeletionScheduled"),
        ("key-not-accessible", "KeyNotAccessible"),
    ):
        assert patterns[name] == template.properties(resource, made(template))["EventPattern"]


def test_the_copy_is_made_by_the_same_state_machine(module):
    text = (MODULE / "copy.asl.json.tftpl").read_text()
    given = {
        "cluster": CLUSTER,
        "partition": "aws",
        "copy_key": module.values()["aws_kms_key.copy.arn"],
    }
    rendered = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], text)
    template = stack()
    assert json.loads(rendered) == template.properties("Copy", made(template))["Definition"]
    used = str(module.resources["aws_sfn_state_machine", "copy"]["definition"])
    for name, of in (
        ("cluster", "aws_rds_cluster.database.id"),
        ("copy_key", "aws_kms_key.copy.arn"),
        ("partition", "local.partition"),
    ):
        assert re.search(rf"\b{name}\s*=\s*{re.escape(of)}\b", used), used


def test_its_settings_are_the_outputs_of_the_template(module):
    template = stack()
    outputs = {each["OutputKey"] for each in template.outputs(made(template))}
    theirs = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
        for name in outputs
        if name.startswith("Chaos")
    }
    assert {name for name in module.locals["settings"] if "__" not in name} == {
        "AWS_REGION", *theirs,
    }  # fmt: skip


def test_it_takes_the_parameters_of_the_template(module):
    def snake(name):
        return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

    assert set(module.variables) == set(map(snake, stack().parameters))
    assert {name for name, block in module.variables.items() if "default" not in block} == set(
        map(snake, GIVEN)
    )
