"""The parameters of a CloudFormation template: what was given, or else their defaults.

AWS CloudFormation Template Reference, "Parameters".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaosaws_kms_lab.calls import AwsError

__all__ = ["resolve"]


def resolve(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Every parameter's value, lists as lists; raises AwsError as CloudFormation would."""
    if unknown := sorted(set(given) - set(declared)):
        raise _wrong(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {name: given.get(name, about.get("Default")) for name, about in declared.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise _wrong(f"Parameters: [{', '.join(missing)}] must have values")
    return {name: _checked(name, declared[name], str(value)) for name, value in values.items()}


def _checked(name: str, about: Mapping[str, Any], value: str) -> Any:
    kind = str(about.get("Type", "String"))
    if kind.startswith("AWS::SSM::"):
        raise _wrong(f"The lab does not do parameters of the type {kind}.")
    allowed = about.get("AllowedValues")
    if allowed is not None and value not in map(str, allowed):
        listed = ", ".join(map(str, allowed))
        raise _wrong(f"Parameter '{name}' must be one of AllowedValues: [{listed}]")
    pattern = about.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        why = about.get("ConstraintDescription") or f"must match pattern {pattern}"
        raise _wrong(f"Parameter {name} failed to satisfy constraint: {why}")
    if kind == "Number":
        try:
            float(value)
        except ValueError:
            raise _wrong(f"Parameter '{name}' must be a number.") from None
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [each.strip() for each in value.split(",")]
    return value


def _wrong(why: str) -> AwsError:
    return AwsError("ValidationError", why)
