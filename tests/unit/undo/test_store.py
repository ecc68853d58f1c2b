"""Files of the undo journal that were forged, planted, damaged, or written by a newer version.

`chaos kms restore` calls nothing for them but what puts back what they are about.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.cli import kms as chaos_kms
from chaosaws_kms_ext.faults.disable_key import DisableKey
from chaosaws_kms_ext.guard import leftovers
from chaosaws_kms_ext.lab_client import presence
from chaosaws_kms_ext.resources.ledger import Ledger
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal, store
from chaosaws_kms_ext.undo.restorer import Restorer
from chaosaws_kms_ext.undo.store import JournalDamaged
from chaosaws_kms_ext.undo.undo import Call, Undo

pytestmark = [pytest.mark.common_lab, pytest.mark.no_servers, pytest.mark.usefixtures("on_aws")]

ELSEWHERE = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def key(kms):
    """A key that may be attacked, and is disabled."""
    made = kms.create_key(Tags=[{"TagKey": "chaos:allow", "TagValue": "kms"}])
    arn = made["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=arn)
    return arn


def entry_of(key, **more):
    """What a run on another machine may have written down."""
    return {
        "schema": 2,
        "run": "r1",
        "owner": "somebody@elsewhere pid 1",
        "target": "aws",
        "region": "eu-west-1",
        "endpoint": "",
        "lab": "",
        "credentials": "",
        "cluster": "",
        "key": key,
        "made": "2026-11-27T10:00:00.000+00:00",
        "switch": [],
        "undo": {"calls": [call("kms", "EnableKey", KeyId=key)]},
    } | more


def call(service, operation, **params):
    return {"service": service, "operation": operation, "params": params}


def file_of(folder, said, mode=0o600):
    path = folder / "entry.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    path.chmod(mode)
    return path


def restore(*arguments):
    return CliRunner().invoke(chaos_kms, ["restore", *map(str, arguments)])


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def changes(lab):
    """The operations so far that were no looks."""
    calls = [json.loads(line)["operation"] for line in lab.requests.read_text().splitlines()]
    return [each for each in calls if not each.startswith(("Describe", "Get", "List"))]


FORGED = {
    "a call that takes a key away": lambda key: call("kms", "DisableKey", KeyId=key),
    "the deletion of a key": lambda key: call("kms", "ScheduleKeyDeletion", KeyId=key),
    "another service": lambda _: call("sts", "AssumeRole", RoleArn="r", RoleSessionName="s"),
    "what changes nothing": lambda _: call("sts", "GetCallerIdentity"),
    "the deletion of a cluster": lambda _: call(
        "rds", "DeleteDBCluster", DBClusterIdentifier="orders"
    ),
    "another key": lambda _: call("kms", "EnableKey", KeyId=ELSEWHERE),
    "another key by its id": lambda key: call("kms", "EnableKey", KeyId=key.rpartition("/")[2]),
    "a policy past the lockout check": lambda key: call(
        "kms",
        "PutKeyPolicy",
        KeyId=key,
        PolicyName="default",
        Policy="{}",
        BypassPolicyLockoutSafetyCheck=True,
    ),
    "a policy of another name": lambda key: call(
        "kms", "PutKeyPolicy", KeyId=key, PolicyName="mine", Policy="{}"
    ),
    "key material that the key never had": lambda key: call(
        "kms",
        "ImportKeyMaterial",
        KeyId=key,
        KeyMaterialId="0" * 64,
        ImportType="NEW_KEY_MATERIAL",
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        EncryptedKeyMaterial="AAAA",
        ImportToken="AAAA",
    ),
    "no call": lambda _: "EnableKey",
    "a call without parameters": lambda _: {"service": "kms", "operation": "EnableKey"},
    "a call with more than a call has": lambda key: (
        call("kms", "EnableKey", KeyId=key) | {"endpoint": "http://example.com"}
    ),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("schema", [1, 2, 3])
def test_no_call_of_a_file_is_made_that_puts_nothing_back(lab, kms, key, tmp_path, what, schema):
    undo = {"calls": [FORGED[what](key)]} | ({"checks": []} if schema == 1 else {})
    state_of_it = {"state": "key-away"} if schema == 3 else {}
    path = file_of(tmp_path, entry_of(key, undo=undo, schema=schema, **state_of_it))
    before = changes(lab)
    ran = restore(path)
    assert (ran.exit_code, changes(lab)) == (1, before)
    assert str(path) in ran.output
    assert "the key is back" not in ran.output
    assert not isinstance(ran.exception, (KeyError, IndexError, TypeError))
    assert state(kms, key) == "Disabled"
    assert path.exists()


def test_whoever_restores_makes_no_other_calls_and_says_each(lab, key):
    said = []
    aws = Restorer(lab.region, lab.endpoint, said.append, lab.credentials)
    with pytest.raises(Refused, match="kms:DisableKey puts nothing back"):
        aws.call("kms", "DisableKey", {"KeyId": key})
    aws.call("kms", "DescribeKey", {"KeyId": key})
    assert said == []
    aws.call("kms", "EnableKey", {"KeyId": key})
    assert said == [f'  calls kms:EnableKey {{"KeyId": "{key}"}}']


def test_a_copy_is_carried_out_said_and_left_as_it_is(lab, kms, key, tmp_path):
    path = file_of(tmp_path, entry_of(key))
    before = path.read_text()
    ran = restore(path)
    assert ran.exit_code == 0, ran.output
    assert f'calls kms:EnableKey {{"KeyId": "{key}"}}' in ran.output
    assert "the key is back" in ran.output
    assert state(kms, key) == "Enabled"
    assert path.read_text() == before
    assert list(tmp_path.glob("*.json")) == [path]


def test_an_older_entry_is_carried_out_by_our_own_look_whatever_it_says(lab, kms, key, tmp_path):
    always = {"call": call("sts", "GetCallerIdentity"), "jmespath": "Account", "equals": "1"}
    undo = {"calls": [call("kms", "EnableKey", KeyId=key)], "checks": [always]}
    ran = restore(file_of(tmp_path, entry_of(key, schema=1, undo=undo)))
    assert ran.exit_code == 0, ran.output
    assert state(kms, key) == "Enabled"


def test_a_copy_about_a_key_that_may_not_be_attacked_wants_force(lab, kms, tmp_path):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    path = file_of(tmp_path, entry_of(key))
    ran = restore(path)
    assert ran.exit_code == 1
    assert "carries neither the tag chaos:allow=kms nor chaos:run=r1" in ran.output
    assert state(kms, key) == "Disabled"
    assert restore(path, "--force").exit_code == 0
    assert state(kms, key) == "Enabled"


def test_a_copy_that_says_that_the_key_is_back_disarms_no_switch_while_it_is_not(
    lab, kms, key, tmp_path
):
    switches = list(names.schedules(key))
    path = file_of(tmp_path, entry_of(key, undo={"calls": []}, switch=switches))
    before = changes(lab)
    ran = restore(path)
    assert (ran.exit_code, changes(lab)) == (1, before)
    assert "it is Disabled: its switch stays armed" in ran.output


def test_a_cluster_is_not_started_for_a_key_that_is_not_its_own(lab, kms, key, tmp_path):
    before = changes(lab).count("StartDBCluster")
    ran = restore(file_of(tmp_path, entry_of(key, cluster="orders")))
    assert ran.exit_code == 1
    assert f"the cluster orders is not encrypted under {key}" in ran.output
    assert changes(lab).count("StartDBCluster") == before


@contextlib.contextmanager
def listening():
    """Somebody on this machine who waits for credentials: what was asked of him."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _note(self):
            asked.append((self.command, self.path, dict(self.headers)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"lab": "another"}')

        do_GET = do_POST = do_PUT = _note  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("AWS at an endpoint", {"target": "aws"}),
        ("a lab that is not there", {"target": "lab", "lab": "the-lab", "credentials": "/c"}),
        ("a lab without a name", {"target": "lab", "lab": "", "credentials": "/c"}),
        ("AWS with a lab's name", {"target": "aws", "lab": "another"}),
    ],
)
def test_credentials_go_to_no_endpoint_that_a_file_names(key, tmp_path, where, place):
    with listening() as (endpoint, asked):
        ran = restore(file_of(tmp_path, entry_of(key, endpoint=endpoint, **place)))
    assert ran.exit_code == 1
    assert [path for _, path, _ in asked] in ([], ["/chaos-kms-lab"])
    assert not any("Authorization" in headers for _, _, headers in asked)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://example.com:80",
        "https://127.0.0.1:443",
        "http://127.0.0.1",
        "http://127.0.0.1:x",
        "http://user@127.0.0.1:80",
        "http://127.0.0.1:80/path",
        "http://[::1]:80",
        "127.0.0.1:80",
        "http://127.0.0.1.example.com:80",
        "http://0.0.0.0:80",
        "http://localhost:80?x",
        "",
    ],
)
def test_a_lab_is_a_port_of_this_machine_and_nothing_else(key, tmp_path, endpoint):
    ran = restore(
        file_of(tmp_path, entry_of(key, target="lab", lab="l", credentials="/c", endpoint=endpoint))
    )
    assert ran.exit_code == 1
    assert "names no lab of this machine" in ran.output


NEWER = {
    "a newer schema": lambda said: said | {"schema": 6},
    "no schema": lambda said: {k: v for k, v in said.items() if k != "schema"},
    "a schema that is none": lambda said: said | {"schema": True},
    "a field more": lambda said: said | {"second_key": "x"},
    "no other clusters": lambda said: {k: v for k, v in said.items() if k != "others"},
    "no state": lambda said: {k: v for k, v in said.items() if k != "state"},
    "a state that is none": lambda said: said | {"state": "away"},
    "a state that is no text": lambda said: said | {"state": ["key-away"]},
    "a key that is back, and calls": lambda said: said | {"state": "key-back"},
    "a key that is away, and no calls": lambda said: said | {"undo": {"calls": []}},
    "a field less": lambda said: {k: v for k, v in said.items() if k != "cluster"},
    "an undo with a field more": lambda said: said | {"undo": said["undo"] | {"then": []}},
    "no calls": lambda said: said | {"undo": {}},
    "calls that are none": lambda said: said | {"undo": {"calls": "EnableKey"}},
}


@pytest.mark.parametrize("what", NEWER)
def test_an_entry_that_this_version_does_not_know_is_named_and_left_as_it_is(lab, kms, key, what):
    path = journal.write(
        journal.new_entry(
            run="r1",
            region="eu-west-1",
            lab=None,
            cluster="",
            key=key,
            undo=DisableKey(key).undo(),
        )
    ).path
    path.write_text(json.dumps(NEWER[what](json.loads(path.read_text()))))
    said, before = path.read_text(), changes(lab)
    ran = restore()
    assert (ran.exit_code, changes(lab)) == (1, before)
    assert path.name in ran.output
    assert state(kms, key) == "Disabled"
    assert path.read_text() == said


DAMAGED = {
    "a key that is no ARN": {"key": "orders-key"},
    "a key of another Region": {"region": "us-east-1"},
    "a key that is a number": {"key": 7},
    "a run that is a path": {"run": "../../etc/passwd"},
    "a cluster that is none": {"cluster": "orders; rm -rf"},
    "an owner that writes on the screen": {"owner": "\x1b[2Jroot"},
    "an instant that is none": {"made": "yesterday"},
    "an instant without a zone": {"made": "2026-11-27T10:00:00"},
    "schedules of another key": {"switch": list(names.schedules(ELSEWHERE))},
    "schedules that are no list": {"switch": "undo-1"},
    "schedules that are no names": {"switch": [["a"], {"a": 1}]},
    "a field that writes on the screen": {"\x1b[31mput back\n: everything is fine": 1},
    "an operation that writes on the screen": {
        "undo": {"calls": [call("kms\x1b[2J", "X\nEverything is back")]},
    },
    "one call many times": {"undo": {"calls": [call("kms", "EnableKey", KeyId=ELSEWHERE)] * 3}},
    "a target that is none": {"target": "azure"},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_entry_is_said_in_one_sentence(key, tmp_path, what):
    path = file_of(tmp_path, entry_of(key) | DAMAGED[what])
    ran = restore(path)
    assert ran.exit_code == 1
    assert ran.output.startswith(f"Error: the undo journal's entry {path} ")
    assert "look into it" in ran.output
    assert "\x1b" not in ran.output
    assert len(ran.output.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "{}", "[" * 100_000, "\0", "é\udcff"]
)
def test_what_is_no_entry_is_said_in_one_sentence(tmp_path, text):
    path = tmp_path / "entry.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    ran = restore(path)
    assert ran.exit_code == 1
    assert ran.output.startswith(f"Error: the undo journal's entry {path} ")


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "entry.json", 0o600)
    with pytest.raises(JournalDamaged, match="is no plain file"):
        journal.read(tmp_path / "entry.json")


POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": f"s{n}",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{n:012}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
            for n in (123456789012, 666666666666)
        ],
    }
)


def test_a_policy_is_shown_whole_before_it_is_put(key, tmp_path):
    policy = call("kms", "PutKeyPolicy", KeyId=key, PolicyName="default", Policy=POLICY)
    path = file_of(tmp_path, entry_of(key, undo={"calls": [policy]}))
    for options in (["--dry-run"], []):
        assert '"AWS": "arn:aws:iam::666666666666:root"' in restore(*options, path).output


@contextlib.contextmanager
def playing_a_lab(answer):
    """A port of this machine whose answers to whoever asks which lab it is `answer` writes."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with port.accept()[0] as asked:
                        asked.recv(4096)
                        answer(asked)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            port.shutdown(socket.SHUT_RDWR)


def deep(asked):
    asked.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 4000)


def dripping(asked):
    for _ in range(100):
        asked.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [deep, dripping])
def test_who_plays_a_lab_that_is_gone_keeps_no_key_of_aws_waiting(kms, key, monkeypatch, answer):
    monkeypatch.setattr(presence, "WITHIN", 0.3)
    folder = store.ready_directory()
    with playing_a_lab(answer) as endpoint:
        place = {"target": "lab", "lab": "gone", "endpoint": endpoint, "credentials": "/nowhere"}
        for name, said in [("a", entry_of(ELSEWHERE, **place)), ("b", entry_of(key))]:
            path = folder / f"{name}-1.json"
            path.write_text(json.dumps(said))
            path.chmod(0o600)
        began = time.monotonic()
        ran = restore("--force")
        assert time.monotonic() - began < 30
    assert state(kms, key) == "Enabled", ran.output
    assert not isinstance(ran.exception, RecursionError)


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on it belongs to another user."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_believed(lab, kms, key, tmp_path, mode):
    path = file_of(tmp_path, entry_of(key), mode)
    ran = restore(path)
    assert ran.exit_code == 1
    assert f"others can write {path}" in ran.output
    assert state(kms, key) == "Disabled"


def test_a_file_of_another_user_is_not_believed(lab, kms, key, tmp_path, monkeypatch):
    path = file_of(tmp_path, entry_of(key))
    give_away(path, monkeypatch)
    ran = restore(path)
    assert ran.exit_code == 1
    assert f"{path} belongs to another user" in ran.output
    assert state(kms, key) == "Disabled"


def planted(key):
    """An entry in the journal's folder."""
    folder = store.ready_directory()
    path = folder / "r1-1.json"
    path.write_text(json.dumps(entry_of(key)))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_journal_into_which_others_can_put_something_is_not_believed(lab, kms, key, mode):
    path = planted(key)
    path.parent.chmod(mode)
    ran = restore()
    assert ran.exit_code == 1
    assert f"others can write {path.parent}" in ran.output
    assert state(kms, key) == "Disabled"
    with pytest.raises(JournalDamaged, match="others can write"):
        leftovers.refuse_if_left_open(key)
    with pytest.raises(PermissionError, match="others can write"):
        journal.check_writable()
    path.parent.chmod(0o700)
    assert restore().exit_code == 0
    assert state(kms, key) == "Enabled"


def test_a_journal_of_another_user_is_not_believed(lab, kms, key, monkeypatch):
    path = planted(key)
    give_away(path.parent, monkeypatch)
    ran = restore()
    assert ran.exit_code == 1
    assert "belongs to another user" in ran.output
    assert state(kms, key) == "Disabled"


def test_the_ledger_is_believed_no_more_than_the_journal(lab, kms, key):
    folder = store.ready_directory() / "made"
    folder.mkdir(mode=0o700)
    said = {
        "schema": 2, "run": "r1", "owner": "somebody", "target": "aws", "account": "123456789012",
        "region": "eu-west-1", "endpoint": "", "lab": "", "credentials": "",
        "database": {"database": "", "database_auth": "libpq", "database_secret": ""},
        "things": [{"kind": "key", "name": "chaos-r1-k", "state": "made", "arn": key, "at": ""}],
    }  # fmt: skip
    path = folder / "r1.json"
    for change in (
        {"schema": 4},
        {"endpoint": "http://127.0.0.1:80"},
        {"more": 1},
        {"run": "r2"},
        {"things": [{"kind": "vpc", "name": "x", "state": "made", "arn": "", "at": ""}]},
        {"things": [{"kind": "key", "name": "x", "state": "made", "arn": "x", "at": ""}]},
        {"things": [{"kind": "key"}]},
        {"things": 5},
        {"database": {"host": "x"}},
    ):
        path.write_text(json.dumps(said | change))
        path.chmod(0o600)
        with pytest.raises(JournalDamaged, match=r"r1\.json, "):
            Ledger.read(path)
    path.write_text(json.dumps(said))
    path.chmod(0o666)
    assert restore().exit_code == 1
    path.chmod(0o600)
    folder.chmod(0o777)
    assert restore().exit_code == 1
    folder.chmod(0o700)
    # And where everything is right but the tag, the key is left alone.
    before = changes(lab)
    assert restore().exit_code == 1
    assert changes(lab) == before


def test_an_undo_that_nobody_could_replay_is_not_written_down(key):
    with pytest.raises(JournalDamaged, match="puts nothing back"):
        journal.new_entry(
            run="r1",
            region="eu-west-1",
            lab=None,
            cluster="",
            key=key,
            undo=Undo((Call("kms", "DisableKey", {"KeyId": key}),)),
        )
