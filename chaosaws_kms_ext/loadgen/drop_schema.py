"""Drops the schema that a run which was killed left in a database that it did not make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.loadgen import schema
from chaosaws_kms_ext.loadgen.passwords import passwords
from chaosaws_kms_ext.loadgen.schema import NotOurs
from chaosaws_kms_ext.resources.delete import wrong_account
from chaosaws_kms_ext.resources.ledger import Ledger
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings

__all__ = ["drop"]

Say = Callable[[str], object]

WITHIN = 20.0
"""Seconds for one database."""


def drop(aws: Aws, ledger: Ledger, say: Say) -> list[str]:
    """Drops the schemas of a run's loads, by its ledger; returns what is left, in sentences.

    Passwords are found as the run found them: by libpq, IAM or Secrets Manager. A schema that does
    not say that it is ours is left alone.
    """
    schemas = [each for each in ledger.things if each.kind == "schema"]
    if schemas and (wrong := wrong_account(aws, ledger)):
        return [wrong]
    left = []
    for resource in schemas:
        try:
            said = _drop(aws, ledger, resource.name)
        except NotOurs:
            said = "not touched, since somebody else made it"
        except (PlainError, OSError) as problem:
            left.append(f"the {resource} is not dropped: {problem}")
            continue
        ledger.deleted(resource)
        say(f"{resource}: {said}")
    return left


def _drop(aws: Aws, ledger: Ledger, cluster_id: str) -> str:
    try:
        cluster = rds.describe(aws, cluster_id)
    except AwsError as problem:
        if problem.code in rds.MISSING:
            return f"the {rds.in_words(cluster_id)} is not there any more"
        raise
    if cluster.meaning != "accessible":
        raise Refused(f"{cluster.in_words} is {cluster.status}")
    settings = Settings(target="aws", **asdict(ledger.database))
    if settings.database_auth == "libpq":
        schema.drop(rds.conninfo(cluster, settings.database), WITHIN)
        return "dropped"
    renewed = passwords(aws, settings, cluster, cluster.key)
    try:
        renewed.start()
        schema.drop(renewed.database, WITHIN)
    finally:
        renewed.stop()
    return "dropped"
