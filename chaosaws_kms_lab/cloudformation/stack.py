"""One stack: made, changed and deleted resource by resource, and rolled back on a failure.

AWS CloudFormation User Guide, "Stack status codes" and "Stack failure options".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.cloudformation.kinds import Cancelled, Kind, Maker, Properties
from chaosaws_kms_lab.cloudformation.known import KINDS
from chaosaws_kms_lab.cloudformation.template import Made, Template

__all__ = ["Event", "Resource", "Stack"]

logger = logging.getLogger(__name__)

Clients = Callable[[str], Any]
FAILURES = (AwsError, BotoCoreError, ClientError, IndexError, KeyError, TypeError, ValueError)
"""What a resource can fail with: AWS' answers, and properties that make no call."""


@dataclass
class Resource:
    """A resource that is there."""

    logical: str
    type: str
    properties: Properties
    made: Made
    keep: bool
    """Whether it stays when the stack goes (DeletionPolicy Retain)."""
    needs: tuple[str, ...]
    """The resources that it names."""
    status: str
    at: datetime

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]


@dataclass(frozen=True)
class Event:
    """One line of DescribeStackEvents."""

    number: int
    logical: str
    physical: str
    type: str
    status: str
    reason: str
    at: datetime


@dataclass
class Stack:
    """What there is of a stack; one thread at a time works on it."""

    id: str
    name: str
    region: str
    template: Template
    clients: Clients
    now: Callable[[], datetime]
    roll_back: bool
    """Whether a creation that fails is undone."""
    tags: list[dict[str, str]]
    capabilities: list[str]
    created: datetime
    updated: datetime | None = None
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    outputs: list[dict[str, str]] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    """By their logical ids, in the order in which they were made."""
    events: list[Event] = field(default_factory=list)
    _work: threading.Thread | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    # What is ordered

    def create(self) -> None:
        """Makes every resource, in a thread."""
        self._tell_stack("CREATE_IN_PROGRESS", "User Initiated")
        self._start(self._create)

    def update(self, template: Template, clients: Clients) -> None:
        """Makes it what the template says, in a thread."""
        self.updated, self.clients = self.now(), clients
        self._tell_stack("UPDATE_IN_PROGRESS", "User Initiated")
        self._start(lambda: self._update(template))

    def delete(self, clients: Clients) -> None:
        """Deletes every resource, in a thread; what goes on is ended."""
        before, self.clients = self._work, clients
        self._cancelled.set()
        self._tell_stack("DELETE_IN_PROGRESS", "User Initiated")

        def work() -> None:
            if before:
                before.join()
            self._cancelled.clear()
            self._delete()

        self._start(work)

    def _start(self, work: Callable[[], None]) -> None:
        name = f"stack {self.name}"
        self._work = threading.Thread(target=self._do, args=(work,), daemon=True, name=name)
        self._work.start()

    def _do(self, work: Callable[[], None]) -> None:
        """Does the work; whatever happens, the stack does not stay in progress."""
        try:
            work()
        except Cancelled:
            pass  # a deletion waits for this thread
        except Exception:
            logger.exception("stack %s failed", self.name)
            ended = self.status.removesuffix("_IN_PROGRESS") + "_FAILED"
            self._tell_stack(ended, "The lab failed; its log says how.")

    # Work

    def _create(self) -> None:
        try:
            for logical in self.template.order:
                self._make(self.template, logical)
            self.outputs = self.template.outputs(self._made())
        except FAILURES as problem:
            self._creation_failed(_why(problem))
            return
        self._tell_stack("CREATE_COMPLETE")

    def _creation_failed(self, why: str) -> None:
        if not self.roll_back:
            self._tell_stack("CREATE_FAILED", why)
            return
        self._tell_stack("ROLLBACK_IN_PROGRESS", f"{why} Rollback requested by user.")
        wrong = self._remove_all(reversed(list(self.resources.values())))
        self._tell_stack("ROLLBACK_FAILED" if wrong else "ROLLBACK_COMPLETE", wrong)

    def _delete(self) -> None:
        wrong = self._remove_all(reversed(list(self.resources.values())))
        self.outputs = [] if not wrong else self.outputs
        self._tell_stack("DELETE_FAILED" if wrong else "DELETE_COMPLETE", wrong)

    def _update(self, template: Template) -> None:
        before = dict(self.resources)
        changed: list[Resource] = []
        try:
            for logical in template.order:
                self._bring_to(template, logical, changed)
            outputs = template.outputs(self._made())
        except FAILURES as problem:
            self._tell_stack("UPDATE_ROLLBACK_IN_PROGRESS", _why(problem))
            wrong = self._undo_update(before, changed)
            ended = "UPDATE_ROLLBACK_FAILED" if wrong else "UPDATE_ROLLBACK_COMPLETE"
            self._tell_stack(ended, wrong)
            return
        self.template, self.outputs = template, outputs
        self._tell_stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        obsolete = [
            each
            for each in before.values()
            if each.logical not in template.order or not self._is_there(each)
        ]
        self._remove_all(reversed(obsolete))
        self._tell_stack("UPDATE_COMPLETE")

    def _bring_to(self, template: Template, logical: str, changed: list[Resource]) -> None:
        """Makes a resource what a template says: as it is, changed, made, or made anew."""
        had = self.resources.get(logical)
        kind = str(template.resources[logical]["Type"])
        if had is None or had.type != kind:
            self._make(template, logical)
            return
        properties = template.properties(logical, self._made())
        different = {
            name
            for name in {*properties, *had.properties}
            if properties.get(name) != had.properties.get(name)
        }
        if not different:
            return
        if had.kind.update is None or not different <= set(had.kind.changeable):
            self._make(template, logical)
            return
        changed.append(had)
        self._apply(had, properties)

    def _apply(self, resource: Resource, properties: Properties) -> None:
        self._tell(resource.logical, resource.type, "UPDATE_IN_PROGRESS", resource.made.ref)
        try:
            assert resource.kind.update is not None
            resource.kind.update(self._maker(resource.logical), resource.made, properties)
        except FAILURES as problem:
            why = _why(problem)
            self._tell(resource.logical, resource.type, "UPDATE_FAILED", resource.made.ref, why)
            raise
        now = self._tell(resource.logical, resource.type, "UPDATE_COMPLETE", resource.made.ref)
        self.resources[resource.logical] = Resource(
            resource.logical, resource.type, properties, resource.made, resource.keep,
            resource.needs, "UPDATE_COMPLETE", now,
        )  # fmt: skip

    def _undo_update(self, before: dict[str, Resource], changed: list[Resource]) -> str:
        """Makes it what it was; why that failed, or nothing."""
        wrong = ""
        for each in reversed(changed):
            try:
                self._apply(each, each.properties)
            except FAILURES as problem:
                wrong = _why(problem)
        had = {id(each.made) for each in before.values()}
        new = [each for each in self.resources.values() if id(each.made) not in had]
        wrong = self._remove_all(reversed(new)) or wrong
        self.resources = dict(before)
        return wrong

    def _make(self, template: Template, logical: str) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        kind = str(template.resources[logical]["Type"])
        self._tell(logical, kind, "CREATE_IN_PROGRESS")
        maker = self._maker(logical)
        properties: Properties = {}
        try:
            properties = template.properties(logical, self._made())
            made = KINDS[kind].create(maker, properties)
        except (*FAILURES, Cancelled) as problem:
            if maker.begun:  # it is there in part, and has to go as well
                self._add(template, logical, properties, maker.begun[-1], _why(problem))
            else:
                self._tell(logical, kind, "CREATE_FAILED", reason=_why(problem))
            raise
        self._add(template, logical, properties, made)

    def _add(
        self, template: Template, logical: str, properties: Properties, made: Made, wrong: str = ""
    ) -> None:
        status = "CREATE_FAILED" if wrong else "CREATE_COMPLETE"
        about = template.resources[logical]
        kind, keep = str(about["Type"]), about.get("DeletionPolicy") == "Retain"
        now = self._tell(logical, kind, status, made.ref, wrong)
        self.resources.pop(logical, None)  # what is made anew comes last
        needs = tuple(template.needed_by(logical))
        self.resources[logical] = Resource(
            logical, kind, properties, made, keep, needs, status, now
        )

    def _remove_all(self, resources: Iterable[Resource]) -> str:
        """Removes them in their order; why one stays, or nothing.

        What one that stays needs is left too: a key is not deleted under its cluster.
        """
        failed: list[str] = []
        needed: set[str] = set()
        for each in list(resources):
            try:
                if each.logical not in needed:
                    self._remove(each)
                    continue
            except FAILURES:
                failed.append(each.logical)
            needed.update(each.needs)
        if not failed:
            return ""
        return f"The following resource(s) failed to delete: [{', '.join(failed)}]. "

    def _remove(self, resource: Resource) -> None:
        logical, kind, ref = resource.logical, resource.type, resource.made.ref
        if resource.keep:
            self._tell(logical, kind, "DELETE_SKIPPED", ref)
        else:
            self._tell(logical, kind, "DELETE_IN_PROGRESS", ref)
            try:
                resource.kind.delete(self._maker(logical), resource.made, resource.properties)
            except FAILURES as problem:
                if not _says_not_there(problem):
                    self._tell(logical, kind, "DELETE_FAILED", ref, _why(problem))
                    raise
            self._tell(logical, kind, "DELETE_COMPLETE", ref)
        if self._is_there(resource):
            del self.resources[logical]

    # Small parts

    def _is_there(self, resource: Resource) -> bool:
        now = self.resources.get(resource.logical)
        return now is not None and now.made is resource.made

    def _made(self) -> dict[str, Made]:
        return {name: each.made for name, each in self.resources.items()}

    def _maker(self, logical: str) -> Maker:
        return Maker(self.name, logical, self.clients, self._cancelled.is_set)

    def _tell_stack(self, status: str, reason: str = "") -> None:
        if self._cancelled.is_set() and not status.startswith("DELETE_"):
            return  # what was going on has ended, and the deletion goes on
        # The status comes last: who sees it sees all that goes with it.
        self.reason = reason
        self._event(self.name, self.id, "AWS::CloudFormation::Stack", status, reason)
        self.status = status

    def _tell(
        self, logical: str, kind: str, status: str, physical: str = "", reason: str = ""
    ) -> datetime:
        return self._event(logical, physical, kind, status, reason)

    def _event(self, logical: str, physical: str, kind: str, status: str, reason: str) -> datetime:
        now = self.now()
        number = len(self.events) + 1
        self.events.append(Event(number, logical, physical, kind, status, reason, now))
        return now


def _says_not_there(problem: Exception) -> bool:
    """Whether somebody else has deleted it already."""
    code = problem.response["Error"]["Code"] if isinstance(problem, ClientError) else ""
    return any(each in code for each in ("NotFound", "NoSuchEntity", "DoesNotExist"))


def _why(problem: Exception) -> str:
    if isinstance(problem, ClientError):
        error = problem.response["Error"]
        return f"{error.get('Message') or 'no message'} (Error Code: {error['Code']})"
    if isinstance(problem, AwsError):
        return problem.message
    if isinstance(problem, KeyError):
        return f"Property {problem.args[0]} cannot be empty."
    if isinstance(problem, Cancelled):
        return "Resource creation cancelled"
    logger.debug("a resource failed", exc_info=problem)
    return " ".join(f"{type(problem).__name__}: {problem}".split())
