"""Who may do what with a lab: other users of the machine, web pages, and whoever signs wrongly."""

from __future__ import annotations

import http.client
import json
import os
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from chaosaws_kms_ext.lab_client.misbehaviours import Misbehaviours, NotALab
from chaosaws_kms_lab import reaper
from chaosaws_kms_lab.data_plane import Postgres, lost_rows
from chaosaws_kms_lab.data_plane.changed_rows import change
from chaosaws_kms_lab.data_plane.lost_rows import lose
from chaosaws_kms_lab.data_plane.postgres import OWN_DATABASE
from chaosaws_kms_lab.reaper import new_directory
from chaosaws_kms_lab.signatures import is_signed
from tests.support.labs import client

pytestmark = pytest.mark.common_lab


# The databases


@pytest.fixture
def database(lab):
    return lab.clusters[0]["database"]


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY users TO '/tmp/users'",
        "CREATE TABLE taken (line text); COPY taken FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "GRANT pg_execute_server_program TO CURRENT_USER",
        "GRANT pg_write_server_files TO CURRENT_USER",
        "CREATE ROLE mine SUPERUSER",
        "CREATE ROLE mine REPLICATION",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE rdsadmin",
        "ALTER SYSTEM SET archive_command = 'id'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
    ],
)
def test_the_clusters_user_reaches_no_program_and_no_file_of_the_server(database, statement):
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        connection.execute("DROP TABLE IF EXISTS taken")


def test_the_database_of_the_labs_own_sessions_is_nobody_elses(database):
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in ("DROP DATABASE template1", "ALTER DATABASE template1 RENAME TO x"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    own = psycopg.connect(make_conninfo(database, dbname="template1"))
    with own, pytest.raises(psycopg.errors.InsufficientPrivilege):
        own.execute("CREATE TABLE own_table (n int)")


ALWAYS = """
CREATE TABLE trapped (n int PRIMARY KEY, told text);
INSERT INTO trapped VALUES (1, 'a');
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO seen VALUES (current_user); RETURN OLD; END';
CREATE TABLE seen (name text);
CREATE TRIGGER trap BEFORE DELETE OR UPDATE ON trapped FOR EACH ROW EXECUTE FUNCTION who();
ALTER TABLE trapped ENABLE ALWAYS TRIGGER trap;
CREATE FUNCTION check_it(text) RETURNS bool LANGUAGE plpgsql AS
    'BEGIN INSERT INTO seen VALUES (current_user); RETURN true; END';
CREATE TABLE checked (n int PRIMARY KEY, told text CHECK (check_it(told)));
INSERT INTO checked VALUES (1, 'a');
CREATE DOMAIN watched AS text CHECK (check_it(VALUE));
CREATE TABLE typed (n int PRIMARY KEY, told watched);
INSERT INTO typed VALUES (1, 'a');
DELETE FROM seen;
"""


def test_no_code_of_the_clusters_user_runs_as_the_superuser_when_rows_go_wrong(lab, database):
    """A row that is lost or changed by order is touched by the lab's superuser."""
    port = int(conninfo_to_dict(database)["port"])
    server = Postgres(None, Path("/nowhere"), port)
    (socket,) = (lab.requests.parent / "run").glob(f"*/.s.PGSQL.{port}")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE traps")
        try:
            own = make_conninfo(database, dbname="traps")
            with psycopg.connect(own, autocommit=True) as trapping:
                trapping.execute(ALWAYS)

                def connect(name):
                    with patch.object(Postgres, "socket", socket.parent):
                        return server.connected("traps" if name == OWN_DATABASE else name)

                with patch.object(lost_rows, "DATABASES", "SELECT 'traps'"):
                    lose(connect, 100, 0)
                    change(connect, 0)
                assert trapping.execute("SELECT count(*) FROM seen").fetchone() == (0,)
        finally:
            connection.execute("DROP DATABASE traps")


def test_the_clusters_user_may_do_what_a_team_does(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA own; CREATE TABLE own.t (n int); DROP SCHEMA own CASCADE")
        connection.execute("CREATE TABLE t (n int); DROP TABLE t")
        connection.execute("CREATE DATABASE another")
        connection.execute("DROP DATABASE another")


@pytest.mark.parametrize("user", ["app", "postgres", "rdsadmin", "nobody"])
@pytest.mark.parametrize("password", [None, "", "app", "lab"])
@pytest.mark.parametrize("name", ["shop", "postgres"])
def test_nobody_comes_in_without_the_password(database, user, password, name):
    there = conninfo_to_dict(database)
    at = make_conninfo(
        host=there["host"], port=there["port"], dbname=name, user=user, passfile="/nowhere"
    )
    with pytest.raises(psycopg.OperationalError, match=r"password|reject"):
        psycopg.connect(at, password=password)


def test_the_service_itself_does_not_come_in_by_tcp_even_with_a_password(lab, database):
    at = make_conninfo(database, user="rdsadmin", password=lab.clusters[0]["password"])
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        psycopg.connect(at)


def test_nobody_copies_the_data_by_replication(lab, database):
    at = make_conninfo(database, replication="true", password=lab.clusters[0]["password"])
    with pytest.raises(psycopg.OperationalError, match="rejects replication connection"):
        psycopg.connect(at)


def test_the_sockets_of_the_servers_are_in_folders_that_nobody_else_enters(lab):
    folders = list((lab.requests.parent / "run").iterdir())
    assert [path for folder in folders for path in folder.glob(".s.PGSQL.*")]
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_cluster_has_the_password_that_it_was_made_with(lab, start_lab):
    own = start_lab()
    rds = client(own, "rds")
    rds.create_db_cluster(
        DBClusterIdentifier="mine",
        Engine="aurora-postgresql",
        MasterUsername="owner",
        MasterUserPassword="not-so-secret",
    )
    rds.create_db_instance(
        DBInstanceIdentifier="mine-1",
        DBClusterIdentifier="mine",
        Engine="aurora-postgresql",
        DBInstanceClass="db.t4g.medium",
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier="mine-1", WaiterConfig={"Delay": 0.2, "MaxAttempts": 100}
    )
    said = rds.describe_db_clusters(DBClusterIdentifier="mine")["DBClusters"][0]
    at = f"host={said['Endpoint']} port={said['Port']} dbname=postgres user=owner passfile=/none"
    with psycopg.connect(at, password="not-so-secret") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("owner",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(at, password=own.clusters[0]["password"])
    for path in own.requests.parent.glob("*.jsonl"):
        assert "not-so-secret" not in path.read_text()


@pytest.mark.parametrize("parameter", ["MasterUserPassword", "ManageMasterUserPassword"])
def test_a_password_that_the_lab_would_not_change_is_not_taken(lab, parameter):
    value = True if parameter.startswith("Manage") else "not-so-secret"
    with pytest.raises(ClientError, match=f"does not do rds:ModifyDBCluster with {parameter}"):
        client(lab, "rds").modify_db_cluster(DBClusterIdentifier="orders", **{parameter: value})


def test_what_the_clusters_user_calls_as_postgresqls_functions_the_lab_does_not_call(lab, database):
    """In a database of its own anybody could put another function where a superuser finds it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION public.now(int) RETURNS int LANGUAGE sql RETURN 1")
        try:
            port = conninfo_to_dict(database)["port"]
            server = Postgres(None, Path("/nowhere"), int(port))
            (socket,) = (lab.requests.parent / "run").glob(f"*/.s.PGSQL.{port}")
            with patch.object(Postgres, "socket", socket.parent):
                superuser = server.connected("shop")
            with superuser, pytest.raises(psycopg.errors.UndefinedFunction):
                superuser.execute("SELECT now(1)")
        finally:
            connection.execute("DROP FUNCTION public.now(int)")


# The files


def test_the_folder_that_somebody_else_left_is_not_cleaned_up(monkeypatch, tmp_path):
    """Whatever works in it, or it points to, would be killed and removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "chaosaws-kms-lab-link").symlink_to(elsewhere)
    others = tmp_path / "chaosaws-kms-lab-others"
    others.mkdir()
    (others / "lock").touch()
    found = reaper.os.geteuid()
    monkeypatch.setattr(reaper.os, "geteuid", lambda: found + 1)
    new_directory()[1].close()
    assert others.exists()
    monkeypatch.setattr(reaper.os, "geteuid", lambda: found)
    new_directory()[1].close()
    assert not others.exists()
    assert (elsewhere / "lock").exists()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_no_file_of_a_lab_is_anybody_elses(lab, start_lab, umask):
    before = os.umask(umask)
    try:
        own = start_lab()
    finally:
        os.umask(before)
    client(own, "kms").list_keys()
    for each in (lab, own):
        folder = each.requests.parent
        told = [each.requests, each.passfile, each.credentials, folder / "truth.jsonl"]
        for path in told:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711
        for path in folder.iterdir():
            open_to_others = stat.S_IMODE(path.stat().st_mode) & 0o066
            assert not open_to_others or path.name in ("bin", "postgresql"), path


def test_two_labs_have_nothing_in_common(lab, start_lab):
    own = start_lab()
    assert own.secret_key != lab.secret_key
    assert own.clusters[0]["password"] != lab.clusters[0]["password"]
    assert len(own.secret_key) >= 32


# Signatures


def signed_with(lab, secret, service="kms", key="lab", **more):
    return boto3.client(
        service,
        endpoint_url=lab.endpoint,
        region_name=lab.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, **more),
    )


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("kms", "list_keys", "InvalidSignatureException"),
        ("rds", "describe_db_clusters", "SignatureDoesNotMatch"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("scheduler", "list_schedules", "InvalidSignatureException"),
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("lambda", "list_functions", "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("key", ["lab", "lab-scheduler", "AKIAIOSFODNN7EXAMPLE"])
def test_a_call_that_is_signed_with_another_secret_is_refused(lab, service, operation, code, key):
    with pytest.raises(ClientError) as refused:
        getattr(signed_with(lab, "lab", service, key), operation)()
    assert refused.value.response["Error"]["Code"] == code
    if key == "lab":
        getattr(signed_with(lab, lab.secret_key, service), operation)()


def test_nobody_is_the_labs_own_scheduler(lab):
    with pytest.raises(ClientError, match="InvalidSignature"):
        signed_with(lab, lab.secret_key, key="lab-scheduler").list_keys()


def test_a_user_signs_with_its_own_secret_and_no_other(lab):
    iam = client(lab, "iam")
    iam.create_user(UserName="signer")
    keys = iam.create_access_key(UserName="signer")["AccessKey"]
    own = signed_with(lab, keys["SecretAccessKey"], "sts", key=keys["AccessKeyId"])
    assert own.get_caller_identity()["Arn"].endswith(":user/signer")
    with pytest.raises(ClientError, match="InvalidSignature"):
        signed_with(lab, lab.secret_key, key=keys["AccessKeyId"]).list_keys()
    iam.delete_access_key(UserName="signer", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user(UserName="signer")


def request_of(headers, body=b"{}", method="POST", path="/", query=""):
    builder = EnvironBuilder(
        path=path,
        query_string=query,
        base_url="http://127.0.0.1:1",
        method=method,
        headers=headers,
        data=body,
    )
    return Request(builder.get_environ())


def a_signed_call(body=b"{}", path="/"):
    asked = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:1{path}",
        data=body,
        headers={"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "x/y"},
    )
    SigV4Auth(Credentials("lab", "secret"), "kms", "eu-west-1").add_auth(asked)
    return dict(asked.headers.items())


def test_a_signature_is_of_one_body_one_path_one_target_and_one_time():
    headers = a_signed_call()
    now = datetime.now(UTC)
    assert is_signed(request_of(headers), b"{}", "secret")
    assert not is_signed(request_of(headers), b"{}", "another")
    assert not is_signed(request_of(headers), b'{"Limit": 1}', "secret")
    assert not is_signed(request_of(headers, path="/x"), b"{}", "secret")
    assert not is_signed(request_of(headers, query="x=1"), b"{}", "secret")
    assert not is_signed(request_of(headers, method="PUT"), b"{}", "secret")
    other = headers | {"X-Amz-Target": "TrentService.DisableKey"}
    assert not is_signed(request_of(other), b"{}", "secret")
    added = headers | {"X-Amz-Security-Token": "somebody's"}
    assert not is_signed(request_of(added), b"{}", "secret")
    for far in (timedelta(minutes=16), -timedelta(minutes=16)):
        assert not is_signed(request_of(headers), b"{}", "secret", now + far)
    assert is_signed(request_of(headers), b"{}", "secret", now + timedelta(minutes=14))


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256",
        "AWS lab:signature",
        "AWS4-HMAC-SHA256 Credential=lab/20260101/r/kms/aws4_request",
        "Credential=lab/20260101/eu-west-1/kms/aws4_request",
    ],
)
def test_what_is_no_signature_signs_nothing(authorization):
    assert not is_signed(request_of({"Authorization": authorization}), b"{}", "secret")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_url_is_signed_as_a_header_is(lab, version):
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="doors", CreateBucketConfiguration={"LocationConstraint": lab.region})
    s3.put_object(Bucket="doors", Key="a b/ü+c", Body=b"x" * 10)
    signer = signed_with(lab, lab.secret_key, "s3", signature_version=version)
    url = signer.generate_presigned_url("get_object", Params={"Bucket": "doors", "Key": "a b/ü+c"})
    assert ask(lab, "GET", path_of(url)) == (200, b"x" * 10)
    forged = signed_with(lab, "lab", "s3", signature_version=version).generate_presigned_url(
        "get_object", Params={"Bucket": "doors", "Key": "a b/ü+c"}
    )
    assert ask(lab, "GET", path_of(forged))[0] == 403
    old = signer.generate_presigned_url(
        "get_object", Params={"Bucket": "doors", "Key": "a b/ü+c"}, ExpiresIn=-1000
    )
    assert ask(lab, "GET", path_of(old))[0] == 403
    s3.delete_object(Bucket="doors", Key="a b/ü+c")
    s3.delete_bucket(Bucket="doors")


def test_a_signed_url_says_what_is_asked_and_its_body_no_other(lab):
    sts = signed_with(lab, lab.secret_key, "sts")
    url = path_of(sts.generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    assert ask(lab, "GET", url)[0] == 200
    assert ask(lab, "GET", url, b"Action=GetAccessKeyInfo&AccessKeyId=x")[0] == 403
    assert ask(lab, "POST", url)[0] == 403


def test_without_a_signature_a_public_object_is_read_and_nothing_else_is_done(lab):
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="front", CreateBucketConfiguration={"LocationConstraint": lab.region})
    s3.put_object(Bucket="front", Key="open", Body=b"x", ACL="public-read")
    s3.put_object(Bucket="front", Key="shut", Body=b"x")
    assert ask(lab, "GET", "/front/open") == (200, b"x")
    for method, path, more in [
        ("GET", "/front/shut", {}),
        ("GET", "/front", {}),
        ("GET", "/front/", {}),
        ("GET", "/", {}),
        ("GET", "/front/shut?Signature=x", {}),
        ("GET", "/front/shut?X-Amz-Signature=x", {}),
        ("GET", "/front/shut", {"Authorization": "AWS lab:x"}),
        ("GET", "/front/open?acl", {}),
        ("PUT", "/front/new", {}),
        ("DELETE", "/front/open", {}),
        ("POST", "/front/open", {}),
        ("GET", "/2015-03-31/functions/", {}),
        ("POST", "/2015-03-31/functions", {}),
        ("POST", "/", {"X-Amz-Target": "TrentService.ListKeys"}),
        ("POST", "/?Action=ListUsers&Version=2010-05-08", {}),
    ]:
        status, said = ask(lab, method, path, **more)
        assert status in (403, 404), (method, path, said)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="front")["Contents"]] == ["open", "shut"]
    for key in ("open", "shut"):
        s3.delete_object(Bucket="front", Key=key)
    s3.delete_bucket(Bucket="front")


@pytest.mark.parametrize(
    ("operation", "params"),
    [("get_session_token", {}), ("get_federation_token", {"Name": "somebody"})],
)
def test_keys_that_nothing_could_verify_are_not_given_out(lab, operation, params):
    with pytest.raises(ClientError, match="NotImplemented"):
        getattr(client(lab, "sts"), operation)(**params)


def test_a_signed_url_is_for_the_service_that_it_was_signed_for(lab):
    """Whatever else says what is asked: each of these would be a key to everything."""
    s3, kms = client(lab, "s3"), client(lab, "kms")
    s3.create_bucket(Bucket="keys", CreateBucketConfiguration={"LocationConstraint": lab.region})
    s3.put_object(Bucket="keys", Key="open", Body=b"x")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    scope = f"Credential=lab/20261129/{lab.region}/kms/aws4_request"
    ours = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature={'0' * 64}"
    form = b"Action=DescribeDBClusters&Version=2014-10-31"
    call = json.dumps({"KeyId": key}).encode()
    target = {"X-Amz-Target": "TrentService.DisableKey"}
    for version in ("s3v4", "s3"):
        signer = signed_with(lab, lab.secret_key, "s3", signature_version=version)
        url = path_of(
            signer.generate_presigned_url("get_object", Params={"Bucket": "keys", "Key": "open"})
        )
        for body, more in [
            (call, target | {"Authorization": scope}),
            (call, target | {"Authorization": ours}),
            (call, target),
            (form, {"Authorization": scope.replace("/kms/", "/rds/")}),
            (b"x", {"x-amz-acl": "public-read"}),
        ]:
            assert ask(lab, "GET", url, body, **more)[0] == 403, (version, more)
        status, said = ask(lab, "GET", url, form)
        assert (status, b"DBCluster" in said) == (200, False)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    s3.delete_object(Bucket="keys", Key="open")
    s3.delete_bucket(Bucket="keys")


def test_an_order_is_signed_for_the_control_endpoint(lab, misbehaviours_path):
    asked = AWSRequest(method="GET", url=lab.endpoint + misbehaviours_path)
    SigV4Auth(Credentials("lab", lab.secret_key), "kms", "local").add_auth(asked)
    assert ask(lab, "GET", misbehaviours_path, **dict(asked.headers.items()))[0] == 403


def test_what_nobody_made_public_is_not_read_without_a_signature(lab):
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="back", CreateBucketConfiguration={"LocationConstraint": lab.region})
    begun = s3.create_multipart_upload(Bucket="back", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="back", Key="parts", UploadId=begun, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket="back",
        Key="parts",
        UploadId=begun,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    s3.put_object(Bucket="back", Key="d/Signature=x", Body=b"x")
    for path in (
        "/back/parts",
        "/back/d/Signature=x",
        "/back/nothing",
        "/nowhere/x",
        "/latest/meta-data/iam/security-credentials/default-role",
        "/us-east-1_x/.well-known/jwks.json",
    ):
        assert ask(lab, "GET", path)[0] == 403, path
    for key in ("parts", "d/Signature=x"):
        s3.delete_object(Bucket="back", Key=key)
    s3.delete_bucket(Bucket="back")


# Web pages


def path_of(url):
    found = urlsplit(url)
    return f"{found.path}?{found.query}"


def ask(lab, method, path="/", body=None, **headers):
    """What a request gets that no SDK made."""
    status, said, _ = answer(lab, method, path, body, headers)
    return status, said


def answer(lab, method, path, body, headers):
    address = urlsplit(lab.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def signed(lab, secret=None, **more):
    """The headers of a call that KMS takes."""
    asked = AWSRequest(
        method="POST",
        url=f"{lab.endpoint}/",
        data=b"{}",
        headers={
            "X-Amz-Target": "TrentService.ListKeys",
            "Content-Type": "application/x-amz-json-1.1",
        },
    )
    SigV4Auth(Credentials("lab", secret or lab.secret_key), "kms", "eu-west-1").add_auth(asked)
    return dict(asked.headers.items()) | more


OF_PAGES = {
    "a name that its owner points here": {"Host": "evil.example.com"},
    "the same with the port": {"Host": "evil.example.com:{port}"},
    "a name that looks like ours": {"Host": "127.0.0.1.example.com:{port}"},
    "another port": {"Host": "127.0.0.1:1"},
    "no name": {"Host": ""},
    "a script of another page": {"Origin": "https://evil.example.com"},
    "a form of a file": {"Origin": "null"},
    "a page of the lab's own address": {"Origin": "http://127.0.0.1:{port}"},
    "an image": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a page on another port of this machine": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("what", OF_PAGES)
def test_no_web_page_is_answered_even_if_it_signs_rightly(lab, what):
    port = str(urlsplit(lab.endpoint).port)
    headers = {k: v.replace("{port}", port) for k, v in OF_PAGES[what].items()}
    for path in ("/", "/chaos-kms-lab", "/chaos-kms-lab/misbehaviours"):
        status, said, sent = answer(lab, "POST", path, b"{}", signed(lab) | headers)
        assert (status, b"lab" in said) == (403, True), path
        assert not [name for name in sent if name.lower().startswith("access-control")]
    assert answer(lab, "POST", "/", b"{}", signed(lab))[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/chaos-kms-lab/misbehaviours", "/bucket/key", "/moto-api/reset"]
)
def test_a_preflight_is_refused(lab, path):
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    for more in ({}, {"Origin": "https://evil.example.com"}):
        status, _, sent = answer(lab, "OPTIONS", path, None, headers | more)
        assert status == 403
        assert not [name for name in sent if name.lower().startswith("access-control")]


def test_no_answer_invites_a_web_page(lab):
    for service, operation in (
        ("kms", "list_keys"),
        ("iam", "list_users"),
        ("s3", "list_buckets"),
        ("lambda", "list_functions"),
    ):
        said = getattr(client(lab, service), operation)()["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in said if name.startswith("access-control")], service
    _, _, headers = answer(lab, "GET", "/no-such-bucket/key", None, {})
    assert not [name for name in headers if name.lower().startswith("access-control")]


INVENTED = (
    "X-Amz-Credential=lab%2F20260101%2Feu-west-1%2Fkms%2Faws4_request&X-Amz-Algorithm="
    "AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800"
)


@pytest.mark.parametrize(
    "signature", ["", "&X-Amz-Signature=" + "0" * 64, "&Signature=x&Expires=1"]
)
@pytest.mark.parametrize("how", ["GET", "POST"])
def test_invented_parameters_are_no_signature(lab, how, signature):
    asked = [
        f"/?{INVENTED}{signature}&Action=DeleteDBCluster&Version=2014-10-31"
        "&DBClusterIdentifier=orders".replace("kms", "rds"),
        f"/?{INVENTED}{signature}&X-Amz-Target=TrentService.DisableKey",
    ]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    before = lab.requests.read_text()
    for path in asked:
        status, _, _ = answer(lab, how, path, b"x=1" if how == "POST" else None, form)
        assert status in (400, 403), path
    assert "DisableKey" not in lab.requests.read_text()[len(before) :]


def test_motos_own_doors_are_shut(lab):
    before = len(client(lab, "kms").list_keys()["Keys"])
    for method, path in (
        ("POST", "/moto-api/reset"),
        ("GET", "/moto-api/data.json"),
        ("GET", "/moto-api/"),
        ("POST", "/moto-api/reset-auth"),
    ):
        assert ask(lab, method, path)[0] == 404
    assert len(client(lab, "kms").list_keys()["Keys"]) == before


# What goes wrong by order


@pytest.fixture
def misbehaviours_path():
    return "/chaos-kms-lab/misbehaviours"


def test_an_order_that_is_too_deep_is_one_sentence(lab):
    deep = "[" * 100_000
    asked = AWSRequest(
        method="POST",
        url=f"{lab.endpoint}/chaos-kms-lab/misbehaviours",
        data=deep.encode(),
        headers={"Content-Type": "application/json"},
    )
    SigV4Auth(Credentials("lab", lab.secret_key), "chaos-kms-lab", "local").add_auth(asked)
    status, said = ask(
        lab, "POST", "/chaos-kms-lab/misbehaviours", deep, **dict(asked.headers.items())
    )
    assert (status, list(json.loads(said))) == (400, ["error"])


ORDER = json.dumps({"kind": "throttling", "service": "kms", "operation": "RotateKeyOnDemand"})


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_an_order_is_signed_and_json(lab, misbehaviours, kind):
    path = "/chaos-kms-lab/misbehaviours"
    status, _ = ask(lab, "POST", path, ORDER, **{"Content-Type": kind})
    assert status == 403
    status, _ = ask(lab, "POST", path, ORDER, **{"Content-Type": "application/json"})
    assert status == 403
    for method in ("GET", "DELETE"):
        assert ask(lab, method, path)[0] == 403
    asked = AWSRequest(
        method="POST", url=lab.endpoint + path, data=ORDER.encode(), headers={"Content-Type": kind}
    )
    SigV4Auth(Credentials("lab", lab.secret_key), "chaos-kms-lab", "local").add_auth(asked)
    assert ask(lab, "POST", path, ORDER, **dict(asked.headers.items()))[0] == 415
    assert misbehaviours.holding() == []


def test_only_who_has_the_labs_secret_orders_what_goes_wrong(lab, misbehaviours):
    for secret in ("lab", "", lab.clusters[0]["password"]):
        with pytest.raises(NotALab, match="secret access key"):
            Misbehaviours(lab.endpoint, "lab", secret).order(**json.loads(ORDER))
    with pytest.raises(NotALab, match="secret access key"):
        Misbehaviours(lab.endpoint, "another", lab.secret_key).holding()
    assert misbehaviours.holding() == []
    assert misbehaviours.order(**json.loads(ORDER))


def test_who_asks_which_lab_it_is_needs_no_secret(lab):
    assert json.loads(ask(lab, "GET", "/chaos-kms-lab")[1]) == {"lab": lab.id}
