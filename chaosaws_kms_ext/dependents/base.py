"""What a service is whose resources can be under a KMS key: each is a class in a file of its name.

Nothing else knows any of them: the doctor, the probe `dependents`, the canaries and the IAM
policies are made from those that are registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

from chaosaws_kms_ext.aws.client import Aws
from chaosaws_kms_ext.dependents.look import Look
from chaosaws_kms_ext.discovery import import_all
from chaosaws_kms_ext.text import printable

__all__ = [
    "BROKEN",
    "SERVICES",
    "Dependent",
    "Request",
    "Service",
    "load",
    "service",
    "tags_of",
]


@dataclass(frozen=True)
class Dependent:
    """Something of another service than RDS that a key encrypts."""

    service: str
    """As it is registered."""
    kind: str
    name: str
    arn: str
    keep: float | None = 0.0
    """AWS seconds for which the service may go on with a data key that it has, without asking KMS;
    None: for some time that AWS does not say."""
    context: tuple[tuple[str, str], ...] = ()
    """Of the encryption context in grants that are for it alone."""
    key: str = field(default="", compare=False)
    """The ARN of the key that it was found under."""

    def __str__(self) -> str:
        return printable(f"{self.kind} {self.name}")


class Request(NamedTuple):
    """One small call that needs the key."""

    service: str
    operation: str
    params: dict[str, Any]


class Service(ABC):
    """One service."""

    name: ClassVar[str]
    """Of it in ARNs, and of its boto3 client."""
    fails: ClassVar[str]
    """How it fails without the key, in a sentence: what, with which error code, after which lag."""
    source: ClassVar[str]
    """Where AWS says so."""
    looks: ClassVar[tuple[str, ...]]
    """The IAM actions that `under` takes."""
    canary_looks: ClassVar[tuple[str, ...]] = ()
    """Those of `tags` and of `canary`, on any resource."""
    canary_uses: ClassVar[tuple[str, ...]] = ()
    """Those of the canary's own call, and of what it reads of the resource: only where that carries
    the tag. Empty: there is no canary of this service."""

    @abstractmethod
    def under(self, look: Look) -> Iterator[Dependent]:
        """What of it is under the key of `look`; raises AwsError, which leaves it unknown."""

    def tags(self, aws: Aws, dependent: Dependent) -> Mapping[str, str]:
        """The tags that a dependent carries, by the service's own call; raises AwsError."""
        raise NotImplementedError

    def canary(self, aws: Aws, dependent: Dependent, key_arn: str) -> Request | str:
        """What a canary asks each second; a text: why there is nothing that it could. Raises
        AwsError."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound="type[Service]")

SERVICES: dict[str, Service] = {}
"""Name → the service, in the order of their names."""

BROKEN: dict[str, str] = {}
"""The files of services that cannot be imported, and why: those are unknown."""


def service(kind: Kind) -> Kind:
    """Registers a service by its name; raises ValueError for a name twice."""
    its: Service = kind()
    if its.name in SERVICES:
        raise ValueError(f"two services are called {its.name}")
    SERVICES[its.name] = its
    ordered = sorted(SERVICES.items())
    SERVICES.clear()
    SERVICES.update(ordered)
    return kind


def load(folders: Iterable[str], package: str) -> None:
    """Registers the services in a package's folders; BROKEN says which cannot be."""
    BROKEN.update(import_all(folders, package))


def tags_of(listed: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags as a mapping, from the list of pairs that most services answer."""
    return {str(each.get(key, "")): str(each.get(value, "")) for each in listed or []}
