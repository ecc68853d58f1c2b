"""A file of lines: whoever writes, each line is whole and in it, until the end."""

from __future__ import annotations

import json
import threading

import pytest

from chaosaws_kms_ext.history.lines import Lines


def test_lines_of_several_threads_are_whole_and_all_there_before_and_after_the_file(tmp_path):
    lines, path = Lines(), tmp_path / "its.jsonl"

    def write(thread):
        for number in range(50):
            lines.write({"thread": thread, "number": number, "long": "x" * 500})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for each in threads[:2]:
        each.start()
    lines.open(path)
    for each in threads[2:]:
        each.start()
    for each in threads:
        each.join(20)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for thread in range(4):
        assert [each["number"] for each in found if each["thread"] == thread] == list(range(50))
    assert path.stat().st_mode & 0o077 == 0


def test_each_line_is_on_disk_when_it_is_written_and_none_after_the_end(tmp_path):
    lines, path = Lines(), tmp_path / "its.jsonl"
    lines.open(path)
    lines.write({"a": 1})
    assert path.read_text() == '{"a": 1}\n'
    lines.close()
    lines.close()
    lines.write({"a": 2})
    assert path.read_text() == '{"a": 1}\n'


def test_a_full_disk_is_an_error():
    lines = Lines()
    with pytest.raises(OSError, match="No space"):
        lines.open("/dev/full")
        lines.write({"a": 1})
