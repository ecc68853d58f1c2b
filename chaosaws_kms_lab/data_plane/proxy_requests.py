"""What a client has asked in a session, as far as the proxy has to know: whether an answer is due,
and what of the session is lost with its database connection."""

from __future__ import annotations

import re

from chaosaws_kms_lab.data_plane.pg_messages import Message, Messages, message

__all__ = ["Requests"]

ANSWERED_BY_READY = (b"Q", b"S", b"F")
"""Query, Sync and FunctionCall: ReadyForQuery follows each."""

OPENS = (b"P", b"B", b"D", b"E", b"C")
"""Parse, Bind, Describe, Execute and Close: a Sync follows them."""

LONGEST = 16 << 10
"""Bytes of a statement at most: a longer one pins a session (Aurora User Guide, rds-proxy,
"Quotas and limitations")."""

MOST = 1 << 20
"""Bytes of prepared statements that the proxy remembers of a session."""

PINS = re.compile(
    rb"\s*(?:set|reset|prepare|execute|deallocate|discard|listen|unlisten|load|declare"
    rb"|create\s+(?:local\s+|global\s+)?temp(?:orary)?|select\s.*\binto\s+temp)\b"
    rb"|.*\b(?:nextval|setval|currval|lastval|set_config|pg_(?:try_)?advisory_lock\w*)\s*\(",
    re.IGNORECASE | re.DOTALL,
)
"""Statements after which a session stays with its database connection (Aurora User Guide,
rds-proxy-pinning: SET; PREPARE, DISCARD, DEALLOCATE, EXECUTE; temporary tables; cursors; LISTEN;
libraries; sequences; advisory locks; parameters). Statements that are prepared by the protocol are
not among them."""


class Requests:
    """Follows both directions of a session."""

    def __init__(self) -> None:
        self.pinned = False
        """Whether it has a state that another database connection does not have."""
        self.leaves = False
        """The client has said that it ends the session."""
        self._prepared: dict[bytes, bytes] = {}
        """Statements that were prepared under a name → the message that did it; none once the
        session is pinned: it never gets another database connection."""
        self._size = 0
        """Bytes of these messages."""
        self._due = 0
        """How many ReadyForQuery are to come."""
        self._open = False
        """Something was asked since the last Sync."""
        self._status = b"I"
        self._asked, self._answered = Messages(), Messages()

    @property
    def busy(self) -> bool:
        """Whether it is in the middle of a statement or of a transaction."""
        return bool(self._due or self._open or self._status != b"I" or self._asked.within)

    def asked(self, data: bytes) -> None:
        """The client sent these bytes; raises ValueError if they are no messages."""
        for each in self._asked.feed(data):
            if each.kind in OPENS:
                self._open = True
            elif each.kind in ANSWERED_BY_READY:
                self._open = False
            self._due += each.kind in ANSWERED_BY_READY
            self.leaves = self.leaves or each.kind == b"X"
            self._look(each)

    def answered(self, data: bytes) -> int:
        """The server sent these bytes; how many of them are for the client.

        Not the error with which a server goes away while nothing is asked: that ends the database
        connection alone. Raises ValueError if they are no messages.
        """
        for each in self._answered.feed(data):
            if each.kind == b"Z":
                self._due = max(self._due - 1, 0)
                self._status = each.body
            elif each.kind == b"E" and not self.busy:
                self.pinned = self.pinned or each.start < 0  # its beginning has been passed on
                return max(each.start, 0)
        return len(data)

    def begin_again(self) -> list[bytes]:
        """The session goes on over another database connection: what prepares its statements
        there, each without a Sync."""
        self._answered = Messages()
        return list(self._prepared.values())

    def _look(self, asked: Message) -> None:
        if asked.kind == b"P":
            name, _, rest = asked.body.partition(b"\0")
            statement = rest.partition(b"\0")[0]
            self._pin_by(statement)
            self._pin_by_length(asked, statement)
            if name:
                self._remember(name, message(b"P", asked.body))
        elif asked.kind == b"Q":
            self._pin_by_length(asked, asked.body)
            for each in asked.body.rstrip(b"\0").split(b";"):
                self._pin_by(each)
        elif asked.kind == b"C" and asked.body[:1] == b"S":
            self._forget(asked.body[1:].rstrip(b"\0"))

    def _remember(self, name: bytes, prepares: bytes) -> None:
        self._forget(name)
        self._prepared[name] = prepares
        self._size += len(prepares)
        self.pinned = self.pinned or self._size > MOST
        if self.pinned:
            self._prepared, self._size = {}, 0

    def _forget(self, name: bytes) -> None:
        self._size -= len(self._prepared.pop(name, b""))

    def _pin_by_length(self, asked: Message, text: bytes) -> None:
        self.pinned = self.pinned or asked.long or len(text.rstrip(b"\0")) > LONGEST

    def _pin_by(self, statement: bytes) -> None:
        self.pinned = self.pinned or PINS.match(statement) is not None
