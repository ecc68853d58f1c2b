"""What is refused: one clear sentence, no traceback, no call that changes anything, no folder."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.support.chaos import AWS_SETTINGS, EXPERIMENT
from tests.support.clusters import new_writer
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, mostly_soak


def is_a_clean_refusal(ran, *words):
    assert ran.status == 1
    for word in words:
        assert word in ran.said, ran.said
    assert "Traceback" not in ran.output
    # The sentence comes once, last, and after nothing that only looks like work.
    assert "verdict: refused: " in ran.output.rstrip().splitlines()[-1]
    assert ran.output.count(ran.said) == 1
    assert "Rollback: " not in ran.output
    assert not ran.reports.exists()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One lab that plays AWS for every refusal: none of them may change it."""
    from tests.support.chaos import Chaos, LabAsAws

    lab = new_lab(FAST, "observed")
    env = {**AWS_SETTINGS, **lab.environment}
    yield LabAsAws(lab, Chaos(tmp_path_factory.mktemp("refusals"), env))
    lab.stop()


@pytest.fixture
def lab_as_aws(shared, tmp_path):
    shared.chaos.folder = tmp_path
    return shared


@pytest.fixture
def unchanged(lab_as_aws):
    """Fails a test that changed anything."""
    before = lab_as_aws.mutating_calls()
    yield
    assert lab_as_aws.mutating_calls() == before


OFTEN = {
    "CHAOS_CLUSTER_ID must name the cluster", "there is no DB cluster nobody",
    "no report can be written", "nowhere", "the undo journal cannot be written",
}  # fmt: skip


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("env", "words"),
    mostly_soak(
        [
            ({"CHAOS_CLUSTER_ID": ""}, ["CHAOS_CLUSTER_ID must name the cluster"]),
            ({"CHAOS_CLUSTER_ID": "nobody"}, ["there is no DB cluster nobody", "CHAOS_CLUSTER_ID"]),
            ({"CHAOS_KEY_ID": "alias/nobody"}, ["there is no KMS key alias/nobody"]),
            ({"CHAOS_TARGET": "lab"}, ["CHAOS_CLUSTER_ID names another", "set CHAOS_TARGET=aws"]),
            ({"CHAOS_RTO": "soon"}, ["CHAOS_RTO must be a number of seconds", "not 'soon'"]),
            (
                {"CHAOS_LOAD_FILE": "nowhere.py"},
                ["CHAOS_LOAD_FILE must be a Locust file that exists"],
            ),
            ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, ["no AWS Region is set"]),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ["got no answer"]),
            (
                {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
                ["no AWS credentials found"],
            ),
            ({"AWS_PROFILE": "nobody"}, ["AWS_PROFILE"]),
            (
                {"CHAOS_REPORTS_DIR": "/proc/nowhere"},
                ["no report can be written", "CHAOS_REPORTS_DIR"],
            ),
            ({"CHAOS_DATABASE": "port=9"}, ["the database cannot be used"]),
            ({"CHAOS_DATABASE": "dbname=nowhere"}, ["nowhere", "does not exist"]),
            ({"CHAOS_TRAGET": "aws"}, ["did you mean CHAOS_TARGET"]),
            ({"XDG_STATE_HOME": "/proc/nowhere"}, ["the undo journal cannot be written"]),
            ({"CHAOS_CLUSTER_ID": "$(reboot)"}, ["there is no DB cluster $(reboot)"]),
            ({"CHAOS_CLUSTER_ID": "../orders"}, ["there is no DB cluster ../orders"]),
            ({"CHAOS_CLUSTER_ID": "x" * 100_000}, ["CHAOS_CLUSTER_ID must be a name"]),
            (
                {"CHAOS_KEY_ID": "arn:aws:kms:us-east-1:123456789012:alias/orders"},
                ["there is no KMS key arn:aws:kms:us-east-1:123456789012:alias/orders"],
            ),
            ({"CHAOS_ALLOWED_ACCOUNTS": "210987654321"}, ["is none of CHAOS_ALLOWED_ACCOUNTS"]),
            ({"CHAOS_BLAST_RADIUS": "1"}, ["nothing but orders uses the key", "set it to 0"]),
            (
                {"AWS_SESSION_TOKEN": "t"},
                ["end, and the longest run takes", "AWS_CREDENTIAL_EXPIRATION"],
            ),
            ({"AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": "soon"}, ["cannot be used"]),
            ({"AWS_ENDPOINT_URL": "nowhere"}, ["Invalid endpoint: nowhere"]),
            ({"AWS_REGION": "us-east-1"}, ["there is no DB cluster orders in us-east-1"]),
        ],
        lambda case: case[1][0] in OFTEN,
    ),
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_that_cannot_be_right_is_refused(lab_as_aws, env, words):
    is_a_clean_refusal(lab_as_aws.chaos.run(**env), *words)


ALLOWED = [{"Key": "chaos:allow", "Value": "kms"}]


def allowed_key(lab_as_aws):
    tags = [{"TagKey": "chaos:allow", "TagValue": "kms"}]
    return lab_as_aws.client("kms").create_key(Tags=tags)["KeyMetadata"]["Arn"]


def new_cluster(lab_as_aws, name, **params):
    """A cluster that may be attacked, but for what a test does to it, and for its backup."""
    wanted = {"DBClusterIdentifier": name, "Tags": ALLOWED, **params}
    return new_writer(lab_as_aws.client("rds"), **wanted)


def refused(lab_as_aws, name, **env):
    """The one reason for which the cluster is refused; nothing was changed."""
    before = lab_as_aws.mutating_calls()
    ran = lab_as_aws.chaos.run(CHAOS_CLUSTER_ID=name, CHAOS_WITHOUT_BACKUP="yes", **env)
    is_a_clean_refusal(ran)
    assert lab_as_aws.mutating_calls() == before
    return ran.said


@pytest.mark.soak
def test_a_cluster_that_is_not_encrypted_is_refused(lab_as_aws):
    new_cluster(lab_as_aws, "plain")
    assert refused(lab_as_aws, "plain") == "the cluster plain is not encrypted under a KMS key"


@pytest.mark.soak
def test_a_key_that_aws_manages_is_refused(lab_as_aws):
    new_cluster(lab_as_aws, "managed", StorageEncrypted=True)
    said = refused(lab_as_aws, "managed")
    assert "is managed by AWS" in said
    assert "only a customer managed key can be tried" in said


@pytest.mark.soak
def test_another_clusters_key_is_refused(lab_as_aws):
    other = allowed_key(lab_as_aws)
    said = refused(lab_as_aws, "orders", CHAOS_KEY_ID=other)
    assert said == f"CHAOS_KEY_ID names {other}, but orders is encrypted under {lab_as_aws.key}"


def test_a_key_that_somebody_disabled_is_refused_and_stays_disabled(lab_as_aws):
    key = allowed_key(lab_as_aws)
    new_cluster(lab_as_aws, "dark", StorageEncrypted=True, KmsKeyId=key)
    lab_as_aws.client("kms").disable_key(KeyId=key)
    assert f"the key {key} is Disabled already" in refused(lab_as_aws, "dark")
    assert lab_as_aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


@pytest.mark.soak
def test_a_cluster_that_is_stopped_is_refused(lab_as_aws):
    new_cluster(lab_as_aws, "still", StorageEncrypted=True, KmsKeyId=allowed_key(lab_as_aws))
    lab_as_aws.client("rds").stop_db_cluster(DBClusterIdentifier="still")
    said = refused(lab_as_aws, "still")
    assert said.startswith("the cluster still is stop")
    assert said.endswith(", not available")


@pytest.mark.soak
def test_a_cluster_and_a_key_that_nobody_allowed_are_refused(lab_as_aws):
    key = lab_as_aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    new_cluster(lab_as_aws, "closed", StorageEncrypted=True, KmsKeyId=key, Tags=[])
    assert refused(lab_as_aws, "closed") == (
        "the cluster closed does not carry the tag chaos:allow=kms: add it to allow this; "
        f"the key {key} does not carry the tag chaos:allow=kms: add it to allow this"
    )


def test_whoever_else_would_lose_the_key_is_named_in_the_refusal(lab_as_aws):
    key = allowed_key(lab_as_aws)
    new_cluster(lab_as_aws, "shared", StorageEncrypted=True, KmsKeyId=key)
    new_cluster(lab_as_aws, "sharing", StorageEncrypted=True, KmsKeyId=key)
    said = refused(lab_as_aws, "shared", CHAOS_BLAST_RADIUS="1")
    assert "2 other things use the key of shared" in said
    assert "(cluster sharing, instance sharing-1)" in said
    assert said.endswith("set CHAOS_BLAST_RADIUS=2, which says 1")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "options",
    [
        ("--rollback-strategy", "never"),
        ("--hypothesis-strategy", "continuously"),
        ("--dry", "actions"),
        *(
            pytest.param(options, marks=pytest.mark.soak)
            for options in (
                ("--rollback-strategy", "default"),
                ("--rollback-strategy", "deviated"),
                ("--hypothesis-strategy", "default"),
            )
        ),
    ],
    ids=" ".join,
)
def test_another_strategy_than_the_experiments_is_refused(lab_as_aws, options):
    is_a_clean_refusal(lab_as_aws.chaos.run(None, *options))


def altered(tmp_path, change):
    experiment = json.loads(EXPERIMENT.read_text())
    change(experiment)
    path = tmp_path / "altered.json"
    path.write_text(json.dumps(experiment))
    return path


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("change", "words"),
    mostly_soak(
        [
            (lambda e: e.pop("runtime"), ["strategy is not set"]),
            (lambda e: e["runtime"].pop("rollbacks"), ["the rollbacks strategy is not set"]),
            (
                lambda e: e["controls"][0]["provider"]["arguments"].update(objectives=["speed"]),
                ["no objective is called speed: there are rto, replacement_rto, lost_writes"],
            ),
            (lambda e: e["configuration"].update(rto="x"), ["CHAOS_RTO must be"]),
            (lambda e: e["rollbacks"].pop(0), ["its rollbacks must call enable_key"]),
            (lambda e: e["rollbacks"][0].update(background=True), ["must call enable_key"]),
            (
                lambda e: e["controls"][0]["provider"]["arguments"].update(on="key"),
                ["its control's argument `on` must be cluster"],
            ),
            (
                lambda e: e["controls"][0]["provider"]["arguments"].update(on="everything"),
                ["`on` must be one of cluster, key, nothing, not 'everything'"],
            ),
            (lambda e: e["method"][0].update(dry="actions"), ["is dry: what does not run"]),
            (
                lambda e: e["configuration"].update(rto=[1]),
                ["CHAOS_RTO (the experiment's rto) must be text or a number"],
            ),
        ],
        lambda case: case[1][0] in ("strategy is not set", "its rollbacks must call enable_key"),
    ),
)
def test_an_experiment_that_breaks_the_rules_is_refused(lab_as_aws, tmp_path, change, words):
    ran = lab_as_aws.chaos.run(altered(tmp_path, change), CHAOS_RTO="")
    is_a_clean_refusal(ran, *words)


@pytest.mark.usefixtures("unchanged")
def test_without_the_control_the_gate_does_not_open(lab_as_aws, tmp_path):
    """Chaos Toolkit goes on without a control that it cannot load: the load probe then fails."""
    for control in ([], [{"name": "x", "provider": {"type": "python", "module": "no.such"}}]):
        path = altered(tmp_path, lambda e, control=control: e.update(controls=control))
        ran = lab_as_aws.chaos.run(path)
        assert ran.status == 1
        journal = (lab_as_aws.chaos.folder / "journal.json").read_text()
        assert "no load runs that is called main: the experiment must name the control" in journal


@pytest.mark.usefixtures("unchanged")
def test_a_run_that_was_refused_for_its_database_leaves_nothing_to_restore(lab_as_aws):
    is_a_clean_refusal(lab_as_aws.chaos.run(CHAOS_DATABASE="dbname=nowhere"), "does not exist")
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")
    with psycopg.connect(lab_as_aws.database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA chaos_kms")
        try:
            is_a_clean_refusal(lab_as_aws.chaos.run(), "has a schema chaos_kms that is not ours")
            assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")
        finally:
            connection.execute("DROP SCHEMA chaos_kms")


def test_a_run_that_is_refused_does_not_move_latest(lab_as_aws):
    old = lab_as_aws.chaos.folder / "reports" / "kms-disable" / "2026-01-01T000000Z"
    old.mkdir(parents=True)
    (lab_as_aws.chaos.folder / "reports" / "latest").symlink_to("kms-disable/2026-01-01T000000Z")
    ran = lab_as_aws.chaos.run(CHAOS_DATABASE="dbname=nowhere")
    assert ran.status == 1
    assert (ran.reports / "latest").resolve() == old.resolve()
    assert list((ran.reports / "kms-disable").iterdir()) == [old]


def test_what_somebody_elses_rollback_does_is_told_of_a_refused_run_too(lab_as_aws, tmp_path):
    touch = {
        "type": "action",
        "name": "theirs",
        "provider": {"type": "process", "path": "touch", "arguments": str(tmp_path / "touched")},
    }
    path = altered(tmp_path, lambda e: e["rollbacks"].append(touch))
    ran = lab_as_aws.chaos.run(path, CHAOS_RTO="soon")
    assert ran.status == 1
    assert "Rollback: theirs" in ran.output
    assert (tmp_path / "touched").exists()
