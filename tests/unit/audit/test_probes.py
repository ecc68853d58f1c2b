"""What CloudTrail says of a fault, on a lab that plays AWS and delivers events after a while."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from chaoslib.exceptions import ActivityFailed

from chaosaws_kms_ext import run as runs
from chaosaws_kms_ext.audit import probes
from chaosaws_kms_ext.aurora import actions as aurora_actions
from chaosaws_kms_ext.aurora import probes as aurora_probes
from chaosaws_kms_ext.aws import cloudtrail
from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.aws.cloudtrail import EventHistory, Logged
from chaosaws_kms_ext.history import Event, EventName
from chaosaws_kms_ext.kms import actions as kms_actions
from chaosaws_kms_ext.settings import Settings
from tests.support.clusters import AVAILABLE, becomes, new_writer
from tests.support.forked_labs import new_lab
from tests.support.labs import client, until, watchdogs

pytestmark = [pytest.mark.no_servers, pytest.mark.thorough]

LAB_USER = "arn:aws:iam::123456789012:user/lab"
SKEW = timedelta(seconds=2)
"""The lab has this machine's clock."""


@pytest.fixture(autouse=True)
def _in_time(on_aws, monkeypatch):
    monkeypatch.setenv("CHAOS_SELF_RESTART_WITHIN", "1")
    # The clock of CHAOS_TARGET=aws is AWS' own: here, as fast as the lab's.
    monkeypatch.setattr(probes, "AUDIT_TIMEOUT", 10.0)
    monkeypatch.setattr(probes, "SPACING", 0.01)
    monkeypatch.setattr(probes, "SKEW", SKEW)
    monkeypatch.setattr(Settings, "status_poll", 0.2)


@pytest.fixture
def orders_is_back(lab):
    """The cluster is available before and after, whatever a test does to its key."""
    orders = {"DBClusterIdentifier": "orders"}
    becomes(client(lab, "rds"), orders, AVAILABLE)
    yield lab.clusters[0]["key"]
    kms_actions.enable_key()
    aurora_actions.wait_for_recovery()
    becomes(client(lab, "rds"), orders, AVAILABLE)


def test_who_took_the_key_away_and_put_it_back_is_found(orders_is_back, kms):
    before = datetime.now(UTC).replace(microsecond=0)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=other)
    taken = kms_actions.disable_key()
    assert aurora_probes.wait_until_inaccessible()
    kms_actions.enable_key()
    found = probes.audit_events()
    assert found["complete"] is True
    assert found["unknown"] == []
    disabled, enabled = found["disabled_by"], found["enabled_by"]
    assert disabled["who"] == enabled["who"] == LAB_USER
    first = datetime.fromisoformat(found["first_failed_decrypt"])
    times = [datetime.fromisoformat(each["when"]) for each in (disabled, enabled)]
    assert before <= times[0] <= first <= times[1]
    assert found["failed_decrypts"] >= 1

    trail = {e["EventId"]: e for e in all_events(kms, "DisableKey")}
    assert taken["key"] in trail[disabled["event_id"]]["CloudTrailEvent"]
    (event,) = [e for e in runs.current().events if e.name == "audit"]
    assert event.details == {"key": taken["key"], "cluster": "orders", **found}


def all_events(kms, name):
    trail = client_of(kms, "cloudtrail")
    wanted = [{"AttributeKey": "EventName", "AttributeValue": name}]
    pages = trail.get_paginator("lookup_events").paginate(LookupAttributes=wanted)
    return [event for page in pages for event in page["Events"]]


def client_of(other, service):
    # A session of its own: boto3 keeps the credentials that it first saw, of another lab perhaps.
    return boto3.Session().client(service, endpoint_url=other.meta.endpoint_url)


def test_while_the_key_is_away_nobody_is_missed_who_could_have_put_it_back(orders_is_back):
    kms_actions.disable_key()
    found = probes.audit_events()
    assert found["complete"] is True
    assert found["disabled_by"]["who"] == LAB_USER
    assert found["enabled_by"] is None
    assert found["failed_decrypts"] >= 1


@pytest.fixture
def on_a_slow_lab(monkeypatch):
    """As fast as AWS, so its CloudTrail delivers after minutes."""
    slow = new_lab(1, servers=False)
    for name, value in slow.environment.items():
        monkeypatch.setenv(name, value)
    yield
    runs.end()
    for each in watchdogs(slow):  # it would see to the cluster for many minutes
        each.kill()
    slow.stop()


@pytest.mark.usefixtures("on_a_slow_lab")
def test_what_is_not_delivered_is_unknown_and_not_absent(monkeypatch):
    monkeypatch.setattr(probes, "AUDIT_TIMEOUT", 0.2)
    key = kms_actions.disable_key()["key"]
    kms_actions.enable_key()
    found = probes.audit_events()
    assert found["complete"] is False
    assert (found["disabled_by"], found["enabled_by"], found["failed_decrypts"]) == (None, None, 0)
    assert found["unknown"][:2] == [
        f"DisableKey of {key}: not delivered within 0.2 s",
        f"EnableKey of {key}: not delivered within 0.2 s",
    ]
    assert found["unknown"][2].startswith("a failed Decrypt of the database (aws:rds:dbc-id: ")
    assert found["first_failed_decrypt"] is None


def test_what_somebody_did_before_is_not_taken_for_ours(orders_is_back, kms):
    key = orders_is_back
    for _ in range(2):  # somebody tried that before us
        kms.disable_key(KeyId=key)
        kms.enable_key(KeyId=key)
    time.sleep(2 * SKEW.total_seconds())
    becomes(client_of(kms, "rds"), {"DBClusterIdentifier": "orders"}, AVAILABLE)
    kms_actions.disable_key()
    time.sleep(0.5)
    kms_actions.enable_key()
    found = probes.audit_events()
    assert found["complete"] is True
    newest = max(all_events(kms, "DisableKey"), key=lambda event: event["EventTime"])
    assert found["disabled_by"]["event_id"] == newest["EventId"]


def test_of_others_deeds_the_last_ones_count_since_an_instant(lab, kms, monkeypatch):
    monkeypatch.setattr(probes, "AUDIT_TIMEOUT", 6.0)
    writer = new_writer(client(lab, "rds"), kms)
    key, name = writer["KmsKeyId"], writer["DBClusterIdentifier"]
    began = datetime.now(UTC) - timedelta(seconds=1)
    kms.disable_key(KeyId=key)
    becomes(client(lab, "rds"), writer, "inaccessible-encryption-credentials-recoverable")
    kms.enable_key(KeyId=key)
    found = probes.audit_events(key, name, began.isoformat())
    assert found["complete"] is True
    assert found["failed_decrypts"] >= 1
    assert found["disabled_by"]["event_id"] != found["enabled_by"]["event_id"]
    naive = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=30)
    later = probes.audit_events(key, name, naive.isoformat())
    assert later["complete"] is False
    assert later["disabled_by"] is None


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", 7, ["x"]])
def test_an_instant_that_is_none_is_one_sentence(wrong):
    with pytest.raises(ActivityFailed, match="since must be an instant"):
        probes.audit_events(since=wrong)


# Looking up


def test_a_lookup_reads_every_page_and_keeps_its_distance(lab, kms, monkeypatch):
    began = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(120):
        kms.list_aliases(Limit=7)
    history = EventHistory(Aws(lab.region, lab.endpoint, lab=lab.credentials), 0.3)
    ours = until(lambda: len(seen := history.lookup("ListAliases", began)[0]) >= 120 and seen)
    assert {event.who for event in ours} == {LAB_USER}
    assert [event.at for event in ours] == sorted(event.at for event in ours)
    started = time.monotonic()
    found, everything = history.lookup("ListAliases", began)
    assert everything
    assert len(found) >= 120
    assert time.monotonic() - started >= 0.3 * 2
    monkeypatch.setattr(cloudtrail, "MOST_PAGES", 2)
    found, everything = history.lookup("ListAliases", began)
    assert (len(found), everything) == (100, False)
    assert history.lookup("ListAliases", began, began)[0] == []


def test_too_many_events_are_said(orders_is_back, monkeypatch):
    kms_actions.disable_key()
    until(lambda: probes.audit_events()["failed_decrypts"] > 1)
    monkeypatch.setattr(probes.EventHistory, "lookup", first_page_only(probes.EventHistory.lookup))
    found = probes.audit_events()
    assert found["complete"] is False
    assert found["unknown"] == ["whether there were more failed Decrypts: too many events to read"]


def first_page_only(lookup):
    def cut(self, *asked):
        found, _ = lookup(self, *asked)
        return found, False

    return cut


class Told:
    """An event history that tells these."""

    def __init__(self, *events):
        self._events = events

    def lookup(self, name, since, until=None):
        its = [e for e in self._events if since <= e.at and (until is None or e.at <= until)]
        return its, True


NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"


def put_policy(number, seconds):
    at = NOON + timedelta(seconds=seconds)
    return Logged(str(number), at, "arn:you", "", {"keyId": KEY}, frozenset())


def test_of_others_the_first_call_between_two_looks_took_it_and_the_last_gave_it_back():
    seen, back = NOON + timedelta(seconds=9), NOON + timedelta(seconds=12)
    audit = probes._Audit(
        "PutKeyPolicy", "PutKeyPolicy", Told(put_policy(1, 5), put_policy(2, 10)), KEY, ("", ""),
        NOON, seen, back, slack=timedelta(seconds=5), by_others=True,
    )  # fmt: skip
    audit.find_calls()
    assert (audit.disabled.id, audit.enabled.id) == ("1", "2")
    ours = replace(audit, disabled=None, enabled=None, by_others=False)
    ours.find_calls()
    assert ours.disabled.id == "2"  # the nearest, which of others would be the wrong one


BY_STATE = {"seen_by": "key-state"}


@pytest.mark.parametrize(
    ("details", "calls"),
    [
        ({"seen_by": "key-state", "state": "Disabled"}, ("DisableKey", "EnableKey")),
        (
            {"seen_by": "key-state", "state": "PendingDeletion"},
            ("ScheduleKeyDeletion", "EnableKey"),
        ),
        ({"seen_by": "key-state", "state": "Unavailable"}, ("", "")),
        ({"seen_by": "key-policy"}, ("PutKeyPolicy", "PutKeyPolicy")),
        ({"seen_by": "cluster-status"}, ("", "")),
    ],
)
def test_what_showed_the_loss_says_which_calls_to_look_for(details, calls):
    taken = Event(1, EventName.INJECTED, {"fault": "by-others", "by": "others", **details})
    assert probes._calls_of(taken) == calls


def test_calls_that_nothing_points_to_are_unknown_and_not_waited_for():
    audit = probes._Audit("", "", Told(), KEY, "", NOON, NOON, NOON, by_others=True)
    audit.find_calls()
    assert audit.missing_calls() == []
    assert "neither its state nor its policy showed a call" in audit.said()["unknown"][-1]


@pytest.mark.parametrize(
    ("named", "database"),
    [
        ({"dBClusterIdentifier": "orders"}, "orders"),
        ({"dbClusterIdentifier": "orders"}, "orders"),
        ({"dBInstanceIdentifier": "orders"}, "db:orders"),
    ],
)
def test_a_start_is_of_the_database_that_it_names_and_of_its_kind(named, database):
    event = Logged("1", NOON, "arn:you", "", named, frozenset())
    asked = ("orders", "db:orders", "carts")
    assert [each for each in asked if event.about_database(each)] == [database]
