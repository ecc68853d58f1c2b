"""Amazon S3: objects under a customer managed key (SSE-KMS), with and without S3 Bucket Keys.

Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys": without a Bucket Key, S3
asks KMS at every request. "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys": with one, it
keeps a key of the bucket "for a limited time period", for each requester.
"""

from __future__ import annotations

import re

from chaosaws_kms_lab import moto_data
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.encrypted.data_keys import DataKeys, Encryption, Prepare, customers, not_done

__all__ = ["OPERATIONS"]

BUCKET_KEY = 300.0
"""AWS seconds for which a Bucket Key is used: assumed, AWS says only that the time is limited."""

OF_KMS = ("aws:kms", "aws:kms:dsse")
SOURCE = re.compile(r"/?(?P<bucket>[^/]+)/(?P<key>[^?]+)(\?versionId=(?P<version>.*))?")


def put_object(keys: DataKeys, call: Call) -> None:
    """PutObject: under the key of the request, or else under the bucket's default."""
    if how := _of_request(call):
        _in_s3(lambda: keys.seal(call, how))


def get_object(keys: DataKeys, call: Call) -> None:
    """GetObject and HeadObject."""
    params = call.params
    _open(keys, call, params.get("Bucket"), params.get("Key"), params.get("VersionId"))


def copy_object(keys: DataKeys, call: Call) -> None:
    """CopyObject reads the source and writes the copy."""
    if source := SOURCE.fullmatch(str(call.params.get("CopySource"))):
        _open(keys, call, source["bucket"], source["key"], source["version"])
    put_object(keys, call)


def create_multipart_upload(keys: DataKeys, call: Call) -> None:
    """CreateMultipartUpload, which the lab does not do under a key."""
    if _of_request(call):
        raise not_done(call)


def put_bucket_encryption(keys: DataKeys, call: Call) -> None:
    """PutBucketEncryption: S3 does not ask KMS for it."""


OPERATIONS: dict[str, Prepare] = {
    "CopyObject": copy_object,
    "CreateMultipartUpload": create_multipart_upload,
    "GetObject": get_object,
    "HeadObject": get_object,
    "PutBucketEncryption": put_bucket_encryption,
    "PutObject": put_object,
}


# Internals


def _open(keys: DataKeys, call: Call, bucket: object, key: object, version: object) -> None:
    found = moto_data.s3_object(str(bucket), str(key), str(version) if version else None)
    named = customers(found.key, "s3") if found else None
    if found and named:
        how = _encryption(str(bucket), str(key), named, found.bucket_key)
        _in_s3(lambda: keys.open(call, how))


def _of_request(call: Call) -> Encryption | None:
    params = call.params
    asked, named = params.get("ServerSideEncryption"), params.get("SSEKMSKeyId")
    bucket_key = bool(params.get("BucketKeyEnabled"))
    if asked and asked not in OF_KMS:
        return None
    if not named and (default := moto_data.s3_default(str(params.get("Bucket")))):
        named, bucket_key = default.key, bucket_key or default.bucket_key
    if (key := customers(named, "s3")) is None:
        return None
    return _encryption(str(params.get("Bucket")), str(params.get("Key")), key, bucket_key)


def _encryption(bucket: str, key: str, named: str, bucket_key: bool) -> Encryption:
    """S3 User Guide, "Encryption context": the object's ARN, or with a Bucket Key the bucket's."""
    of_bucket = f"arn:aws:s3:::{bucket}"
    if bucket_key:
        return Encryption(of_bucket, named, {"aws:s3:arn": of_bucket}, BUCKET_KEY)
    arn = f"{of_bucket}/{key}"
    return Encryption(arn, named, {"aws:s3:arn": arn})


def _in_s3(asks: moto_data.Asks) -> None:
    """API reference, "Error responses": S3 answers with KMS' own error, as KMS.DisabledException,
    HTTP 400; and AccessDenied, HTTP 403."""
    try:
        asks()
    except AwsError as why:
        if why.code == "AccessDeniedException":
            raise AwsError("AccessDenied", why.message, 403) from why
        raise AwsError(f"KMS.{why.code}", why.message, why.status or 400) from why
