"""botocore's models of services, each loaded once."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.session import get_session

__all__ = ["NAMES", "model"]

NAMES: dict[str, tuple[str, ...]] = {
    "aidevops": ("devops-agent",),
    "aoss": ("opensearchserverless",),
    "apigateway": ("apigatewayv2", "apigateway"),
    "aps": ("amp",),
    "aws-marketplace": ("meteringmarketplace",),
    "bedrock": ("bedrock-agent", "bedrock-runtime", "bedrock"),
    "bedrock-agentcore": ("bedrock-agentcore-control", "bedrock-agentcore"),
    "cloudhsm": ("cloudhsmv2",),
    "connect-campaigns": ("connectcampaigns",),
    "dynamodb": ("dynamodbstreams", "dynamodb"),
    "elasticfilesystem": ("efs",),
    "elasticloadbalancing": ("elb", "elbv2"),
    "elasticmapreduce": ("emr",),
    "es": ("opensearch", "es"),
    "iotdata": ("iot-data",),
    "kinesisanalytics": ("kinesisanalytics", "kinesisanalyticsv2"),
    "kinesisvideo": ("kinesis-video-archived-media", "kinesisvideo"),
    "lex": ("lexv2-models",),
    "mediastore": ("mediastore-data", "mediastore"),
    "mobiletargeting": ("pinpoint",),
    "monitoring": ("cloudwatch",),
    "s3": ("s3control", "s3"),
    "sagemaker": ("sagemaker-metrics", "sagemaker-runtime", "sagemaker"),
    "servicecatalog": ("servicecatalog-appregistry", "servicecatalog"),
    "servicequotas": ("service-quotas",),
    "ses": ("sesv2", "ses"),
    "sso": ("sso-admin",),
    "states": ("stepfunctions",),
    "tagging": ("resourcegroupstaggingapi",),
    "timestream": ("timestream-query", "timestream-write"),
}
"""Name that requests are signed for → names of the models, of moto's services where they differ; a
request that none of them knows is one for the last."""


@cache
def model(service: str) -> Any:
    """The model of a service, by either name; raises botocore's UnknownServiceError."""
    return _session().get_service_model(NAMES.get(service, (service,))[-1])


@cache
def _session() -> Any:
    # One for all: each lists every service that there is before it loads its first.
    return get_session()
