"""What a run needs goes away while the key is off: the key comes back all the same."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support.chaos_runs import MOMENTS
from tests.support.labs import as_superuser, program, until

pytestmark = pytest.mark.soak


def namespaces():
    """Whether this user may mount something of his own."""
    asked = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return shutil.which("unshare") and subprocess.run(asked, capture_output=True).returncode == 0


@pytest.mark.skipif(not namespaces(), reason="needs user namespaces, for a disk that is full")
@pytest.mark.parametrize("full", ["reports", "state"])
def test_a_disk_that_is_full_does_not_keep_the_key_away(aws, tmp_path, full):
    """It has room for the run as planned; then somebody else fills it."""
    lab_as_aws = aws()
    folder = lab_as_aws.chaos.folder / full
    folder.mkdir()
    command = [
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
        f"mount -t tmpfs -o size=64m none {folder} && "
        f"{{ (while ! grep -q hold-the-outage {tmp_path}/out; do sleep 0.1; done; "
        f"dd if=/dev/zero of={folder}/filling bs=64k 2>/dev/null; "
        f"dd if=/dev/zero of={folder}/crumbs bs=1 2>/dev/null; sync) & exec "
        f"{program('chaos')} --no-version-check run --journal-path {tmp_path}/journal.json "
        "experiments/kms-disable.json; }",
    ]  # fmt: skip
    with (tmp_path / "out").open("wb") as out:
        ran = subprocess.run(
            command, env=environment(lab_as_aws), stdout=out, stderr=out, timeout=150, check=False
        )
    said = (tmp_path / "out").read_text(errors="replace")
    assert "hold-the-outage" in said, said
    assert "Traceback" not in said, said
    assert lab_as_aws.key_state() == "Enabled", said
    assert ran.returncode == (1 if full == "reports" else ran.returncode)
    until(lambda: lab_as_aws.cluster_status() == "available", 60)


def environment(lab_as_aws):
    return {
        **os.environ,
        **lab_as_aws.chaos.env,
        "CHAOS_REPORTS_DIR": str(lab_as_aws.chaos.folder / "reports"),
    }


def test_a_database_that_lets_nobody_in_any_more_does_not_keep_the_key_away(aws):
    """The load's role is locked during the run: its credentials have become worthless."""
    lab_as_aws = aws(CHAOS_RECOVERY_TIMEOUT="12")
    with as_superuser(lab_as_aws.lab) as connection:
        connection.execute("CREATE ROLE load LOGIN PASSWORD 'let-in'")
        connection.execute("GRANT app TO load")
        running = lab_as_aws.chaos.start_run(CHAOS_DATABASE="user=load", PGPASSWORD="let-in")
        running.until_said("Steady state hypothesis is met!")
        connection.execute("ALTER ROLE load NOLOGIN")
    ran = running.wait()
    assert ran.status == 1
    assert ran.summary["verdict"] != "passed"
    assert lab_as_aws.key_state() == "Enabled"
    until(lambda: lab_as_aws.cluster_status() == "available", 60)
    assert "NOT removed: the schema chaos_kms" in lab_as_aws.chaos.kms("restore").output
    with as_superuser(lab_as_aws.lab) as connection:
        connection.execute("ALTER ROLE load LOGIN")
    restored = lab_as_aws.chaos.kms("restore", PGPASSWORD="let-in")
    assert restored.status == 0, restored.output
    assert lab_as_aws.chaos.kms("restore").output.startswith("Nothing to put back: ")


def test_reports_that_cannot_be_written_any_more_do_not_keep_the_key_away(aws):
    lab_as_aws = aws(CHAOS_RECOVERY_TIMEOUT="12")
    running = lab_as_aws.chaos.start_run()
    running.until_said(MOMENTS["hold"])
    shutil.rmtree(lab_as_aws.chaos.folder / "reports")
    ran = running.wait()
    assert ran.status == 1
    assert "Traceback" not in ran.output
    assert lab_as_aws.key_state() == "Enabled"
