"""Passwords in whole runs: they open the database, and are found nowhere else."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from chaosaws_kms_ext.report.files import FILES
from tests.support.chaos import EXPERIMENT, LabAsAws
from tests.support.labs import as_superuser, mostly_soak
from tests.support.token_gate import asks, standing_before

ASKED, TRUSTED = "asked", "trusted"


@pytest.fixture
def lab_as_aws(tmp_path):
    playing = LabAsAws.start(tmp_path)
    yield playing
    playing.lab.stop()


def give_roles(lab_as_aws, password):
    """Two users of the cluster's: one has to give a password, the other does not."""
    (data,) = lab_as_aws.lab.requests.parent.glob("cluster-*/data")
    asks(data, ASKED)
    asks(data, TRUSTED, "trust")
    with as_superuser(lab_as_aws.lab, "shop") as connection:
        for role, more in ((ASKED, f"PASSWORD '{password}'"), (TRUSTED, "")):
            connection.execute(f"CREATE ROLE {role} LOGIN {more}")
            connection.execute(f"GRANT CREATE ON DATABASE shop TO {role}")
            connection.execute(f"GRANT SELECT ON users TO {role}")
        connection.execute("SELECT pg_reload_conf()")


def keep_secret(lab_as_aws, name, password, **more):
    lab_as_aws.client("secretsmanager").create_secret(
        Name=name, SecretString=json.dumps({"username": ASKED, "password": password}), **more
    )


def by_secret(name):
    return {"CHAOS_DATABASE_AUTH": "secret", "CHAOS_DATABASE_SECRET": name}


def with_secrets(path, literal):
    """An experiment of a team's that does everything that brings secrets into the journal."""
    experiment = json.loads(EXPERIMENT.read_text())
    experiment["secrets"] = {
        "team": {"token": {"type": "env", "key": "TEAM_TOKEN"}, "literal": literal}
    }
    experiment["configuration"]["dynamic"] = {
        "type": "probe",
        "name": "somewhere",
        "provider": {"type": "python", "module": "os", "func": "getcwd"},
    }
    experiment["method"].insert(
        0,
        {
            "type": "action",
            "name": "tell",
            "provider": {"type": "process", "path": "echo", "arguments": "${token} ${literal}"},
        },
    )
    path.write_text(json.dumps(experiment))
    return path


def holding(folder: Path, words):
    """The files of which one of the words is a part."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert len(found) > 3
    return [path for path in found if any(word.encode() in path.read_bytes() for word in words)]


def processes(mark):
    """Command line and environment of all processes of a run."""
    for process in psutil.process_iter(["cmdline"]):
        try:
            environ = process.environ()
        except psutil.Error:
            continue
        if mark in environ.values():
            yield process.info["cmdline"], environ


def test_no_secret_of_a_run_is_in_anything_that_it_leaves_or_shows(lab_as_aws, tmp_path_factory):
    password, token, literal = canaries = [secrets.token_hex(12) for _ in range(3)]
    give_roles(lab_as_aws, password)
    keep_secret(lab_as_aws, "shop/asked", password, KmsKeyId=lab_as_aws.key)
    given = with_secrets(tmp_path_factory.mktemp("given") / "experiment.json", literal)

    running = lab_as_aws.chaos.start(
        "--verbose",
        "--log-file",
        str(lab_as_aws.chaos.folder / "chaostoolkit.log"),
        "run",
        "--journal-path",
        str(lab_as_aws.chaos.folder / "journal.json"),
        str(given),
        TEAM_TOKEN=token,
        CHAOS_REPORT_FILES="all",
        **by_secret("shop/asked"),
    )
    running.until_said("Action: hold-the-outage")
    seen = list(processes(running.mark))
    ran = running.wait()
    assert ran.status == 0, ran.output
    assert ran.summary["writes"]["acknowledged"] > 20

    folder = (ran.reports / "latest").resolve()
    assert lab_as_aws.chaos.kms("export", str(folder), "--format", "csv").status == 0
    left = {path.name for path in folder.rglob("*")}
    assert {name for name, _ in FILES.values()} | {"operations.csv", "events.csv"} <= left
    assert holding(lab_as_aws.chaos.folder, canaries) == []
    (folder / "planted").write_text(f"x{token}x")
    assert [path.name for path in holding(folder, canaries)] == ["planted"]
    assert len(seen) >= 3
    for command, _ in seen:
        assert not any(canary in word for canary in canaries for word in command)
    (locusts,) = [environ for command, environ in seen if "locust" in command]
    assert password not in str(locusts)
    assert [name for name in locusts if name.startswith("AWS_")] == []

    journal = json.loads((lab_as_aws.chaos.folder / "journal.json").read_text())
    assert journal["run"][0]["output"]["stdout"] == "*** ***\n"
    copied = journal["experiment"]["configuration"]["dynamic"]["provider"]["secrets"]
    assert copied == {"team": {"token": "***", "literal": "***"}}
    said = ran.output.replace("\n    ", " ")
    assert "The secret shop/asked is encrypted under the very key that this run takes away" in said


@pytest.mark.soak
def test_with_tokens_of_iam_it_passes_too(lab_as_aws):
    give_roles(lab_as_aws, "unused")
    at = conninfo_to_dict(lab_as_aws.database)
    server = (str(at["host"]), int(at["port"]))
    lab = lab_as_aws.lab
    with standing_before(server, lab.region, lab.secret_key, lab_as_aws.chaos.folder) as gate:
        ran = lab_as_aws.chaos.run(
            CHAOS_DATABASE_AUTH="iam",
            CHAOS_DATABASE=f"host=127.0.0.1 port={gate.port} user={TRUSTED}",
        )
        assert ran.status == 0, ran.output
        assert gate.refused == []
        assert len(gate.taken) > 20
    assert ran.summary["writes"]["lost"] == 0
    assert holding(lab_as_aws.chaos.folder / "reports", ["X-Amz-Signature"]) == []
    assert "X-Amz-Signature" not in ran.output


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    lab_as_aws = LabAsAws.start(tmp_path_factory.mktemp("secrets"))
    give_roles(lab_as_aws, "right")
    keep_secret(lab_as_aws, "wrong", "hunter2")
    keep_secret(lab_as_aws, "right", "right")
    yield lab_as_aws
    lab_as_aws.lab.stop()


@pytest.mark.parametrize(
    ("env", "words"),
    mostly_soak(
        [
            (by_secret("wrong"), 'password authentication failed for user "asked"'),
            (by_secret("nowhere"), "ResourceNotFoundException"),
            (
                by_secret("right") | {"PGPASSWORD": "hunter2"},
                "PGPASSWORD (or the password of PGSERV",
            ),
            (by_secret("right") | {"CHAOS_DATABASE": "user=me"}, "names the user me"),
            (by_secret(""), "CHAOS_DATABASE_SECRET must name one of Secrets Manager"),
            ({"CHAOS_DATABASE_SECRET": "right"}, "is only read with CHAOS_DATABASE_AUTH=secret"),
            (by_secret("right") | {"CHAOS_TARGET": "lab"}, "CHAOS_DATABASE_SECRET names another"),
            ({"CHAOS_DATABASE": f"user={ASKED}"}, "no password supplied"),
            (
                {"CHAOS_DATABASE_AUTH": "iam", "CHAOS_DATABASE": "sslmode=prefer"},
                "sslmode=prefer, which may send a token in the clear",
            ),
        ],
        lambda case: case[1].startswith(("password auth", "ResourceNot")),
    ),
)
def test_what_cannot_log_in_is_refused_before_anything_is_touched(shared, tmp_path, env, words):
    shared.chaos.folder = tmp_path
    before = shared.mutating_calls()
    ran = shared.chaos.run(**env)
    assert ran.status == 1
    assert words in ran.said, ran.output
    assert "Traceback" not in ran.output
    assert "hunter2" not in ran.output
    assert not ran.reports.exists()
    assert shared.mutating_calls() == before


def test_the_secrets_of_an_experiment_are_not_in_the_journal_of_a_refused_run(chaos, tmp_path):
    given = with_secrets(tmp_path / "experiment.json", "written-down")
    ran = chaos.run(given, TEAM_TOKEN="from-outside", CHAOS_RTO="soon")
    assert ran.said.startswith("CHAOS_RTO must be")
    journal = (tmp_path / "journal.json").read_text()
    assert json.loads(journal)["experiment"]["secrets"]["team"]["literal"] == "***"
    assert "from-outside" not in journal
    assert "written-down" not in journal
