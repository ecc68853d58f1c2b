"""The benchmark measures what it says: the quick run, and what it makes of a tool's words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.intervals import Interval, low_intervals
from bench.outages import compared
from bench.page import page
from bench.rates import highest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[1]


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=ROOT,
        env=os.environ,
    )


def test_a_quick_run_of_our_load_measures_an_outage_and_the_judging(tmp_path):
    ran = bench("--only", "ours", "--quick", "--reports", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    (its,) = found["outages"]["brief"]["ours"]
    assert its["told"] == 1
    assert its["survived"] == "yes"
    (error,) = its["errors"]
    assert abs(error["width"] - (error["end"] - error["begin"])) < 1e-6
    assert all(abs(error[name]) < 2 for name in ("begin", "end", "width"))
    assert [each["operations"] for each in found["judging"]] == [10_000]
    assert all(each["peak_bytes"] > 0 and each["seconds"] > 0 for each in found["judging"])
    assert (tmp_path / "benchmark.md").read_text() == page(found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "jmeter"], "there is no tool 'jmeter': there are ours, "),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_an_option_that_there_is_not_is_one_sentence(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    words = capsys.readouterr().err
    assert said in words
    assert len(words.splitlines()) == 1


def test_an_error_is_what_was_told_less_the_truth():
    found = compared([(9.0, 12.5), (50.0, 51.0)], [(10.0, 12.0)])
    assert found == {"told": 1, "errors": [{"begin": -1.0, "end": 0.5, "width": 1.5}]}


def test_several_outages_that_were_told_as_one_count_as_one():
    truth = [(10.0, 11.0), (12.0, 13.0)]
    first, second = compared([(10.0, 13.0)], truth)["errors"]
    assert first == {"begin": 0.0, "end": 2.0, "width": 2.0}
    assert second == {"begin": None, "end": None, "width": None}


def test_an_outage_that_never_ends_has_a_begin_only():
    (error,) = compared([(10.5, None)], [(10.0, 11.0)])["errors"]
    assert error == {"begin": 0.5, "end": None, "width": None}


def test_seconds_with_few_answers_are_an_outage():
    answers = [0, 200, 190, 40, 0, 180, 200, 20]
    intervals = [Interval(n, n + 1, each) for n, each in enumerate(answers)]
    assert low_intervals(intervals, 200) == [(3, 5), (7, None)]


@pytest.mark.parametrize("hint", [0, 3, 9])
@pytest.mark.parametrize("stride", [1, 4])
def test_the_highest_step_that_passes_is_found(hint, stride):
    for most in range(10):
        tried = []
        assert highest(lambda at: tried.append(at) or at <= most, hint, 10, stride) == most  # noqa: B023
        assert len(tried) == len(set(tried))
    assert highest(lambda at: False, hint, 10, stride) is None


def test_what_several_processes_cost_stands_beside_what_one_costs():
    each = {"rate": 6000.0, "p99_ms": 3.25, "cpu_us": 40.0}
    found = {
        "tools": {}, "seconds": 1.0, "at": "now", "postgres": "",
        "load_average": {"before": 0.0, "after": 0.0},
        "machine": {"cpu": "", "cores": 2, "memory_bytes": 0, "system": "", "python": ""},
        "scaling": [{"processes": 1, **each}, {"processes": 2, **each, "cpu_us": 44.0}],
    }  # fmt: skip
    assert "| 2 | 6,000 | 3.2 | 44 | 1.10 |" in page(found)
