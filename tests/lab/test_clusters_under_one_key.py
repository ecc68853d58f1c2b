"""A lab with more than one cluster: all under one key, each with rows of its own, one fate."""

from __future__ import annotations

import psycopg
import pytest

from chaosaws_kms_ext.lab_client.local_lab import LabDidNotStart
from tests.support.clusters import RECOVERABLE, becomes
from tests.support.forked_labs import new_lab
from tests.support.labs import FAST, client

pytestmark = pytest.mark.thorough


@pytest.fixture
def pair():
    lab = new_lab(FAST, "documented", clusters=2)
    yield lab
    lab.stop()


def users(cluster):
    with psycopg.connect(cluster["database"], connect_timeout=5) as connection:
        return connection.execute("SELECT count(*) FROM users").fetchone()[0]


def test_both_are_there_and_both_go_with_their_key(pair):
    orders, carts = pair.clusters
    assert (orders["id"], carts["id"]) == ("orders", "carts")
    assert orders["key"] == carts["key"]
    with psycopg.connect(carts["database"], autocommit=True) as connection:
        connection.execute("DELETE FROM users WHERE name = 'Bob'")
    assert (users(orders), users(carts)) == (4, 3)
    kms, rds = client(pair, "kms"), client(pair, "rds")
    kms.disable_key(KeyId=orders["key"])
    both = [{"DBClusterIdentifier": each["id"]} for each in pair.clusters]
    for each in both:
        becomes(rds, each, RECOVERABLE)
    kms.enable_key(KeyId=orders["key"])
    rds.start_db_cluster(**both[1])
    becomes(rds, both[1], "available")
    becomes(rds, both[0], RECOVERABLE)  # which nobody has started
    assert users(carts) == 3


@pytest.mark.parametrize("number", [0, 5])
def test_more_than_it_has_names_for_are_refused(number):
    with pytest.raises(LabDidNotStart, match=f"the lab has 1 to 4 clusters, not {number}"):
        new_lab(FAST, clusters=number)
