"""AWS Secrets Manager: secrets under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents.base import Dependent, Request, Service, service, tags_of
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["SecretsManager"]


@service
class SecretsManager(Service):
    """Lists all secrets; their key stands in the list."""

    name = "secretsmanager"
    fails = "GetSecretValue fails at once with DecryptionFailure, PutSecretValue with "
    fails += "EncryptionFailure; clients that cache a value go on until they ask again"
    source = "Secrets Manager API reference, GetSecretValue and PutSecretValue, Errors"
    looks = ("secretsmanager:ListSecrets",)
    canary_looks = ("secretsmanager:DescribeSecret",)
    canary_uses = ("secretsmanager:GetSecretValue",)

    def under(self, look: Look) -> Iterator[Dependent]:
        for each in look.each("secretsmanager", "ListSecrets", "SecretList", MaxResults=100):
            if look.is_under(each.get("KmsKeyId")):
                context = (("SecretARN", each["ARN"]),)
                yield Dependent(self.name, "secret", each["Name"], each["ARN"], context=context)

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        params = {"SecretId": dependent.arn}
        return tags_of(aws.call("secretsmanager", "DescribeSecret", params).get("Tags"))

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        return Request("secretsmanager", "GetSecretValue", {"SecretId": dependent.arn})
