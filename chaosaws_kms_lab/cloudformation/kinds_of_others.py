"""The types of what a staging stack has beside its keys and its database: moto's, and schedules."""

from __future__ import annotations

from typing import Any

from chaosaws_kms_lab.cloudformation.kinds import Kind, Maker, Properties, as_json, tags
from chaosaws_kms_lab.cloudformation.template import Made

__all__ = ["KINDS"]

# CloudWatch


def _put_alarm(maker: Maker, properties: Properties) -> Made:
    name = properties.get("AlarmName") or maker.name(255)
    maker.call("cloudwatch", "PutMetricAlarm", **{**properties, "AlarmName": name})
    return Made(name)


def _delete_alarm(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("cloudwatch", "DeleteAlarms", AlarmNames=[made.ref])


# EC2


def _create_security_group(maker: Maker, properties: Properties) -> Made:
    name = properties.get("GroupName") or maker.name(255)
    vpc = {"VpcId": properties["VpcId"]} if "VpcId" in properties else {}
    made = maker.call(
        "ec2",
        "CreateSecurityGroup",
        GroupName=name,
        Description=properties["GroupDescription"],
        **vpc,
    )
    group = made["GroupId"]
    maker.begin(group)
    rules = [_ingress(each) for each in properties.get("SecurityGroupIngress") or []]
    if rules:
        maker.call("ec2", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=rules)
    return Made(group, {"GroupId": group, "VpcId": str(properties.get("VpcId", ""))})


def _ingress(rule: Properties) -> dict[str, Any]:
    """A rule of a template, as the API has it."""
    ports = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    about = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        return {**ports, "IpRanges": [{"CidrIp": rule["CidrIp"], **about}]}
    return {**ports, "UserIdGroupPairs": [{"GroupId": rule["SourceSecurityGroupId"], **about}]}


def _delete_security_group(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("ec2", "DeleteSecurityGroup", GroupId=made.ref)


# EventBridge


def _put_rule(maker: Maker, properties: Properties) -> Made:
    name = properties.get("Name") or maker.name(64)
    said = {each: properties[each] for each in ("Description", "State") if each in properties}
    pattern = as_json(properties["EventPattern"])
    answer = maker.call("events", "PutRule", Name=name, EventPattern=pattern, **said)
    made = maker.begin(name, Arn=answer["RuleArn"])
    if targets := properties.get("Targets"):
        maker.call("events", "PutTargets", Rule=name, Targets=targets)
    return made


def _delete_rule(maker: Maker, made: Made, properties: Properties) -> None:
    if targets := properties.get("Targets"):
        maker.call("events", "RemoveTargets", Rule=made.ref, Ids=[each["Id"] for each in targets])
    maker.call("events", "DeleteRule", Name=made.ref)


def _put_schedule(maker: Maker, properties: Properties) -> Made:
    name = properties.get("Name") or maker.name(64)
    answer = maker.call("scheduler", "CreateSchedule", **{**properties, "Name": name})
    return Made(name, {"Arn": answer["ScheduleArn"]})


def _delete_schedule(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("scheduler", "DeleteSchedule", Name=made.ref)


# IAM


def _create_role(maker: Maker, properties: Properties) -> Made:
    name = properties.get("RoleName") or maker.name(64)
    trust = as_json(properties["AssumeRolePolicyDocument"])
    said = {
        each: properties[each]
        for each in ("Description", "MaxSessionDuration", "Path")
        if each in properties
    }
    if "Tags" in properties:
        said["Tags"] = tags(properties)
    made = maker.call("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trust, **said)
    role = made["Role"]
    return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


def _update_role(maker: Maker, made: Made, properties: Properties) -> None:
    trust = as_json(properties["AssumeRolePolicyDocument"])
    maker.call("iam", "UpdateAssumeRolePolicy", RoleName=made.ref, PolicyDocument=trust)


def _delete_role(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("iam", "DeleteRole", RoleName=made.ref)


def _put_policy(maker: Maker, properties: Properties) -> Made:
    name, document = properties["PolicyName"], as_json(properties["PolicyDocument"])
    for role in properties["Roles"]:
        maker.call("iam", "PutRolePolicy", RoleName=role, PolicyName=name, PolicyDocument=document)
    return Made(name)


def _delete_policy(maker: Maker, made: Made, properties: Properties) -> None:
    for role in properties["Roles"]:
        maker.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=made.ref)


def _create_oidc_provider(maker: Maker, properties: Properties) -> Made:
    answer = maker.call(
        "iam",
        "CreateOpenIDConnectProvider",
        Url=properties["Url"],
        ClientIDList=properties.get("ClientIdList") or [],
        ThumbprintList=properties.get("ThumbprintList") or [],
    )
    arn = answer["OpenIDConnectProviderArn"]
    return Made(arn, {"Arn": arn})


def _delete_oidc_provider(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("iam", "DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=made.ref)


# CloudWatch Logs


def _create_log_group(maker: Maker, properties: Properties) -> Made:
    name = properties.get("LogGroupName") or maker.name(512)
    maker.call("logs", "CreateLogGroup", logGroupName=name)
    maker.begin(name)
    if days := properties.get("RetentionInDays"):
        maker.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=days)
    found = maker.call("logs", "DescribeLogGroups", logGroupNamePrefix=name)["logGroups"]
    return Made(name, {"Arn": found[0]["arn"]})


def _delete_log_group(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("logs", "DeleteLogGroup", logGroupName=made.ref)


def _put_log_policy(maker: Maker, properties: Properties) -> Made:
    name, document = properties["PolicyName"], as_json(properties["PolicyDocument"])
    maker.call("logs", "PutResourcePolicy", policyName=name, policyDocument=document)
    return Made(name)


def _delete_log_policy(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("logs", "DeleteResourcePolicy", policyName=made.ref)


# SNS and Step Functions


def _create_topic(maker: Maker, properties: Properties) -> Made:
    name = properties.get("TopicName") or maker.name(256)
    arn = maker.call("sns", "CreateTopic", Name=name)["TopicArn"]
    made = maker.begin(arn, TopicArn=arn, TopicName=name)
    for each in properties.get("Subscription") or []:
        maker.call("sns", "Subscribe", TopicArn=arn, **each)
    return made


def _delete_topic(maker: Maker, made: Made, _: Properties) -> None:
    found = maker.call("sns", "ListSubscriptionsByTopic", TopicArn=made.ref)
    for each in found.get("Subscriptions") or []:
        maker.call("sns", "Unsubscribe", SubscriptionArn=each["SubscriptionArn"])
    maker.call("sns", "DeleteTopic", TopicArn=made.ref)


def _create_state_machine(maker: Maker, properties: Properties) -> Made:
    name = properties.get("StateMachineName") or maker.name(80)
    definition = as_json(properties["Definition"])
    role = properties["RoleArn"]
    answer = maker.call(
        "stepfunctions", "CreateStateMachine", name=name, definition=definition, roleArn=role
    )
    return Made(answer["stateMachineArn"], {"Arn": answer["stateMachineArn"], "Name": name})


def _update_state_machine(maker: Maker, made: Made, properties: Properties) -> None:
    definition = as_json(properties["Definition"])
    maker.call(
        "stepfunctions", "UpdateStateMachine", stateMachineArn=made.ref, definition=definition
    )


def _delete_state_machine(maker: Maker, made: Made, _: Properties) -> None:
    maker.call("stepfunctions", "DeleteStateMachine", stateMachineArn=made.ref)


def _again(put: Any) -> Any:
    """An update that is made as the resource was: its API takes the same name again."""

    def update(maker: Maker, made: Made, properties: Properties) -> None:
        put(maker, properties)

    return update


KINDS = {
    "AWS::CloudWatch::Alarm": Kind(
        _put_alarm, _delete_alarm, _again(_put_alarm),
        (
            "AlarmActions", "AlarmDescription", "ComparisonOperator", "Dimensions",
            "EvaluationPeriods", "MetricName", "Namespace", "Period", "Statistic", "Threshold",
            "TreatMissingData",
        ),
    ),
    "AWS::EC2::SecurityGroup": Kind(_create_security_group, _delete_security_group),
    "AWS::Events::Rule": Kind(
        _put_rule, _delete_rule, _again(_put_rule), ("Description", "EventPattern", "State")
    ),
    "AWS::IAM::OIDCProvider": Kind(_create_oidc_provider, _delete_oidc_provider),
    "AWS::IAM::Policy": Kind(
        _put_policy, _delete_policy, _again(_put_policy), ("PolicyDocument",)
    ),
    "AWS::IAM::Role": Kind(
        _create_role, _delete_role, _update_role, ("AssumeRolePolicyDocument",)
    ),
    "AWS::Logs::LogGroup": Kind(_create_log_group, _delete_log_group),
    "AWS::Logs::ResourcePolicy": Kind(
        _put_log_policy, _delete_log_policy, _again(_put_log_policy), ("PolicyDocument",)
    ),
    "AWS::SNS::Topic": Kind(_create_topic, _delete_topic),
    "AWS::Scheduler::Schedule": Kind(_put_schedule, _delete_schedule),
    "AWS::StepFunctions::StateMachine": Kind(
        _create_state_machine, _delete_state_machine, _update_state_machine, ("Definition",)
    ),
}  # fmt: skip
