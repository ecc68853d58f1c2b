"""What an SNS topic is told of a run, and that nobody is kept up where it cannot be."""

from __future__ import annotations

import itertools
import json
import logging
import time

import pytest

from chaosaws_kms_ext.aws.topic import Topic
from chaosaws_kms_ext.controls.notices import following, tell_end
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report.figures import FIGURES
from chaosaws_kms_ext.report.verdict import Verdict
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings
from tests.support.labs import client, until

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

ACCOUNT = "123456789012"
NUMBERS = itertools.count()
EVIL = "\x1b[31mkey\r\nSubject: <b>✓</b> " + "x" * 1000


@pytest.fixture(autouse=True)
def _on_lab(lab, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def topic(lab):
    """Its ARN, and what a queue has got of it so far."""
    name = f"runs{next(NUMBERS)}"
    sns, sqs = client(lab, "sns"), client(lab, "sqs")
    arn = sns.create_topic(Name=name)["TopicArn"]
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sns.subscribe(
        TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:{lab.region}:{ACCOUNT}:{name}"
    )
    told = []

    def received():
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        told.extend(json.loads(each["Body"]) for each in got)
        return sorted(told, key=lambda each: each["Timestamp"])

    return arn, received


def a_run(arn):
    return Run(Settings(target="aws", cluster_id="orders", notify_topic=arn), "kms-disable")


def messages(received):
    return [json.loads(each["Message"]) for each in received()]


def test_a_run_tells_its_begin_its_fault_and_its_end(topic):
    arn, received = topic
    run = a_run(arn)
    with following(run):
        until(lambda: len(received()) == 1)
        run.event(EventName.INJECTED, fault="disable-key", key="k", cluster="orders")
        until(lambda: len(received()) == 2)
    tell_end(run, Verdict("failed", ("the key told 1234",)), lambda text: text.replace("1234", "…"))
    until(lambda: len(received()) == 3)
    began, fault, end = messages(received)
    assert [each["event"] for each in (began, fault, end)] == [
        "run-began", "fault-injected", "run-ended",
    ]  # fmt: skip
    assert {each["run"] for each in (began, fault, end)} == {run.id}
    assert fault["fault"] == "disable-key"
    assert (end["verdict"], end["reasons"]) == ("failed", ["the key told …"])
    assert end["sentence"] == "KMS game day kms-disable failed: the key told …"
    assert set(end["figures"]) == {each.name for each in FIGURES}
    assert end["report"] is None
    *_, last = received()
    # A mark that is not ASCII has no place in a subject.
    assert last["Subject"] == "KMS game day kms-disable failed: the key told ?"
    attributes = {name: each["Value"] for name, each in last["MessageAttributes"].items()}
    assert attributes == {"event": "run-ended", "verdict": "failed"}


def test_a_fault_of_the_last_instant_is_told_as_well(topic):
    arn, received = topic
    run = a_run(arn)
    with following(run):
        run.event(EventName.INJECTED, fault="deny-rds", key="k", cluster="orders")
    until(lambda: len(received()) == 2)
    assert messages(received)[1]["fault"] == "deny-rds"


def test_words_of_others_break_neither_subject_nor_message(topic):
    arn, received = topic
    tell_end(a_run(arn), Verdict("failed", (EVIL,) * 50), str)
    until(lambda: len(received()) == 1)
    (end,) = messages(received)
    assert len(end["reasons"]) == 10
    assert all(len(each) <= 300 and each.isprintable() for each in end["reasons"])
    (told,) = received()
    assert told["Subject"].isascii()
    assert told["Subject"].isprintable()
    assert len(told["Subject"]) < 100


def test_without_a_topic_nothing_is_told(monkeypatch):
    monkeypatch.setattr(Topic, "tell", lambda *_: pytest.fail("told"))
    run = a_run("")
    with following(run):
        pass
    tell_end(run, Verdict("passed", ()), str)


def test_a_topic_that_is_not_there_is_a_warning_and_no_more(lab, caplog):
    run = a_run(f"arn:aws:sns:{lab.region}:{ACCOUNT}:nobody")
    with caplog.at_level(logging.WARNING), following(run):
        pass
    tell_end(run, Verdict("passed", ()), str)
    said = [each.getMessage() for each in caplog.records]
    assert [each.partition(": ")[0] for each in said] == [
        "CHAOS_NOTIFY_TOPIC could not be told (run-began)",
        "CHAOS_NOTIFY_TOPIC could not be told (run-ended)",
    ]
    assert all("NotFound" in each for each in said)


@pytest.mark.parametrize("problem", [RuntimeError("so"), MemoryError()])
def test_nothing_that_goes_wrong_gets_out(monkeypatch, caplog, problem):
    def tell(*_):
        raise problem

    monkeypatch.setattr(Topic, "tell", tell)
    run = a_run(f"arn:aws:sns:eu-west-1:{ACCOUNT}:runs")
    with following(run):
        pass
    tell_end(run, Verdict("passed", ()), str)
    assert len(caplog.records) == 2


def test_a_report_that_cannot_be_read_costs_nothing_but_its_figures(topic, tmp_path, caplog):
    arn, received = topic
    run = a_run(arn)
    run.folder = tmp_path
    (tmp_path / "summary.json").write_text("[" * 5000)
    tell_end(run, Verdict("passed", ()), str)
    until(lambda: len(received()) == 1)
    (end,) = messages(received)
    assert set(end["figures"].values()) == {None}
    assert end["report"] == str(tmp_path)

    def breaks(_):
        raise ValueError

    tell_end(run, Verdict("failed", ("why",)), breaks)
    assert "could not be told (run-ended): ValueError()" in caplog.text


def test_where_nobody_answers_the_run_goes_on(monkeypatch, caplog):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    tell_end(a_run(f"arn:aws:sns:eu-west-1:{ACCOUNT}:runs"), Verdict("passed", ()), str)
    assert time.monotonic() - began < 60
    assert "got no answer" in caplog.text
