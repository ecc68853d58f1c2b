"""The commands of the pages that tests/deploy/test_documented_commands.py does not run, and why."""

from __future__ import annotations

__all__ = ["ELSEWHERE", "NOT_RUN", "WHOLE_PAGES", "why_not_run"]

WHOLE_PAGES = {"docs/staging.md": "tests/deploy/test_staging_page.py"}
"""Pages whose blocks take the answers of those before them, and what runs them in order."""

ELSEWHERE = {
    "make test": ".ci/run",
    "make release": "tools/release.py",
    "pytest experiments/": "Makefile",
    "chaos kms watch": "tests/unit/cli/test_watch.py",
    "chaos kms load-worker": "tests/deploy/test_documented_commands.py",
    "sh deploy/workers/ssh.sh": "tests/deploy/test_documented_commands.py",
    "chaos kms lab": "tests/lab/test_tutorial.py",
    "sh docs/tutorial.sh": "tests/lab/test_tutorial.py",
    "chaos run experiments/watch-only.json": "tests/e2e/test_watch.py",
}
"""How a command begins, and what runs it."""

NOT_RUN = {
    "docker": "there is no Docker: hadolint reads the file",
    "kubectl": "there is no Kubernetes: kubernetes-validate reads the files",
    "aws ssm create-document": "the lab has no documents of Systems Manager",
    "aws organizations": "the lab is one account, without an organization",
    "aws ec2": "the lab has no network",
}
"""How a command begins, and why no test can run it: its own program has parsed it."""


def why_not_run(command: str) -> str | None:
    """What runs it in place of that test, or why nothing does; None if that test has to."""
    for begin, why in {**ELSEWHERE, **NOT_RUN}.items():
        # `pytest experiments/ -k one` is another command than that of all experiments.
        if command == begin or (begin in BEGINS and command.startswith(begin + " ")):
            return why
    return None


BEGINS = ("chaos kms lab", "chaos kms load-worker", "sh deploy/workers/ssh.sh", *NOT_RUN)
"""Those of which any arguments are meant."""
