"""botocore's models of services, each loaded once, as the classes that moto's protocols need."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader
from moto.core.model import ServiceModel

__all__ = ["NAMES", "model", "model_named"]

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
"""Name that requests are signed for → names of the models, where they differ, of moto's services.
A request that none of the models knows is for the last one."""


def model(service: str) -> Any:
    """The model of a service, by the name that requests are signed for or by its own.

    Raises botocore's UnknownServiceError.
    """
    return model_named(NAMES.get(service, (service,))[-1])


@cache
def model_named(name: str) -> Any:
    """The model of this name; raises botocore's UnknownServiceError."""
    return ServiceModel(_loader().load_service_model(name, "service-2"), name)


@cache
def _loader() -> Loader:
    # One for all: each loader looks at the folders of all services before it loads the first.
    return Loader()
