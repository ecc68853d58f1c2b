"""CloudTrail's records of KMS held against the records that AWS shows in its own guide.

Each is looked up as a run looks it up, and compared in what CloudTrail says of the call: not in who
called from where, nor in ids and the version of the record, which are older there.
"""

from __future__ import annotations

import contextlib
import json
import re
from datetime import date
from typing import Any

import pytest

from tests.support.in_process_lab import InProcessLab
from tests.support.kms_world import EXPIRES, parameters, policy, wrapped
from tests.support.recorded import Case, Source, cases, check
from tests.support.trail import DELIVERY

THERE = "eu-central-1"
CONTEXT = {"EncryptionContext": {"Department": "Engineering", "Project": "Alpha"}}
COMPARED = (
    "errorCode", "errorMessage", "eventName", "eventSource", "eventType", "readOnly",
    "requestParameters", "resources", "responseElements",
)  # fmt: skip
DATE = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M")


class Situation:
    """Clients of the lab, and the last key that was made."""

    def __init__(self, lab: InProcessLab) -> None:
        self.lab, self.kms, self.trail = lab, lab.client("kms"), lab.client("cloudtrail")
        self.id = self.arn = self.policy = ""

    def key(self, **params: Any) -> str:
        made = self.kms.create_key(**params)["KeyMetadata"]
        self.id, self.arn = made["KeyId"], made["Arn"]
        return self.id

    def record(self, name: str) -> dict[str, Any]:
        """The last record of an operation on the last key."""
        self.lab.pass_time(DELIVERY)
        about = {"AttributeKey": "ResourceName", "AttributeValue": self.arn}
        events = self.trail.lookup_events(LookupAttributes=[about])["Events"]
        found = next(json.loads(e["CloudTrailEvent"]) for e in events if e["EventName"] == name)
        return {member: found[member] for member in COMPARED if member in found}

    def decrypted(self, **more: Any) -> dict[str, Any]:
        """The record of a Decrypt with the last key."""
        key = {"KeyId": self.arn}
        blob = self.kms.encrypt(Plaintext=b"x", **CONTEXT, **(key | more))["CiphertextBlob"]
        with contextlib.suppress(self.kms.exceptions.IncorrectKeyException):
            self.kms.decrypt(CiphertextBlob=blob, **CONTEXT, **key)
        return self.record("Decrypt")

    def import_material(self) -> dict[str, Any]:
        self.key(Origin="EXTERNAL")
        chosen = parameters()
        got = self.kms.get_parameters_for_import(KeyId=self.id, **chosen)
        self.kms.import_key_material(
            KeyId=self.id,
            ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=wrapped(got["PublicKey"], bytes(32), chosen["WrappingAlgorithm"]),
            ValidTo=self.lab.clock.date(self.lab.clock.now() + 86400),
            ExpirationModel=EXPIRES,
        )
        told = self.record("ImportKeyMaterial")
        # It answers more since 2025 than when the guide's record was made.
        assert set(told.pop("responseElements")) == {"keyId", "keyMaterialId"}
        return told

    def put_policy(self) -> dict[str, Any]:
        self.policy = policy()
        self.kms.put_key_policy(KeyId=self.key(), Policy=self.policy)
        told = self.record("PutKeyPolicy")
        assert told["requestParameters"].pop("policy") == self.policy
        return told


def page(operation: str, year: int, month: int, day: int) -> Source:
    return Source("AWS KMS Developer Guide", f"CloudTrail, {operation}", date(year, month, day))


def told(
    operation: str, parameters: dict[str, Any], elements: Any = None, **more: Any
) -> dict[str, Any]:
    """What a record says."""
    key = {"accountId": "123456789012", "type": "AWS::KMS::Key", "ARN": "{arn}"}
    return {
        "eventName": operation,
        "eventSource": "kms.amazonaws.com",
        "eventType": "AwsApiCall",
        "readOnly": False,
        "requestParameters": parameters,
        "resources": [key],
        "responseElements": elements,
        **more,
    }


ID, ARN = {"keyId": "{id}"}, {"keyId": "{arn}"}
DECRYPT = {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", **ARN,
           "encryptionContext": {"Department": "Engineering", "Project": "Alpha"}}  # fmt: skip

RECORDS = [
    Case("cloudtrail:LookupEvents", "DisableKey", page("DisableKey", 2014, 11, 4),
         lambda s: (s.kms.disable_key(KeyId=s.key()), s.record("DisableKey"))[1],
         told("DisableKey", ID)),
    Case("cloudtrail:LookupEvents", "EnableKey", page("EnableKey", 2014, 11, 4),
         lambda s: (s.kms.enable_key(KeyId=s.key()), s.record("EnableKey"))[1],
         told("EnableKey", ID)),
    Case("cloudtrail:LookupEvents", "ScheduleKeyDeletion", page("ScheduleKeyDeletion", 2021, 3, 23),
         lambda s: (s.kms.schedule_key_deletion(KeyId=s.key(), PendingWindowInDays=20),
                    s.record("ScheduleKeyDeletion"))[1],
         told("ScheduleKeyDeletion", ID | {"pendingWindowInDays": 20},
              ARN | {"keyState": "PendingDeletion", "deletionDate": DATE})),
    Case("cloudtrail:LookupEvents", "ScheduleKeyDeletion of a primary key with a replica",
         page("ScheduleKeyDeletion", 2021, 3, 23),
         lambda s: (s.kms.replicate_key(KeyId=s.key(MultiRegion=True), ReplicaRegion=THERE),
                    s.kms.schedule_key_deletion(KeyId=s.id, PendingWindowInDays=20),
                    s.record("ScheduleKeyDeletion"))[2],
         told("ScheduleKeyDeletion", ID | {"pendingWindowInDays": 20},
              ARN | {"keyState": "PendingReplicaDeletion"})),
    Case("cloudtrail:LookupEvents", "CancelKeyDeletion", page("CancelKeyDeletion", 2020, 7, 27),
         lambda s: (s.kms.schedule_key_deletion(KeyId=s.key()),
                    s.kms.cancel_key_deletion(KeyId=s.id), s.record("CancelKeyDeletion"))[2],
         told("CancelKeyDeletion", ID, ARN)),
    Case("cloudtrail:LookupEvents", "PutKeyPolicy", page("PutKeyPolicy", 2022, 9, 1),
         lambda s: s.put_policy(),
         told("PutKeyPolicy", ID | {"policyName": "default",
                                    "bypassPolicyLockoutSafetyCheck": False})),
    Case("cloudtrail:LookupEvents", "EnableKeyRotation", page("EnableKeyRotation", 2020, 7, 25),
         lambda s: (s.kms.enable_key_rotation(KeyId=s.key()), s.record("EnableKeyRotation"))[1],
         told("EnableKeyRotation", ID)),
    Case("cloudtrail:LookupEvents", "ImportKeyMaterial", page("ImportKeyMaterial", 2020, 7, 26),
         lambda s: s.import_material() | {"responseElements": None},
         told("ImportKeyMaterial", ID | {"validTo": DATE, "expirationModel": EXPIRES})),
    Case("cloudtrail:LookupEvents", "CreateGrant", page("CreateGrant", 2014, 11, 4),
         lambda s: (s.key(), s.kms.create_grant(
             KeyId=s.arn, Operations=["Encrypt", "RetireGrant"],
             GranteePrincipal="arn:aws:iam::123456789012:root",
             Constraints={"EncryptionContextSubset": {"ContextKey1": "Value1"}}),
             s.record("CreateGrant"))[2],
         told("CreateGrant",
              ARN | {"constraints": {"encryptionContextSubset": {"ContextKey1": "Value1"}},
                     "granteePrincipal": "arn:aws:iam::123456789012:root",
                     "operations": ["Encrypt", "RetireGrant"]},
              {"grantId": re.compile("[0-9a-f]{64}")})),
    Case("cloudtrail:LookupEvents", "Decrypt", page("Decrypt", 2020, 7, 27),
         lambda s: (s.key(), s.decrypted())[1], told("Decrypt", DECRYPT, readOnly=True)),
    Case("cloudtrail:LookupEvents", "Decrypt that failed", page("Decrypt", 2022, 11, 24),
         lambda s: (other := s.key(), s.key(), s.decrypted(KeyId=other))[2],
         told("Decrypt", DECRYPT, readOnly=True, errorCode="IncorrectKeyException",
              errorMessage="The key ID in the request does not identify a CMK that can perform "
                           "this operation.")),
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> InProcessLab:
    return InProcessLab(tmp_path_factory.mktemp("lab") / "requests.jsonl")


@cases(RECORDS)
def test_a_record_says_what_aws_shows(case: Case, lab: InProcessLab) -> None:
    check(case, Situation(lab))
