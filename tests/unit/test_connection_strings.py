"""Connection strings: read, written, and refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.connection_strings import (
    MYSQL,
    POSTGRESQL,
    SSL_MODES,
    options_of,
    protocol_of,
    with_options,
    written,
)

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], codec="utf-8"), min_size=1)
NAME = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "protocol", "options"),
    [
        ("", POSTGRESQL, {}),
        ("host=a port=1", POSTGRESQL, {"host": "a", "port": "1"}),
        ("postgresql://app@a/shop", POSTGRESQL, {"host": "a", "user": "app", "dbname": "shop"}),
        ("mysql://", MYSQL, {}),
        ("mysql:///shop", MYSQL, {"dbname": "shop"}),
        ("mysql://app@/shop", MYSQL, {"user": "app", "dbname": "shop"}),
        ("mysql://a:33", MYSQL, {"host": "a", "port": "33"}),
        ("mysql://[::1]:33/", MYSQL, {"host": "::1", "port": "33"}),
        ("mysql://a%40b@h/x%2Fy", MYSQL, {"user": "a@b", "host": "h", "dbname": "x/y"}),
        (
            "mysql://h/?ssl-mode=VERIFY_CA&ssl-ca=/a%20b&hostaddr=::1",
            MYSQL,
            {"host": "h", "ssl-mode": "VERIFY_CA", "ssl-ca": "/a b", "hostaddr": "::1"},
        ),
    ],
)  # fmt: skip
def test_a_connection_string_names_its_protocol_and_its_options(text, protocol, options):
    assert (protocol_of(text), options_of(text)) == (protocol, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host", "must be a libpq connection string"),
        ("nothing=1", "must be a libpq connection string"),
        ("mysql://h:x/", "must be mysql://user@host:3306/database"),
        ("mysql://h:99999/", "must be mysql://user@host:3306/database"),
        ("mysql://[::1/", "must be mysql://user@host:3306/database"),
        ("mysql://h/a/b", "must be mysql://user@host:3306/database"),
        ("mysql://h/a#b", "must be mysql://user@host:3306/database"),
        ("mysql://h/a\nb", "must be mysql://user@host:3306/database"),
        ("mysql://a%0ab@h/", "must not hold a line break"),
        ("mysql://h/a%00", "must not hold a line break"),
        ("mysql://a,b/", "names several hosts"),
        ("mysql://h/?sslmode=require", "names 'sslmode': a mysql:// URL has only"),
        ("mysql://app:33?66word@h/shop", "names what is no option: a mysql:// URL has only"),
        ("mysql://h/?ssl-mode=PREFERRED", "it must be one of DISABLED, REQUIRED"),
        ("mysql://h/?ssl-mode=", "it must be one of DISABLED, REQUIRED"),
    ],
)
def test_what_is_none_is_said_in_words(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        options_of(text)
    assert "\n" not in str(caught.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "host": NAME,
            "port": st.integers(1, 65535).map(str),
            "user": TEXT,
            "dbname": TEXT,
            "ssl-mode": st.sampled_from(SSL_MODES),
            "ssl-ca": TEXT,
            "passfile": TEXT,
        },
    )
)
def test_what_is_written_for_mysql_is_read_as_it_was(options):
    text = written(MYSQL, options)
    assert text.isprintable()
    assert options_of(text) == options


def test_other_options_take_the_place_of_those_that_are_there():
    assert with_options("mysql://app@a/shop", host="b") == "mysql://app@b/shop"
    assert options_of(with_options("host=a user=app", host="b", dbname=None)) == {
        "host": "b",
        "user": "app",
    }
