"""A synthetic run that was judged, as the files of a report are made from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaosaws_kms_ext.history import EventName, Operation
from chaosaws_kms_ext.report.files import Found
from chaosaws_kms_ext.report.summary import judge, read_run
from chaosaws_kms_ext.report.verdict import Course
from tests.support.histories import (
    at,
    conditions,
    event,
    history,
    load,
    outage_of_main,
    ran,
    started,
)
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


LONG = f"{EVIL} " * (2**20 // len(EVIL))
"""A megabyte of it."""


def hostile_run(text=EVIL):
    """A run of which everything that others can name is this text: cluster, key, loads, what the
    server and the client said, RDS' messages, the steps."""
    operations, events = outage_of_main()
    operations = [
        o._replace(outcome="error", sqlstate=text) if o.outcome == "timeout" else o
        for o in operations
    ]
    operations += load(text, *["ok"] * 50, *["lost"] * 50)
    operations += [
        Operation("main", 0, n, "attempt", at(110 + n), at(110 + n), at(111 + n), how, None, text)
        for n, how in enumerate(["ok", "lost"])
    ]
    events = [
        event(EventName.TARGET, 0, cluster=text, key=text),
        *started("main", text),
        *events,
        *ran(text, 0, 300),
        event(EventName.STATUS, 125, key=text, cluster=text, instances={text: text}, meaning="x"),
        event(EventName.RDS_EVENT, 126, event="RDS-EVENT-0418", source=text, message=text),
        event(EventName.ALARM, 127, alarm=text, state=text, before=text, date=text),
        event(EventName.SEALED, 1, digest="d", context={text: text}),
        event(EventName.DECRYPTED, 2, digest="d", context={text: text}, decrypted=True),
        event(EventName.LOAD_DIED, 200, load=text, why=text),
        event(EventName.ENDED, 400, **Course(failures=(text,), doubts=(text,)).details()),
    ]
    its = replace(conditions(True, ["rto", "lost_writes"]), experiment=text, region=text)
    recorded = history(operations, events)
    journal = {
        "run": [
            {"activity": {"name": text}, "status": text, "duration": 1.0, "exception": [text]},
        ],
    }
    return Found(judge(recorded, its, [text]), recorded, its, journal)
