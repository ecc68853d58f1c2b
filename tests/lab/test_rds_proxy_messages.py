"""What the lab's RDS Proxy knows of PostgreSQL's protocol, as values: SCRAM, messages, requests."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosaws_kms_lab.data_plane import pg_messages as messages
from chaosaws_kms_lab.data_plane import scram
from chaosaws_kms_lab.data_plane.pg_messages import Messages, error, failure_of, message
from chaosaws_kms_lab.data_plane.proxy_requests import Requests

READY = messages.READY
IN_TRANSACTION = b"Z\0\0\0\5T"


# SCRAM


def exchanged(known, given_password):
    server, client = scram.Server(known), scram.Client(given_password)
    return server.final(client.final(server.first(client.first())))


@pytest.mark.parametrize("password", ["secret", "s€cret: of \\ all,=", "x" * 1000, "\u00a0"])
def test_who_knows_the_password_is_let_in(password):
    assert exchanged(password, password).startswith(b"v=")


def test_who_does_not_is_refused():
    with pytest.raises(scram.Refused, match="password is wrong"):
        exchanged("secret", "Secret")


def test_the_exchange_of_the_standard(monkeypatch):
    """RFC 7677, section 3."""
    monkeypatch.setattr(
        scram.secrets, "token_bytes", lambda size: base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    )
    server = scram.Server("pencil")
    first = server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert first.endswith(b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    server._nonce = nonce
    server._begun = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=%b,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" % nonce
    proof = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    final = server.final(b"c=biws,r=%b,p=%b" % (nonce, proof))
    assert final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("said", [b"", b"p=tls-server-end-point,,n=,r=x", b"n,,n=", b"n,,n=,r="])
def test_a_beginning_that_is_none_is_refused(said):
    with pytest.raises(scram.Refused):
        scram.Server("secret").first(said)


@pytest.mark.parametrize("said", [b"", b"c=biws", b"c=biws,r={n},p=!", b"c=eSws,r={n},p=YQ=="])
def test_an_end_that_is_none_is_refused(said):
    server = scram.Server("secret")
    nonce = scram._fields(server.first(scram.Client("secret").first()))[b"r"]
    with pytest.raises(scram.Refused):
        server.final(said.replace(b"{n}", nonce))


@pytest.mark.parametrize("said", [b"", b"r=other,s=YQ==,i=1", b"r={n},s=YQ==,i=many"])
def test_a_server_that_goes_on_with_another_exchange_is_refused(said):
    client = scram.Client("secret")
    with pytest.raises(scram.Refused):
        client.final(said.replace(b"{n}", client._nonce + b"more")) if b"many" in said else (
            client.final(said)
        )


# Messages


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(b"QPBESdZ"), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(1, 50), min_size=1, max_size=60),
    st.integers(4, 200),
)
def test_messages_are_found_however_the_bytes_are_cut(said, cuts, kept):
    kinds = [(bytes([kind]), body) for kind, body in said]
    everything = b"".join(message(*each) for each in kinds)
    found, seen, at = Messages(), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "KEPT", kept)
        for size in (*cuts, len(everything) + 1):
            chunk = everything[at : at + size]
            for each in found.feed(chunk):
                seen.append((each.kind, each.body))
                where = at + each.start
                assert everything[where : where + 1] == each.kind
            at += size
    assert seen == [(kind, b"" if len(body) + 4 > kept else body) for kind, body in kinds]
    assert not found.within


def test_what_is_no_message_is_refused():
    with pytest.raises(ValueError, match="a message of 3 bytes"):
        list(Messages().feed(b"Q\0\0\0\3"))


def test_an_error_says_what_it_was_told():
    said = error("08000", "naïve")
    assert failure_of(said[5:]) == ("08000", "naïve")
    assert failure_of(b"") == ("", "")


def test_a_startup_message_says_its_parameters():
    parameters = {b"user": b"app", b"options": b""}
    body = messages.startup(parameters)[8:]
    assert messages.parameters_of(body) == parameters


# Requests


def asked(*said):
    its = Requests()
    for each in said:
        its.asked(each)
    return its


def query(text):
    return message(b"Q", text + b"\0")


def parse(text, name=b""):
    return message(b"P", name + b"\0" + text + b"\0\0\0")


BIND, EXECUTE, SYNC = message(b"B", b"\0\0"), message(b"E", b"\0\0\0\0\0"), messages.SYNC


def test_a_session_is_busy_until_everything_is_answered():
    its = asked()
    assert not its.busy
    its.asked(query(b"SELECT 1") + query(b"SELECT 2"))
    assert its.busy
    assert its.answered(READY) == len(READY)
    assert its.busy
    its.answered(READY)
    assert not its.busy


@pytest.mark.parametrize("said", [parse(b"SELECT 1"), BIND, EXECUTE, b"Q\0\0"])
def test_and_in_the_middle_of_what_it_asks(said):
    assert asked(said).busy


def test_and_in_a_transaction():
    its = asked(query(b"BEGIN"))
    its.answered(IN_TRANSACTION)
    assert its.busy
    its.asked(query(b"COMMIT"))
    its.answered(READY)
    assert not its.busy


def test_a_copy_ends_with_its_answer():
    its = asked(query(b"COPY rows FROM STDIN"))
    its.answered(message(b"G", b"\0\0\0"))
    its.asked(message(b"d", b"x\n") + message(b"c", b""))
    its.answered(READY)
    assert not its.busy


def test_the_goodbye_of_a_server_is_not_for_a_client_that_asks_nothing():
    notice, bye = message(b"N", b"\0"), error("57P01", "terminating connection")
    assert asked().answered(notice + bye) == len(notice)
    its = asked(query(b"SELECT 1"))
    assert its.answered(bye) == len(bye)
    its = asked(query(b"SELECT 1"))
    assert its.answered(READY + bye) == len(READY)
    assert not its.pinned


def test_a_goodbye_that_was_passed_on_in_part_ends_the_session():
    bye = error("57P01", "terminating connection")
    its = asked()
    assert its.answered(bye[:7]) == 7
    assert its.answered(bye[7:]) == 0
    assert its.pinned


def test_statements_that_were_prepared_by_name_are_prepared_again():
    one, two = parse(b"SELECT 1", b"one"), parse(b"SELECT 2", b"two")
    its = asked(one, two, parse(b"SELECT 3"), SYNC, message(b"C", b"Sone\0"), SYNC)
    assert its.begin_again() == [two]
    assert not its.pinned


@pytest.mark.parametrize(
    "statement",
    [
        b"SET search_path = x", b"set local x = 1", b" \n reset all", b"PREPARE a AS SELECT 1",
        b"EXECUTE a", b"DEALLOCATE ALL", b"DISCARD ALL", b"LISTEN news", b"LOAD 'lib'",
        b"DECLARE c CURSOR WITH HOLD FOR SELECT 1", b"CREATE TEMP TABLE a (b int)",
        b"create  global temporary table a (b int)", b"SELECT nextval('s')",
        b"SELECT 1; SET x = 1", b"SELECT pg_advisory_lock(1)", b"SELECT pg_try_advisory_lock(1)",
        b"SELECT set_config('a', 'b', false)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", [query, parse])
def test_a_state_of_its_own_pins_a_session(statement, how):
    if how is parse and b";" in statement:
        return
    assert asked(how(statement)).pinned


@pytest.mark.parametrize(
    "statement",
    [b"SELECT 1", b"INSERT INTO settings VALUES (1)", b"UPDATE a SET b = 1", b"", b"BEGIN"],
)
@pytest.mark.parametrize("how", [query, parse])
def test_anything_else_does_not(statement, how):
    assert not asked(how(statement)).pinned


def test_what_is_too_long_to_be_remembered_pins_it(monkeypatch):
    assert not asked(query(b"x" * 16384), parse(b"x" * 16384, b"one")).pinned
    assert asked(query(b"x" * 16385)).pinned
    assert asked(parse(b"x" * 16385)).pinned
    assert asked(query(b"x" * messages.KEPT)).pinned
    assert asked(parse(b"x" * messages.KEPT, b"one")).pinned
    monkeypatch.setattr("chaosaws_kms_lab.data_plane.proxy_requests.MOST", 100)
    assert not asked(parse(b"x" * 50, b"one")).pinned
    assert asked(parse(b"x" * 50, b"one"), parse(b"x" * 50, b"two")).pinned


def test_what_is_remembered_of_a_session_is_bounded(monkeypatch):
    monkeypatch.setattr("chaosaws_kms_lab.data_plane.proxy_requests.MOST", 100)
    its = asked(parse(b"x" * 50, b"one"), parse(b"x" * 50, b"one"), message(b"C", b"Sone\0"))
    its.asked(parse(b"x" * 50, b"two"))
    assert not its.pinned
    for number in range(100):
        its.asked(parse(b"x" * 50, b"s%d" % number))
    assert its.pinned
    assert its.begin_again() == []


def test_who_says_goodbye_leaves():
    assert not asked(query(b"SELECT 1")).leaves
    assert asked(b"X\0\0\0\4").leaves
