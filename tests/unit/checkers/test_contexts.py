"""Attempts to decrypt, with the same context and with others."""

from __future__ import annotations

import pytest

from tests.support.histories import (
    SEALED,
    replaced,
    tried,
    verdict,
)


@pytest.mark.parametrize(
    ("attempts", "wrong"),
    [
        ([tried({"a": "1"}, True), tried({"a": "2"}, False)], 0),
        ([tried({"a": "1"}, True), tried({"a": "2"}, True)], 1),
        ([tried({"a": "1"}, False), tried({"a": "2"}, True), tried({}, True)], 3),
        ([tried({"a": "1"}, True)], None),
        ([tried({"a": "2"}, False)], None),
        ([tried({"a": "1"}, True), tried({"a": "1"}, True, digest="another")], 1),
        ([], None),
    ],
)
def test_contexts_are_wrong_where_they_decrypt_otherwise_than_they_should(attempts, wrong):
    measured = replaced(SEALED, *attempts)
    assert measured.measured["wrong_contexts"] == wrong
    word = {None: "inconclusive", 0: "passed"}.get(wrong, "failed")
    assert verdict(measured, "wrong_contexts").word == word
