"""What a person sees: the live line, and the table at the end."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace

import pytest
from rich.console import Console

from chaosaws_kms_ext.report import summary
from chaosaws_kms_ext.report.screen import Screen
from chaosaws_kms_ext.report.table import show, table
from tests.support.histories import ENDED, conditions, history, outage_of_main, started


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


def plain(text):
    """Without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_on_a_terminal_there_is_one_live_line_that_logs_do_not_run_into(terminal, monkeypatch):
    shown = Terminal()
    screen = Screen(lambda: "key Disabled", shown)
    log = logging.getLogger("chaostoolkit")
    handler = logging.StreamHandler(shown)
    monkeypatch.setattr(log, "handlers", [handler])
    screen.open()
    screen.waiting("orders to recover", 61, 3661)
    log.warning("something else")
    screen.close()
    said = shown.getvalue()
    assert re.match(
        r"\r\x1b\[Korders to recover [━╸╺]{20} 1:01 of 1:01:01 key Disabled", plain(said)
    )
    assert "\r\x1b[Ksomething else\n" in said
    assert "\n" not in said.partition("something")[0]
    assert "\x1b[?25l" not in said  # the cursor stays, also if the run is killed


def test_the_bar_is_as_long_as_the_deadline_is_near(terminal):
    def filled(elapsed):
        shown = Terminal()
        screen = Screen(lambda: "", shown)
        screen.waiting("it", elapsed, 60)
        bold = re.search(r"m(━+)", shown.getvalue())
        return len(bold[1]) if elapsed else 0

    assert filled(0) <= filled(15) <= filled(30) <= filled(59)
    assert filled(30) < filled(59)


@pytest.mark.parametrize("width", [30, 45, 60, 100])
def test_a_line_that_is_too_long_is_cut_and_never_two(terminal, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = Terminal()
    screen = Screen(lambda: "cluster inaccessible-encryption-credentials-recoverable " * 5, shown)
    screen.waiting("orders to become inaccessible", 5, 60)
    said = plain(shown.getvalue())
    assert len(said.removeprefix("\r").replace("\x1b[K", "")) < width
    assert re.search(r"orders to beco.*5 s of 1:00 ", said)
    assert "\n" not in said


def test_without_colour_there_is_none(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = Terminal()
    Screen(lambda: "key Disabled", shown).waiting("it", 5, 60)
    assert not re.search(r"\x1b\[[\d;]*3[0-9]", shown.getvalue())


def test_without_a_terminal_lines_are_plain_and_rare(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("chaosaws_kms_ext.report.screen.time.monotonic", lambda: now[0])
    logging.getLogger("chaostoolkit").propagate = True
    caplog.set_level(logging.INFO, "chaostoolkit")
    screen = Screen(lambda: "", io.StringIO())
    for second in range(31):
        now[0] = float(second)
        screen.waiting("it", second, 60)
    assert [record.message for record in caplog.records] == [
        f"it: {s} s of 1:00" for s in (10, 20, 30)
    ]


def recorded():
    operations, events = outage_of_main()
    return history(operations, [*started("main"), *events, ENDED])


ASKED = conditions(True, ["rto", "lost_writes"])


def judged(its=ASKED):
    return summary.judge(recorded(), its)


def shown_on(width, terminal=True, its=ASKED):
    said = io.StringIO()
    colours = "standard" if terminal else None  # whatever TERM says
    console = Console(
        file=said, force_terminal=terminal, width=width, highlight=False, color_system=colours
    )
    show(judged(its), "reports/x", recorded(), its, console)
    return said.getvalue()


def test_on_a_terminal_the_table_is_as_wide_as_that_and_says_the_same():
    for width in (50, 80, 200):
        said = plain(shown_on(width))
        assert max(map(len, said.splitlines())) <= width
        words = " ".join(said.split())
        for name, value in judged().rows:
            assert name in words
            if width == 200:
                assert f"{name} {value}" in words
    assert "\x1b[" in shown_on(80)


def test_without_a_terminal_table_and_timeline_are_plain_lines():
    said = shown_on(50, terminal=False)
    assert said.startswith(table(judged(), "reports/x") + "\nanswered  ")
    assert "\x1b" not in said
    drawn = said.removeprefix(table(judged(), "reports/x")).splitlines()
    assert max(map(len, drawn)) <= 72
    assert all(line == line.rstrip() for line in drawn)


def test_text_of_others_is_neither_obeyed_nor_endless():
    evil = replace(ASKED, experiment=f"\x1b[31m[red]<script>\n{'x' * 2**20}")
    for terminal in (False, True):
        said = shown_on(100, terminal, evil)
        assert "\x1b[31m[red]" not in said
        assert "[red]<script>" in said.replace("\n", "")
        assert len(said) < 20_000


def test_a_timeline_that_cannot_be_drawn_is_one_sentence_and_the_table_stays(monkeypatch):
    monkeypatch.setattr("chaosaws_kms_ext.report.table.timeline", lambda *_: 1 / 0)
    said = shown_on(80, terminal=False)
    assert said.startswith(table(judged(), "reports/x"))
    assert said.splitlines()[-1].startswith("the timeline could not be drawn: ZeroDivisionError")


def test_a_file_without_these_characters_gets_others():
    said = io.BytesIO()
    file = io.TextIOWrapper(said, "ascii")
    show(judged(), "reports/x", recorded(), ASKED, Console(file=file))
    assert "answered    ###" in said.getvalue().decode("ascii")
