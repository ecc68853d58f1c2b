"""Every setting: right, wrong, empty, of another type; one sentence that names the variable."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.settings import BadSetting, Settings, parse

AWS = {"CHAOS_TARGET": "aws", "CHAOS_CLUSTER_ID": "orders"}


def refused(**environ):
    with pytest.raises(BadSetting) as caught:
        parse({}, environ)
    return str(caught.value)


def test_nothing_set_is_the_lab_with_the_defaults():
    assert parse({}, {}) == Settings()
    assert Settings().target == "lab"


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_empty_means_default(item):
    variable = f"CHAOS_{item.name.upper()}"
    assert parse({item.name: ""}, {variable: ""}) == Settings()


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
@pytest.mark.parametrize("value", [{"a": 1}, [1], True])
def test_a_value_of_another_type_is_refused_by_name(item, value):
    with pytest.raises(BadSetting) as caught:
        parse({item.name: value}, {})
    name = f"CHAOS_{item.name.upper()} (the experiment's {item.name})"
    assert str(caught.value).startswith(f"{name} must be text or a number")


WRONG = {
    "target": ["prod", "LAB", "lab; aws"],
    "cluster_id": ["two words", "a\nb", "x" * 3000],
    "key_id": ["two words", "\0"],
    "database": [
        "host",
        "not = conn = info",
        "host=x password=secret",
        "postgresql://u:secret@h/d",
    ],
    "database_auth": ["password", "IAM", "libpq iam"],
    "database_secret": ["two words", "x" * 3000],
    "proxy": [
        "two words",
        "a\nb",
        "../x",
        "--help",
        "1st",
        "a--b",
        "a-",
        "é",
        "x" * 64,
        "x" * 3000,
    ],
    "load_rate": ["0", "-1", "nan", "inf", "many", "1e9"],
    "load_users": ["0", "1.5", "x", "100000"],
    "load_processes": ["0", "65", "1.5", "all"],
    "load_workers": ["Remote", "2", "k8s"],
    "load_master": ["5557", ":5557", "host", "host:0", "host:70000", "a b:5557", "tcp://h:5557"],
    "load_file": ["nowhere.py", "tests", "../" * 50, "\0"],
    "load_writes": ["yes", "public"],
    "query_deadline": ["0", "61", "soon"],
    "latency_limit": ["-1", "600001", "fast"],
    "hold": ["0", "-5", "NaN", "1e300"],
    "impact_timeout": ["0", "x"],
    "lab_faults": ["lose-writes", "{}", "[1]", "[" * 9999, '"x"'],
    "expect_loss": ["maybe", "YES"],
    "return_timeout": ["0", "2h", "nan"],
    "lab_somebody": ["DisableKey", "me"],
    "recovery_strategy": ["restart", "wait"],
    "self_restart_within": ["0", "$(reboot)"],
    "recovery_timeout": ["0", "1h"],
    "normal_latency_within": ["-1", "2h", "8 days"],
    "provision_timeout": ["0", "-1", "2h", "nan", "8 days", "$(date)"],
    "instance_class": ["db.r6g large", "a\nb", "x" * 3000],
    "subnet_group": ["two words", "\0", "x" * 3000],
    "security_groups": ["sg-1,", ",", "sg-1,,sg-2", "x" * 256, "a\nb", ",".join(["sg-1"] * 101)],
    "max_key_unusable": ["0.5", "-1", "8 days"],
    "rto": ["0", "1,5", "x" * 1_000_000],
    "allowed_accounts": [
        "12345678901",
        "1234567890123",
        "12345678901x",
        "123456789012,",
        "123456789012;1",
        "arn:aws:iam::123456789012:root",
        "$(id)",
        "..",
        "１２３４５６７８９０１２",
        "*",
        ",",
        ",".join(["123456789012"] * 101),
        "1" * 1_000_000,
    ],
    "canaries": ["1", "true", "no yes", "$(id)"],
    "dependents": ["no", "yes", "look skip", "$(id)"],
    "blast_radius": ["-1", "1.5", "all", "100001", "1e3", "0x10", "$(id)", "9" * 1_000_000],
    "allow_key_store": ["true", "YES", "1", "cks-1234567890abcdef0"],
    "connect_timeout": ["0", "-1", "soon", "nan", "604801"],
    "allow_key_deletion": ["true", "YES", "1", "30"],
    "not_during": [
        "sunday",
        "fri 16:00-mon 08:00",
        "fri:16:00",
        "fri:24:00-mon:08:00",
        "fri:16:00-fri:16:00",
        "2026-02-30/2026-03-01",
        "2026-03-02/2026-03-01",
        "2026-01-01",
        "9999-12-01/9999-12-31",
        "mon:01:00-mon:02:00," * 101,
    ],
    "without_switch": ["true", "YES", "1", "no switch"],
    "without_backup": ["true", "YES", "1", "no backup", "; yes", "yes\0", "y" * 1_000_000],
    "backup_within": ["0", "-1", "7d", "nan", "inf", "3651 days", "$(date)", "1" * 1_000_000],
    "stop_alarms": [
        "a,",
        ",",
        "a,,b",
        "x" * 256,
        "a\nb",
        "a\0",
        ",".join(["a"] * 101),
        "a" * 1_000_000,
        "a," * 5_000_000 + "a",
    ],
    "alarms": [
        "a,",
        ",",
        "a,,b",
        "x" * 256,
        "a\nb",
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:",
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:" + "x" * 256,
        "arn:aws:cloudwatch:eu-west-1:12:alarm:errors",
        "arn:aws:sns:eu-west-1:123456789012:errors",
        "a,arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a\0",
        ",".join(["a"] * 101),
        "a" * 1_000_000,
        "arn:" * 2_500_000,
    ],
    "switch_role": [
        "switch",
        "arn:aws:iam::123456789012:user/me",
        "arn:aws:iam::12:role/switch",
        "..",
        "arn:aws:iam::123456789012:role/../x y",
        "arn:aws:iam::123456789012:role/$(id)",
        "arn:aws:sts::123456789012:assumed-role/switch/me",
        "x" * 1_000_000,
        "arn:aws:iam::123456789012:role/" + "x" * 1_000_000,
    ],
    "replacement_rto": ["0", "-1", "2 h", "nan", "inf", "1e9", "$(date)", "..", "1" * 1_000_000],
    "notify_topic": [
        "runs",
        "arn:aws:sns:eu-west-1:123456789012:runs.fifo",
        "arn:aws:sns:eu-west-1:12:runs",
        "arn:aws:sqs:eu-west-1:123456789012:runs",
        "arn:aws:sns:eu-west-1:123456789012:runs:5d1c",
        "arn:aws:sns:eu-west-1:123456789012:" + "x" * 257,
        "arn:aws:sns:eu-west-1:123456789012:$(id)",
        "..",
        "x" * 1_000_000,
    ],
    "events_queue": [
        "rds-events",
        "arn:aws:sqs:eu-west-1:123456789012:events.fifo",
        "arn:aws:sqs:eu-west-1:12:events",
        "arn:aws:sns:eu-west-1:123456789012:events",
        "arn:aws:sqs:eu-west-1:123456789012:" + "x" * 81,
        "https://sqs.eu-west-1.amazonaws.com/events",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/a b",
        "ftp://sqs.eu-west-1.amazonaws.com/123456789012/events",
        "arn:" * 250_000,
        "https://" + "x" * 1_000_000,
    ],
    "reader_load": ["true", "1", "YES", "main"],
    "reader_rate": ["-1", "1000001", "nan", "inf", "half", "1" * 1_000_000],
    "instance_id": [
        "-orders",
        "orders-",
        "a--b",
        "db:orders",
        "1st",
        "o_r",
        "ö",
        "a b",
        "a" * 64,
        "a" * 1_000_000,
        "arn:aws:rds:eu-west-1:123456789012:db:orders",
        "orders\0",
    ],
    "lab_database": ["Instance", "db", "postgres", "yes", "cluster instance"],
    "lab_key_store": ["yes", "CloudHSM", "AWS_CLOUDHSM", "none"],
    "lab_maintenance": ["-1", "1h", "8 days", "nan"],
    "lab_proxy": ["1", "YES", "orders-proxy"],
    "lab_secondary_keys": ["1", "YES", "master-secret"],
    "lab_recoverable_for": ["0", "-1", "8 days", "for ever", "nan"],
    "rpo": ["0", "-1", "1 h", "8 days"],
    "status_poll_every": ["0", "0.09", "-1", "61", "nan", "inf", "often", "1" * 1_000_000],
    "lab_clusters": ["0", "5", "1.5", "two", "1" * 1_000_000],
    "lab_readers": ["-1", "16", "1.5", "one", "1" * 1_000_000],
    "lab_tls": ["true", "on", "1", "YES"],
    "reports_dir": ["pyproject.toml", "a\0b"],
    "report_files": [",", "html,", "a" * 3000],
    "watch": ["true", "on", "1", "YES", "a\0b"],
    "lab_speed": ["0", "-60", "inf", "fast"],
    "lab_profile": ["real", "Observed"],
}


def test_every_setting_is_tried_with_wrong_values():
    assert set(WRONG) == {item.name for item in fields(Settings)}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_a_wrong_value_is_one_sentence_that_names_the_variable(name, value, where):
    variable = f"CHAOS_{name.upper()}"
    given_ = ({}, {variable: value}) if where == "environment" else ({name: value}, {})
    with pytest.raises(BadSetting) as caught:
        parse(*given_)
    said = str(caught.value)
    by = "" if where == "environment" else f" (the experiment's {name})"
    assert said.startswith(f"{variable}{by} must ")
    assert len(said) < 400
    assert "\n" not in said
    if name == "database":
        assert "secret" not in said


def test_a_password_in_the_conninfo_is_refused_and_not_repeated():
    said = refused(CHAOS_TARGET="aws", CHAOS_CLUSTER_ID="c", CHAOS_DATABASE="password=hunter2")
    assert "PGPASSWORD" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://app:hunter2@/shop", "put it in MYSQL_PWD or in ~/.my.cnf"),
        ("mysql://app@h:no/shop", "must be mysql://user@host:3306/database"),
        ("mysql://app@/shop?sslmode=require", "a mysql:// URL has only"),
    ],
)
def test_a_mysql_url_is_one_without_a_password(given, said):
    refusal = refused(**AWS, CHAOS_DATABASE=given)
    assert said in refusal
    assert "hunter2" not in refusal


def test_a_file_that_is_not_there_says_from_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"a Locust file that exists (seen from {tmp_path})" in refused(CHAOS_LOAD_FILE="no.py")
    assert "seen from" not in refused(CHAOS_LOAD_FILE="/no.py")


@pytest.mark.parametrize(
    "given",
    [
        {"CHAOS_TARGET": "prod", "CHAOS_CLUSTER_ID": "orders"},
        {"CHAOS_TARGETS": "aws", "CHAOS_CLUSTER_ID": "orders"},
        {"CHAOS_TARGET": "aws", "CHAOS_CLUSTER_ID": "two words"},
        {"CHAOS_DATABASE_AUTH": "secrets", "CHAOS_DATABASE_SECRET": "login"},
    ],
)
def test_what_could_not_be_read_contradicts_nothing(given):
    assert ";" not in refused(**given)


def test_a_run_is_about_a_cluster_or_an_instance_and_not_both():
    aws = {"CHAOS_TARGET": "aws", "CHAOS_INSTANCE_ID": "orders"}
    assert parse({}, aws).target_id == "db:orders"
    assert parse({}, {"CHAOS_TARGET": "aws", "CHAOS_CLUSTER_ID": "orders"}).target_id == "orders"
    assert Settings().target_id == ""
    said = refused(**aws, CHAOS_CLUSTER_ID="carts")
    assert said == (
        "CHAOS_CLUSTER_ID names carts and CHAOS_INSTANCE_ID orders: a run is about one of them, so "
        "leave the other out"
    )
    said = refused(CHAOS_TARGET="aws", CHAOS_CLUSTER_ID="db:orders")
    assert said.endswith("set CHAOS_INSTANCE_ID=orders in its place")
    assert "CHAOS_INSTANCE_ID names another" in refused(CHAOS_INSTANCE_ID="orders")


def test_a_labs_instance_has_no_readers():
    lab = {"CHAOS_LAB_DATABASE": "instance"}
    assert parse({}, lab).lab_database == "instance"
    assert "has no readers" in refused(**lab, CHAOS_LAB_READERS="1")


def test_a_folder_that_is_gone_is_no_traceback(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "must be a Locust file that exists" in refused(CHAOS_LOAD_FILE="no.py")


def test_all_that_is_wrong_is_said_at_once():
    said = refused(CHAOS_RTO="x", CHAOS_HOLD="y")
    assert "CHAOS_RTO" in said
    assert "CHAOS_HOLD" in said


def test_the_environment_beats_the_experiment():
    assert parse({"rto": "100"}, {}).rto == 100
    assert parse({"rto": 100}, {"CHAOS_RTO": "200"}).rto == 200


def test_aws_needs_a_cluster():
    assert "CHAOS_CLUSTER_ID" in refused(CHAOS_TARGET="aws")
    assert parse({}, AWS).cluster_id == "orders"


@pytest.mark.parametrize("name", ["cluster_id", "key_id", "database"])
def test_naming_a_target_for_the_lab_is_refused(name):
    value = "host=x" if name == "database" else "x"
    assert "set CHAOS_TARGET=aws" in refused(**{f"CHAOS_{name.upper()}": value})


def test_lists_are_names_with_commas_between_them():
    found = parse(
        {"allowed_accounts": 123456789012, "stop_alarms": " errors , checkout: latency "}, AWS
    )
    assert found.allowed_accounts == ("123456789012",)
    assert found.stop_alarms == ("errors", "checkout: latency")
    many = ",".join(["123456789012"] * 100)
    assert len(parse({}, {**AWS, "CHAOS_ALLOWED_ACCOUNTS": many}).allowed_accounts) == 100


def test_alarms_are_named_or_have_an_arn():
    arn = f"arn:aws-us-gov:cloudwatch:us-gov-west-1:123456789012:alarm:{'x' * 252}: "
    assert parse({}, {"CHAOS_ALARMS": f"{arn}y, checkout: latency"}).alarms == (
        f"{arn}y",
        "checkout: latency",
    )


def test_consent_is_nothing_that_goes_without_saying():
    assert (Settings().blast_radius, Settings().without_backup) == (0, "no")
    assert Settings().allowed_accounts == Settings().stop_alarms == ()
    found = parse({"blast_radius": 3, "without_backup": "yes"}, AWS)
    assert (found.blast_radius, found.without_backup) == (3, "yes")


def test_the_longest_run_is_that_of_its_own_limits():
    on_aws = parse({"impact_timeout": 100, "hold": 20, "recovery_timeout": 3}, AWS)
    assert on_aws.longest_run == 100 + 20 + 3 + 600
    held = parse({"impact_timeout": 100, "recovery_timeout": 3, "max_key_unusable": 7}, AWS)
    assert held.longest_run == 7 + 3 + 600
    assert parse({"lab_speed": 60}, {}).longest_run == (10800 + 600 + 7200) / 60 + 600


def test_the_longest_outage_is_that_of_the_watchdog_and_the_lab_has_none():
    on_aws = {"target": "aws", "cluster_id": "c", "impact_timeout": "100", "hold": "20"}
    assert parse(on_aws, {}).longest_outage == 100 + 20 + 600
    assert parse({**on_aws, "max_key_unusable": "7000"}, {}).longest_outage == 7000
    assert parse({"lab_speed": 60}, {}).longest_outage == (10800 + 600 + 600) / 60
    assert parse({"lab_speed": 60, "max_key_unusable": "5"}, {}).longest_outage == 5


def test_a_secret_is_named_exactly_where_it_is_read():
    named = {**AWS, "CHAOS_DATABASE_SECRET": "shop/app"}
    assert "CHAOS_DATABASE_AUTH=secret" in refused(**named)
    assert "CHAOS_DATABASE_AUTH=secret" in refused(**named, CHAOS_DATABASE_AUTH="iam")
    assert "must name one of Secrets Manager" in refused(**AWS, CHAOS_DATABASE_AUTH="secret")
    assert parse({}, {**named, "CHAOS_DATABASE_AUTH": "secret"}).database_secret == "shop/app"


@pytest.mark.parametrize("auth", ["iam", "secret"])
def test_the_lab_asks_for_no_password(auth):
    said = refused(CHAOS_DATABASE_AUTH=auth, CHAOS_DATABASE_SECRET="shop/app")
    assert "CHAOS_DATABASE_AUTH and CHAOS_DATABASE_SECRET names another" in said
    assert parse({}, {"CHAOS_DATABASE_AUTH": "libpq"}) == Settings()


def test_a_lab_that_starts_with_the_run_has_no_queue_of_events():
    queue = "arn:aws:sqs:eu-west-1:123456789012:rds-events"
    assert "but CHAOS_EVENTS_QUEUE names another" in refused(CHAOS_EVENTS_QUEUE=queue)
    assert parse({}, {**AWS, "CHAOS_EVENTS_QUEUE": queue}).events_queue == queue


def test_a_run_on_the_lab_tells_no_topic():
    topic = "arn:aws:sns:eu-west-1:123456789012:runs"
    assert "CHAOS_NOTIFY_TOPIC is on AWS" in refused(CHAOS_NOTIFY_TOPIC=topic)
    assert parse({}, {**AWS, "CHAOS_NOTIFY_TOPIC": topic}).notify_topic == topic


@pytest.mark.parametrize("typo", ["CHAOS_TRAGET", "CHAOS_CLUSTERID", "CHAOS_LOAD_RATES"])
def test_a_misspelt_variable_is_refused(typo):
    assert "did you mean CHAOS_" in refused(**{typo: "x"})
    assert parse({}, {"CHAOS_MONKEY": "x", "CHAOSTOOLKIT_X": "y"}) == Settings()


def test_aws_seconds_pass_faster_on_the_lab_and_only_there():
    assert parse({}, {"CHAOS_LAB_SPEED": "60"}).real(3600) == 60
    assert parse({}, {**AWS, "CHAOS_LAB_SPEED": "60"}).real(3600) == 3600


def test_deadline_and_longest_unusable_are_never_compressed():
    fast = parse({}, {"CHAOS_LAB_SPEED": "300"})
    assert fast.query_deadline == 2
    assert fast.longest_key_unusable == 10800 + 600 + 600


@given(st.text(max_size=50))
def test_no_text_at_all_ends_in_anything_but_a_value_or_a_sentence(text):
    for item in fields(Settings):
        try:
            parse({}, {f"CHAOS_{item.name.upper()}": text})
        except BadSetting as problem:
            assert "\n" not in str(problem)
