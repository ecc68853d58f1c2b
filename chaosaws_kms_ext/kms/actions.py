"""Actions on the key: taking it away from a cluster, and putting it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration, Secrets

from chaosaws_kms_ext import activities, faults
from chaosaws_kms_ext.aws import kms
from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.aws.key_material import EXTERNAL
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.names import TAG
from chaosaws_kms_ext.faults import Fault
from chaosaws_kms_ext.faults.schedule_key_deletion import DAYS
from chaosaws_kms_ext.guard import consent, guard
from chaosaws_kms_ext.guard.guard import Target
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.injection import inject, put_back
from chaosaws_kms_ext.kms.faces import TARGET
from chaosaws_kms_ext.resources import key_materials
from chaosaws_kms_ext.resources import ledger as ledgers
from chaosaws_kms_ext.resources.ledger import Ledger
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.waiting import Wait

__all__ = [
    "cancel_key_deletion",
    "create_key",
    "disable_key",
    "enable_key",
    "inject_fault",
    "put_key_policy",
    "restore_key_policy",
    "rotate_key",
    "schedule_key_deletion",
    "undo_faults",
]

ORIGINS = ("AWS_KMS", EXTERNAL)
"""Whose material a key can have that a run makes."""

FEWEST_DAYS = 7
"""Until a key is deleted (API reference, ScheduleKeyDeletion)."""

KNOWN_WITHIN = 300.0
"""Seconds until everybody knows a new key: KMS is eventually consistent, which takes "several
minutes in some cases" (KMS Developer Guide, programming-eventual-consistency)."""

ROTATED_WITHIN = 1800.0
"""Seconds for a rotation. KMS speaks of "a slight delay" until its background process has done it
(API reference, GetKeyRotationStatus) and promises no time."""


def disable_key(
    cluster_id: str = "",
    key_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Disable the KMS key that encrypts a cluster, if the guard allows it.

    Before the call, what undoes it is written to the journal; after it, KMS has to say `Disabled`.

    Parameters
    ----------
    cluster_id : the DB cluster; by default the one of this run (CHAOS_CLUSTER_ID, or the lab's).
    key_id : its key, only to cross-check: id, ARN or alias. The cluster's own key is disabled.

    Returns the cluster's id and its key's ARN. Raises ActivityFailed: when the guard refuses, when
    AWS does, when the journal cannot be written. IAM: kms:DisableKey, kms:DescribeKey,
    rds:DescribeDBClusters, rds:DescribeDBInstances.
    """
    return inject_fault("disable-key", cluster_id, key_id, None, configuration, secrets)


def inject_fault(
    name: str,
    cluster_id: str = "",
    key_id: str = "",
    arguments: dict[str, Any] | None = None,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Inject a fault by its name, until `undo_faults` puts it back.

    Before the call, what undoes it is written to the journal; after it, AWS has to say that it is
    done. A fault of the run's target (`chaos kms policy --help` lists the names) needs what the
    guard asks for; one of the run's own key needs a key that the run made.

    Parameters
    ----------
    name : the fault: `disable-key`, say.
    cluster_id : the DB cluster; by default the one of this run (CHAOS_CLUSTER_ID, or the lab's). Of
        a fault of the run's own key the cluster that the run made under it, if there is one: it is
        waited for when the fault is undone.
    key_id : id, ARN or alias. Of a fault of the target it is only compared with the cluster's own.
    arguments : what the fault takes besides.

    Returns the cluster's id and its key's ARN. Raises ActivityFailed: when the guard refuses, when
    AWS does, when the journal cannot be written. IAM: `chaos kms policy run --fault NAME`.
    """
    with activities.plainly(configuration) as run:
        kind = faults.named(name)
        if arguments is not None and not isinstance(arguments, dict):
            raise Refused("the arguments of a fault are a JSON object")
        if kind.on == "target":
            target = _guarded(run, kind, cluster_id, key_id)
            cluster, key = target.cluster.id, target.key.arn
            others = [each.id for each in target.others]
        elif not key_id:
            raise Refused(f"{name} is for a key that the run made: name it by key_id")
        else:
            cluster, key = cluster_id, _own_with(run, key_id, cluster_id).arn
            others = []
        material = run.key_materials.get(key)
        fault = faults.make(kind, Aws.of(run), key, arguments or {}, material)
        inject(run, fault, cluster, others)
        return {"cluster": cluster, "key": key}


def _guarded(run: Run, kind: type[Fault], cluster_id: str, key_id: str) -> Target:
    """The cluster, its key and the others under it, if the guard allows the fault."""
    try:
        cluster = cluster_id or activities.cluster_id(run)
        named = key_id or run.settings.key_id
        return guard.ask(run, cluster, kind.needs, named)
    except Refused as why:
        run.event(EventName.GUARD_REFUSED, why=str(why))
        raise


def undo_faults(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Put back every fault of this run, as `enable_key` does."""
    return enable_key(configuration, secrets)


def enable_key(configuration: Configuration = None, secrets: Secrets = None) -> dict[str, Any]:
    """Put back every key that this run took away, and see that it is.

    Only what the journal says that this run did is undone: a key that somebody else had disabled
    stays disabled, and without a fault of ours nothing is called. Signals wait meanwhile.

    Returns `{"undone": [key ARN, …]}`. Raises ActivityFailed when a key could not be put back; its
    journal entry then stays open for `chaos kms restore`. IAM: kms:EnableKey, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        entries = put_back(run)
        if not entries:
            return {"undone": [], "why": "nothing to undo"}
        return {"undone": [entry.key for entry in entries]}


def put_key_policy(
    key_id: str,
    policy: dict[str, Any],
    cluster_id: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Give a key that this run made another policy, until `restore_key_policy` puts the old back.

    The old one is in the undo journal before the call. KMS refuses a policy with which the caller
    could not put another (its lockout safety check).

    Parameters
    ----------
    key_id : id, ARN or alias.
    policy : the whole key policy.
    cluster_id : the cluster that this run made under it; it is waited for when the policy is back.

    Returns `key` (ARN). Raises ActivityFailed. IAM: kms:PutKeyPolicy, kms:GetKeyPolicy,
    kms:DescribeKey, kms:ListResourceTags.
    """
    if not isinstance(policy, dict):
        raise ActivityFailed("a key policy is a JSON object with Version and Statement")
    done = inject_fault(
        "put-key-policy", cluster_id, key_id, {"policy": policy}, configuration, secrets
    )
    return {"key": done["key"]}


def restore_key_policy(
    configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Put back every key policy that this run changed, and see that it is the old one, as JSON.

    As `enable_key`: only what this run did is undone, signals wait meanwhile. IAM:
    kms:PutKeyPolicy, kms:GetKeyPolicy.
    """
    return enable_key(configuration, secrets)


def create_key(
    name: str = "key",
    description: str = "",
    policy: dict[str, Any] | None = None,
    origin: str = "AWS_KMS",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Make a customer managed key for this run: symmetric, with material of KMS' own or of ours.

    It has the alias `alias/chaos-<run>-<name>` and the tag `chaos:run=<run>`. It is written down
    before KMS is asked, so that `clean_up`, or `chaos kms restore` after us, schedules its
    deletion. A key costs about a dollar a month until it is deleted (AWS KMS pricing).

    Parameters
    ----------
    name : what it is called in this run: at most 30 letters, digits and single hyphens.
    description : the key's description; says by default which run made it.
    policy : its key policy; by default KMS' own, which leaves it to IAM.
    origin : `EXTERNAL`: its material is random bytes that this process makes and imports, without
        an expiry. They are kept in its memory alone; by default KMS makes the material.

    Returns `key` (ARN), `key_id` and `alias`. Raises ActivityFailed. IAM: kms:CreateKey,
    kms:TagResource, kms:CreateAlias, kms:DescribeKey; with EXTERNAL also
    kms:GetParametersForImport and kms:ImportKeyMaterial (`chaos kms policy make --fault NAME`).
    """
    with activities.plainly(configuration) as run:
        if origin not in ORIGINS:
            raise Refused(f"the origin of a key is one of {', '.join(ORIGINS)}, not {origin!r:.60}")
        aws = Aws.of(run)
        called, ledger = ledgers.name_of(run, name), Ledger.of(run)
        alias = f"{kms.ALIAS}{called}"
        said = description or f"Made by the chaos run {run.id}"
        with ledgers.asked_for(ledger, "key", called) as resource:
            key = kms.create(aws, {TAG: run.id}, said, policy, origin)
            ledger.created(resource, key.arn)
        _until_known(run, key.arn, lambda: _name(aws, alias, key.arn))
        _until_known(run, alias, lambda: kms.describe(aws, alias))
        if origin == EXTERNAL:
            key_materials.give(run, key.arn)
            _until_known(run, key.arn, lambda: kms.describe(aws, key.arn).enabled)
        return {"key": key.arn, "key_id": key.arn.rpartition("/")[2], "alias": alias}


def schedule_key_deletion(
    key_id: str = TARGET,
    days: int = 0,
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> dict[str, Any]:
    """Schedule the deletion of a key: it is unusable at once.

    A key that this run made stays so, until the day has come or `cancel_key_deletion` keeps it. The
    key of the run's cluster is taken away as by every fault, if the guard allows it, until
    `undo_faults` puts it back: what is encrypted under a key that was deleted is lost for good.

    Parameters
    ----------
    key_id : id, ARN or alias of a key that this run made; or `target`, the key of this run's
        cluster.
    days : until a key that this run made is deleted, 7 to 30; by default 7. The cluster's key
        always has 30, the most that there are.

    Returns `key` (ARN) and `deletion_date` (UTC, ISO 8601). Raises ActivityFailed.
    IAM: kms:ScheduleKeyDeletion, kms:DescribeKey, kms:ListResourceTags; for the cluster's key
    `chaos kms policy run --fault schedule-key-deletion`.
    """
    if key_id == TARGET:
        with activities.plainly(configuration):
            if days not in (0, DAYS):
                raise Refused(f"the cluster's key always has {DAYS} days: leave `days` out")
        done = inject_fault("schedule-key-deletion", "", "", None, configuration, secrets)
        with activities.plainly(configuration) as run:
            date = kms.describe(Aws.of(run), done["key"]).deletion_date
            return {"key": done["key"], "deletion_date": date.isoformat() if date else None}
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        key = _own(run, aws, key_id)
        when = kms.schedule_deletion(aws, key.arn, days or FEWEST_DAYS)
        return {"key": key.arn, "deletion_date": when.isoformat()}


def cancel_key_deletion(
    key_id: str, enable: bool = False, configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Keep a key that this run made and whose deletion was scheduled.

    It is then `Disabled`, and so still unusable (KMS API reference, CancelKeyDeletion), unless
    `enable` asks for EnableKey after it.

    Returns `key` (ARN), `key_state` and `why`. Raises ActivityFailed. IAM: kms:CancelKeyDeletion,
    kms:EnableKey, kms:DescribeKey, kms:ListResourceTags.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        key = _own(run, aws, key_id)
        kms.cancel_deletion(aws, key.arn)
        if enable:
            kms.enable(aws, key.arn)
        wanted = "Enabled" if enable else "Disabled"
        _until_known(run, key.arn, lambda: kms.describe(aws, key.arn).state == wanted)
        why = "it was enabled again" if enable else "KMS disables a key whose deletion is cancelled"
        return {"key": key.arn, "key_state": wanted, "why": why}


def rotate_key(
    key_id: str = "", configuration: Configuration = None, secrets: Secrets = None
) -> dict[str, Any]:
    """Rotate a key's material on demand, and wait until KMS lists the rotation.

    This cannot be undone, and a key can be rotated so 25 times in its life (KMS API reference,
    RotateKeyOnDemand). What was encrypted before still decrypts: KMS keeps the old material. Only a
    key that this run made, or one with the tag chaos:allow=kms, is rotated.

    Parameters
    ----------
    key_id : id, ARN or alias; by default the key of this run's cluster.

    Returns `key` (ARN) and `rotation_date` (UTC, ISO 8601). Raises ActivityFailed, also when the
    rotation is not listed within 30 minutes. IAM: kms:RotateKeyOnDemand, kms:ListKeyRotations,
    kms:GetKeyRotationStatus, kms:ListResourceTags, kms:DescribeKey.
    """
    with activities.plainly(configuration) as run:
        aws = Aws.of(run)
        key = kms.describe(aws, key_id or activities.key_id(run))
        carried = kms.tags(aws, key.arn)
        if carried.get(TAG) != run.id:
            found = consent.tags(f"the key {key.arn}", carried)
            if why := [finding.why for finding in found if finding.state == "refused"]:
                raise Refused("; ".join(why))
        before = _on_demand(aws, key.arn)
        kms.rotate(aws, key.arn)

        def listed() -> kms.Rotation | None:
            try:
                going_on = kms.rotation(aws, key.arn).get("OnDemandRotationStartDate")
                found = [] if going_on else _on_demand(aws, key.arn)
            except AwsError as problem:
                go_on_after(run, problem)
                return None
            return found[-1] if len(found) > len(before) else None

        rotation = Wait(
            f"the rotation of {key.arn} to be listed",
            ROTATED_WITHIN,
            run.settings.status_poll,
            run.observer,
        ).until(listed)
        return {"key": key.arn, "rotation_date": rotation.at.isoformat()}


def _own_with(run: Run, key_id: str, cluster_id: str) -> Key:
    """A key that this run made, under which this cluster is."""
    aws = Aws.of(run)
    key = _own(run, aws, key_id)
    if cluster_id:
        _check_under(aws, cluster_id, key.arn)
    return key


def _own(run: Run, aws: Aws, key_id: str) -> Key:
    """A key that this run made; raises Refused for any other."""
    key = kms.describe(aws, key_id)
    if kms.tags(aws, key.arn).get(TAG) != run.id:
        raise Refused(
            f"the key {key.arn} does not carry the tag {TAG}={run.id}: this run did not make it"
        )
    return key


def _check_under(aws: Aws, cluster_id: str, key_arn: str) -> None:
    found = guard.find(aws, cluster_id)
    if found.key.arn != key_arn:
        raise Refused(f"{found.cluster.in_words} is not encrypted under {key_arn}")


def _on_demand(aws: Aws, key_arn: str) -> list[kms.Rotation]:
    return [each for each in kms.rotations(aws, key_arn) if each.kind == "ON_DEMAND"]


def _name(aws: Aws, alias: str, key_arn: str) -> None:
    """Gives the key its alias, unless an earlier try has, whose answer was lost."""
    try:
        kms.create_alias(aws, alias, key_arn)
    except AwsError as problem:
        if problem.code != "AlreadyExistsException" or kms.describe(aws, alias).arn != key_arn:
            raise


def _until_known(run: Run, name: str, call: Callable[[], object]) -> None:
    """Calls until KMS knows the key of this name, and what is asked of it holds."""

    def known() -> bool:
        try:
            return call() is not False
        except AwsError as problem:
            if problem.code != "NotFoundException":
                raise
            return False

    Wait(f"KMS to know {name}", KNOWN_WITHIN, run.settings.status_poll, run.observer).until(known)
