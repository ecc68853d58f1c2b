"""junit.xml, read by another's parser."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.earlier import Earlier, NotWorse
from chaosaws_kms_ext.report.files.junit import junit
from chaosaws_kms_ext.report.summary import judge
from tests.support.found import EVIL


def cases(found):
    """(kind, name) → whether it passed, failed or is unknown, and what is said of it."""
    suite = ElementTree.fromstring(junit(found)).find("testsuite")
    told = {}
    for each in suite.iter("testcase"):
        inside = list(each)
        what = inside[0].tag if inside else "passed"
        said = inside[0].get("message") if inside else ""
        told[each.get("classname").rpartition(".")[2], each.get("name")] = (what, said)
    assert int(suite.get("tests")) == len(told)
    for name, what in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(name)) == sum(each[0] == what for each in told.values())
    return told


def test_every_objective_step_and_safeguard_is_a_case(found):
    told = cases(found)
    for each in found.summary["objectives"]:
        what = {True: "passed", False: "failure", None: "error"}[each["met"]]
        assert told["objective", each["name"]][0] == what
    assert told["step", "disable-the-key"] == ("passed", "")
    assert told["step", "enable"] == ("passed", "")
    what, said = told["step", "hold"]
    assert what == "failure"
    assert said.startswith("failed: ActivityFailed: </script>")
    assert told["safeguard", "fault put back"] == ("passed", "")
    # A synthetic run has no journal of undos.
    assert told["safeguard", "undo in the journal before the fault"][0] == "failure"


def test_an_objective_that_was_not_judged_is_skipped(found):
    nothing = Earlier(NotWorse(3, 20.0), [])
    conditions = replace(found.conditions, earlier={"rto": nothing})
    judged = judge(found.history, conditions)
    what, said = cases(replace(found, judgement=judged))["objective", "rto_against_earlier"]
    assert what == "skipped"
    assert said.startswith("not judged: 0 earlier runs")


def test_the_verdict_is_a_case(found):
    verdict = found.summary["verdict"]
    what, said = cases(found)["verdict", "verdict"]
    assert what == {"passed": "passed", "failed": "failure"}.get(verdict, "error")
    assert said.startswith(f"{verdict}: ")


def test_a_fault_that_was_not_put_back_is_a_failure(found):
    events = [each for each in found.history.events if each.name != EventName.PUT_BACK]
    told = cases(replace(found, history=replace(found.history, events=events)))
    assert told["safeguard", "fault put back"][0] == "failure"


def test_a_run_without_a_fault_has_no_safeguard(found):
    told = cases(replace(found, history=replace(found.history, events=[]), journal={}))
    assert {kind for kind, _ in told} == {"verdict", "objective"}


def test_text_of_others_stays_text_and_is_all_there(evil):
    told = cases(evil)
    assert EVIL.replace("\x1b", "\\x1b") in told["verdict", "verdict"][1]
