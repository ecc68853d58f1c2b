"""The databases of a Region as they hang on their keys: instances that are no cluster's as well."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.fleet.look import Rehearsal, look
from chaosaws_kms_lab.calls import Call, administrator
from chaosaws_kms_lab.rds import handle
from tests.support.in_process_lab import REGION
from tests.support.key_stores import StoreLab


@pytest.fixture
def lab(tmp_path):
    """`orders` and the instance `till` are under one key; `plain` has none."""
    its = StoreLab(tmp_path / "requests.jsonl")
    its.new_instance("till", its.key)
    its._make(
        "CreateDBInstance", DBInstanceIdentifier="plain", DBInstanceClass="db.m6g.large",
        Engine="postgres", AllocatedStorage=20,
    )  # fmt: skip
    return its


def ask(lab, operation, **parameters):
    return handle(lab.rds, Call("rds", operation, parameters, REGION, administrator()))


def found(lab, rehearsed=None):
    return {each.cluster: each for each in look(lab.aws(), rehearsed or {})}


def test_an_encrypted_instance_has_a_line_of_its_own_and_one_without_a_key_has_none(lab):
    its = found(lab)
    assert set(its) == {"orders", "db:till"}
    assert (its["db:till"].status, its["db:till"].key) == ("available", lab.key)
    assert its["db:till"].beside_names == ("cluster orders",)
    assert its["orders"].beside_names == ("instance till",)
    wrong = ["no backup under another key", "1 more under its key", "never rehearsed"]
    assert its["db:till"].concerns == wrong


def test_its_backups_are_db_snapshots_and_its_rehearsals_its_own(lab):
    other = lab.new_key("other", store=False)
    ask(lab, "CreateDBSnapshot", DBInstanceIdentifier="till", DBSnapshotIdentifier="a")
    lab.pass_time(600)
    ask(
        lab, "CopyDBSnapshot", SourceDBSnapshotIdentifier="a", TargetDBSnapshotIdentifier="b",
        KmsKeyId=other,
    )  # fmt: skip
    lab.pass_time(600)
    its = found(lab, {(REGION, "db:till"): Rehearsal("d", "kms-disable", "passed")})
    till = its["db:till"]
    assert (till.backup, till.rehearsal.verdict) == ("b", "passed")
    assert till.backup_days >= 0
    assert till.beside_names == ("cluster orders",)  # its own snapshot goes with it
    assert its["orders"].backup == ""
    assert set(its["orders"].beside_names) == {"instance till", "snapshot a"}
    assert its["orders"].rehearsal is None


def test_of_a_cluster_and_an_instance_with_one_name_each_is_beside_the_other(lab):
    lab.new_instance("orders", lab.key)
    its = found(lab)
    assert "instance orders" in its["orders"].beside_names
    assert "cluster orders" in its["db:orders"].beside_names
