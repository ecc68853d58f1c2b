"""The stacks that the lab makes itself, and which calls are about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chaosaws_kms_lab import cloudformation_templates
from chaosaws_kms_lab.calls import Call
from chaosaws_kms_lab.cloudformation.known import KINDS
from chaosaws_kms_lab.cloudformation.stack import Clients, Stack
from chaosaws_kms_lab.cloudformation.template import invalid
from chaosaws_kms_lab.cloudformation_templates import Fetch

__all__ = ["Stacks"]

OURS = ("AWS::KMS::", "AWS::RDS::")
"""moto's engine would make keys and clusters that the lab does not know."""

LISTS = ("DescribeStacks", "ListStacks")
"""Operations about all stacks, if none is named."""

OfMoto = Callable[[str], list[dict[str, Any]]]
"""Region → moto's stacks there, as DescribeStacks has them."""


class Stacks:
    """Every stack that has keys or clusters; moto has the others."""

    def __init__(
        self,
        now: Callable[[], datetime],
        clients_of: Callable[[Call], Clients],
        fetch: Fetch,
        moto: OfMoto,
    ) -> None:
        """`clients_of`: clients that call as whoever made a call; `fetch` reads templates."""
        self.now = now
        self.clients_of = clients_of
        self.all_of_moto = moto
        self._fetch = fetch
        self._stacks: dict[str, Stack] = {}
        """By their ARNs."""

    def takes(self, call: Call) -> bool:
        """Whether a call of CloudFormation is about one of these stacks, or makes one."""
        if name := call.params.get("StackName"):
            if self._find(call.region, name):
                return True
            return call.operation == "CreateStack" and self._can_make(call)
        return call.operation in LISTS and bool(self.there(call.region))

    def body(self, call: Call) -> Mapping[str, Any]:
        """The template that a call brings; raises AwsError if it is none that the lab makes."""
        text, url = call.params.get("TemplateBody"), call.params.get("TemplateURL")
        if not text and not url:
            raise invalid("Either Template URL or Template Body must be specified.")
        try:
            read = cloudformation_templates.read(self._fetch(url) if url else text or "")
        except (ValueError, RecursionError) as problem:
            raise invalid(f"Template format error: {problem}") from None
        if not isinstance(read, Mapping) or not read.get("Resources"):
            raise invalid("Template format error: At least one Resources member must be defined.")
        exports = any("Export" in each for each in (read.get("Outputs") or {}).values())
        for what, there in (("exports", exports), ("transforms", "Transform" in read)):
            if there:
                raise invalid(f"The lab does no {what} in a template with keys or clusters.")
        for each in read["Resources"].values():
            kind = each.get("Type") if isinstance(each, Mapping) else None
            if kind not in KINDS:
                raise invalid(f"The lab does not do {kind} in a template with keys or clusters.")
            if not isinstance(each.get("Properties") or {}, Mapping):
                raise invalid(f"Template format error: the Properties of a {kind} are no object.")
        return read

    def add(self, stack: Stack) -> None:
        """Keeps a new stack."""
        self._stacks[stack.id] = stack

    def named(self, region: str, name: str) -> Stack | None:
        """The stack that has this name and is not deleted."""
        return next((each for each in self.there(region) if each.name == name), None)

    def of_moto(self, region: str, name: str) -> bool:
        """Whether moto has a stack of this name."""
        return any(each["StackName"] == name for each in self.all_of_moto(region))

    def there(self, region: str) -> list[Stack]:
        """Those that are not deleted."""
        here = (each for each in self._stacks.values() if each.region == region)
        return [each for each in here if each.status != "DELETE_COMPLETE"]

    def get(self, region: str, reference: str) -> Stack:
        """By its name, or by its ARN also when it is deleted; raises AwsError."""
        found = self._find(region, reference)
        if found is None:
            raise invalid(f"Stack with id {reference} does not exist")
        return found

    # Internals

    def _find(self, region: str, reference: str) -> Stack | None:
        return self._stacks.get(reference) or self.named(region, reference)

    def _can_make(self, call: Call) -> bool:
        """Whether a template has our types, and none but those that the lab makes."""
        text, url = call.params.get("TemplateBody"), call.params.get("TemplateURL")
        try:
            read = cloudformation_templates.read(self._fetch(url) if url else text or "")
            types = {str(each.get("Type")) for each in read["Resources"].values()}
        except Exception:  # moto says what is wrong with it
            return False
        return any(each.startswith(OURS) for each in types) and types <= set(KINDS)
