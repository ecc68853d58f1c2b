"""The coupling of key and cluster, as pure values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_lab.aurora import (
    AVAILABLE,
    CREATING,
    DEAD_STATUSES,
    FAILING_OVER,
    PROFILES,
    RECOVERABLE,
    TERMINAL,
    Effect,
    Facts,
    State,
    at_rest,
    request,
)
from chaosaws_kms_lab.aurora import step as full_step

OBSERVED, DOCUMENTED = PROFILES["observed"], PROFILES["documented"]
FRESH = State(AVAILABLE, since=0)
WEEK = 7 * 86400.0


def step(state, usable, ready, now, profile, recoverable=True):
    return full_step(state, Facts(usable, ready, recoverable), now, profile)


def run(state, script, profile=OBSERVED, ready=True, recoverable=True):
    """Steps through (instant, key usable) pairs; the states and all effects on the way."""
    effects = []
    states = []
    for now, usable in script:
        state, done = step(state, usable, ready, now, profile, recoverable)
        effects += done
        states.append(state)
    return states, effects


def test_a_cluster_whose_key_is_usable_stays_available():
    states, effects = run(FRESH, [(t * 1000.0, True) for t in range(1000)])
    assert {s.status for s in states} == {AVAILABLE}
    assert effects == []


def test_the_cluster_turns_inaccessible_only_after_the_lag():
    states, effects = run(FRESH, [(10, False), (459, False), (460, False)])
    assert [s.status for s in states] == [AVAILABLE, AVAILABLE, RECOVERABLE]
    assert effects == [Effect.FREEZE, Effect.KEY_LOST]


def test_a_key_that_comes_back_within_the_lag_starts_the_lag_anew():
    states, _ = run(FRESH, [(0, False), (400, True), (401, False), (850, False), (851, False)])
    assert [s.status for s in states[:-1]] == [AVAILABLE] * 4
    assert states[-1].status == RECOVERABLE


def test_it_comes_back_by_itself_in_the_observed_profile():
    script = [(0, False), (450, False), (1000, True), (3099, True), (3100, True)]
    states, effects = run(FRESH, script)
    assert [s.status for s in states[-2:]] == [RECOVERABLE, "starting"]
    assert effects[-2:] == [Effect.KILL, Effect.KEY_BACK]
    states, effects = run(states[-1], [(3279, True), (3280, True), (3281, True)])
    assert [s.status for s in states] == ["starting", "starting", AVAILABLE]
    assert effects == [Effect.BOOT, Effect.STARTED]


def test_it_is_not_available_before_its_server_takes_connections():
    booting = State("booting", since=0)
    assert step(booting, True, False, 1e6, OBSERVED)[0].status == "starting"
    assert step(booting, True, True, 1e6, OBSERVED)[0].status == AVAILABLE


def test_in_the_documented_profile_only_a_start_brings_it_back():
    states, _ = run(FRESH, [(0, False), (450, False), (460, True), (WEEK, True)], DOCUMENTED)
    assert states[-1].status == RECOVERABLE
    state, effects = request(states[-1], "StartDBCluster", now=WEEK)
    assert state.status == "starting"
    assert Effect.KILL in effects


def test_a_start_falls_back_when_the_key_is_lost_again():
    starting = State("starting", since=0)
    states, effects = run(starting, [(10, False), (400, False), (460, False)])
    assert [s.status for s in states] == ["starting", "starting", RECOVERABLE]
    assert Effect.BOOT not in effects


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_after_seven_days_it_is_lost_for_good(profile):
    states, _ = run(FRESH, [(0, False), (450, False), (450 + WEEK, False)], profile)
    assert states[-1].status == TERMINAL
    states, effects = run(states[-1], [(2 * WEEK, True), (9 * WEEK, True)], profile)
    assert {s.status for s in states} == {TERMINAL}
    assert effects == []


def test_a_stopped_cluster_is_started_after_seven_days():
    stopped = State("stopped", since=0)
    assert step(stopped, True, True, WEEK - 1, OBSERVED)[0].status == "stopped"
    assert step(stopped, True, True, WEEK, OBSERVED)[0].status == "starting"


def test_without_the_recoverable_state_the_first_loss_is_the_last():
    states, effects = run(FRESH, [(0, False), (449, False), (450, False)], recoverable=False)
    assert [s.status for s in states] == [AVAILABLE, AVAILABLE, TERMINAL]
    assert effects == [Effect.KILL, Effect.KEY_LOST]
    states, effects = run(states[-1], [(451, True), (9 * WEEK, True)], recoverable=False)
    assert {s.status for s in states} == {TERMINAL}
    assert effects == []


def test_a_cluster_that_boots_without_its_key_is_never_seen_available():
    booting = State("booting", since=0, key_usable=False, key_since=0)
    state, effects = step(booting, False, True, 450, OBSERVED)
    assert state.status == RECOVERABLE
    assert effects == (Effect.STARTED, Effect.FREEZE, Effect.KEY_LOST)


def test_a_boot_that_has_just_begun_is_not_taken_for_done():
    state, effects = step(State("starting", since=0), True, True, 1e6, OBSERVED)
    assert state.status == "starting"
    assert effects == (Effect.BOOT,)


@pytest.mark.parametrize("phase", [CREATING, FAILING_OVER])
def test_what_was_begun_with_the_servers_has_to_be_done_first(phase):
    assert step(State(phase, since=0), True, False, 1e6, OBSERVED)[0].status == phase
    assert step(State(phase, since=0), True, True, 1e6, OBSERVED)[0].status == AVAILABLE


def test_a_restore_that_breaks_ends_where_only_deleting_helps():
    state, _ = request(State(CREATING, since=0), "restore failed", now=1)
    assert state.status == "incompatible-restore"
    assert step(state, True, True, 9 * WEEK, OBSERVED)[0].status == "incompatible-restore"


PHASES = sorted({AVAILABLE, CREATING, FAILING_OVER, "booting", "deleting"} | DEAD_STATUSES)


@given(
    st.sampled_from(PHASES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1e7),
    st.sampled_from(sorted(PROFILES)),
)
def test_at_rest_nothing_ever_happens(phase, usable, ready, recoverable, now, name):
    state = State(phase, since=0, key_usable=usable)
    if at_rest(state, usable):
        after, effects = step(state, usable, ready, now, PROFILES[name], recoverable)
        assert (after, effects) == (state, ())


def test_a_cluster_with_its_key_is_at_rest_and_one_that_lost_it_is_not():
    assert at_rest(FRESH, True)
    assert not at_rest(FRESH, False)
    assert not at_rest(State(AVAILABLE, since=0, key_usable=False), False)


LIFE = st.lists(
    st.tuples(st.floats(0.1, 3000), st.booleans(), st.booleans()), min_size=1, max_size=200
)


@given(LIFE, st.sampled_from(sorted(PROFILES)), st.booleans())
def test_inaccessible_needs_the_lag_and_terminal_is_never_left(life, name, recoverable):
    profile, state, now, lost_since = PROFILES[name], FRESH, 0.0, None
    for wait, usable, ready in life:
        now += wait
        lost_since = None if usable else (now if lost_since is None else lost_since)
        before = state
        state, effects = step(state, usable, ready, now, profile, recoverable)
        if state.status in (RECOVERABLE, TERMINAL) and before.status not in (RECOVERABLE, TERMINAL):
            assert lost_since is not None
            assert now - lost_since >= profile.until_inaccessible
            assert (state.status == RECOVERABLE) == recoverable
        if state.status == AVAILABLE and lost_since is not None:
            assert now - lost_since < profile.until_inaccessible
        if before.status == TERMINAL:
            assert state.status == TERMINAL
            assert effects == ()
        if state.status == "starting" and before.status == RECOVERABLE:
            assert usable
            assert profile.self_restart is not None
        if Effect.BOOT in effects:
            assert usable
