"""Words of others: nothing in them is obeyed, and they are not longer than a person reads."""

from __future__ import annotations

from chaosaws_kms_ext.text import LONGEST, printable, shortened


def test_what_a_terminal_obeys_is_written_out():
    assert printable("a\x1b[31m\r\n\0\x9b\u202e\ud800é") == (
        "a\\x1b[31m\\r\\n\\x00\\x9b\\u202e\\ud800é"
    )


def test_a_long_text_is_cut_and_that_is_seen():
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 1)) == "x" * LONGEST + "…"
    assert len(shortened("\x1b" * 2**20)) == 4 * LONGEST + 1
