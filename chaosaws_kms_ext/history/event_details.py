"""What each event says beside its name and its instant: one class an event."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from chaosaws_kms_ext.history.records import Utc

__all__ = [
    "Alarm",
    "Audit",
    "Canary",
    "Decrypted",
    "Dependent",
    "DependentsUnknown",
    "Ended",
    "Guard",
    "Injected",
    "JournalClosed",
    "JournalOpened",
    "LoadDied",
    "LoadProcesses",
    "LoadStarted",
    "LoadStopped",
    "OfCluster",
    "OfLoad",
    "OtherAction",
    "OtherStatus",
    "Place",
    "PutBack",
    "RdsEvent",
    "Ready",
    "RestoreOrdered",
    "RowsFrom",
    "Safeguards",
    "Sealed",
    "SecondaryKey",
    "SecondaryTold",
    "SecondaryUse",
    "SeedRows",
    "SnapshotOrdered",
    "Status",
    "StayedTerminal",
    "StepEnded",
    "Steps",
    "SwitchArmed",
    "Target",
    "Why",
]


class Why(TypedDict):
    """Why something is not known, or was refused."""

    why: str


class Exact(TypedDict):
    """How much earlier it can have been."""

    within_seconds: float


class Target(TypedDict):
    """What the run is about."""

    cluster: str
    key: str


class Finding(TypedDict):
    """One check of the guard."""

    about: str
    state: Literal["ok", "refused", "unproven"]
    why: str


class Guard(TypedDict):
    """Everything that it looked at."""

    findings: list[Finding]


class Dependent(TypedDict):
    """What it is; `keep`: AWS seconds for which its service goes on with a data key (None: AWS does
    not say); `fails`: how it fails without the key, with the `source` of that."""

    service: str
    kind: str
    name: str
    arn: str
    keep: float | None
    fails: str
    source: str


class DependentsUnknown(TypedDict):
    """Service → why."""

    unknown: dict[str, str]


class Canary(TypedDict):
    """By the ARN of the dependent; either is empty."""

    dependent: str
    operation: str
    why_not: str


class Safeguards(TypedDict):
    """Name → what it does, in words."""

    key: str
    armed: dict[str, str]


class Ready(TypedDict):
    """Whom AWS takes the run for."""

    caller: str


class Place(TypedDict):
    """Where a step stands in the experiment."""

    part: Literal["hypothesis", "method", "rollbacks"]
    place: int


class Step(Place):
    """Its name, without secrets."""

    name: str


class Steps(TypedDict):
    """All of them."""

    steps: list[Step]


class StepEnded(Place):
    """How it ended, as Chaos Toolkit says."""

    status: str


class OtherAction(TypedDict):
    """The name of the step, without secrets."""

    action: str


class JournalOpened(TypedDict):
    """The file of the undo."""

    entry: str
    key: str


class JournalClosed(TypedDict):
    """The same."""

    entry: str


class SwitchArmed(TypedDict):
    """The schedules that put the key back without the run."""

    schedules: list[str]
    due: str


SeenBy = Literal["key-state", "key-policy", "cluster-status"]
"""What showed that somebody else took the key away, or gave it back."""


class Injected(Exact):
    """The fault; `others`: the other clusters under the key. By whom, if it was not this run, and
    what showed it: then `fault` is `by-others`; `state`: the key's; `well_before_seconds`: how long
    before all was still well, where only the cluster's status showed it."""

    fault: str
    key: str
    cluster: str
    others: NotRequired[list[str]]
    by: NotRequired[str]
    seen_by: NotRequired[SeenBy]
    state: NotRequired[str]
    well_before_seconds: NotRequired[float]


class PutBack(Exact):
    """By whom, if it was not this run."""

    key: str
    cluster: str
    by: NotRequired[str]
    seen_by: NotRequired[SeenBy]


class OfCluster(Exact):
    """What was done to a cluster, or to an instance that is no cluster's (`db:` and its id)."""

    cluster: str


class SnapshotOrdered(Exact):
    """Of a cluster, or as a copy of another snapshot."""

    snapshot: str
    cluster: NotRequired[str]
    source: NotRequired[str]


class StayedTerminal(OfCluster):
    """For how long it was watched, and what StartDBCluster was refused with."""

    seconds: float
    start_refused_with: str


class RowsFrom(TypedDict):
    """Where the writes of a load were looked for."""

    load: str
    cluster: str


KeyOf = Literal["master-secret", "performance-insights", "activity-stream"]
"""What a secondary key encrypts (aws/secondary_keys.py)."""


class SecondaryKey(TypedDict):
    """What it is of; None: the cluster has none."""

    key_of: KeyOf
    key: str | None


class SecondaryUse(Exact):
    """Whether what the key encrypts could be used, and how it went; `works` is None where that is
    not known. `cached_login`: of a secret, whether a login with the password worked that was read
    before. `newest_record`: of an activity stream, UTC."""

    key_of: KeyOf
    works: bool | None
    code: str
    why: str
    status: str
    cached_login: bool | None
    newest_record: str | None


class SecondaryTold(TypedDict):
    """When the call that took the key away is in CloudTrail, UTC, and how many failed Decrypts
    with the key; None: not known, `why`."""

    key_of: KeyOf
    key: str
    taken: str | None
    failed_decrypts: int | None
    why: str


class RestoreOrdered(OfCluster):
    """From what: a snapshot, or a cluster as it was at its latest restorable time."""

    snapshot: NotRequired[str]
    source: NotRequired[str]
    restorable: NotRequired[str]


class Status(Exact):
    """What a look saw."""

    key: str
    cluster: str
    instances: dict[str, str]
    meaning: Literal["accessible", "recoverable", "terminal", "changing"]


class OtherStatus(Status):
    """Of which cluster."""

    of: str


class RdsEvent(Exact):
    """As RDS writes it."""

    event: str
    source: str
    message: str
    date: Utc
    by: Literal["DescribeEvents", "EventBridge"]


class Alarm(Exact):
    """A state of an alarm, and the one before, if that was seen."""

    alarm: str
    state: str
    before: str | None
    date: str


class Sealed(TypedDict):
    """A ciphertext, by its digest."""

    digest: str
    context: dict[str, str]


class Decrypted(Sealed):
    """Whether KMS decrypted it with this context."""

    decrypted: bool


class OfLoad(TypedDict):
    """A load, by its name."""

    load: str


class LoadStarted(OfLoad):
    """How it was started, with how many users; on which cluster, under which key, through which
    RDS Proxy; of a load over the reader endpoint whose registers it reads."""

    users: NotRequired[int]
    proxy: NotRequired[str]
    cluster: NotRequired[str]
    key: NotRequired[str]
    reconnect_spacing_seconds: float
    endpoint: NotRequired[Literal["reader"]]
    registers_of: NotRequired[str]


class LoadDied(Exact):
    """Why it ended by itself."""

    load: str
    why: str


class LoadProcesses(OfLoad):
    """How many were heard of."""

    present: int
    of: int


class LoadStopped(OfLoad):
    """Whether it still ran, or why it did not."""

    ran: bool
    why: NotRequired[str]


class SeedRows(TypedDict):
    """Of the lab's own rows; None: they could not be counted."""

    expected: int
    present: int | None


class By(TypedDict):
    """A call, as CloudTrail has it."""

    who: str
    when: str
    event_id: str


class Audit(TypedDict):
    """What CloudTrail says of the fault."""

    key: str
    cluster: str
    complete: bool
    disabled_by: By | None
    enabled_by: By | None
    started_by: NotRequired[By | None]
    failed_decrypts: int
    first_failed_decrypt: str | None
    unknown: list[str]


class Ended(TypedDict):
    """How the run went (`report.verdict.Course`)."""

    interrupted: bool
    by: str
    failures: list[str]
    doubts: list[str]
    aws_calls: NotRequired[int]
    canary_tries: NotRequired[int]
