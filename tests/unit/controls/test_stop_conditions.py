"""What the thread that watches sees: alarms, their end, their silence, and the journal."""

from __future__ import annotations

import itertools
import signal
import time

import pytest

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.controls import stop_conditions
from chaosaws_kms_ext.controls.stop_conditions import RESTORED, StopConditions
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.inject.injection import inject
from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.undo import journal
from tests.support.alarms import put_alarm
from tests.support.labs import client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

KEY = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
NUMBERS = itertools.count()


@pytest.fixture
def signals():
    """The SIGTERMs that this process got."""
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    yield got
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run():
    return Run(Settings())


@pytest.fixture
def watching(lab, run):
    """Starts to watch alarms, 20 times a second."""
    started = []

    def watching(*alarms, aws=None):
        door = aws or Aws(lab.region, lab.endpoint, lab=lab.credentials)
        conditions = StopConditions(run, door, alarms, 0.05)
        conditions.start()
        started.append(conditions)
        return conditions

    yield watching
    for conditions in started:
        conditions.stop()
        conditions.stop()


@pytest.fixture
def cloudwatch(lab):
    return client(lab, "cloudwatch")


def put(cloudwatch):
    name = f"alarm-{next(NUMBERS)}"
    put_alarm(cloudwatch, name)
    return name


def go_off(cloudwatch, name, state="ALARM"):
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def test_the_alarms_that_went_off_are_named_once(cloudwatch, watching, run, signals):
    quiet, one, other = (put(cloudwatch) for _ in range(3))
    watching(quiet, one, other, one)
    go_off(cloudwatch, quiet, "INSUFFICIENT_DATA")
    assert run.stopping == ""
    go_off(cloudwatch, one)
    until(lambda: signals)
    assert run.stopping == f"the CloudWatch alarm {one} went off"
    assert signals == [signal.SIGTERM]


def test_an_alarm_that_is_gone_ends_the_run(cloudwatch, watching, run, signals):
    name = put(cloudwatch)
    watching(name)
    cloudwatch.delete_alarms(AlarmNames=[name])
    until(lambda: signals)
    assert run.stopping == f"the CloudWatch alarm {name} is not there any more"


def test_a_silence_that_passes_is_let_be_and_one_that_lasts_is_not(
    lab, cloudwatch, watching, run, signals, monkeypatch
):
    name, misbehaviours = put(cloudwatch), Misbehaviours.of(lab)
    watching(name)
    try:
        misbehaviours.order(kind="expired-token", service="cloudwatch", operation="DescribeAlarms")
        until(lambda: _asked(lab) > 5)
        assert not signals
        monkeypatch.setattr(stop_conditions, "UNREADABLE_FOR", 0.1)
        until(lambda: signals)
    finally:
        misbehaviours.clear()
    assert run.stopping.startswith("the alarms cannot be read: the AWS credentials have expired")


def test_a_silence_is_counted_from_the_last_answer(
    lab, cloudwatch, watching, run, signals, monkeypatch
):
    monkeypatch.setattr(stop_conditions, "UNREADABLE_FOR", 4.0)
    name, misbehaviours = put(cloudwatch), Misbehaviours.of(lab)
    watching(name)
    time.sleep(4.2)
    order = {"service": "cloudwatch", "operation": "DescribeAlarms", "count": 1}
    misbehaviours.order(kind="expired-token", **order)
    before = _asked(lab)
    until(lambda: _asked(lab) > before + 2)
    assert not signals


def _entry(run):
    return journal.write(
        journal.new_entry(
            run=run.id,
            region="eu-west-1",
            lab=None,
            cluster="orders",
            key=KEY,
            undo=DisableKey(KEY).undo(),
        )
    )


def _looks(lab, number):
    before = _asked(lab)
    until(lambda: _asked(lab) >= before + number)


def _asked(lab):
    return lab.requests.read_text().count("DescribeAlarms")


def test_a_thread_that_breaks_ends_the_run_rather_than_leave_it_unwatched(
    lab, cloudwatch, watching, run, signals
):
    class Breaks(Aws):
        broken = False

        def call(self, service, operation, params):
            if self.broken:
                raise OSError("no file descriptor is left")
            return super().call(service, operation, params)

    door = Breaks(lab.region, lab.endpoint, lab=lab.credentials)
    watching(put(cloudwatch), aws=door)
    door.broken = True
    until(lambda: signals)
    assert run.stopping.startswith("its stop conditions cannot be checked any more: OSError(")


@pytest.mark.parametrize("how", ["key_is_back", "close"])
def test_an_entry_that_somebody_else_closes_ends_the_run(watching, run, signals, how):
    entry = _entry(run)
    run.open_faults.key_away.append(entry)
    watching()
    getattr(entry, how)()
    until(lambda: signals)
    assert run.stopping == RESTORED


def test_when_the_key_is_back_there_is_nothing_left_to_stop(
    lab, cloudwatch, watching, run, signals
):
    name = put(cloudwatch)
    watching(name)
    run.event(EventName.PUT_BACK)
    go_off(cloudwatch, name)
    _looks(lab, 3)
    assert not signals
    assert run.stopping == ""


def test_an_alarm_that_went_off_between_two_faults_ends_the_run_at_the_second(
    lab, cloudwatch, watching, run, signals
):
    """Also where it is quiet again by then."""
    name = put(cloudwatch)
    watching(name)
    run.event(EventName.PUT_BACK)
    go_off(cloudwatch, name)
    until(lambda: run.stop_at_fault)
    go_off(cloudwatch, name, "OK")
    _looks(lab, 3)
    assert not signals
    with pytest.raises(Refused, match=f"no other fault is injected: the CloudWatch alarm {name} w"):
        inject(run, DisableKey(KEY))
    assert signals == [signal.SIGTERM]
    assert run.stopping == f"the CloudWatch alarm {name} went off"
    assert run.open_faults.key_away == []


def test_a_second_fault_is_watched_as_the_first(lab, cloudwatch, watching, run, signals):
    name = put(cloudwatch)
    watching(name)
    run.event(EventName.PUT_BACK)
    _looks(lab, 3)
    run.open_faults.key_away.append(_entry(run))
    _looks(lab, 3)
    assert not signals
    go_off(cloudwatch, name)
    until(lambda: signals)
    assert run.stopping == f"the CloudWatch alarm {name} went off"


def test_a_hundred_alarms_are_watched_in_one_call(cloudwatch, watching, lab, signals):
    names = [put(cloudwatch) for _ in range(100)]
    before = _asked(lab)
    watching(*names).stop()
    assert _asked(lab) - before <= 3
    assert not signals


def test_what_cannot_be_watched_is_refused_at_the_start(lab, cloudwatch, watching, signals):
    with pytest.raises(Refused, match="names nobody, and there is no such alarm"):
        watching("nobody")
    name = put(cloudwatch)
    go_off(cloudwatch, name)
    with pytest.raises(Refused, match=f"the alarm {name} of CHAOS_STOP_ALARMS is in state ALARM"):
        watching(name)
    misbehaviours = Misbehaviours.of(lab)
    misbehaviours.order(kind="expired-token", service="cloudwatch", operation="DescribeAlarms")
    try:
        with pytest.raises(Refused, match="the alarms of CHAOS_STOP_ALARMS cannot be read: "):
            watching(name)
    finally:
        misbehaviours.clear()
    assert not signals
