"""Every way to lose a key, one path: what Aurora cannot unwrap takes the cluster down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.clusters import AVAILABLE, RECOVERABLE
from tests.support.in_process_lab import InProcessLab
from tests.support.kms_world import MATERIAL, deny, policy, wrapped

LAG, SELF_RESTART, STARTING, DAY = 450.0, 2100.0, 180.0, 86400.0
CHOICE = {"WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": "RSAES_OAEP_SHA_256"}


class Key:
    """A key that can be lost in every way, and the cluster under it."""

    def __init__(self, own_lab: InProcessLab) -> None:
        self.own_lab, self.kms, self.rds = own_lab, own_lab.client("kms"), own_lab.client("rds")
        self.id = self.kms.create_key(Origin="EXTERNAL", Policy=policy())["KeyMetadata"]["KeyId"]
        self.bring()
        self.rds.create_db_cluster(
            DBClusterIdentifier="c",
            Engine="aurora-postgresql",
            StorageEncrypted=True,
            KmsKeyId=self.id,
        )
        own_lab.pass_time(60)

    def bring(self, **expiry: Any) -> None:
        got = self.kms.get_parameters_for_import(KeyId=self.id, **CHOICE)
        blob = wrapped(got["PublicKey"], MATERIAL, CHOICE["WrappingAlgorithm"])
        self.kms.import_key_material(
            KeyId=self.id,
            ImportToken=got["ImportToken"],
            EncryptedKeyMaterial=blob,
            **(expiry or {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
        )

    def let_it_expire(self) -> None:
        self.bring(ValidTo=self.own_lab.clock.utc() + timedelta(seconds=10))
        self.own_lab.pass_time(11)

    def put(self, *statements: dict[str, Any]) -> None:
        self.kms.put_key_policy(KeyId=self.id, Policy=policy(*statements))

    def revoke(self) -> None:
        (grant,) = self.kms.list_grants(KeyId=self.id)["Grants"]
        self.kms.revoke_grant(KeyId=self.id, GrantId=grant["GrantId"])

    def cancel(self) -> None:
        self.kms.cancel_key_deletion(KeyId=self.id)
        self.kms.enable_key(KeyId=self.id)

    @property
    def status(self) -> str:
        return str(self.rds.describe_db_clusters()["DBClusters"][0]["Status"])


Way = Callable[[Key], Any]

# How the key is lost, and how it is given back; None: nobody can.
CAUSES: dict[str, tuple[Way, Way | None]] = {
    "disabled": (
        lambda key: key.kms.disable_key(KeyId=key.id),
        lambda key: key.kms.enable_key(KeyId=key.id),
    ),
    "pending deletion": (
        lambda key: key.kms.schedule_key_deletion(KeyId=key.id, PendingWindowInDays=7),
        Key.cancel,
    ),
    "denied": (lambda key: key.put(deny("kms:Decrypt", Principal="*")), lambda key: key.put()),
    "denied at this time of day": (
        lambda key: key.put(
            deny(
                "kms:Decrypt",
                Principal="*",
                Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01T12:00:00Z"}},
            )
        ),
        lambda key: key.own_lab.pass_time(DAY / 2),
    ),
    "material deleted": (
        lambda key: key.kms.delete_imported_key_material(KeyId=key.id),
        Key.bring,
    ),
    "material expired": (Key.let_it_expire, Key.bring),
    "grant revoked": (Key.revoke, None),
}


@pytest.fixture
def key(tmp_path):
    return Key(InProcessLab(tmp_path / "requests.jsonl"))


@pytest.mark.parametrize("cause", CAUSES)
def test_whatever_the_cause_the_cluster_is_down_after_the_lag_and_not_before(key, cause):
    CAUSES[cause][0](key)
    key.own_lab.pass_time(0)
    key.own_lab.pass_time(LAG - 1)
    assert key.status == AVAILABLE
    key.own_lab.pass_time(1)
    assert key.status == RECOVERABLE


@pytest.mark.parametrize("cause", [name for name, (_, back) in CAUSES.items() if back])
def test_whatever_the_cause_the_cluster_comes_back_with_its_key(key, cause):
    lose, give_back = CAUSES[cause]
    lose(key)
    key.own_lab.pass_time(0)
    key.own_lab.pass_time(LAG)
    give_back(key)
    key.own_lab.pass_time(0)
    key.own_lab.pass_time(SELF_RESTART - 1)
    assert key.status == RECOVERABLE
    key.own_lab.pass_time(1)
    key.own_lab.pass_time(STARTING)
    key.own_lab.pass_time(0)
    assert key.status == AVAILABLE


def test_a_key_that_was_deleted_takes_its_cluster_along_for_good(key):
    key.kms.schedule_key_deletion(KeyId=key.id, PendingWindowInDays=7)
    key.own_lab.pass_time(0)
    key.own_lab.pass_time(LAG)
    key.own_lab.pass_time(7 * DAY)
    assert key.status == "inaccessible-encryption-credentials"
    assert key.kms.list_keys()["Keys"] == []


def test_a_grant_of_one_cluster_is_no_matter_of_another(key):
    key.rds.create_db_cluster(
        DBClusterIdentifier="other",
        Engine="aurora-postgresql",
        StorageEncrypted=True,
        KmsKeyId=key.id,
    )
    key.own_lab.pass_time(60)
    first = key.rds.describe_db_clusters()["DBClusters"][0]["DbClusterResourceId"]
    for grant in key.kms.list_grants(KeyId=key.id)["Grants"]:
        if grant["Constraints"]["EncryptionContextSubset"]["aws:rds:dbc-id"] == first:
            key.kms.revoke_grant(KeyId=key.id, GrantId=grant["GrantId"])
    key.own_lab.pass_time(0)
    key.own_lab.pass_time(LAG)
    statuses = {
        c["DBClusterIdentifier"]: c["Status"] for c in key.rds.describe_db_clusters()["DBClusters"]
    }
    assert statuses == {"c": RECOVERABLE, "other": AVAILABLE}


def test_the_data_key_is_bound_to_its_cluster(key):
    """What CloudTrail would show: the context of the volume, and no other opens its data key."""
    (grant,) = key.kms.list_grants(KeyId=key.id)["Grants"]
    (cluster,) = key.rds.describe_db_clusters()["DBClusters"]
    context = {"aws:rds:dbc-id": cluster["DbClusterResourceId"]}
    assert grant["Constraints"] == {"EncryptionContextSubset": context}
    assert grant["GranteePrincipal"] == "rds.eu-west-1.amazonaws.com"
    held = key.own_lab.world.region("eu-west-1").clusters["c"].encryption
    opened = key.kms.decrypt(CiphertextBlob=held.data_key, EncryptionContext=context)
    assert len(opened["Plaintext"]) == 32
    with pytest.raises(key.kms.exceptions.InvalidCiphertextException):
        key.kms.decrypt(CiphertextBlob=held.data_key, EncryptionContext={})
