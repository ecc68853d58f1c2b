"""The database's password where AWS provides it: an IAM token, or a secret of Secrets Manager.

The load's process has no access to AWS: each new connection reads the password from a passfile,
which is renewed here as long as the run lasts.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaosaws_kms_ext.aws import kms, rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.connection_strings import (
    MYSQL,
    POSTGRESQL,
    SPOKEN,
    options_of,
    protocol_of,
    with_options,
    written,
)
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.engines.passfile import Line, Passfile, fits
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings

__all__ = ["RENEW_EVERY", "Passwords", "passwords", "read_secret"]

logger = logging.getLogger("chaostoolkit")

RENEW_EVERY = 60.0
"""Seconds. A token lasts for 15 minutes, or for as long as the credentials that signed it (Aurora
User Guide, "IAM database authentication"); a secret can be rotated at any time."""

STOP_WITHIN = 5.0
"""Seconds to wait for a renewal that is under way when the run ends."""

SAFE = {
    POSTGRESQL: ("sslmode", ("require", "verify-ca", "verify-full")),
    MYSQL: ("ssl-mode", ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")),
}
"""The option that says how TLS is used, and its values that never send a token in the clear."""


class Passwords:
    """A connection string whose password is renewed for as long as this lasts."""

    def __init__(
        self, database: str, lines: Callable[[], list[Line] | None], renew_every: float
    ) -> None:
        """`lines` gets the newest lines, or None for no change; raises AwsError or Refused.

        `renew_every`: seconds.
        """
        self._lines = lines
        self._renew_every = renew_every
        self._file = Passfile()
        self.database = with_options(database, passfile=self._file.path)
        """It names the passfile, and holds no secret itself."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="passwords", daemon=True)

    def start(self) -> None:
        """Raises AwsError or Refused when there is no password to begin with."""
        self._ask()
        self._thread.start()

    def stop(self) -> None:
        """Nobody connects any more; safe to call again."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN)
        self._file.close()

    def _ask(self) -> None:
        lines = self._lines()
        if lines is not None:
            self._file.write(lines)

    def _renew(self) -> None:
        failing = False
        while not self._end.wait(self._renew_every):
            try:
                self._ask()
            except Exception as problem:
                # Of other exceptions only the type is shown: their text may contain the password.
                known = isinstance(problem, (PlainError, OSError))
                if not failing and not self._end.is_set():
                    why = problem if known else type(problem).__name__
                    logger.warning(
                        "The database's password could not be renewed, so the one before is kept: "
                        f"{why}"
                    )
                failing = True
            else:
                if failing:
                    logger.info("The database's password can be renewed again.")
                failing = False


def passwords(
    aws: Aws,
    settings: Settings,
    cluster: Database,
    key_arn: str,
    renew_every: float = RENEW_EVERY,
) -> Passwords:
    """Passwords for `database_auth` iam or secret, not started yet; raises AwsError or Refused."""
    if not settings.database and SPOKEN.get(cluster.engine) == MYSQL:
        settings = replace(settings, database=written(MYSQL, {}))
    options = _options(settings)
    if settings.database_auth == "iam":
        database, lines = _of_iam(aws, settings.database, cluster, options)
    else:
        database, lines = _of_secret(aws, settings, cluster)
        _warn_of_key(aws, settings.database_secret, key_arn)
    return Passwords(database, lines, renew_every)


# Internals

Found = tuple[str, Callable[[], list[Line] | None]]
"""A connection string without password, and the function that gets the password."""


def _options(settings: Settings) -> dict[str, str]:
    """The options of the driver, without the cluster's; raises Refused if they have a password."""
    how = f"CHAOS_DATABASE_AUTH={settings.database_auth}"
    named = options_of(settings.database)
    if wrong := {"passfile", "service"} & set(named):
        raise Refused(
            f"CHAOS_DATABASE must not name a {wrong.pop()} with {how}: it would bring its own "
            "password"
        )
    given = engine_of(settings.database).defaults()
    if given.get("password"):
        raise Refused(
            f"PGPASSWORD (or the password of PGSERVICE) is set, and would be used instead of {how}"
            ": unset it"
        )
    return {**given, **named}


def _of_iam(aws: Aws, given: str, cluster: Database, options: dict[str, str]) -> Found:
    """IAM: rds-db:connect."""
    if cluster.raw.get("IAMDatabaseAuthenticationEnabled") is False:
        raise Refused(
            f"IAM database authentication is off on {cluster.id}, so CHAOS_DATABASE_AUTH=iam "
            "cannot work: switch it on (EnableIAMDatabaseAuthentication)"
        )
    database = rds.conninfo(cluster, given)
    named = options_of(database)
    mode, safe = SAFE[protocol_of(database)]
    if named.get(mode, safe[0]) not in safe:
        raise Refused(
            f"CHAOS_DATABASE says {mode}={named[mode]}, which may send a token in the clear: "
            f"with CHAOS_DATABASE_AUTH=iam it must be one of {', '.join(safe)}"
        )
    options = {**options, **named}
    if options.get(mode) not in safe:
        database = with_options(database, **{mode: safe[0]})
    hosts, ports, user = options.get("host", "*").split(","), options["port"], options["user"]
    # An address beside the name belongs to a tunnel: the token is signed for its far end.
    behind = str(cluster.port or "") if options.get("hostaddr") else ""

    def lines() -> list[Line]:
        each = ports.split(",") if "," in ports else [ports] * len(hosts)
        return [Line(user, token(h, behind or p), h, p) for h, p in zip(hosts, each, strict=False)]

    def token(host: str, port: str) -> str:
        return aws.database_token(cluster.address if host == "*" else host, port, user)

    return database, lines


def _of_secret(aws: Aws, settings: Settings, cluster: Database) -> Found:
    """IAM: secretsmanager:GetSecretValue; kms:Decrypt on its key, if it is not AWS' own."""
    secret = settings.database_secret
    user, _ = read_secret(aws, secret)
    named = options_of(settings.database).get("user", user)
    if named != user:
        raise Refused(
            f"CHAOS_DATABASE names the user {named}, and the secret {secret} holds the password of "
            f"{user}"
        )

    def lines() -> list[Line] | None:
        now, password = read_secret(aws, secret)
        # Rotation with alternating users leaves the other's password as it is until the next time
        # (Secrets Manager User Guide, "Rotation strategy").
        return [Line(user, password)] if now == user else None

    return rds.conninfo(cluster, with_options(settings.database, user=user)), lines


def read_secret(aws: Aws, secret: str) -> tuple[str, str]:
    """User and password, as RDS writes them (Secrets Manager User Guide, "JSON structure of Secrets
    Manager database credential secrets"); raises AwsError or Refused."""
    said = aws.call("secretsmanager", "GetSecretValue", {"SecretId": secret})
    try:
        content: Any = json.loads(said.get("SecretString", ""))
    except ValueError:
        content = None
    found = content if isinstance(content, dict) else {}
    user, password = found.get("username"), found.get("password")
    if not isinstance(user, str) or not isinstance(password, str) or not user or not password:
        raise Refused(
            f"the secret {secret} has no username and password: it must be JSON with both, as RDS "
            "writes it"
        )
    if not fits(user) or not fits(password):
        raise Refused(
            f"the secret {secret} cannot be given to the database's driver: its password has a "
            "line break in it, or characters that are not text"
        )
    return user, password


def _warn_of_key(aws: Aws, secret: str, key_arn: str) -> None:
    """Warns if the run takes away the key of the secret as well: that is a problem of its own.

    IAM: secretsmanager:DescribeSecret.
    """
    try:
        said = aws.call("secretsmanager", "DescribeSecret", {"SecretId": secret})
        named = said.get("KmsKeyId", "")
        if not named:
            return
        key = kms.describe(aws, named)
        beside = bool(key.store) and kms.describe(aws, key_arn).store == key.store
    except AwsError as problem:
        logger.warning(f"Whether the secret {secret} is under the same key is not known: {problem}")
        return
    if key.arn == key_arn:
        logger.warning(
            f"The secret {secret} is encrypted under the very key that this run takes away: "
            "meanwhile nobody can read the password to log in anew, and after a real loss of the "
            "key nobody ever could."
        )
    elif beside:
        logger.warning(
            f"The secret {secret} is encrypted under a key of the same custom key store as the "
            "cluster: while that is disconnected nobody can read the password to log in anew."
        )
