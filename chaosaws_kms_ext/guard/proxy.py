"""The RDS Proxies before a database: which there are, the keys of their secrets, and the one that
the load goes through."""

from __future__ import annotations

from collections.abc import Iterator

from chaosaws_kms_ext.aws import proxies
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.proxies import Proxy
from chaosaws_kms_ext.guard.findings import Finding, ok, refused, unproven
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.text import printable

__all__ = ["AUTO", "chosen", "findings"]

AUTO = "auto"
"""In place of a name: the only one before the database."""


def findings(aws: Aws, settings: Settings, database: Database, key_arn: str) -> list[Finding]:
    """One for each proxy before the database, and whether the load can go through that of
    CHAOS_PROXY. `key_arn`: the key that is taken away.

    Without CHAOS_PROXY a proxy refuses nothing, and none that cannot be asked for either.
    """
    try:
        there = proxies.of_database(aws, database)
    except AwsError as problem:
        if settings.proxy:
            return [refused("proxy", f"whether CHAOS_PROXY can be used is not known: {problem}")]
        why = f"whether an RDS Proxy stands before {database.id} is not known: {problem}"
        return [unproven("proxy", why)]
    said = [_of(aws, each, database, key_arn) for each in there]
    if not settings.proxy:
        return said
    try:
        way = chosen(aws, settings, database, there)
    except (AwsError, Refused) as problem:
        return [*said, refused("proxy", str(problem))]
    assert way is not None
    return [*said, ok("proxy", f"the load goes through {way.name}, at {way.address}")]


def chosen(
    aws: Aws, settings: Settings, database: Database, there: list[Proxy] | None = None
) -> Proxy | None:
    """The proxy that CHAOS_PROXY names; None: it names none. Raises Refused where the load cannot
    go through it, and AwsError.

    `there`: those before the database, where they are known.
    """
    if not settings.proxy:
        return None
    there = proxies.of_database(aws, database) if there is None else there
    wanted = settings.proxy.lower()  # RDS minds no case in a name
    named = [each for each in there if settings.proxy == AUTO or each.name.lower() == wanted]
    if settings.proxy == AUTO and not named:
        raise Refused(
            f"CHAOS_PROXY is auto, and no RDS Proxy stands before {database.in_words}: register it "
            "with one, or leave CHAOS_PROXY out"
        )
    if len(named) > 1:
        names = ", ".join(sorted(each.name for each in named))
        raise Refused(
            f"CHAOS_PROXY is auto, and several RDS Proxies stand before {database.in_words} "
            f"({names}): name one"
        )
    if not named:
        raise Refused(_why_not(aws, settings.proxy, database))
    way = named[0]
    if way.status != "available" or not way.address:
        raise Refused(f"the RDS Proxy {way.name} is {way.status}, not available: wait until it is")
    writer = way.writer
    if writer and writer.state != proxies.AVAILABLE:
        raise Refused(
            f"the RDS Proxy {way.name} does not reach the writer of {database.in_words}, which is "
            f"{writer}: see to that first"
        )
    return way


def _why_not(aws: Aws, name: str, database: Database) -> str:
    """Why a proxy of this name cannot be used; raises AwsError."""
    try:
        other = proxies.describe(aws, name)
    except AwsError as problem:
        if problem.code != proxies.MISSING:
            raise
        return f"there is no RDS Proxy {name} in {aws.region}: check CHAOS_PROXY and the Region"
    before = ", ".join(sorted(each.id for each in other.targets)) or "no database"
    return (
        f"CHAOS_PROXY names {name}, which stands before {before}, and not before "
        f"{database.in_words}: what it shows would not be about it"
    )


def _of(aws: Aws, proxy: Proxy, database: Database, key_arn: str) -> Finding:
    """That it is there, and which keys it needs."""
    health = f", whose writer is {proxy.writer} to it" if proxy.writer else ""
    secrets = "; ".join(_of_secrets(aws, proxy, key_arn)) or "it logs in without a secret"
    return ok("proxy", printable(f"{proxy.name} is before {database.id}{health}; {secrets}"))


def _of_secrets(aws: Aws, proxy: Proxy, key_arn: str) -> Iterator[str]:
    for secret in proxy.secrets:
        name = secret.rpartition(":")[2]
        try:
            key = proxies.key_of_secret(aws, secret)
        except AwsError as problem:
            yield f"the key of its secret {name} is not known: {problem}"
            continue
        if key == key_arn:
            yield (
                f"its secret {name} is under the very key that is taken away: meanwhile it may let "
                "nobody log in"
            )
        elif key:
            yield f"its secret {name} is under {key}, without which it lets nobody log in anew"
        else:
            yield f"its secret {name} is under AWS' own key"
