"""The record of the calls to AWS: written by a run, read back, and never with more than names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.history.aws_calls import AWS_CALLS, AwsCall, named_in, read_aws_calls
from chaosaws_kms_ext.history.operations_file import HistoryDamaged
from chaosaws_kms_ext.history.reader import read_history, read_what_is_there
from chaosaws_kms_ext.run import Run
from chaosaws_kms_ext.settings import Settings

CALL = AwsCall(5, 0.25, "kms", "DisableKey", "key/k", "ok", 1, "r-1")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
CALLS = st.builds(
    AwsCall,
    at=st.integers(0, 2**62),
    seconds=st.floats(0, 100),
    service=TEXT,
    operation=TEXT,
    named=TEXT,
    outcome=TEXT,
    retries=st.integers(0, 9),
    request=TEXT,
)


def begun(tmp_path):
    return Run(Settings(target="lab", reports_dir=str(tmp_path)), "x")


@given(st.lists(CALLS, max_size=5))
def test_what_is_written_is_what_is_read(tmp_path_factory, made):
    run = begun(tmp_path_factory.mktemp("reports"))
    for call in made[:2]:
        run.aws_call(call)
    folder = run.open_folder() / "history"
    for call in made[2:]:
        run.aws_call(call)
    run.close()
    assert read_aws_calls(folder) == made
    assert read_history(folder).calls == made


def test_only_what_names_a_resource_is_kept():
    params = {
        "DBClusterIdentifier": "orders",
        "KeyId": "k",
        "MasterUserPassword": "hunter2",
        "SecretString": "hunter2",
        "Plaintext": b"hunter2",
        "Name": {"not": "text"},
        "ResourceArn": "arn:x",
    }
    assert named_in(params) == "orders, k, arn:x"
    assert len(named_in({"KeyId": "k" * 10_000})) == 300


def test_a_torn_line_at_the_end_is_left_out(tmp_path):
    line = json.dumps(CALL._asdict())
    (tmp_path / AWS_CALLS).write_text(f"{line}\n{line[:20]}")
    assert read_aws_calls(tmp_path) == [CALL]


@pytest.mark.parametrize(
    "line",
    ["no json", "{}", "[]", "3", json.dumps(CALL._asdict() | {"at": "5"}),
     json.dumps(CALL._asdict() | {"named": None}), json.dumps(CALL._asdict() | {"at": 2**80}),
     json.dumps(CALL._asdict() | {"seconds": "1"}), json.dumps(CALL._asdict() | {"more": 1})],
)  # fmt: skip
def test_what_is_no_call_is_damage_that_is_said_and_hides_nothing_else(tmp_path, line):
    run = begun(tmp_path)
    folder = run.open_folder() / "history"
    run.close()
    (folder / AWS_CALLS).write_text(f"{line}\n")
    with pytest.raises(HistoryDamaged, match=AWS_CALLS):
        read_history(folder)
    found, (why,) = read_what_is_there(folder)
    assert f"the calls to AWS cannot be read: {AWS_CALLS} is damaged" in why
    assert found.calls == []
    assert found.anchor == run.anchor


@pytest.mark.parametrize(
    ("operation", "changes"),
    [("DescribeKey", False), ("GetKeyPolicy", False), ("ListGrants", False), ("EnableKey", True),
     ("SimulatePrincipalPolicy", False), ("Decrypt", True), ("StartDBCluster", True)],
)  # fmt: skip
def test_a_call_may_change_something_unless_its_name_says_that_it_reads(operation, changes):
    assert CALL._replace(operation=operation).changes is changes
