"""Amazon EBS: encrypted volumes."""

from __future__ import annotations

from collections.abc import Iterator

from chaosaws_kms_ext.dependents.base import Dependent, Service, service
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["Ebs"]

ENCRYPTED = [{"Name": "encrypted", "Values": ["true"]}]


@service
class Ebs(Service):
    """Lists the encrypted volumes; their key stands in the list."""

    name = "ec2"
    fails = "an attached volume goes on, since the data key stays in the host's hardware; once it "
    fails += "is detached, or its instance stopped, it cannot be attached or started again "
    fails += "(Client.InvalidKMSKey.InvalidState, as users report it)"
    source = "AWS KMS Developer Guide, How unusable KMS keys affect data keys; Amazon EBS User "
    source += "Guide, EBS encryption"
    looks = ("ec2:DescribeVolumes",)

    def under(self, look: Look) -> Iterator[Dependent]:
        account, partition = look.key.split(":")[4], look.key.split(":")[1]
        listed = look.each("ec2", "DescribeVolumes", "Volumes", Filters=ENCRYPTED, MaxResults=500)
        for each in listed:
            if look.is_under(each.get("KmsKeyId")):
                name = each["VolumeId"]
                attached = any(a.get("State") == "attached" for a in each.get("Attachments") or [])
                kind = "attached volume" if attached else "volume"
                arn = f"arn:{partition}:ec2:{look.region}:{account}:volume/{name}"
                keep, context = (None if attached else 0.0), (("aws:ebs:id", name),)
                yield Dependent(self.name, kind, name, arn, keep, context)
