"""Amazon S3: buckets whose objects are encrypted under the key by default (SSE-KMS).

An object that names another key than its bucket's default is not seen: S3 lists no keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.dependents.base import Dependent, Request, Service, service, tags_of
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["S3"]

NONE = ("ServerSideEncryptionConfigurationNotFoundError", "NoSuchBucket")
NO_TAGS = ("NoSuchTagSet", "NoSuchBucket")

TRIED = 20
"""Objects of a bucket that a canary looks at to find one under the key."""


@service
class S3(Service):
    """Lists the buckets of the Region, and asks each for its default encryption."""

    name = "s3"
    fails = "GetObject and PutObject fail with KMS.DisabledException or "
    fails += "KMS.KMSInvalidStateException: at once, or with an S3 Bucket Key when that runs out, "
    fails += "after a time that AWS does not say"
    source = "Amazon S3 API reference, Error responses; User Guide, Reducing the cost of SSE-KMS "
    source += "with Amazon S3 Bucket Keys"
    looks = ("s3:ListAllMyBuckets", "s3:GetEncryptionConfiguration")
    canary_looks = ("s3:GetBucketTagging",)
    canary_uses = ("s3:ListBucket", "s3:GetObject")

    def under(self, look: Look) -> Iterator[Dependent]:
        partition = look.key.split(":")[1]
        for each in look.each("s3", "ListBuckets", "Buckets", BucketRegion=look.region):
            if each.get("BucketRegion", look.region) != look.region:
                continue
            for rule in _rules(look, each["Name"]):
                usual = rule.get("ApplyServerSideEncryptionByDefault") or {}
                if look.is_under(usual.get("KMSMasterKeyID")):
                    arn = f"arn:{partition}:s3:::{each['Name']}"
                    keep = None if rule.get("BucketKeyEnabled") else 0.0
                    context = (("aws:s3:arn", arn),)
                    yield Dependent(self.name, "bucket", each["Name"], arn, keep, context)
                    break

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        try:
            answer = aws.call("s3", "GetBucketTagging", {"Bucket": dependent.name})
        except AwsError as problem:
            if problem.code in NO_TAGS:
                return {}
            raise
        return tags_of(answer.get("TagSet"))

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        """The first byte of an object that is under the key itself."""
        bucket = dependent.name
        listed = aws.call("s3", "ListObjectsV2", {"Bucket": bucket, "MaxKeys": TRIED})
        for each in listed.get("Contents") or []:
            named = {"Bucket": bucket, "Key": each["Key"]}
            if each.get("Size") and _key_of(aws, named) == key_arn:
                return Request("s3", "GetObject", {**named, "Range": "bytes=0-0"})
        return f"none of its first {TRIED} objects is under the key and not empty"


def _rules(look: Look, bucket: str) -> list[dict[str, Mapping[str, str]]]:
    try:
        answer = look.ask("s3", "GetBucketEncryption", Bucket=bucket)
    except AwsError as problem:
        if problem.code in NONE:
            return []
        raise
    return list((answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or [])


def _key_of(aws: Aws, named: dict[str, str]) -> str:
    return str(aws.call("s3", "HeadObject", named).get("SSEKMSKeyId", ""))
