"""Reads CloudFormation templates: the resources that moto would make from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from chaosaws_kms_lab.calls import AwsError

__all__ = ["Fetch", "read", "resources"]

Fetch = Callable[[str], str]
"""The text of the template at a URL; raises any exception if there is none."""

NESTED = "AWS::CloudFormation::Stack"
NO_ALIASES = "Template error: YAML aliases are not allowed in CloudFormation templates"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short functions: !Sub x is {"Fn::Sub": x}."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """AWS CloudFormation User Guide, template formats: aliases are not supported.

        (With them a few hundred bytes can become gigabytes, or contain themselves.)
        """
        if self.check_event(yaml.AliasEvent):
            raise AwsError("ValidationError", NO_ALIASES)
        return super().compose_node(parent, index)


def _function(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


def read(text: str) -> Any:
    """A template, in JSON or YAML.

    Raises ValueError when it is neither, AwsError for YAML's aliases, and RecursionError.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as problem:
        raise ValueError("neither JSON nor YAML") from problem


def resources(template: Any, fetch: Fetch) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The type and the properties of every resource, those of nested stacks too.

    Raises ValueError where the template of a nested stack cannot be read, and AwsError as `read`.
    """
    return _resources(template, fetch, set())


def _resources(
    template: Any, fetch: Fetch, seen: set[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in _mapping(_mapping(template).get("Resources")).values():
        kind, properties = _mapping(resource).get("Type"), _mapping(resource).get("Properties")
        yield str(kind), _mapping(properties)
        if kind != NESTED:
            continue
        url = _mapping(properties).get("TemplateURL")
        if not isinstance(url, str):
            raise ValueError("a nested stack names its template by a function")
        if url not in seen:
            seen.add(url)
            try:
                nested = read(fetch(url))
            except AwsError:
                raise
            except Exception:
                raise ValueError(f"there is no template at {url}") from None
            yield from _resources(nested, fetch, seen)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
