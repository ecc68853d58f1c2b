"""The material of keys that a run made without KMS' own: in memory, and nowhere else."""

from __future__ import annotations

import secrets

from chaosaws_kms_ext.aws import key_material
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.run import Run

__all__ = ["give"]


def give(run: Run, key: str) -> None:
    """Makes random material, remembers it, and imports it into the new key `key` (an ARN).

    Raises AwsError.
    """
    run.key_materials[key] = secrets.token_bytes(key_material.BYTES)
    key_material.import_new(Aws.of(run), key, run.key_materials[key])
