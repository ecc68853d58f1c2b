"""Whether the caller may undo the fault, as far as that can be known without trying it.

EnableKey has no DryRun, and neither has RDS. So IAM's policy simulator is asked: it reads the
caller's identity policies, with boundaries and service control policies. It reads neither the key
policy (IAM API reference, SimulatePrincipalPolicy), which is therefore read here, nor the session
policy with which a role was assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chaosaws_kms_ext.aws import kms, names
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.database import Database
from chaosaws_kms_ext.aws.key_policy import KeyPolicy, statements
from chaosaws_kms_ext.aws.kms import Key
from chaosaws_kms_ext.aws.names import ALLOW, TAG
from chaosaws_kms_ext.aws.principals import asker
from chaosaws_kms_ext.guard.findings import Finding, ok, refused, unproven
from chaosaws_kms_ext.iam.needs import Needs
from chaosaws_kms_ext.iam.permissions import on_none
from chaosaws_kms_ext.settings.parsers import QUEUE
from chaosaws_kms_ext.undo import switch

__all__ = ["Identity", "identity", "may_finish", "may_undo", "role_of", "switch_may_undo"]

ABSENT = (
    "iam:",
    "aws:requesttag/",
    "aws:tagkeys",
    f"aws:resourcetag/{TAG}",
    "kms:viaservice",
)
"""The beginnings of context keys that none of the simulated calls has. They belong to IAM's own
actions (IAM User Guide, "IAM and AWS STS condition context keys"), to calls that set tags, to
resources that a run made, and to calls that a service makes. The simulator reports them as missing
if any policy mentions them (the policy `make` does), but its answer is right without them."""

SEVERITY = ("allowed", "implicitDeny", "explicitDeny")


class Identity:
    """The caller, as STS names it."""

    def __init__(self, arn: str, account: str) -> None:
        self.arn = arn
        self.account = account

    @property
    def role(self) -> str:
        """The name of the role if the caller is a role's session; otherwise empty."""
        _, _, session = self.arn.partition(":assumed-role/")
        return session.split("/")[0]

    @property
    def principal(self) -> str:
        """The user or role whose policies apply. STS leaves out the path of a role."""
        if not self.role:
            return self.arn
        partition = self.arn.partition(":assumed-role/")[0]
        return f"{partition.replace(':sts:', ':iam:')}:role/{self.role}"

    @property
    def is_root(self) -> bool:
        """Whether it is the account itself, which has no policies."""
        return self.arn.endswith(":root")


def identity(aws: Aws) -> Identity:
    """GetCallerIdentity, which needs no permission; raises AwsError."""
    said = aws.call("sts", "GetCallerIdentity", {})
    return Identity(said["Arn"], said["Account"])


def role_of(aws: Aws, who: Identity) -> str:
    """The ARN of a session's role with its path, as `aws:PrincipalArn` has it (IAM User Guide,
    "AWS global condition context keys"); empty if it is no session, or may not ask.

    IAM: iam:GetRole.
    """
    try:
        found = aws.call("iam", "GetRole", {"RoleName": who.role}) if who.role else None
    except AwsError:
        return ""
    return str(found["Role"]["Arn"]) if found else ""


def may_undo(
    aws: Aws, who: Identity, clusters: Sequence[Database], key: Key, needs: Needs
) -> list[Finding]:
    """Whether the caller may put the key back, look at it and start these clusters.

    IAM: iam:SimulatePrincipalPolicy, kms:GetKeyPolicy; for a role with a path iam:GetRole. A caller
    without these is refused, as always when a check cannot be made.
    """
    if who.is_root:
        return [ok("permissions", "the account's root user may undo it")]
    found = _not_allowed(
        aws,
        who,
        key,
        UNDO,
        (
            *_on(key, (*needs.undo, "kms:DescribeKey", *needs.look)),
            *((each.arn, _started_by(each)) for each in clusters),
        ),
    )
    return found or [ok("permissions", f"{who.principal} may put it back, by IAM's simulator")]


def may_finish(
    aws: Aws,
    who: Identity,
    key: Key,
    needs: Needs,
    switch_role: str = "",
    alarms: bool = False,
    queue: str = "",
    clusters: int = 1,
) -> list[Finding]:
    """The other actions that a run needs, as far as the caller may not take them.

    `switch_role`: the ARN of the switch's role, if there is to be a switch. `alarms`: whether the
    run watches any. `queue`: that of RDS' events, if it reads one. `clusters`: how many are under
    the key. IAM: as `may_undo`.
    """
    if who.is_root:
        return []
    asked: list[tuple[str, Sequence[str]]] = [
        *_on(key, needs.inject),
        ("*", ("rds:DescribeEvents", *(("cloudwatch:DescribeAlarms",) if alarms else ()))),
    ]
    if queue:
        asked.append((_queue_arn(queue, key.arn), QUEUE_CALLS))
    if switch_role:
        calls = len(switch.covered(needs.undo))
        group, *schedules = names.schedule_arns(key.arn, calls, clusters)
        asked += [
            (group, ("scheduler:CreateScheduleGroup",)),
            *((arn, SCHEDULE) for arn in schedules),
            (switch_role, (PASS_ROLE,)),
        ]
    return _not_allowed(aws, who, key, FINISH, asked)


def switch_may_undo(
    aws: Aws, role: str, clusters: Sequence[Database], key: Key, needs: Needs
) -> list[Finding]:
    """Whether the switch's role (an ARN) may put it back. IAM: as `may_undo`, about this role."""
    who = Identity(role, role.split(":")[4])
    found = _not_allowed(
        aws,
        who,
        key,
        UNDO,
        (
            *_on(key, needs.undo),
            *((each.arn, _started_by(each)[:1]) for each in clusters),
        ),
    )
    return found or [ok("switch", f"{role} may put it back, by IAM's simulator")]


# Internals


def _started_by(database: Database) -> tuple[str, str]:
    """The actions that start one, and that look at it."""
    kind = database.kind
    return f"rds:{kind.start_operation}", f"rds:{kind.describe_operation}"


def _on(key: Key, actions: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """These actions, by the resource that IAM is asked about: the key, or none."""
    anywhere = tuple(each for each in actions if on_none(each))
    on_key = tuple(each for each in actions if not on_none(each))
    return [each for each in ((key.arn, on_key), ("*", anywhere)) if each[1]]


def _queue_arn(given: str, key_arn: str) -> str:
    """The ARN of a queue that may be given by its URL; the run's Region is that of the key."""
    found = QUEUE.fullmatch(given)
    if found is None or given.startswith("arn:"):
        return given
    partition, region = (key_arn.split(":")[place] for place in (1, 3))
    return f"arn:{partition}:sqs:{region}:{found['account']}:{found['name']}"


QUEUE_CALLS = ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage")
SCHEDULE = ("scheduler:CreateSchedule", "scheduler:GetSchedule", "scheduler:DeleteSchedule")
PASS_ROLE = "iam:PassRole"

NO_SUCH_ROLE = frozenset({"NoSuchEntity", "AccessDenied"})
"""AccessDenied comes where the caller may ask about its own role only."""

UNDO = "it could not be put back"
FINISH = "the run could not be carried through"
"""What follows if a permission is missing."""


def _not_allowed(
    aws: Aws, who: Identity, key: Key, so: str, asked: Iterable[tuple[str, Sequence[str]]]
) -> list[Finding]:
    """Those of these actions that are not allowed on their resources, or not known to be."""
    findings = []
    try:
        said = statements(kms.policy(aws, key.arn))
        policy = KeyPolicy(said, asker(who.arn, key.arn))
        source = who.principal
        for resource, actions in asked:
            by_key = policy if resource == key.arn else None
            source, answers = _answers(aws, who, source, resource, actions)
            findings += [_finding(who, a, resource, answers.get(a), by_key, so) for a in actions]
    except AwsError as problem:
        why = f"whether {who.principal} may do what it has to is not known: {problem}"
        findings.append(refused("permissions", why))
    return [finding for finding in findings if finding.state != "ok"]


@dataclass(frozen=True)
class _Answer:
    """The simulator's answer for one action on one resource."""

    decision: str
    """allowed, implicitDeny or explicitDeny."""
    missing: tuple[str, ...]
    """Context keys that the policies mention (for any action), and that we did not give."""


def _answers(
    aws: Aws, who: Identity, source: str, resource: str, actions: Sequence[str]
) -> tuple[str, dict[str, _Answer]]:
    """The ARN that IAM knows the caller by, and action → answer; raises AwsError."""
    try:
        return source, _simulated(aws, source, resource, actions)
    except AwsError as problem:
        # STS leaves a role's path out, so it may have been about a role that is not there.
        if problem.code not in NO_SUCH_ROLE or not who.role:
            raise
        named = _with_path(aws, who, problem)
        if named == source:
            raise
    return named, _simulated(aws, named, resource, actions)


def _with_path(aws: Aws, who: Identity, problem: AwsError) -> str:
    """The ARN of the caller's role; `problem` is why it is asked for."""
    try:
        return str(aws.call("iam", "GetRole", {"RoleName": who.role})["Role"]["Arn"])
    except AwsError as unknown:
        raise AwsError(f"{problem}; {unknown}", unknown.code) from unknown


def _simulated(aws: Aws, source: str, resource: str, actions: Sequence[str]) -> dict[str, _Answer]:
    name, value = ALLOW
    # The simulator looks neither at the tags of what is there, nor at where a call would go. Of
    # keys that only service control policies ask for it does not even say that they are missing.
    given = {
        f"aws:ResourceTag/{name}": value,
        "aws:PrincipalAccount": source.split(":")[4],
        "aws:PrincipalArn": source,
        "aws:RequestedRegion": aws.region,
    }
    if PASS_ROLE in actions:
        given["iam:PassedToService"] = names.SCHEDULER
    params = {
        "PolicySourceArn": source,
        "ActionNames": list(actions),
        "ResourceArns": [resource],
        "ContextEntries": [
            {"ContextKeyName": k, "ContextKeyValues": [v], "ContextKeyType": "string"}
            for k, v in given.items()
        ],
    }
    results = aws.pages("iam", "SimulatePrincipalPolicy", params, "EvaluationResults")
    return {str(result["EvalActionName"]): _answer(result) for result in results}


def _answer(result: dict[str, Any]) -> _Answer:
    each = result.get("ResourceSpecificResults", [])
    decisions = [result["EvalDecision"], *(one["EvalResourceDecision"] for one in each)]
    missing = {
        key
        for said in (result, *each)
        for key in said.get("MissingContextValues", [])
        if not key.lower().startswith(ABSENT)
    }
    return _Answer(max(decisions, key=SEVERITY.index), tuple(sorted(missing)))


def _finding(
    who: Identity,
    action: str,
    resource: str,
    answer: _Answer | None,
    by_key: KeyPolicy | None,
    so: str,
) -> Finding:
    """`by_key`: the policy of the key, if the resource is it."""
    may_not = f"{who.principal} may not {action} on {resource}"
    if by_key and not by_key.may_let(action, by_iam=True):
        why = f"{may_not}: the key policy lets neither it nor IAM, so {so}"
        return refused("permissions", why)
    if answer is None:
        return unproven("permissions", f"IAM's simulator says nothing of {action} on {resource}")
    if answer.decision == "allowed":
        if by_key and not by_key.lets(action, by_iam=True):
            why = (
                f"IAM allows {who.principal} {action} on {resource}, but the key policy cannot be "
                "read, or has conditions that cannot be told: not proven"
            )
            return unproven("permissions", why)
        return ok("permissions", f"{action} is allowed")
    sentence = f"{may_not} ({answer.decision}, by IAM's simulator)"
    if answer.missing:
        untold = ", ".join(answer.missing)
        return unproven("permissions", f"{sentence}, which was not told {untold}: not proven")
    if answer.decision == "implicitDeny" and by_key and by_key.may_let(action, by_iam=False):
        return unproven("permissions", f"{sentence}, but the key policy may let it: not proven")
    return refused("permissions", f"{sentence}: {so}")
