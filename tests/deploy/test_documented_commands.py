"""The commands of the pages, run by bash as they stand there: on the lab, or on a lab as AWS.

What is not run here stands in tests/support/documented_exceptions.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from tests.support import documented
from tests.support.chaos import AWS_SETTINGS, LabAsAws
from tests.support.documented import PROGRAMS, ROOT, read, sandbox
from tests.support.documented_exceptions import WHOLE_PAGES, why_not_run
from tests.support.labs import program, until
from tests.support.small_run import stored

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

LIMIT = 800.0
"""Seconds for one block."""

LABS = {
    "kms-shared-key": {"clusters": 2},
    "kms-keystore-disconnected": {"key_store": "external"},
    "CHAOS_INSTANCE_ID": {"database": "instance"},
    "start-db-cluster": {"profile": "documented"},
}
"""What a block names, and the lab that it needs."""

ON_AWS = re.compile(r"CHAOS_TARGET=aws|doctor --all|^aws ", re.MULTILINE)
PROCESSES = re.compile(r"CHAOS_LOAD_PROCESSES=(\d+)")
COMMAND = re.compile(r"(?:[A-Z_]+=\S* )*chaos ")
STATUS = re.compile(r"# exit (\d+)")
"""What a page says of how a command ends; else it has to end with 0."""

RUNNING = r"""
run_it() {
    local words="${1//$'\n'/ }" line status=0
    shift
    while IFS= read -r line; do [ "$words" != "$line" ] || return 0; done < .not-run
    if [ "${CHAOS_TARGET:-}" = aws ]; then set -- env $ON_AWS "$@"; fi
    command "$@" || status=$?
    echo "$status $words" >> .statuses
}
for program in PROGRAMS; do eval "$program() { run_it \"$program \$*\" $program \"\$@\"; }"; done
aws() { run_it "aws $*" aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
make() { run_it "make $*" make --old-file=.venv/.ready "$@"; }
""".replace("PROGRAMS", " ".join(PROGRAMS))


def to_run():
    """The blocks with at least one command that no exception is made of."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox(Path(folder))
        return [
            block
            for block in documented.blocks()
            if block.page not in WHOLE_PAGES
            and any(not why_not_run(each) for each in shown(block, Path(folder)))
        ]


def shown(block, folder):
    return [str(each) for each in read(block.text, folder) if str(each) != "end"]


def one_line(text):
    return text.replace("\n", " ")


@pytest.fixture
def here(tmp_path):
    """The repository as the commands find it, with two runs that are kept."""
    sandbox(tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    reports = tmp_path / "reports"
    for name in (reports / "latest", tmp_path / "FOLDER"):
        shutil.rmtree(name)
    run = stored(tmp_path / "stored")
    CliRunner().invoke(kms, ["report", str(run)])
    times = ("2026-01-01T000000Z", "2026-01-02T000000Z")
    for time in times:
        shutil.copytree(run, reports / "kms-disable" / time)
    (reports / "latest").symlink_to(f"kms-disable/{times[1]}")
    return tmp_path


SETTINGS = {
    **{name: each for name, each in AWS_SETTINGS.items() if not name.endswith(("TARGET", "_ID"))},
    "CHAOS_SELF_RESTART_WITHIN": "15",
    "CHAOS_WITHOUT_BACKUP": "yes",
}
"""Of runs on a lab that plays AWS. Durations are its own: an hour takes 12 s."""

NOBODY = '{"Version": "2012-10-17", "Statement": []}'
MASTER = "127.0.0.1:15557"

PLACEHOLDERS = {
    "orders-staging": "orders",
    "carts-staging": "carts",
    "CLUSTER": "orders",
    "[RUN]": "latest",
    "10.0.0.5:5557": MASTER,
    "FOLDER": "reports/latest",
    "TIME": "2026-01-01T000000Z",
}


def environment(here):
    kept = ("PATH", "PYTHONPATH", "LANG", "PIP_CONFIG_FILE")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(here),
        "PATH": os.pathsep.join([str(Path(program("chaos")).parent), os.environ["PATH"]]),
        "XDG_STATE_HOME": str(here / "state"),
        "CHAOS_LAB_SPEED": "100",
        "CHAOS_LOAD_RATE": "100",
        "CHAOS_STATUS_POLL_EVERY": "0.8",
    }


@pytest.fixture
def workers():
    """Starts as many remote workers of a load as its run waits for, by deploy/workers/ssh.sh."""
    started = []

    def start(text, here, its):
        machines = [f"machine-{n}" for n in range(int(PROCESSES.search(text)[1]))]
        ssh = here / "ssh"
        ssh.write_text('#!/bin/sh\necho "$1" >> machines\nshift\nexec "$@"\n')
        ssh.chmod(0o755)
        command = ["sh", str(ROOT / "deploy" / "workers" / "ssh.sh"), MASTER, *machines]
        started.append(subprocess.Popen(command, cwd=here, env={**its, "SSH": str(ssh)}))
        asked = here / "machines"
        asked.touch()
        until(lambda: sorted(asked.read_text().split()) == machines)

    yield start
    for each in started:
        each.terminate()
        each.wait(30)


@pytest.fixture
def as_aws(tmp_path_factory):
    """Starts a lab that plays AWS; returns what leads to it, and what the page's words mean."""
    started = []

    def start(text):
        options = next((its for name, its in LABS.items() if name in text), {})
        its = LabAsAws.start(tmp_path_factory.mktemp("lab"), **options)
        started.append(its)
        its.client("iam").create_role(RoleName="game-day", AssumeRolePolicyDocument=NOBODY)
        if "start-db-cluster" in text:
            its.client("kms").disable_key(KeyId=its.key)
            until(lambda: its.cluster_status().startswith("inaccessible"))
        words = {
            "KEY": its.key.rpartition("/")[2],
            "PGPASSWORD=…": f"PGPASSFILE={its.lab.passfile}",
            "arn:aws:kms:eu-west-1:123456789012:key/…": its.key,
            "CHAOS_BLAST_RADIUS=3": "CHAOS_BLAST_RADIUS=0",
        }
        settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
        return {**its.lab.environment, "ON_AWS": settings}, words

    yield start
    for its in started:
        its.lab.stop()


@pytest.mark.parametrize("block", to_run(), ids=str)
def test_the_commands_of_a_page_do_what_it_says(block, here, as_aws, workers):
    words, its = dict(PLACEHOLDERS), environment(here)
    if ON_AWS.search(block.text):
        more, of_lab = as_aws(block.text)
        words.update(of_lab)
        its.update(more)
    text = block.text
    for word, value in words.items():
        text = re.sub(rf"(?<![\w.]){re.escape(word)}(?![\w=])", value, text)
    if "CHAOS_LOAD_WORKERS=remote" in text:
        workers(text, here, its)
    commands = shown(documented.Block(block.page, block.number, text), here)
    (here / ".not-run").write_text(
        "".join(f"{one_line(each)}\n" for each in commands if why_not_run(each))
    )
    done = subprocess.run(
        ["bash", "-c", f"{RUNNING}\n{text}"], cwd=here, env=its, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
    )  # fmt: skip
    ended = [int(line.split()[0]) for line in (here / ".statuses").read_text().splitlines()]
    lines = [line for line in text.splitlines() if COMMAND.match(line)]
    said = [int(match[1]) if (match := STATUS.search(line)) else 0 for line in lines]
    assert ended == (said if any(said) else [0] * len(ended)), done.stdout[-6000:]
    assert ended
