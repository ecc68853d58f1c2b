"""Credentials that last as long as the longest run: judged as values, and by botocore's own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.client import Aws, AwsError, Credentials
from chaosaws_kms_ext.guard.credentials import EXPIRATION, lasting
from tests.support.labs import client

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONGEST = timedelta(hours=5)
TEMPORARY = Credentials("env", temporary=True, renewed=False)


def judged(credentials=TEMPORARY, ends=None):
    environ = {EXPIRATION: ends} if ends is not None else {}
    return lasting(credentials, LONGEST, environ, NOW)


def test_credentials_for_good_and_those_that_renew_themselves_will_do():
    forever = judged(Credentials("shared-credentials-file", temporary=False, renewed=False))
    assert (forever.state, forever.why) == (
        "ok",
        "from shared-credentials-file, which never expire",
    )
    renewed = judged(Credentials("assume-role", temporary=True, renewed=True))
    assert (renewed.state, renewed.why) == (
        "ok",
        "from assume-role, which are renewed automatically",
    )


def test_a_token_whose_end_nobody_knows_is_refused_with_what_to_do():
    finding = judged()
    assert finding.state == "refused"
    for word in ("env", "it is not known when", "5.0 hours", "AWS_PROFILE", EXPIRATION):
        assert word in finding.why


@pytest.mark.parametrize(
    "ends", ["", "soon", "2026-99-99", "1764000000", "x" * 1_000_000], ids=lambda ends: ends[:20]
)
def test_an_end_that_is_no_instant_is_one_that_nobody_knows(ends):
    finding = judged(ends=ends)
    assert finding.state == "refused"
    assert "it is not known when" in finding.why
    assert len(finding.why) < 400


def test_too_soon_names_both_figures():
    finding = judged(ends="2026-11-24T13:00:00Z")
    assert finding.state == "refused"
    assert "end in 60 minutes, and the longest run takes 5.0 hours" in finding.why


def test_late_enough_says_for_how_long():
    finding = judged(ends="2026-11-24T20:00:00+00:00")
    assert finding.state == "ok"
    assert finding.why == "from env, for 8.0 hours more; the longest run takes 5.0 hours"


def test_those_that_have_ended_have_no_minutes_left():
    assert "end in 0 minutes" in judged(ends="2026-11-24T11:00:00Z").why


@pytest.mark.parametrize("ends", ["2026-11-24T20:00:00", "2026-11-24T22:00:00+02:00", "2026-11-25"])
def test_an_end_without_a_zone_is_utc(ends):
    assert judged(ends=ends).state == "ok"


@given(st.integers(-100_000, 100_000))
def test_only_what_lasts_as_long_as_the_run_passes(seconds):
    end = NOW + timedelta(seconds=seconds)
    assert (judged(ends=end.isoformat()).state == "ok") == (seconds >= LONGEST.total_seconds())


# By botocore's own credentials


@pytest.fixture
def environment(lab, monkeypatch, tmp_path):
    """This process on the lab, by variables or by the profiles of a file."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab.endpoint)
    monkeypatch.setenv("AWS_REGION", lab.region)

    def environment(profile="", config="", **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if profile:
            path = tmp_path / "config"
            path.write_text(config)
            monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
            monkeypatch.setenv("AWS_PROFILE", profile)

    return environment


def found():
    return Aws().credentials()


PAIR = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}


def test_variables_without_a_token_are_for_good(environment):
    environment(**PAIR)
    assert found() == Credentials("env", temporary=False, renewed=False)


@pytest.mark.parametrize("hours", [None, 1, 8])
def test_variables_with_a_token_are_not_renewed_whatever_botocore_calls_them(environment, hours):
    end = datetime.now(UTC) + timedelta(hours=hours or 0)
    ends = {EXPIRATION: end.isoformat()} if hours else {}
    environment(**PAIR, AWS_SESSION_TOKEN="t", **ends)
    assert found() == Credentials("env", temporary=True, renewed=False)
    state = lasting(found(), timedelta(hours=5)).state
    assert state == ("ok" if hours == 8 else "refused")


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("2026-01-01T00:00:00+00:00", "have expired"),
        ("soon", "cannot be used"),
        ("2030-01-01T00:00:00", "cannot be used"),  # botocore wants a zone
    ],
)
def test_an_end_that_botocore_cannot_use_is_a_sentence(environment, ends, said):
    environment(**PAIR, AWS_SESSION_TOKEN="t", **{EXPIRATION: ends})
    for ask in (found, lambda: Aws().call("sts", "GetCallerIdentity", {})):
        with pytest.raises(AwsError, match=said):
            ask()


SOURCE = """
[profile source]
aws_access_key_id = lab
aws_secret_access_key = {secret}
"""
ROLE = """
[profile role]
role_arn = arn:aws:iam::123456789012:role/tester
source_profile = source
"""


def test_a_profile_with_a_role_renews_itself(environment, lab):
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    client(lab, "iam").create_role(RoleName="tester", AssumeRolePolicyDocument=policy)
    environment("role", SOURCE.format(secret=lab.secret_key) + ROLE)
    assert found() == Credentials("assume-role", temporary=True, renewed=True)
    identity = Aws().call("sts", "GetCallerIdentity", {})
    assert "assumed-role/tester/" in identity["Arn"]


FOUND = "from chaosaws_kms_ext.aws.client import Aws; print(Aws().credentials())"
MFA = "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"


def found_with_input(typed):
    """In a process without a terminal: the code is read from its standard input."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FOUND],
        input=typed,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=30,
    )


def test_a_role_that_asks_for_a_code_does_not(environment, lab):
    """botocore asks once, and raises RefreshWithMFAUnsupportedError the second time."""
    environment("role", SOURCE.format(secret=lab.secret_key) + ROLE + MFA)
    said = found_with_input("123456\n")
    assert said.stdout.strip() == str(Credentials("assume-role", temporary=True, renewed=False))


def test_a_role_that_asks_for_a_code_where_nobody_can_type_is_a_sentence(environment, lab):
    environment("role", SOURCE.format(secret=lab.secret_key) + ROLE + MFA)
    last = found_with_input("").stderr.strip().splitlines()[-1]
    assert last.startswith("chaosaws_kms_ext.aws.client.AwsError: the AWS credentials: ")
    assert last.endswith("cannot be used: EOFError")


@pytest.mark.parametrize("expires", [True, False])
def test_a_process_that_says_when_they_end_renews_them(environment, tmp_path, expires):
    said = {"Version": 1, "AccessKeyId": "lab", "SecretAccessKey": "lab", "SessionToken": "t"}
    if expires:
        said["Expiration"] = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    (tmp_path / "said.json").write_text(json.dumps(said))
    program = f"{sys.executable} -c \"print(open('{tmp_path}/said.json').read())\""
    environment("process", f"[profile process]\ncredential_process = {program}\n")
    assert found() == Credentials("custom-process", temporary=True, renewed=expires)


def test_a_profile_with_a_token_in_it_is_temporary(environment):
    environment("source", SOURCE + "aws_session_token = t\n")
    assert found() == Credentials("config-file", temporary=True, renewed=False)


@pytest.mark.parametrize(
    ("profile", "config", "said"),
    [
        ("role", ROLE, "source_profile"),
        ("process", "[profile process]\ncredential_process = /bin/false\n", "custom-process"),
        ("empty", "[profile empty]\nregion = eu-west-1\n", "no AWS credentials found"),
    ],
)
def test_a_profile_that_gives_none_is_a_sentence(environment, profile, config, said):
    environment(profile, config)
    with pytest.raises(AwsError, match=said):
        found()
