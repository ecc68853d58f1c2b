"""The states of an Aurora cluster, and what an unusable key does to it: a pure state machine.
An instance that is no cluster's has the same states, and other durations.

This file decides when a cluster becomes inaccessible and when it comes back: `TRANSITIONS` is the
table, `step` applies it to one cluster at one instant. data_plane/ performs the effects. All
durations are AWS seconds: only the lab's clock knows how fast the lab runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal

__all__ = [
    "AVAILABLE",
    "BOOTING",
    "CREATING",
    "DEAD_STATUSES",
    "DELETING",
    "FAILING_OVER",
    "INCOMPATIBLE_RESTORE",
    "MAINTENANCE",
    "PROFILES",
    "RECOVERABLE",
    "RECOVERABLE_FOR",
    "STOPPED",
    "TERMINAL",
    "Effect",
    "Facts",
    "Profile",
    "State",
    "at_rest",
    "of_instance",
    "request",
    "step",
]

CREATING = "creating"
AVAILABLE = "available"
RECOVERABLE = "inaccessible-encryption-credentials-recoverable"
TERMINAL = "inaccessible-encryption-credentials"
STARTING = "starting"
BOOTING = "booting"
STOPPING = "stopping"
STOPPED = "stopped"
FAILING_OVER = "failing-over"
MAINTENANCE = "maintenance"
DELETING = "deleting"
INCOMPATIBLE_RESTORE = "incompatible-restore"

DEAD_STATUSES = frozenset({
    RECOVERABLE, TERMINAL, STARTING, BOOTING, STOPPING, STOPPED, INCOMPATIBLE_RESTORE, MAINTENANCE,
})  # fmt: skip
"""In these, every instance of the cluster has the cluster's status."""

DAY = 86400.0

RECOVERABLE_FOR = 7 * DAY
"""AWS seconds until a cluster without its key is lost for good (Aurora User Guide,
Overview.Encryption)."""


class Effect(Enum):
    """What a transition does to the cluster's servers, and the RDS events it writes."""

    FREEZE = auto()
    """Sessions and new connections hang."""
    KILL = auto()
    """The processes are gone; what was written stays."""
    BOOT = auto()
    """PostgreSQL starts on the same port, with its own crash recovery."""
    SHUT_DOWN = auto()
    KEY_LOST = auto()
    """RDS-EVENT-0418 and RDS-EVENT-0419 for every instance."""
    KEY_BACK = auto()
    """RDS-EVENT-0420 for every instance."""
    STARTED = auto()
    STOPPED = auto()
    FAILED_OVER = auto()
    """RDS-EVENT-0071 for the cluster."""
    MAINTAINED = auto()
    """RDS-EVENT-0027 for every instance."""
    MAINTAINING = auto()
    """RDS-EVENT-0026 for every instance."""


@dataclass(frozen=True)
class Profile:
    """How long things take, in AWS seconds; None: it does not happen by itself."""

    until_inaccessible: float
    self_restart: float | None
    starting: float
    recoverable: float = RECOVERABLE_FOR
    stopped: float | None = 7 * DAY  # documented: Aurora User Guide, aurora-cluster-stop-start
    stopping: float = 60  # assumed
    creating: float = 60  # assumed
    creating_instance: float = 120  # assumed
    snapshot: float = 60  # assumed: making or copying one
    failing_over: float = 30  # documented: "often less than 30 seconds" (high availability)
    rebooting: float = 30  # assumed
    trail_lag: float = 300  # documented: CloudTrail delivers within 5 minutes on average
    key_retry: float = 60  # assumed: how often Aurora tries a key that it could not use
    starting_to_maintenance: float | None = None
    """Only where maintenance is due: then it comes before the servers start. Assumed."""
    maintenance: float | None = None
    """Only where maintenance is due."""


PROFILES = {
    "observed": Profile(
        until_inaccessible=450,  # observed: between 5 and 10 minutes
        self_restart=2100,  # observed: later than 30 minutes after the key was enabled
        starting=180,  # assumed: the observer gave no figure
    ),
    "documented": Profile(
        until_inaccessible=450,  # not documented for Aurora: as observed
        self_restart=None,  # documented: "restart the cluster" (Overview.Encryption)
        starting=300,  # documented: "usually takes several minutes" (aurora-cluster-stop-start)
    ),
}


INSTANCE_INACCESSIBLE = 7200.0
"""documented: "2 hours after detection in instances where backups are enabled" (RDS User Guide,
Overview.Encryption). How long the detection takes is not: none is assumed."""


def of_instance(profile: Profile) -> Profile:
    """How long things take for an instance that is no cluster's, of which nobody has observed that
    it comes back by itself: it has to be started (RDS User Guide, Overview.Encryption)."""
    return replace(profile, until_inaccessible=INSTANCE_INACCESSIBLE, self_restart=None)


@dataclass(frozen=True)
class State:
    """One cluster: its phase, and since when key and phase have been as they are (lab seconds)."""

    phase: str
    since: float
    key_usable: bool = True
    key_since: float = 0.0

    @property
    def status(self) -> str:
        """What DescribeDBClusters says."""
        return STARTING if self.phase == BOOTING else self.phase


@dataclass(frozen=True)
class Facts:
    """What a cluster's next step depends on, besides its state and the clock."""

    key_usable: bool
    """Whether Aurora can unwrap the cluster's data key."""
    servers_ready: bool = True
    """Whether the work on its servers and its data is done."""
    recoverable: bool = True
    """Whether such a cluster has the recoverable state at all (rds/recoverability.py)."""


Key = Literal["usable", "unusable", "any"]


@dataclass(frozen=True)
class Transition:
    """From `phase` to `becomes`, if the key is `key` and the time has come."""

    phase: str
    key: Key
    after: str | None
    """A duration of the profile, by its name; None: at once."""
    counted_from: Literal["phase", "key"]
    """The change of the phase, or that of the key's usability."""
    becomes: str
    effects: tuple[Effect, ...] = ()
    needs_servers: bool = False
    recoverable: bool | None = None
    """Only for clusters with the recoverable state (True) or without it (False); None: for all."""


TRANSITIONS = (
    Transition(CREATING, "any", "creating", "phase", AVAILABLE, needs_servers=True),
    Transition(
        AVAILABLE, "unusable", "until_inaccessible", "key", RECOVERABLE,
        (Effect.FREEZE, Effect.KEY_LOST), recoverable=True,
    ),
    # Aurora User Guide, Overview.Encryption and the limitations of aurora-global-database.
    Transition(
        AVAILABLE, "unusable", "until_inaccessible", "key", TERMINAL,
        (Effect.KILL, Effect.KEY_LOST), recoverable=False,
    ),
    Transition(RECOVERABLE, "any", "recoverable", "phase", TERMINAL, (Effect.KILL,)),
    Transition(
        RECOVERABLE, "usable", "self_restart", "key", STARTING, (Effect.KILL, Effect.KEY_BACK),
    ),
    # Without the key the volume cannot be opened: a start that waits for it falls back.
    Transition(
        STARTING, "unusable", "until_inaccessible", "key", RECOVERABLE,
        (Effect.KEY_LOST,), recoverable=True,
    ),
    Transition(
        STARTING, "unusable", "until_inaccessible", "key", TERMINAL,
        (Effect.KEY_LOST,), recoverable=False,
    ),
    Transition(
        STARTING, "usable", "starting_to_maintenance", "phase", MAINTENANCE, (Effect.MAINTAINING,),
    ),
    Transition(STARTING, "usable", "starting", "phase", BOOTING, (Effect.BOOT,)),
    # Assumed: what has its key not back by then falls back, as from a start.
    Transition(
        MAINTENANCE, "unusable", "until_inaccessible", "key", RECOVERABLE,
        (Effect.KEY_LOST,), recoverable=True,
    ),
    Transition(
        MAINTENANCE, "unusable", "until_inaccessible", "key", TERMINAL,
        (Effect.KEY_LOST,), recoverable=False,
    ),
    Transition(
        MAINTENANCE, "usable", "maintenance", "phase", BOOTING, (Effect.MAINTAINED, Effect.BOOT),
    ),
    Transition(BOOTING, "any", None, "phase", AVAILABLE, (Effect.STARTED,), needs_servers=True),
    Transition(
        FAILING_OVER, "any", "failing_over", "phase", AVAILABLE, (Effect.FAILED_OVER,),
        needs_servers=True,
    ),
    Transition(STOPPING, "any", "stopping", "phase", STOPPED, (Effect.SHUT_DOWN, Effect.STOPPED)),
    Transition(STOPPED, "usable", "stopped", "phase", STARTING),
)  # fmt: skip

REQUESTS = {
    **{
        request: done
        for each in ("Cluster", "Instance")
        for request, done in {
            (RECOVERABLE, f"StartDB{each}"): (STARTING, (Effect.KILL, Effect.KEY_BACK)),
            (STOPPED, f"StartDB{each}"): (STARTING, ()),
            (AVAILABLE, f"StopDB{each}"): (STOPPING, ()),
        }.items()
    },
    (AVAILABLE, "FailoverDBCluster"): (FAILING_OVER, ()),
    (AVAILABLE, "ApplyPendingMaintenanceAction"): (
        MAINTENANCE,
        (Effect.SHUT_DOWN, Effect.MAINTAINING),
    ),
    (AVAILABLE, "DeleteDBCluster"): (DELETING, ()),
    (STOPPED, "DeleteDBCluster"): (DELETING, ()),
    (DELETING, "no final snapshot, available"): (AVAILABLE, ()),
    (DELETING, "no final snapshot, stopped"): (STOPPED, ()),
    (CREATING, "restore failed"): (INCOMPATIBLE_RESTORE, ()),
    # Only by a misbehaviour (terminal-comes-back).
    (TERMINAL, "the key is back"): (STARTING, (Effect.KILL, Effect.KEY_BACK)),
}
"""What a call, or a failure, does at once; whether the call is legal has been checked before."""

CHANGES_WITH_TIME = {
    (transition.phase, key)
    for transition in TRANSITIONS
    for key in ("usable", "unusable")
    if transition.key in ("any", key)
}
"""Phase and key in which time alone can change the phase."""


def at_rest(state: State, key_usable: bool) -> bool:
    """Whether time alone changes nothing: only a call or a change of the key does."""
    key = "usable" if key_usable else "unusable"
    return key_usable == state.key_usable and (state.phase, key) not in CHANGES_WITH_TIME


def request(state: State, operation: str, now: float) -> tuple[State, tuple[Effect, ...]]:
    """The cluster after somebody called `operation` on it."""
    phase, effects = REQUESTS[state.phase, operation]
    return replace(state, phase=phase, since=now), effects


def step(
    state: State, facts: Facts, now: float, profile: Profile
) -> tuple[State, tuple[Effect, ...]]:
    """The cluster at the instant `now`, after every transition that is due, and their effects.

    Not only after the first: a cluster whose key has long been unusable must not be `available` for
    a tick.
    """
    if facts.key_usable != state.key_usable:
        state = replace(state, key_usable=facts.key_usable, key_since=now)
    effects: tuple[Effect, ...] = ()
    while transition := _due(state, facts, now, profile):
        state = replace(state, phase=transition.becomes, since=now)
        effects += transition.effects
        facts = replace(facts, servers_ready=False)  # nobody has checked yet what was just begun
    return state, effects


def _due(state: State, facts: Facts, now: float, profile: Profile) -> Transition | None:
    return next((t for t in TRANSITIONS if _is_due(t, state, facts, now, profile)), None)


def _is_due(
    transition: Transition, state: State, facts: Facts, now: float, profile: Profile
) -> bool:
    if transition.phase != state.phase or (transition.needs_servers and not facts.servers_ready):
        return False
    if transition.key != "any" and (transition.key == "usable") != state.key_usable:
        return False
    if transition.recoverable is not None and transition.recoverable != facts.recoverable:
        return False
    wait = 0.0 if transition.after is None else getattr(profile, transition.after)
    start = state.since if transition.counted_from == "phase" else state.key_since
    return wait is not None and now - start >= wait
