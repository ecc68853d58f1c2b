"""AWS Systems Manager Parameter Store: SecureString parameters under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents.base import Dependent, Request, Service, service, tags_of
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["ParameterStore"]

SECURE = [{"Key": "Type", "Option": "Equals", "Values": ["SecureString"]}]


@service
class ParameterStore(Service):
    """Lists all SecureString parameters; their key stands in the list."""

    name = "ssm"
    fails = "GetParameter with decryption, and PutParameter, fail at once with InvalidKeyId"
    source = "Systems Manager API reference, GetParameter, Errors; User Guide, AWS KMS encryption "
    source += "for Parameter Store SecureString parameters"
    looks = ("ssm:DescribeParameters",)
    canary_looks = ("ssm:ListTagsForResource",)
    canary_uses = ("ssm:GetParameter",)

    def under(self, look: Look) -> Iterator[Dependent]:
        account, partition = look.key.split(":")[4], look.key.split(":")[1]
        listed = look.each(
            "ssm", "DescribeParameters", "Parameters", ParameterFilters=SECURE, MaxResults=50
        )
        for each in listed:
            if look.is_under(each.get("KeyId")):
                name = each["Name"]
                of = f"arn:{partition}:ssm:{look.region}:{account}:parameter/{name.lstrip('/')}"
                yield Dependent(self.name, "parameter", name, of, context=(("PARAMETER_ARN", of),))

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        params = {"ResourceType": "Parameter", "ResourceId": dependent.name}
        return tags_of(aws.call("ssm", "ListTagsForResource", params).get("TagList"))

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        return Request("ssm", "GetParameter", {"Name": dependent.name, "WithDecryption": True})
