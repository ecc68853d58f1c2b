"""junit.xml: a case for the verdict, each objective, step and safeguard, for CI systems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree

from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.report.files.base import Found, report_file
from chaosaws_kms_ext.report.table import objective_in_words
from chaosaws_kms_ext.text import shortened

__all__ = ["junit"]


class Case(NamedTuple):
    """One of them."""

    kind: str
    name: str
    seconds: float = 0.0
    failure: str = ""
    """Why it failed; empty: it did not."""
    unknown: str = ""
    """Why it is not known whether it failed."""
    skipped: str = ""
    """Why nobody asked that of it."""


@report_file("junit", "junit.xml")
def junit(found: Found) -> str:
    """In the form that Jenkins, GitLab and GitHub's actions read."""
    cases = [_verdict(found), *_objectives(found), *_steps(found), *_safeguards(found)]
    experiment = str(found.summary["experiment"])
    suite = ElementTree.Element(
        "testsuite",
        name=shortened(experiment),
        timestamp=str(found.summary["started"]),
        tests=str(len(cases)),
        failures=str(sum(bool(each.failure) for each in cases)),
        errors=str(sum(bool(each.unknown) for each in cases)),
        skipped=str(sum(bool(each.skipped) for each in cases)),
        time=f"{sum(each.seconds for each in cases):.3f}",
    )
    for each in cases:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=shortened(f"{experiment}.{each.kind}"),
            name=shortened(each.name),
            time=f"{each.seconds:.3f}",
        )
        reasons = (("failure", each.failure), ("error", each.unknown), ("skipped", each.skipped))
        for tag, why in reasons:
            if why:
                ElementTree.SubElement(case, tag, message=shortened(why))
    whole = ElementTree.Element("testsuites")
    whole.append(suite)
    ElementTree.indent(whole)
    return ElementTree.tostring(whole, "unicode", xml_declaration=True) + "\n"


def _verdict(found: Found) -> Case:
    verdict, why = found.judgement.verdict.word, "; ".join(found.summary["reasons"])
    said = f"{verdict}: {why}"
    if verdict == "passed":
        return Case("verdict", "verdict")
    if verdict == "failed":
        return Case("verdict", "verdict", failure=said)
    return Case("verdict", "verdict", unknown=said)


def _objectives(found: Found) -> Iterator[Case]:
    for each in found.summary["objectives"]:
        said = objective_in_words(each)
        yield Case(
            "objective",
            each["name"],
            failure=said if each["met"] is False else "",
            unknown=said if each["met"] is None and "not_judged" not in each else "",
            skipped=said if "not_judged" in each else "",
        )


def _steps(found: Found) -> Iterator[Case]:
    for part in ("run", "rollbacks"):
        for each in found.journal.get(part) or []:
            status = str(each.get("status"))
            yield Case(
                "step",
                str(each.get("activity", {}).get("name", "")),
                _seconds(each.get("duration")),
                "" if status == "succeeded" else f"{status}: {_said(each)}",
            )


def _safeguards(found: Found) -> Iterator[Case]:
    """What kept the key's way back open."""
    injected = found.history.first(EventName.INJECTED)
    if injected is None or "seen_by" in injected.details:  # others did it
        return
    opened = found.history.first(EventName.JOURNAL_OPENED)
    well = opened is not None and opened.at <= injected.at
    why = "" if well else "the undo was not in the journal when the fault was injected"
    yield Case("safeguard", "undo in the journal before the fault", failure=why)
    armed = found.history.first(EventName.SWITCH_ARMED)
    if armed is not None:
        why = "" if armed.at <= injected.at else "it was armed after the fault was injected"
        yield Case("safeguard", "switch armed before the fault", failure=why)
    back = found.history.first(EventName.PUT_BACK, injected.at)
    seconds = (back.at - injected.at) / 1e9 if back else 0.0
    why = "" if back else "the records do not show that it was put back"
    yield Case("safeguard", "fault put back", seconds, why)


def _said(activity: Any) -> str:
    exception = activity.get("exception") or []
    return str(exception[-1]).strip() if exception else "it gave no reason"


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
