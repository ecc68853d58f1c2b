"""When something is back: values are equal, and documents are, however they are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.undo.replay import is_back, still_wrong
from chaosaws_kms_ext.undo.undo import Call, Undo


class Says:
    """An AWS that says one thing."""

    def __init__(self, value):
        self.value = value

    def call(self, service, operation, params):
        if isinstance(self.value, Exception):
            raise self.value
        return {"Policy": self.value}


def undo(wanted):
    policy = {"KeyId": "k", "PolicyName": "default", "Policy": wanted}
    return Undo((Call("kms", "PutKeyPolicy", policy),))


def back(found, wanted):
    return is_back(Says(found), undo(wanted))


documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    max_size=4,
)


@given(documents, st.randoms(use_true_random=False), st.integers(0, 4))
def test_a_document_is_the_same_however_it_is_written(document, random, indent):
    names = list(document)
    random.shuffle(names)
    other = json.dumps({name: document[name] for name in names}, indent=indent)
    assert back(other, json.dumps(document, ensure_ascii=False))


@given(documents, documents)
def test_documents_that_differ_are_not_the_same(one, other):
    assert back(json.dumps(one), json.dumps(other)) == (one == other)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("Disabled", "Enabled"),
        ("1", "1.0"),
        ('"Enabled"', "Enabled"),
        ("[1]", "[1.0]"),
        (None, "{}"),
        ("{}", None),
        (None, "Enabled"),
        (True, "true"),
        ("{", "{}"),
        ({}, "{}"),
        ("NaN", "nan"),
    ],
)
def test_anything_else_is_the_same_only_if_it_is_equal(found, wanted):
    assert not back(found, wanted)
    assert back(found, found)
    assert still_wrong(Says(found), undo(wanted)) == f"Policy is {found}, not {wanted}"


def test_what_is_not_answered_is_not_back():
    assert not back(AwsError("no answer"), "Enabled")
