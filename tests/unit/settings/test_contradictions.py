"""Settings that do not go together, each in a sentence that names them."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from chaosaws_kms_ext.settings import Settings
from chaosaws_kms_ext.settings.contradictions import contradictions

ON_AWS = {"target": "aws", "cluster_id": "orders"}


def said(needs_cluster=True, **given):
    return contradictions({**asdict(Settings()), **given}, given, needs_cluster)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"target": "aws"}, ["CHAOS_CLUSTER_ID"]),
        ({**ON_AWS, "lab_faults": ({"kind": "x"},)}, ["CHAOS_LAB_FAULTS"]),
        ({"cluster_id": "orders", "key_id": "k"}, ["CHAOS_CLUSTER_ID", "CHAOS_KEY_ID"]),
        ({"database": "host=x"}, ["CHAOS_DATABASE"]),
        ({"database_auth": "iam"}, ["CHAOS_DATABASE_AUTH"]),
        ({**ON_AWS, "database_auth": "secret"}, ["CHAOS_DATABASE_SECRET"]),
        ({**ON_AWS, "database_secret": "s"}, ["CHAOS_DATABASE_AUTH=secret"]),
        ({"load_processes": 4, "load_users": 3}, ["CHAOS_LOAD_PROCESSES", "CHAOS_LOAD_USERS"]),
        (
            {**ON_AWS, "load_workers": "remote"},
            ["CHAOS_LOAD_WORKERS", "CHAOS_LOAD_MASTER", "HOST:PORT"],
        ),
        (
            {"load_workers": "remote", "load_master": "h:1"},
            ["CHAOS_LOAD_WORKERS", "CHAOS_TARGET", "lab"],
        ),
        ({"proxy": "front"}, ["CHAOS_PROXY", "CHAOS_LAB_PROXY=yes"]),
        ({"lab_proxy": "yes", "lab_database": "instance"}, ["CHAOS_LAB_PROXY", "CHAOS_LAB_DAT"]),
        *(
            ({**ON_AWS, "proxy": "front", "database": way}, ["CHAOS_PROXY", "CHAOS_DATABASE"])
            for way in ("host=x", "hostaddr=10.0.0.1", "service=x", "mysql://u@h:1/d")
        ),
        ({"load_master": "h:5557"}, ["CHAOS_LOAD_MASTER", "CHAOS_LOAD_WORKERS=remote"]),
        (
            {**ON_AWS, "load_workers": "remote", "load_master": "h:1", "database_auth": "iam"},
            ["CHAOS_LOAD_WORKERS", "CHAOS_DATABASE_AUTH"],
        ),
    ],
)
def test_what_does_not_go_together_is_one_sentence_that_names_it(given, names):
    (sentence,) = said(**given)
    assert all(name in sentence for name in names)


@pytest.mark.parametrize(
    "given",
    [
        {},
        ON_AWS,
        {**ON_AWS, "database_auth": "iam"},
        {**ON_AWS, "proxy": "front"},
        {**ON_AWS, "proxy": "auto", "database": "user=app port=6543"},
        {"proxy": "auto", "lab_proxy": "yes"},
        {**ON_AWS, "database_auth": "secret", "database_secret": "s"},
        {"lab_faults": ({"kind": "x"},)},
        {"load_processes": 4, "load_users": 4},
        {**ON_AWS, "load_workers": "remote", "load_master": "10.0.0.5:5557"},
    ],
)
def test_what_goes_together_is_said_to(given):
    assert said(**given) == []


def test_a_run_that_attacks_no_cluster_names_none():
    assert said(needs_cluster=False, target="aws") == []


def test_all_of_them_are_said_at_once():
    assert len(said(cluster_id="orders", load_processes=9, load_users=8, load_master="h:1")) == 3
