"""A CloudFormation template with its parameters: what its functions give, and in which order its
resources are made.

AWS CloudFormation Template Reference, "Intrinsic functions" and "Pseudo parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_lab.calls import AwsError
from chaosaws_kms_lab.cloudformation.template_parameters import resolve

__all__ = ["Made", "Template", "invalid"]

NAMED = re.compile(r"\$\{(!?)\s*([^}]*?)\s*\}")
"""What Fn::Sub replaces; after an exclamation mark it stays."""

NO_VALUE = object()
"""AWS::NoValue: what has it is left out."""

KNOWN = frozenset(
    {"Ref", "Condition", *(f"Fn::{name}" for name in (
        "And", "Equals", "GetAtt", "If", "Join", "Not", "Or", "Select", "Split", "Sub",
    ))}
)  # fmt: skip


def invalid(why: str) -> AwsError:
    """What CloudFormation answers to a template that cannot be."""
    return AwsError("ValidationError", why)


@dataclass(frozen=True)
class Made:
    """A resource that is there: what Ref and Fn::GetAtt give of it."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


Resources = Mapping[str, Made]


class Template:
    """Raises AwsError wherever CloudFormation would refuse the template."""

    def __init__(
        self, body: Mapping[str, Any], given: Mapping[str, str], pseudo: Mapping[str, str]
    ) -> None:
        """`given`: parameters; `pseudo`: AWS::Region and its like."""
        self.body = body
        self.given = dict(given)
        self.description = str(body.get("Description", ""))
        self.resources: Mapping[str, Mapping[str, Any]] = body.get("Resources") or {}
        self._conditions: Mapping[str, Any] = body.get("Conditions") or {}
        self._outputs: Mapping[str, Any] = body.get("Outputs") or {}
        self.parameters = resolve(body.get("Parameters") or {}, given)
        self._values: dict[str, Any] = {**pseudo, **self.parameters, "AWS::NoValue": NO_VALUE}
        self._check_rules(body.get("Rules") or {})
        self.order = list(self._in_order())
        """The resources that are wanted, each after those that it names."""

    def is_as(self, other: Template) -> bool:
        """Whether it says the same, with the same parameters."""
        return self.body == other.body and self.parameters == other.parameters

    def properties(self, name: str, made: Resources) -> dict[str, Any]:
        """Of a resource, once what it names is made."""
        found = self._value(self.resources[name].get("Properties") or {}, made)
        return dict(found)

    def outputs(self, made: Resources) -> list[dict[str, str]]:
        """The outputs that are wanted, as DescribeStacks has them."""
        found = []
        for name, output in self._outputs.items():
            if "Condition" in output and not self._holds(output["Condition"], ()):
                continue
            value = self._value(output["Value"], made)
            about = {"Description": output["Description"]} if "Description" in output else {}
            found.append({"OutputKey": name, "OutputValue": str(value), **about})
        return found

    # Order

    def _in_order(self) -> Iterator[str]:
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
            if name in path:
                raise invalid(f"Circular dependency between resources: [{', '.join(path)}]")
            if name in done:
                return
            for needed in self.needed_by(name):
                yield from visit(needed, (*path, name))
            done.add(name)
            yield name

        for name in self.resources:
            if self._is_wanted(name):
                yield from visit(name, ())

    def needed_by(self, name: str) -> list[str]:
        """The wanted resources that a resource names; raises AwsError for what is nowhere."""
        resource = self.resources[name]
        after = resource.get("DependsOn") or []
        said = [*([after] if isinstance(after, str) else after), *self._named_in(resource)]
        unknown = {each for each in said if each not in self.resources and each not in self._values}
        if unknown:
            where = f"[{', '.join(sorted(unknown))}] in the Resources block of the template"
            raise invalid(f"Template format error: Unresolved resource dependencies {where}")
        return [each for each in dict.fromkeys(said) if self._is_wanted(each)]

    def _named_in(self, value: Any) -> Iterator[str]:
        """What is named by Ref, Fn::GetAtt and Fn::Sub, but not in a branch that is not taken."""
        if isinstance(value, list):
            for each in value:
                yield from self._named_in(each)
        if not isinstance(value, Mapping):
            return
        function = _function(value)
        if function == "Ref":
            yield str(value["Ref"])
        elif function == "Fn::GetAtt":
            yield _attribute(value[function])[0]
        elif function == "Fn::If":
            condition, yes, no = value[function]
            yield from self._named_in(yes if self._holds(condition, ()) else no)
        elif function == "Fn::Sub":
            text, own = _substituted(value[function])
            yield from self._named_in(list(own.values()))
            named = (each for literal, each in NAMED.findall(text) if not literal)
            yield from (each.split(".")[0] for each in named if each not in own)
        else:
            for each in value.values():
                yield from self._named_in(each)

    def _is_wanted(self, name: str) -> bool:
        if name not in self.resources:
            return False
        condition = self.resources[name].get("Condition")
        return condition is None or self._holds(condition, ())

    # Conditions and rules

    def _holds(self, name: str, path: tuple[str, ...]) -> bool:
        if name not in self._conditions or name in path:
            raise invalid(f"Template format error: Unresolved condition dependency {name}")
        return self._true(self._conditions[name], (*path, name))

    def _true(self, value: Any, path: tuple[str, ...]) -> bool:
        function = _function(value) if isinstance(value, Mapping) else None
        inner: Any = value[function] if function else None
        if function in ("Condition", "Fn::Condition"):
            return self._holds(str(inner), path)
        if function == "Fn::Equals":
            one, other = (self._value(each, {}) for each in inner)
            return str(one) == str(other)
        if function == "Fn::Not":
            return not self._true(inner[0], path)
        if function == "Fn::And":
            return all(self._true(each, path) for each in inner)
        if function == "Fn::Or":
            return any(self._true(each, path) for each in inner)
        raise invalid("Template format error: a condition is Fn::And, Equals, Not, Or or Condition")

    def _check_rules(self, rules: Mapping[str, Any]) -> None:
        for rule in rules.values():
            if "RuleCondition" in rule and not self._true(rule["RuleCondition"], ()):
                continue
            for each in rule.get("Assertions") or []:
                if not self._true(each["Assert"], ()):
                    why = each.get("AssertDescription", "an assertion of a rule does not hold")
                    raise invalid(f"Template error: {why}")

    # Values

    def _value(self, value: Any, made: Resources) -> Any:
        if isinstance(value, list):
            every = (self._value(each, made) for each in value)
            return [each for each in every if each is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        function = _function(value)
        if function is None:
            named = {name: self._value(each, made) for name, each in value.items()}
            return {name: each for name, each in named.items() if each is not NO_VALUE}
        return self._applied(function, value[function], made)

    def _applied(self, function: str, inner: Any, made: Resources) -> Any:
        if function == "Ref":
            return self._ref(str(inner), made)
        if function == "Fn::GetAtt":
            return _get(*_attribute(inner), made)
        if function == "Fn::Sub":
            return self._sub(inner, made)
        if function == "Fn::If":
            condition, yes, no = inner
            return self._value(yes if self._holds(condition, ()) else no, made)
        if function == "Fn::Join":
            return str(inner[0]).join(str(each) for each in self._value(inner[1], made))
        if function == "Fn::Select":
            return self._value(inner[1], made)[int(self._value(inner[0], made))]
        if function == "Fn::Split":
            return str(self._value(inner[1], made)).split(str(inner[0]))
        raise invalid(f"Template format error: {function} is a condition, and no value")

    def _ref(self, name: str, made: Resources) -> Any:
        if name in self._values:
            return self._values[name]
        if name not in made:
            raise invalid(f"Template format error: Unresolved resource dependencies [{name}]")
        return made[name].ref

    def _sub(self, inner: Any, made: Resources) -> str:
        text, own = _substituted(inner)
        names = {name: self._value(each, made) for name, each in own.items()}

        def put(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in names:
                return str(names[name])
            of, _, attribute = name.partition(".")
            return str(_get(of, attribute, made) if attribute else self._ref(name, made))

        return NAMED.sub(put, text)


def _function(value: Mapping[str, Any]) -> str | None:
    """The function that a mapping is; raises AwsError for one that the lab does not do."""
    if len(value) != 1:
        return None
    (name,) = value
    if name in KNOWN and not (name == "Condition" and not isinstance(value[name], str)):
        return str(name)
    if str(name).startswith("Fn::") and name != "Fn::Condition":
        raise invalid(f"The lab does not do {name} in a template with keys or clusters.")
    return str(name) if name == "Fn::Condition" else None


def _attribute(inner: Any) -> tuple[str, str]:
    said = inner if isinstance(inner, str) else ".".join(map(str, inner))
    name, _, attribute = said.partition(".")
    return name, attribute


def _get(name: str, attribute: str, made: Resources) -> str:
    if name not in made or attribute not in made[name].attributes:
        raise invalid(f"Template error: resource {name} has no attribute {attribute}")
    return made[name].attributes[attribute]


def _substituted(inner: Any) -> tuple[str, Mapping[str, Any]]:
    return (inner, {}) if isinstance(inner, str) else (inner[0], inner[1])
