"""The real AWS CLI, asked of a lab."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from tests.support.labs import program


def aws_cli(lab: LocalLab, *arguments: str) -> Any:
    """What `aws …` prints, read as JSON; None if it prints nothing. Fails the test if it fails."""
    # Without --endpoint-url version 1 sends sqs to AWS, whatever AWS_ENDPOINT_URL says, and rds
    # too in us-east-1.
    command = [program("aws"), "--endpoint-url", lab.endpoint, "--output", "json", *arguments]
    said = subprocess.run(
        command, env=os.environ | lab.environment, capture_output=True, text=True, timeout=30
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout) if said.stdout else None
