"""The commands of the pages, run by bash as they stand there: on the lab, or on a lab as AWS.

What is not run here stands in tests/support/documented_exceptions.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support import documented
from tests.support.chaos import AWS_SETTINGS, LabAsAws
from tests.support.documented import PROGRAMS, ROOT, read, sandbox
from tests.support.documented_exceptions import why_not_run
from tests.support.labs import program

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

SPEED = 100.0
LIMIT = 800.0
"""Seconds for one block."""

LABS = {
    "kms-shared-key": {"clusters": 2},
    "kms-keystore-disconnected": {"key_store": "external"},
    "CHAOS_INSTANCE_ID": {"database": "instance"},
}
"""What a block names, and the lab that it needs."""

RUNNING = r"""
run_it() {
    local words="$*" line
    while IFS= read -r line; do
        [ "$words" != "$line" ] || return 0
    done < .not-run
    local status=0
    command "$@" || status=$?
    echo "$status $words" >> .statuses
    return "$status"
}
for program in PROGRAMS; do eval "$program() { run_it $program \"\$@\"; }"; done
make() { run_it make --old-file=.venv/.ready "$@"; }
cd "$FOLDER" || exit
""".replace("PROGRAMS", " ".join(PROGRAMS))


@cache
def commands_of(block, folder):
    return read(block.text, folder)


def to_run(tmp_path_factory):
    """The blocks with at least one command that is run here."""
    folder = sandbox(tmp_path_factory)
    return [
        block
        for block in documented.blocks()
        if any(not why_not_run(str(each)) for each in read(block.text, folder) if str(each) != "end")
    ]
