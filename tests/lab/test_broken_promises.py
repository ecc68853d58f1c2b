"""Misbehaviours of all keys: each is what its name says, until it is cleared."""

from __future__ import annotations

import pytest

from chaosaws_kms_lab import data_misbehaviours
from tests.support.faulty_aws import FaultyAws
from tests.support.kms_world import DOES_NOT, Kms, bring, deny, imported, policy, user


def order(world, kind):
    data_misbehaviours.order(world, {"kind": kind})


def clear(world):
    for each in world.data_misbehaviours:
        each.over = True


def test_a_deny_that_is_ignored_keeps_nobody_out():
    lab = Kms()
    key = lab.key(Policy=policy(deny("kms:Encrypt", Principal="*")))
    asked = {"KeyId": key, "Plaintext": b"x"}
    assert lab.refusal("Encrypt", **asked).code == "AccessDeniedException"
    order(lab.world, "deny-ignored")
    assert lab.ask("Encrypt", **asked)
    # Who is allowed nothing still is not.
    assert lab.refusal("Encrypt", user(), **asked).code == "AccessDeniedException"
    clear(lab.world)
    assert lab.refusal("Encrypt", **asked).code == "AccessDeniedException"


def test_material_that_is_imported_again_decrypts_nothing():
    lab = Kms()
    key = imported(lab)
    sealed = lab.ask("Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    order(lab.world, "import-breaks-reads")
    bring(lab, key, ExpirationModel=DOES_NOT)  # it was there: nothing changes
    assert lab.ask("Decrypt", CiphertextBlob=sealed)["Plaintext"] == b"x"
    lab.ask("DeleteImportedKeyMaterial", KeyId=key)
    bring(lab, key)
    assert lab.state(key) == "Enabled"
    assert lab.refusal("Decrypt", CiphertextBlob=sealed)
    new = imported(lab)  # the first material of a key is none that was there before
    other = lab.ask("Encrypt", KeyId=new, Plaintext=b"y")["CiphertextBlob"]
    assert lab.ask("Decrypt", CiphertextBlob=other)["Plaintext"] == b"y"
    clear(lab.world)
    assert lab.ask("Decrypt", CiphertextBlob=sealed)["Plaintext"] == b"x"


def test_a_new_cluster_is_under_another_key_than_was_asked_for():
    aws = FaultyAws()

    def key_of(name):
        made = aws.ask(
            "rds", "CreateDBCluster", DBClusterIdentifier=name, Engine="aurora-postgresql",
            StorageEncrypted=True, KmsKeyId=aws.key,
        )  # fmt: skip
        return made["DBCluster"]["KmsKeyId"]

    assert key_of("a") == aws.key
    order(aws.world, "create-ignores-key")
    assert key_of("b") != aws.key
    clear(aws.world)
    assert key_of("c") == aws.key


def test_none_of_them_names_a_cluster():
    lab = Kms()
    for kind in ("deny-ignored", "import-breaks-reads", "create-ignores-key"):
        with pytest.raises(data_misbehaviours.BadOrder, match="is about no single cluster"):
            data_misbehaviours.order(lab.world, {"kind": kind, "cluster": "orders"})
