"""The RDS Proxies before a database, and the one that the load goes through: found, or why not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chaosaws_kms_ext.aws import proxies, rds
from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.guard import proxy
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.settings import Settings
from tests.support.in_process_aws import InProcessAws
from tests.support.in_process_lab import InProcessLab
from tests.support.proxies import new_proxy, new_secret

ENGINE = {"Engine": "aurora-postgresql"}
ON_AWS = Settings(target="aws", cluster_id="orders")


@pytest.fixture
def there(tmp_path):
    """Two clusters under one key, each with a writer."""
    lab = InProcessLab(tmp_path / "requests.jsonl")
    kms, its = lab.client("kms"), lab.client("rds")
    key, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    for name in ("orders", "carts"):
        its.create_db_cluster(
            DBClusterIdentifier=name, StorageEncrypted=True, KmsKeyId=key, MasterUsername="app",
            MasterUserPassword="not-so-secret", **ENGINE,
        )  # fmt: skip
        its.create_db_instance(
            DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large", **ENGINE,
        )  # fmt: skip
    lab.pass_time(200)
    lab.pass_time(200)
    return SimpleNamespace(
        lab=lab, aws=InProcessAws(lab, tmp_path), kms=kms, rds=its, key=key, other=other
    )


def settings(name=""):
    return Settings(target="aws", cluster_id="orders", proxy=name)


def found(there, name="", cluster="orders"):
    database = rds.describe(there.aws, cluster)
    return [
        (e.state, e.why) for e in proxy.findings(there.aws, settings(name), database, there.key)
    ]


def chosen(there, name, cluster="orders"):
    return proxy.chosen(there.aws, settings(name), rds.describe(there.aws, cluster))


def refusal(there, name, cluster="orders"):
    with pytest.raises(Refused) as caught:
        chosen(there, name, cluster)
    said = str(caught.value)
    assert "\n" not in said
    assert found(there, name, cluster)[-1] == ("refused", said)
    return said


def test_without_a_proxy_nothing_is_said(there):
    assert found(there) == []
    assert chosen(there, "") is None


def test_every_proxy_is_named_with_the_keys_of_its_secrets(there):
    under = {
        "own": new_secret(there.lab, there.key),
        "another": new_secret(there.lab, there.other),
        "none": new_secret(there.lab, None),
    }
    for name, secret in under.items():
        new_proxy(there.lab, secret, f"p-{name}")
    new_proxy(there.lab, under["own"], "p-carts", cluster="carts")
    own, another, none = (why for state, why in found(there) if state == "ok")
    assert own.startswith(
        "p-own is before orders, whose writer is AVAILABLE to it; its secret login-"
    )
    assert "under the very key that is taken away: meanwhile it may let nobody log in" in own
    assert f"under {there.other}, without which it lets nobody log in anew" in another
    assert none.endswith("is under AWS' own key")


def test_the_load_goes_through_the_one_that_is_named_or_the_only_one(there):
    secret = new_secret(there.lab, there.other)
    new_proxy(there.lab, secret, "p-carts", cluster="carts")
    assert refusal(there, "auto").startswith("CHAOS_PROXY is auto, and no RDS Proxy stands before ")
    new_proxy(there.lab, secret)
    for name in ("front", "Front", "auto"):
        assert chosen(there, name).name == "front"
        said = found(there, name)
        assert said[-1] == ("ok", "the load goes through front, at 127.0.2.2")
    new_proxy(there.lab, secret, "another")
    assert "several RDS Proxies stand before the cluster orders (another, front): name" in refusal(
        there, "auto"
    )
    assert chosen(there, "another").name == "another"


def test_one_that_is_not_before_the_cluster_is_refused_with_what_it_is_before(there):
    new_proxy(there.lab, new_secret(there.lab, None), "p-carts", cluster="carts")
    new_proxy(there.lab, new_secret(there.lab, None), "p-none", cluster="")
    assert refusal(there, "p-carts") == (
        "CHAOS_PROXY names p-carts, which stands before carts-1, and not before the cluster "
        "orders: what it shows would not be about it"
    )
    assert "which stands before no database" in refusal(there, "p-none")
    assert refusal(there, "nowhere") == (
        "there is no RDS Proxy nowhere in eu-west-1: check CHAOS_PROXY and the Region"
    )


def test_one_that_does_not_reach_the_writer_is_refused_with_the_reason(there):
    secret = new_secret(there.lab, there.other)
    new_proxy(there.lab, secret, wait=False)
    assert "which is REGISTERING: see to that first" in refusal(there, "front")
    there.kms.disable_key(KeyId=there.other)
    there.lab.pass_time(60)
    assert "which is UNAVAILABLE (AUTH_FAILURE: Proxy does not have any" in refusal(there, "front")


def test_one_that_is_not_available_is_refused(there):
    new_proxy(there.lab, new_secret(there.lab, None))
    there.lab.world.region("eu-west-1").proxies["front"].available_at = 1e9
    assert refusal(there, "front") == (
        "the RDS Proxy front is creating, not available: wait until it is"
    )


class Vanishing(InProcessAws):
    """Somebody deletes a proxy when all have been listed."""

    def pages(self, service, operation, params, member):
        if params == {"DBProxyName": "theirs"}:
            self._lab.client("rds").delete_db_proxy(**params)
        return super().pages(service, operation, params, member)


def test_one_of_others_that_is_deleted_meanwhile_keeps_nobody_from_a_run(there, tmp_path):
    new_proxy(there.lab, new_secret(there.lab, None), "theirs", cluster="carts")
    new_proxy(there.lab, new_secret(there.lab, None))
    there.aws = Vanishing(there.lab, tmp_path)
    assert [state for state, _ in found(there, "front")] == ["ok", "ok"]


class Denied(InProcessAws):
    """May not ask one operation."""

    operation = ""

    def call(self, service, operation, params):
        if operation == self.operation:
            raise AwsError(f"{service}:{operation} failed with AccessDenied", "AccessDenied")
        return super().call(service, operation, params)

    def pages(self, service, operation, params, member):
        if operation == self.operation:
            raise AwsError(f"{service}:{operation} failed with AccessDenied", "AccessDenied")
        return super().pages(service, operation, params, member)


@pytest.mark.parametrize("operation", ["DescribeDBProxies", "DescribeDBProxyTargets"])
def test_who_may_not_ask_is_refused_only_where_a_proxy_is_wanted(there, tmp_path, operation):
    new_proxy(there.lab, new_secret(there.lab, None))
    there.aws = Denied(there.lab, tmp_path)
    there.aws.operation = operation
    ((state, why),) = found(there)
    assert (state, why[:56]) == (
        "unproven", "whether an RDS Proxy stands before orders is not known: "
    )  # fmt: skip
    ((state, why),) = found(there, "auto")
    assert state == "refused"
    assert why.startswith("whether CHAOS_PROXY can be used is not known: ")


@pytest.mark.parametrize("operation", ["ListSecrets", "DescribeKey"])
def test_a_secret_that_cannot_be_asked_about_refuses_nothing(there, tmp_path, operation):
    new_proxy(there.lab, new_secret(there.lab, there.other))
    there.aws = Denied(there.lab, tmp_path)
    there.aws.operation = operation
    (one, last) = found(there, "auto")
    assert one[0] == last[0] == "ok"
    assert "the key of its secret login-" in one[1]
    assert "is not known: " in one[1]


def test_what_rds_may_leave_out_is_taken_as_unknown(there):
    class Sparse:
        """Answers as RDS does of a DB instance, without role and health."""

        def pages(self, service, operation, params, member):
            if operation == "DescribeDBProxies":
                return [{"DBProxyName": "front", "EngineFamily": "SQLSERVER"}]
            return [{"RdsResourceId": "orders", "Type": "RDS_INSTANCE"}]

    database = rds.describe(there.aws, "orders")
    (its,) = proxies.of_database(Sparse(), database)
    assert (its.address, its.secrets, its.status) == ("", (), "")
    assert str(its.writer) == "of no known state"
    assert its.port(1, on_lab=False) is None
