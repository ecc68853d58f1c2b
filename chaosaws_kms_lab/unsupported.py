"""Calls to moto's services that the lab refuses, since they are about KMS keys or DB clusters.

moto does not know the lab's keys and clusters: it would take any name for a key, and make keys and
clusters of its own. The lab answers some of these calls together with moto (secrets_manager.py,
tagging.py); the others it does not do, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaosaws_kms_lab import cloudformation_templates
from chaosaws_kms_lab.calls import AwsError, Call
from chaosaws_kms_lab.cloudformation_templates import Fetch
from chaosaws_kms_lab.values import strings

__all__ = ["reason"]

# Names of the members that name a KMS key, in all of botocore's models.
KEY = re.compile(
    r"\w*(kms|cmk)(master|encryption)?(key)?(arn|id|identifier|aliasarn|aliasname)?"
    r"|\w*(encryption|customermanaged)key(arn|id|identifier|override)?",
    re.IGNORECASE,
)
# Members that may name a KMS key: they do if their documentation in the model mentions KMS.
PERHAPS = re.compile(r"\w*key(arn|id|identifier)?", re.IGNORECASE)
OF_KMS = re.compile(r"\b(KMS|CMK)\b")

NOBODYS = re.compile(r"(arn:[\w-]+:kms:[^:]*:\d{12}:)?alias/aws/.*|[A-Z_]*")
"""AWS managed keys, which cannot be lost, and words that name no key (AWS_OWNED_KEY, "")."""

ABOUT_KEYS = frozenset({"securityhub"})
"""Services that hear of keys, but do not use them."""

# Service → the form of a parameter that is about the lab's keys or clusters.
OURS: dict[str, re.Pattern[str]] = {
    "application-autoscaling": re.compile(r"rds(:cluster:\w+)?"),
    "config": re.compile(r"AWS::(KMS|RDS)::.*|arn:[\w-]+:(kms|rds):.*"),
    "fis": re.compile(r"aws:rds:.*|arn:[\w-]+:(kms|rds):.*"),
    "ram": re.compile(r"arn:[\w-]+:(kms|rds):.*"),
    # A query is JSON in a string.
    "resource-groups": re.compile(r"arn:[\w-]+:(kms|rds):.*|.*AWS::(KMS|RDS)::.*", re.DOTALL),
    "tagging": re.compile(r"arn:[\w-]+:(kms|rds):.*"),
}

HALF = frozenset({("tagging", "GetTagKeys"), ("tagging", "GetTagValues")})
"""moto's answers lack the tags of keys and clusters."""

BY_CFN_LINT = ("cloudformation", "ValidateTemplate")
"""moto answers it by cfn-lint, which the lab does not install: 130 MB with what it needs."""

OUR_TYPES = ("AWS::KMS::", "AWS::RDS::")

SERVED = re.compile(r"arn:[\w-]+:(sqs:|logs:[^:]*:\d*:log-group:|events:[^:]*:\d*:event-bus/).*")
"""The targets of EventBridge's rules to which moto delivers; for any other it only logs."""


def reason(call: Call, parameters: Any, fetch: Fetch) -> str | None:
    """What the lab does not do, as "s3:PutObject under a KMS key"; None: moto may answer the call.

    `parameters`: the shape of the operation's parameters; `fetch` reads templates. Raises AwsError
    for a template that AWS refuses and moto does not.
    """
    name = f"{call.service}:{call.operation}"
    if (call.service, call.operation) in (*HALF, BY_CFN_LINT):
        return name
    if call.service in OURS and any(map(OURS[call.service].fullmatch, strings(call.params))):
        return f"{name} of KMS keys and DB clusters"
    if (call.service, call.operation) == ("events", "PutTargets"):
        arns = [str(target.get("Arn")) for target in call.params.get("Targets") or []]
        unserved = next((arn for arn in arns if not SERVED.fullmatch(arn)), None)
        return f"{name} to {unserved}" if unserved else None
    if call.service == "cloudformation":
        why = _in_template(call.params, fetch)
        return f"{name} {why}" if why else None
    if (
        parameters is not None
        and call.service not in ABOUT_KEYS
        and _names(parameters, call.params)
    ):
        return f"{name} under a KMS key"
    return None


# Parameters


def _names(shape: Any, value: Any) -> bool:
    """Whether a KMS key is named anywhere in a parameter."""
    waiting = [(shape, value)]
    while waiting:
        shape, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(shape.member, each) for each in value]
        if not isinstance(value, Mapping):
            continue
        if shape.type_name == "map":
            if any(_attribute(shape, name, each) for name, each in value.items()):
                return True
            waiting += [(shape.value, each) for each in value.values()]
            continue
        if KEY.fullmatch(str(value.get("AttributeName"))) and _customers(
            value.get("AttributeValue")
        ):
            return True  # SetTopicAttributes, whose name and value are two parameters
        known = {name: each for name, each in value.items() if name in shape.members}
        if any(_is_key(name, shape.members[name], each) for name, each in known.items()):
            return True
        waiting += [(shape.members[name], each) for name, each in known.items()]
    return False


def _is_key(name: str, shape: Any, value: Any) -> bool:
    if KEY.fullmatch(name):
        return any(map(_customers, strings(value)))
    perhaps = PERHAPS.fullmatch(name) and OF_KMS.search(shape.documentation)
    return bool(perhaps) and _customers(value)


def _attribute(shape: Any, name: str, value: Any) -> bool:
    """Whether an entry of a map names a KMS key: if the model knows an entry with this name."""
    known = name in getattr(shape.key, "enum", ()) or name in shape.documentation
    return bool(known and KEY.fullmatch(name)) and _customers(value)


def _customers(value: Any) -> bool:
    return isinstance(value, str) and not NOBODYS.fullmatch(value)


# Templates


def _in_template(params: Mapping[str, Any], fetch: Fetch) -> str | None:
    """What the lab does not do in a call's template; None: nothing."""
    text, url = params.get("TemplateBody"), params.get("TemplateURL")
    try:
        template = cloudformation_templates.read(fetch(url) if url else text or "")
    except AwsError:
        raise
    except RecursionError:
        return "with a template that is nested too deeply"
    except ValueError as problem:
        # moto would obey YAML's tags for Python, which call whatever they name.
        raise AwsError("ValidationError", f"Template format error: {problem}") from None
    except Exception:
        return None  # there is none, which moto says
    try:
        for kind, properties in cloudformation_templates.resources(template, fetch):
            if kind.startswith(OUR_TYPES):
                return f"with {kind}"
            if _named_in(properties):
                return f"with {kind} under a KMS key"
    except ValueError as problem:
        return f"with a template that it cannot read: {problem}"
    return None


def _named_in(properties: Any) -> bool:
    """Whether a resource's properties name a KMS key, outright or by a function."""
    waiting = [properties]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, Mapping):
            continue
        sealed_by_kms = "KMS" in [each for each in value.values() if isinstance(each, str)]
        for name, each in value.items():
            is_key = KEY.fullmatch(str(name)) or (name == "KeyId" and sealed_by_kms)
            if is_key and _given(each):
                return True
        waiting += value.values()
    return False


def _given(value: Any) -> bool:
    return isinstance(value, Mapping) or _customers(value)
