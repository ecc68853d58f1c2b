"""A synthetic run that was judged, as the files of a report are made from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.report.files import Found
from chaosaws_kms_ext.report.summary import judge, read_run
from tests.support.synthetic_run import stored

EVIL = "</script><script>alert(1)</script>|[x](http://e.vil)\x1b[31m @all #1 &lt; ]]> www.e.vil"

JOURNAL = {
    "run": [
        {"activity": {"name": "disable-the-key"}, "status": "succeeded", "duration": 0.25},
        {
            "activity": {"name": "hold"}, "status": "failed", "duration": 2.0,
            "exception": ["Traceback", f"ActivityFailed: {EVIL}\n"],
        },
    ],
    "rollbacks": [{"activity": {"name": "enable"}, "status": "succeeded", "duration": 1.5}],
}  # fmt: skip


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    folder = stored(tmp_path_factory.mktemp("reports"), 4000, 200.0, 40)
    run = read_run(folder)
    return Found(run.judge(folder), run.history, run.conditions, JOURNAL)


@pytest.fixture(scope="session")
def evil(found):
    """The same with text that is not meant well."""
    conditions = replace(found.conditions, experiment=EVIL)
    return replace(found, conditions=conditions, judgement=judge(found.history, conditions, [EVIL]))
