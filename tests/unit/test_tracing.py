"""Waits and calls as spans: only where a tracer is set up, and without what may be secret."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.aws.spans import traced
from chaosaws_kms_ext.tracing import in_span
from chaosaws_kms_ext.waiting import Observer, TimedOut, Wait

SECRET = "hunter2"


@pytest.fixture
def spans(monkeypatch):
    """What was exported, of a provider of the test's own."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter.get_finished_spans


class Account:
    region = "eu-west-1"

    @traced
    def call(self, service, operation, params):
        """Calls."""
        if "fails" in params:
            raise params["fails"]
        return {"Password": SECRET}


def everything_of(spans):
    return "".join(each.to_json() for each in spans)


def test_a_call_is_a_span_of_a_client_without_what_is_sent_and_answered(spans):
    answer = Account().call("secretsmanager", "PutSecretValue", {"SecretString": SECRET})
    assert answer == {"Password": SECRET}
    (span,) = spans()
    assert span.name == "secretsmanager.PutSecretValue"
    assert span.kind is trace.SpanKind.CLIENT
    assert dict(span.attributes) == {
        "rpc.system": "aws-api",
        "rpc.service": "secretsmanager",
        "rpc.method": "PutSecretValue",
        "cloud.region": "eu-west-1",
    }
    assert span.status.is_ok
    assert SECRET not in everything_of(spans())


def test_a_call_that_fails_has_the_code_and_not_the_message(spans):
    fails = AwsError(f"not with {SECRET}", "AccessDenied")
    with pytest.raises(AwsError, match=SECRET):
        Account().call("kms", "DisableKey", {"fails": fails})
    with pytest.raises(KeyError):
        Account().call("kms", "DisableKey", {"fails": KeyError(SECRET)})
    denied, broken = spans()
    assert not denied.status.is_ok
    assert denied.attributes["error.type"] == "AccessDenied"
    assert broken.attributes["error.type"] == "KeyError"
    assert SECRET not in everything_of(spans())


def test_a_wait_is_a_span_and_the_calls_of_its_looks_are_in_it(spans):
    aws = Account()
    wait = Wait("the cluster to be available", 5, 0.01, Observer())
    assert wait.until(lambda: aws.call("rds", "DescribeDBClusters", {})) == {"Password": SECRET}
    look, waited = spans()
    assert waited.name == "wait: the cluster to be available"
    assert dict(waited.attributes) == {"chaos.wait.limit": 5}
    assert look.parent.span_id == waited.context.span_id


def test_a_wait_without_success_says_so(spans):
    with pytest.raises(TimedOut):
        Wait("nothing", 0.01, 0.01, Observer()).until(lambda: None)
    Wait("a moment", 0.01, 0.01, Observer()).out()
    failed, whole = spans()
    assert failed.attributes["error.type"] == "TimedOut"
    assert (whole.name, whole.status.is_ok) == ("wait: a moment", True)


def test_where_the_api_is_there_and_no_provider_nothing_is_recorded():
    with in_span("x"):
        assert not trace.get_current_span().is_recording()


WITHOUT = """\
import sys
from chaosaws_kms_ext.waiting import Observer, Wait
import chaosaws_kms_ext.aws.client
Wait("x", 1, 0.1, Observer()).until(lambda: True)
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_who_traces_nothing_imports_nothing_of_opentelemetry():
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert said.stdout.strip() == "[]", said.stderr


def test_it_goes_without_opentelemetry(monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    with in_span("x"):
        pass
    with pytest.raises(KeyError), in_span("x"):
        raise KeyError("x")
