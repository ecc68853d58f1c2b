"""May this database's key be taken away? Checked before every fault; changes nothing.

`inspect` checks everything and reports what it found; `ask` refuses if any check refuses. A check
that cannot be made refuses as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta

from chaosaws_kms_ext.aws import kms, rds, secondary_keys
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.names import MOST_CLUSTERS
from chaosaws_kms_ext.aws.statuses import AVAILABLE
from chaosaws_kms_ext.dependents.find import Found
from chaosaws_kms_ext.guard import (
    consent,
    credentials,
    elsewhere,
    key_store,
    maintenance,
    permissions,
    proxy,
)
from chaosaws_kms_ext.guard.backups import backup
from chaosaws_kms_ext.guard.beside import beside
from chaosaws_kms_ext.guard.findings import Finding, ok, refused
from chaosaws_kms_ext.guard.inventory import survey
from chaosaws_kms_ext.guard.not_during import not_during
from chaosaws_kms_ext.guard.permissions import Identity
from chaosaws_kms_ext.guard.recoverable import recoverable
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo import switch

__all__ = ["Inspection", "Target", "ask", "find", "inspect"]

SHOWN = 20
"""A sentence names at most so many resources that would lose the key too."""

LONGEST = 2048
"""Letters of a name: KMS' own limit (API reference, DescribeKey), and enough for any of RDS."""


@dataclass(frozen=True)
class Target:
    """What may be attacked: a database and the very key that encrypts it."""

    cluster: Database
    """A cluster, or an instance that is no cluster's."""
    key: Key
    others: tuple[Database, ...] = ()
    """The other databases under the key: they go without it too, and are brought back."""
    elsewhere: Found | None = None
    """What other services have under it; None: nobody looked."""


@dataclass
class Inspection:
    """Everything that was looked at."""

    findings: list[Finding] = field(default_factory=list)
    target: Target | None = None
    """The database and its key, as far as they exist."""
    identity: Identity | None = None

    @property
    def refusals(self) -> list[str]:
        """Why it may not be attacked, each in a sentence."""
        return [finding.why for finding in self.findings if finding.state == "refused"]


def ask(run: Run, cluster_id: str, needs: Needs, key_id: str = "", key_of: str = "") -> Target:
    """The target, if this run may attack it; raises Refused with every reason otherwise.

    The cluster's own key counts, or its secondary one of `key_of` (aws/secondary_keys.py); `key_id`
    (id, ARN or alias) is only compared with it. `needs`: the IAM actions that the planned faults
    need. What was found stays in the run's records.
    """
    inspection = inspect(Aws.of(run), run.settings, cluster_id, needs, key_id, key_of)
    run.event(EventName.GUARD, findings=[asdict(each) for each in inspection.findings])
    elsewhere.record(run, inspection.target.elsewhere if inspection.target else None)
    if inspection.refusals or inspection.target is None:
        raise Refused("; ".join(inspection.refusals))
    return inspection.target


def find(aws: Aws, cluster_id: str, key_id: str = "") -> Target:
    """The target of a run that takes no key away; raises Refused without such a cluster or key."""
    found = Inspection()
    found.findings += [*_unnameable("cluster", cluster_id), *_unnameable("key", key_id or "-")]
    cluster = None if found.refusals else _cluster(found, aws, cluster_id)
    key = _key(found, aws, cluster.key, "its own key") if cluster else None
    if cluster is None or key is None:
        raise Refused("; ".join(found.refusals))
    _check_named(found, aws, cluster, key, key_id)
    if found.refusals:
        raise Refused("; ".join(found.refusals))
    return Target(cluster, key)


def inspect(
    aws: Aws,
    settings: Settings,
    cluster_id: str,
    needs: Needs,
    key_id: str = "",
    key_of: str = "",
) -> Inspection:
    """Checks everything; makes one call per page of results, and none that changes anything."""
    found = Inspection()
    try:
        _inspect(found, aws, settings, cluster_id, needs, key_id, key_of)
    except (AwsError, Refused) as problem:
        found.findings.append(refused("aws", str(problem)))
    return found


# Internals


def _inspect(
    found: Inspection,
    aws: Aws,
    settings: Settings,
    cluster_id: str,
    needs: Needs,
    key_id: str,
    key_of: str,
) -> None:
    if wrong := [*_unnameable("cluster", cluster_id), *_unnameable("key", key_id or "-")]:
        found.findings += wrong
        return
    who = found.identity = permissions.identity(aws)
    say = found.findings.append
    say(ok("identity", f"{who.arn}, in {aws.region}"))
    say(consent.account(who.account, settings.allowed_accounts))
    longest = timedelta(seconds=settings.longest_run)
    say(credentials.lasting(aws.credentials(), longest))
    cluster = _cluster(found, aws, cluster_id)
    if cluster is None:
        return
    key = _secondary(found, aws, cluster, key_of) if key_of else _own(found, aws, cluster)
    if key is None:
        return
    found.target = target = Target(cluster, key)
    _check_named(found, aws, cluster, key, key_id)
    found.findings += [
        *_of_key(aws, cluster, key, who),
        *_of_cluster(cluster),
        *not_during(settings.not_during, cluster.maintenance_window, settings.longest_run),
        *_checked(lambda: recoverable(aws, cluster)),
        *maintenance.findings(aws, cluster, settings.longest_run),
        *proxy.findings(aws, settings, cluster, key.arn),
        *consent.of_fault(needs.consent, settings),
        *consent.tags(cluster.in_words, rds.tags(cluster)),
        *_checked(lambda: consent.tags(f"the key {key.arn}", kms.tags(aws, key.arn))),
        *_checked(lambda: _of_the_rest(found, aws, settings, target, needs)),
        *_of_permissions(aws, settings, who, found.target, needs),
    ]


def _unnameable(what: str, name: object) -> list[Finding]:
    """Refuses what cannot be a name: it is neither sent to AWS nor shown to anybody."""
    if isinstance(name, str) and 0 < len(name) <= LONGEST and name.isprintable():
        return []
    return [refused(what, f"the {what} must be named by 1 to {LONGEST} printable letters")]


def _checked(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check found; a check that fails refuses, and the others are still made."""
    try:
        return list(look())
    except AwsError as problem:
        return [refused("aws", str(problem))]


def _cluster(found: Inspection, aws: Aws, cluster_id: str) -> Database | None:
    try:
        cluster = rds.describe(aws, cluster_id)
    except AwsError as problem:
        why = str(problem)
        kind = rds.kind_of(cluster_id)
        if problem.code == kind.missing:
            why = (
                f"there is no DB {rds.in_words(cluster_id)} in {aws.region}: check {kind.setting} "
                "and the Region"
            )
        found.findings.append(refused(kind.word, why))
        return None
    if cluster.encrypted and cluster.key:
        return cluster
    why = f"{cluster.in_words} is not encrypted under a KMS key"
    if cluster.encryption_type == "sse-rds":
        why += " but under one that AWS owns (sse-rds), which nobody can disable"
    found.findings.append(refused(cluster.kind.word, why))
    return None


def _key(found: Inspection, aws: Aws, key_id: str, what: str) -> Key | None:
    try:
        return kms.describe(aws, key_id)
    except AwsError as problem:
        why = str(problem)
        if problem.code in ("NotFoundException", "InvalidArnException"):
            why = f"there is no KMS key {key_id} ({what}) in {aws.region}"
        found.findings.append(refused("key", why))
        return None


def _own(found: Inspection, aws: Aws, cluster: Database) -> Key | None:
    return _key(found, aws, cluster.key, "its own key")


def _secondary(found: Inspection, aws: Aws, cluster: Database, key_of: str) -> Key | None:
    """The cluster's key of this kind; one that is the storage's key too is none of them."""
    its = secondary_keys.find(aws, cluster, key_of)
    if its is None:
        why = f"{cluster.id} has no {secondary_keys.KEYS_OF[key_of]}: there is no such key to lose"
        found.findings.append(refused("key", why))
        return None
    key = _key(found, aws, its.key, f"its key of {key_of}")
    if key and key.arn == cluster.key:
        why = (
            f"the key of {key_of} of {cluster.id} is that of its storage, too: without it the "
            "cluster goes down, which is what the experiment kms-disable tries"
        )
        found.findings.append(refused("key", why))
        return None
    return key


def _check_named(found: Inspection, aws: Aws, cluster: Database, key: Key, key_id: str) -> None:
    """Refuses if the key that was named is not the cluster's own."""
    named = _key(found, aws, key_id, "CHAOS_KEY_ID") if key_id else None
    if named and named.arn != key.arn:
        why = f"CHAOS_KEY_ID names {named.arn}, but {cluster.id} is encrypted under {key.arn}"
        found.findings.append(refused("key", why))


def _of_key(aws: Aws, cluster: Database, key: Key, who: Identity) -> list[Finding]:
    account = cluster.arn.split(":")[4]
    wrongs = []
    if key.manager != "CUSTOMER":
        wrongs.append(
            f"the key {key.arn} of {cluster.id} is managed by AWS, which nobody can disable: "
            "only a customer managed key can be tried"
        )
    if {key.account, account} != {who.account} or key.region != aws.region:
        wrongs.append(
            f"the key {key.arn} is of another account or Region than the "
            f"{cluster.kind.word} {cluster.arn} "
            f"or you ({who.account}): it could not be put back from here"
        )
    if not key.enabled:
        wrongs.append(
            f"the key {key.arn} is {key.state} already, not Enabled: it was left as it is; find "
            "out who did that and why before you try again"
        )
    if wrongs:
        return [refused("key", why) for why in wrongs]
    return [ok("key", f"{key.arn} is customer managed, Enabled, of this account and Region")]


def _of_cluster(cluster: Database) -> list[Finding]:
    if cluster.status != AVAILABLE:
        why = f"{cluster.in_words} is {cluster.status}, not available"
    elif not cluster.instances:
        why = f"{cluster.in_words} has no instance that could be queried"
    elif not cluster.available:
        states = ", ".join(f"{name} is {status}" for name, status in cluster.instances.items())
        why = f"not every instance of {cluster.id} is available: {states}"
    else:
        names = ", ".join(cluster.instances)
        return [
            ok(cluster.kind.word, f"{cluster.id} ({names}) is available, and encrypted under it")
        ]
    return [refused(cluster.kind.word, why)]


def _of_the_rest(
    found: Inspection, aws: Aws, settings: Settings, target: Target, needs: Needs
) -> list[Finding]:
    """What else is under the key, or under the keys of its custom key store; the target's other
    databases are known from here on."""
    cluster, key = target.cluster, target.key
    there = survey(aws, key.arn)
    whole = needs.reach == "store"
    beside_it = key_store.others_of(aws, key) if whole else []
    more = elsewhere.look(aws, settings, [key.arn, *beside_it])
    bound = more.contexts if more else frozenset()
    store = key_store.reached(aws, there, key, cluster, beside_it, bound) if whole else None
    of_rds = there.others(key.arn, cluster, bound)
    affected = [*map(str, of_rds), *(store.affected if store else ())]
    affected += map(str, more.dependents) if more else ()
    others = [*there.beside(key.arn, cluster), *(store.databases if store else ())]
    found.target = replace(target, others=tuple(others), elsewhere=more)
    consented = _blast_radius(affected, cluster, key, settings.blast_radius, needs)
    # Without consent to their number they are not attacked, whatever they are.
    wanted = consented.state == "ok"
    lost = store.keys if store else []
    where = "a key of the same custom key store" if store else "the same key"
    within = timedelta(seconds=settings.real(settings.backup_within))
    go_without = settings.without_backup == "yes"
    return [
        *([store.store] if store else ()),
        consented,
        *elsewhere.findings(more, settings),
        *(_checked(lambda: key_store.allowed(aws, store.keys)) if store and wanted else ()),
        *(_checked(lambda: beside(aws, others, where)) if wanted else ()),
        backup(aws, cluster, there.snapshots_of(cluster), within, go_without, lost=lost),
    ]


def _of_permissions(
    aws: Aws, settings: Settings, who: Identity, target: Target, needs: Needs
) -> list[Finding]:
    """Whether the caller may do all that the run needs, and who may surely put the key back."""
    by = replace(needs, undo=switch.covered(needs.undo))  # what the switch would call
    role = settings.switch_role if settings.target == "aws" and by.undo else ""
    key = target.key
    few = len(target.others) < MOST_CLUSTERS  # more are refused anyway
    clusters = (target.cluster, *(target.others if few else ()))
    undo = permissions.may_undo(aws, who, clusters, key, needs)
    by_switch = permissions.switch_may_undo(aws, role, clusters, key, by) if role else []
    by_it_alone = bool(role) and switch.can(needs.undo)
    if not by_it_alone or any(finding.state != "ok" for finding in by_switch):
        undo = [_alone(finding) for finding in undo]
    rest = permissions.may_finish(
        aws, who, key, needs, role, bool(settings.alarms), settings.events_queue, len(clusters)
    )
    return list(dict.fromkeys([*undo, *by_switch, *rest]))


def _alone(finding: Finding) -> Finding:
    """An unproven permission to undo is enough only if the switch surely may undo it."""
    if finding.state != "unproven":
        return finding
    why = f"{finding.why}; so a switch is needed that surely may put it back (CHAOS_SWITCH_ROLE)"
    return refused(finding.about, why)


def _blast_radius(
    others: list[str], cluster: Database, key: Key, consented: int, needs: Needs
) -> Finding:
    """Names everything else that would lose its key: consent must give the exact number of it."""
    also = "" if needs.reach == "key" else " or another of its custom key store"
    if len(others) == consented:
        more = f", and with it, as CHAOS_BLAST_RADIUS says, {_named(others)}" if others else ""
        return ok("blast radius", f"{cluster.id} with its instances and snapshots{more}")
    if not others:
        why = (
            f"nothing but {cluster.id} uses the key{also}, and CHAOS_BLAST_RADIUS says {consented}"
        )
        return refused("blast radius", f"{why}: look again, and set it to 0")
    return refused(
        "blast radius",
        f"{len(others)} other things use the key of {cluster.id}{also} and would lose it too "
        f"({_named(others)}): if that is wanted, set CHAOS_BLAST_RADIUS={len(others)}"
        + (f", which says {consented}" if consented else ""),
    )


def _named(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
