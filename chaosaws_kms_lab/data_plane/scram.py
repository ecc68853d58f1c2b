"""SCRAM-SHA-256, of a server and of a client (RFC 5802, RFC 7677; PostgreSQL manual, "SASL
Authentication").

Without channel binding, and without SASLprep: as PostgreSQL does, a password that cannot be
prepared is taken as it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

__all__ = ["MECHANISM", "Client", "Refused", "Server"]

MECHANISM = b"SCRAM-SHA-256"

ITERATIONS = 4096
"""As PostgreSQL's scram_iterations."""

NONCE, SALT = 18, 16
"""Bytes."""

GS2 = (b"n,,", b"y,,")
"""What a client begins with that does not bind the channel."""


class Refused(Exception):
    """The other side does not know the password, or says what SCRAM does not allow."""


class Server:
    """Finds out whether a client knows a password."""

    def __init__(self, password: str) -> None:
        self._salt = secrets.token_bytes(SALT)
        self._salted = _salted(password, self._salt, ITERATIONS)
        self._begun = b""
        self._nonce = b""
        self._header = b""

    def first(self, message: bytes) -> bytes:
        """The server's first message, after the client's; raises Refused."""
        header = message[:3]
        if header not in GS2:
            raise Refused("the client wants to bind the channel")
        bare = message[len(header) :]
        nonce = _fields(bare).get(b"r", b"")
        if not nonce:
            raise Refused("the client sent no nonce")
        self._header = header
        self._nonce = nonce + base64.b64encode(secrets.token_bytes(NONCE))
        salt = base64.b64encode(self._salt)
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, salt, ITERATIONS)
        self._begun = bare + b"," + answer
        return answer

    def final(self, message: bytes) -> bytes:
        """The server's last message, after the client's last; raises Refused if the password is
        another."""
        said, _, proof = message.rpartition(b",p=")
        fields = _fields(said)
        if fields.get(b"c") != base64.b64encode(self._header) or fields.get(b"r") != self._nonce:
            raise Refused("the client goes on with another exchange")
        everything = self._begun + b"," + said
        stored = hashlib.sha256(_hmac(self._salted, b"Client Key")).digest()
        signature = _hmac(stored, everything)
        try:
            given = _xor(base64.b64decode(proof, validate=True), signature)
        except (binascii.Error, ValueError):
            raise Refused("the client's proof cannot be read") from None
        if not hmac.compare_digest(hashlib.sha256(given).digest(), stored):
            raise Refused("the password is wrong")
        return b"v=" + base64.b64encode(_hmac(_hmac(self._salted, b"Server Key"), everything))


class Client:
    """Shows a server that it knows a password."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._nonce = base64.b64encode(secrets.token_bytes(NONCE))

    def first(self) -> bytes:
        """Its first message; PostgreSQL knows the user already."""
        return b"n,,n=,r=" + self._nonce

    def final(self, challenge: bytes) -> bytes:
        """Its last message, after the server's first; raises Refused."""
        fields = _fields(challenge)
        nonce, salt, rounds = (fields.get(name, b"") for name in (b"r", b"s", b"i"))
        if not nonce.startswith(self._nonce) or not rounds.isdigit():
            raise Refused("the server goes on with another exchange")
        salted = _salted(self._password, base64.b64decode(salt), int(rounds))
        said = b"c=biws,r=" + nonce
        everything = b"n=,r=%b,%b,%b" % (self._nonce, challenge, said)
        key = _hmac(salted, b"Client Key")
        proof = _xor(key, _hmac(hashlib.sha256(key).digest(), everything))
        return said + b",p=" + base64.b64encode(proof)


def _salted(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _fields(message: bytes) -> dict[bytes, bytes]:
    pairs = (part.partition(b"=") for part in message.split(b","))
    return {name: value for name, _, value in pairs}
