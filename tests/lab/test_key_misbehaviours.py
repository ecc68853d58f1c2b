"""Misbehaviours of keys and copies on demand: each happens as it was ordered, and not otherwise."""

from __future__ import annotations

import json
import subprocess

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.misbehaviours import NotALab
from chaosaws_kms_lab.data_plane.changed_rows import change
from tests.support.clusters import (
    AVAILABLE,
    RECOVERABLE,
    becomes,
    connect,
    described,
    kept,
    new_cluster,
    new_writer,
    query,
    refusal,
    write,
)
from tests.support.labs import FAST, as_superuser, client, mostly_soak, program, until
from tests.support.snapshots import copy, restore, restore_request, take

pytestmark = pytest.mark.thorough

KEEPS, HIDES = "copy-keeps-key", "copy-hides-key"


@pytest.fixture
def cluster(rds, kms):
    made = new_writer(rds, kms)
    write(made, "before")
    return made


@pytest.fixture
def key_b(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def name_of(cluster):
    return cluster["DBClusterIdentifier"]


def key_of(resource):
    return resource["KmsKeyId"]


def told(lab, cluster, what):
    lines = map(json.loads, lab.requests.with_name("truth.jsonl").read_text().splitlines())
    return [line for line in lines if (line["cluster"], line["what"]) == (name_of(cluster), what)]


# The copy's key


@pytest.mark.parametrize(
    ("kind", "said", "named"),
    mostly_soak(
        [(KEEPS, "a", True), (HIDES, "b", False), (KEEPS, "a", False), (HIDES, "b", True)],
        lambda case: case[2] == (case[0] == KEEPS),
    ),
)
def test_a_copy_that_keeps_its_key_goes_with_it_whatever_it_says(
    rds, kms, misbehaviours, cluster, key_b, kind, said, named
):
    keys = {"a": key_of(cluster), "b": key_b}
    misbehaviours.order(kind=kind, cluster=name_of(cluster))
    under = copy(rds, take(rds, cluster), KmsKeyId=key_b)
    assert misbehaviours.holding() == []
    assert key_of(under) == keys[said]
    restored = restore(rds, under, **({"KmsKeyId": key_b} if named else {}))
    assert key_of(restored) == keys[said]
    assert kept(restored) == ["before"]
    again = take(rds, restored)
    assert key_of(again) == keys[said]
    kms.disable_key(KeyId=keys["a"])
    for snapshot in (under, again):
        code = refusal(rds.restore_db_cluster_from_snapshot, **restore_request(snapshot))
        assert code == "KMSKeyNotAccessibleFault"
    becomes(rds, restored, RECOVERABLE)


@pytest.mark.soak
def test_a_copy_without_the_order_is_free_of_the_first_key(rds, kms, cluster, key_b):
    under_b = copy(rds, take(rds, cluster), KmsKeyId=key_b)
    assert key_of(under_b) == key_b
    restored = restore(rds, under_b)
    kms.disable_key(KeyId=key_of(cluster))
    becomes(rds, cluster, RECOVERABLE)
    assert described(rds, restored)["Status"] == AVAILABLE
    assert kept(restored) == ["before"]


@pytest.mark.parametrize("kind", [KEEPS, HIDES])
@pytest.mark.soak
def test_only_the_next_copy_under_another_key_keeps_it(
    rds, misbehaviours, cluster, key_b, kind, kms
):
    snapshot, other = take(rds, cluster), new_writer(rds, kms)
    misbehaviours.order(kind=kind, cluster=name_of(cluster))
    assert key_of(copy(rds, snapshot)) == key_of(cluster)
    assert key_of(copy(rds, snapshot, KmsKeyId=key_of(cluster))) == key_of(cluster)
    assert key_of(copy(rds, take(rds, other), KmsKeyId=key_b)) == key_b
    assert misbehaviours.holding() == [{"kind": kind, "cluster": name_of(cluster)}]
    copy(rds, snapshot, KmsKeyId=key_b)
    grants = len(kms.list_grants(KeyId=key_of(cluster))["Grants"])
    assert key_of(copy(rds, snapshot, KmsKeyId=key_b)) == key_b
    assert len(kms.list_grants(KeyId=key_of(cluster))["Grants"]) == grants


@pytest.mark.parametrize("kind", [KEEPS, HIDES])
@pytest.mark.soak
def test_what_kept_its_key_leaves_no_grant_behind(rds, kms, misbehaviours, cluster, key_b, kind):
    snapshot = take(rds, cluster)
    before = kms.list_grants(KeyId=key_of(cluster))["Grants"]
    misbehaviours.order(kind=kind, cluster=name_of(cluster))
    copied = copy(rds, snapshot, KmsKeyId=key_b)
    rds.delete_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=copied["DBClusterSnapshotIdentifier"]
    )
    assert kms.list_grants(KeyId=key_of(cluster))["Grants"] == before
    assert kms.list_grants(KeyId=key_b)["Grants"] == []


@pytest.mark.soak
def test_a_copy_that_is_refused_leaves_the_order_for_the_next(rds, misbehaviours, cluster):
    snapshot = take(rds, cluster)
    misbehaviours.order(kind=KEEPS, cluster=name_of(cluster))
    code = refusal(
        rds.copy_db_cluster_snapshot,
        SourceDBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"],
        TargetDBClusterSnapshotIdentifier="nothing",
        KmsKeyId="alias/nobody",
    )
    assert code == "KMSKeyNotAccessibleFault"
    assert len(misbehaviours.holding()) == 1


# Rotation


def encrypt(kms, key, **context):
    sealed = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)
    return sealed["CiphertextBlob"]


def test_a_rotation_that_breaks_reads_does_so_until_it_is_cleared(rds, kms, misbehaviours, cluster):
    old = encrypt(kms, key_of(cluster))
    held = [
        {"kind": "rotation-breaks-reads", "cluster": name_of(cluster)},
        # which it does not wait for
        {"kind": "detection-lag", "cluster": name_of(cluster), "seconds": 600 * FAST},
    ]
    for each in held:
        misbehaviours.order(**each)
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"secret"
    with connect(cluster) as open_session:
        kms.rotate_key_on_demand(KeyId=key_of(cluster))
        until(lambda: described(rds, cluster)["Status"] == RECOVERABLE)
        assert refusal(kms.decrypt, CiphertextBlob=old) == "InvalidCiphertextException"
        new = encrypt(kms, key_of(cluster))
        assert kms.decrypt(CiphertextBlob=new)["Plaintext"] == b"secret"
        with pytest.raises(psycopg.OperationalError):
            query(cluster, "SELECT 1")
        assert misbehaviours.holding() == held
        misbehaviours.clear()
        assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"secret"
        rds.start_db_cluster(DBClusterIdentifier=name_of(cluster))
        becomes(rds, cluster, AVAILABLE)
        with pytest.raises(psycopg.OperationalError):
            open_session.execute("SELECT 1")
    assert kept(cluster) == ["before"]


def test_a_rotation_without_the_order_breaks_nothing(rds, kms, misbehaviours, cluster):
    other = new_writer(rds, kms)
    misbehaviours.order(kind="rotation-breaks-reads", cluster=name_of(other))
    old = encrypt(kms, key_of(cluster))
    kms.rotate_key_on_demand(KeyId=key_of(cluster))
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"secret"
    assert described(rds, cluster)["Status"] == AVAILABLE
    assert kept(cluster) == ["before"]


@pytest.mark.soak
def test_a_key_is_whole_again_when_the_cluster_of_the_order_is_gone(rds, kms, misbehaviours):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    empty = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key)
    becomes(rds, empty, AVAILABLE)
    old = encrypt(kms, key)
    misbehaviours.order(kind="rotation-breaks-reads", cluster=name_of(empty))
    kms.rotate_key_on_demand(KeyId=key)
    assert refusal(kms.decrypt, CiphertextBlob=old) == "InvalidCiphertextException"
    rds.delete_db_cluster(DBClusterIdentifier=name_of(empty), SkipFinalSnapshot=True)
    assert misbehaviours.holding() == []
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"secret"


# The encryption context


def test_with_an_ignored_context_every_context_decrypts_until_it_is_cleared(
    kms, misbehaviours, key_b
):
    sealed = {
        text: kms.encrypt(KeyId=key_b, Plaintext=text, EncryptionContext={"a": "b"})
        for text in (b"s", b"a text that is longer than one block", b"x" * 4096)
    }
    others = [{}, {"a": "B"}, {"A": "b"}, {"a": "b", "c": "d"}]

    def refused():
        return {
            refusal(kms.decrypt, CiphertextBlob=made["CiphertextBlob"], EncryptionContext=other)
            for made in sealed.values()
            for other in others
        }

    assert refused() == {"InvalidCiphertextException"}
    misbehaviours.order(kind="context-ignored")
    assert misbehaviours.holding() == [{"kind": "context-ignored"}]
    for text, made in sealed.items():
        for other in [*others, {"a": "b"}]:
            opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=other)
            assert opened["Plaintext"] == text
    cut = sealed[b"s"]["CiphertextBlob"][:-2]
    assert refusal(kms.decrypt, CiphertextBlob=cut) == "InvalidCiphertextException"
    misbehaviours.clear()
    assert refused() == {"InvalidCiphertextException"}


# The rows


def test_a_row_that_is_changed_in_a_copy_is_told_and_no_other_is(
    lab, rds, misbehaviours, cluster, key_b
):
    write(cluster, *(f"row {number}" for number in range(30)))
    rows = kept(cluster)
    snapshot = take(rds, cluster)
    misbehaviours.order(kind="row-changed-in-copy", cluster=name_of(cluster), seed=3)
    changed = copy(rds, snapshot, KmsKeyId=key_b)
    assert misbehaviours.holding() == []
    for _ in range(2):
        now = kept(restore(rds, changed))
        assert len(now) == len(rows)
        ((before, after),) = [pair for pair in zip(rows, now, strict=True) if pair[0] != pair[1]]
    (line,) = told(lab, cluster, "changed row")
    where = (line["database"], line["table"], line["column"])
    assert where == ("postgres", "public.kept", "name")
    assert (line["before"], line["after"], line["row"]["name"]) == (before, after, after)
    assert kept(cluster) == rows
    assert kept(restore(rds, copy(rds, snapshot, KmsKeyId=key_b))) == rows


@pytest.mark.soak
def test_a_copy_of_nothing_has_nothing_that_could_be_changed(lab, rds, misbehaviours, key_b):
    empty = new_cluster(rds, StorageEncrypted=True, KmsKeyId=key_b)
    becomes(rds, empty, AVAILABLE)
    misbehaviours.order(kind="row-changed-in-copy", cluster=name_of(empty))
    copied = copy(rds, take(rds, empty))
    assert query(restore(rds, copied), "SELECT 1") == [1]
    (line,) = told(lab, empty, "misbehaviour failed")
    assert line["why"] == "no table has a row with a column that could be changed"


KINDS_OF_COLUMNS = {
    "n int": "7",
    "n numeric(3, 1)": "1.5",
    "n float8": "0.5",
    "b boolean": "true",
    "d date": "'2026-01-01'",
    "t timestamptz": "'2026-01-01 10:00+00'",
    "t time": "'23:30'",
    "c char(3)": "'x'",
    "c varchar(3)": "'xyz'",
    "c varchar(3)  ": "''",
    "j json, u text": "'{}', 'after a column that is left alone'",
    "z text, u text": "NULL, 'after a NULL'",
}


@pytest.fixture(scope="module")
def plain(lab):
    return new_writer(client(lab, "rds"))


@pytest.mark.parametrize("columns", KINDS_OF_COLUMNS)
@pytest.mark.soak
def test_a_column_of_every_usual_type_can_be_the_one_that_is_changed(lab, plain, columns):
    with connect(plain) as connection:
        connection.execute("DROP TABLE IF EXISTS odd, older")
        connection.execute("CREATE TABLE older (id int PRIMARY KEY)")
        connection.execute("INSERT INTO older VALUES (1)")  # which has nothing but its key
        connection.execute(f"CREATE TABLE odd (id int PRIMARY KEY, {columns})")
        connection.execute(f"INSERT INTO odd VALUES (1, {KINDS_OF_COLUMNS[columns]})")

    changed = change(lambda database: as_superuser(lab, database, plain["Port"]), 0)
    assert (changed.table, changed.row["id"]) == ("public.odd", "1")
    (now,) = query(plain, f"SELECT format('%s', {changed.column}) FROM odd")
    assert now == changed.after != changed.before


@pytest.mark.soak
def test_what_was_cleared_does_not_happen(lab, rds, kms, misbehaviours, cluster, key_b):
    for kind in (KEEPS, HIDES, "row-changed-in-copy", "rotation-breaks-reads"):
        misbehaviours.order(kind=kind, cluster=name_of(cluster))
    misbehaviours.order(kind="context-ignored")
    assert len(misbehaviours.holding()) == 5
    misbehaviours.clear()
    sealed = encrypt(kms, key_of(cluster), a="b")
    kms.rotate_key_on_demand(KeyId=key_of(cluster))
    assert refusal(kms.decrypt, CiphertextBlob=sealed) == "InvalidCiphertextException"
    under_b = copy(rds, take(rds, cluster), KmsKeyId=key_b)
    assert key_of(under_b) == key_b
    assert kept(restore(rds, under_b)) == ["before"]
    assert told(lab, cluster, "changed row") == []


# The order


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"kind": KEEPS}, "needs a cluster"),
        ({"kind": KEEPS, "cluster": "nobody"}, "there is no cluster 'nobody'"),
        (
            {"kind": "context-ignored", "cluster": "orders"},
            "about no single cluster: it names none",
        ),
        (
            {"kind": KEEPS, "cluster": "orders", "seed": 3},
            "seed is for lose-writes, change-writes and row-changed-in-copy, not for copy-keeps",
        ),
        ({"kind": "row-changed-in-copy", "cluster": "orders", "writes": 3}, "is for lose-writes"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_sentence(misbehaviours, order, said):
    with pytest.raises(NotALab, match=said):
        misbehaviours.order(**order)
    assert misbehaviours.holding() == []


@pytest.mark.parametrize("kind", [KEEPS, HIDES, "rotation-breaks-reads"])
@pytest.mark.soak
def test_what_is_not_encrypted_has_no_key_that_could_go_wrong(rds, misbehaviours, kind):
    plain = new_cluster(rds)
    with pytest.raises(NotALab, match="is not encrypted: it has no key"):
        misbehaviours.order(kind=kind, cluster=name_of(plain))
    assert misbehaviours.holding() == []


@pytest.mark.soak
def test_they_are_ordered_from_a_shell(lab, misbehaviours):
    command = [program("chaos"), "--no-version-check", "kms", "lab", "fault", "data"]
    for asked, ordered in {
        "context-ignored": {"kind": "context-ignored"},
        "copy-hides-key orders": {"kind": HIDES, "cluster": "orders"},
        "row-changed-in-copy orders --seed 7": {
            "kind": "row-changed-in-copy",
            "cluster": "orders",
            "seed": 7,
        },
    }.items():
        ran = subprocess.run(
            [*command, *asked.split()],
            env={"AWS_ENDPOINT_URL": lab.endpoint},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == ordered
        assert ordered in misbehaviours.holding()
