"""Makes docs/lab.md from the tests: what the lab does, how it deviates, what is not there.

A test says `@shows("kms:CreateKey")` for what it compares with AWS' documents, `@recorded(…)` for
what it compares with an answer of AWS that somebody recorded, and
`@deviates("kms:ScheduleKeyDeletion", "how")` for what it shows to be otherwise.
`python -m tests.support.document` writes the document, or with --check says whether it is up to
date.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
import pytest

__all__ = ["deviates", "marked", "recorded", "shows"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "lab.md"
SERVICES = {
    "kms": "KMS",
    "rds": "RDS",
    "cloudtrail": "CloudTrail",
    "scheduler": "EventBridge Scheduler",
    "events": "EventBridge",
    "iam": "IAM",
    "sts": "STS",
    "cloudwatch": "CloudWatch",
    "secretsmanager": "Secrets Manager",
    "pi": "Performance Insights",
    "cloudformation": "CloudFormation",
}
OWN = frozenset({"kms", "rds", "scheduler"})
"""Of the others only what is listed is the lab's own, and the rest moto's."""


def shows(*operations: str) -> pytest.MarkDecorator:
    """The test shows that the lab does these operations as AWS' documents say."""
    return pytest.mark.shows(*operations)


def recorded(operation: str) -> pytest.MarkDecorator:
    """The test shows that the lab answers this operation as AWS did, in one situation."""
    return pytest.mark.recorded(operation)


def deviates(operation: str, how: str) -> pytest.MarkDecorator:
    """The test shows in what the lab does the operation otherwise than AWS."""
    return pytest.mark.deviates(operation, how)


def marked(marks: Iterable[pytest.Mark]) -> set[str]:
    """The operations that a test with these marks has to call."""
    operations: set[str] = set()
    for mark in marks:
        if mark.name == "shows":
            operations |= set(mark.args)
        if mark.name in ("deviates", "recorded"):
            operations.add(mark.args[0])
    return operations


@dataclass
class Shown:
    """What the tests show of one operation."""

    by: set[str] = field(default_factory=set)
    """Their names, as sentences; those of recorded answers have their own column."""
    documented: bool = False
    recorded: int = 0
    """In how many situations an answer of AWS was compared."""
    deviations: set[str] = field(default_factory=set)

    def add(self, mark: pytest.Mark, test: str) -> None:
        """Takes in one mark of one test."""
        self.documented |= mark.name == "shows"
        self.recorded += mark.name == "recorded"
        if mark.name == "deviates":
            self.deviations.add(mark.args[1])
        if mark.name != "recorded":
            self.by.add(_sentence(test))

    @property
    def held_against(self) -> str:
        """What the lab was compared with."""
        documents = ["documents"] if self.documented else []
        recordings = [f"recorded answers ({self.recorded})"] if self.recorded else []
        return ", ".join([*recordings, *documents]) or "neither"


def render() -> str:
    """The document."""
    shown: dict[str, Shown] = defaultdict(Shown)
    for name, function in _tests():
        for mark in _marks(function):
            for operation in marked([mark]):
                shown[operation].add(mark, name)
    parts = [HEAD]
    for service, title in SERVICES.items():
        parts.append(_section(service, title, shown))
    return "\n".join(parts)


HEAD = """\
# What the lab does

`chaos kms lab` is a local AWS: KMS, RDS (Aurora PostgreSQL) and what stands below of other services
are our own, everything else is [moto](https://docs.getmoto.org). This page says of every operation
of ours whether it does what AWS does, and what it was held against. It is made from the tests
(`make docs`): an operation stands here because a test calls it with boto3 and compares the answer
with AWS' documents, or with an answer of AWS that somebody recorded (in so many situations), and a
deviation because a test shows it. An operation of them that is not there is answered with
`NotImplemented` (HTTP 501), never in silence.

Recorded answers are those that others published: the snapshots of LocalStack's tests that are
validated on AWS, moto's tests that are verified on AWS, answers that AWS' own guides show, and
errors of AWS that people quoted in public issues. Each case in `tests/lab/test_recorded_*.py` names
its source. What is compared is what a client acts on: codes, messages, members and their values.
Of keys that are not for symmetric encryption there is no case: the lab has no such keys.

Throughout:

- Durations pass at the lab's speed (`--speed`), and every date that the lab reports is the real
  date on which it will happen: with speed 60 a deletion in 7 days is dated 2.8 hours from now.
- A date that somebody gives (ValidTo, RestoreToTime) is one of the wall clock.
- There is one account, 123456789012, and as many Regions as are used.
- A caller that moto's IAM knows (a user's access key, a session of AssumeRole) is held to its
  policies by KMS, and so is whatever RDS asks of KMS in its name. Any other access key is the
  administrator's. With `--iam` the same callers are held to their policies in every service: in RDS
  by resource and tag, in EventBridge Scheduler by schedule and group, in moto's services by action.
  What makes a cluster or an instance takes the permission on its parameter, option and subnet
  groups too, and what makes anything with tags takes `rds:AddTagsToResource`. AssumeRole then takes
  the role's trust policy too, and lets an administrator in where that trusts the account.
  Every request has to be signed, with the secret of its access key; that of every key that IAM
  does not know is the lab's. Web pages are not answered.
- The master user of a cluster has the password that it was made with, else the lab's; it is no
  superuser, and owns its databases. ModifyDBCluster does not change a password.
- `GetCallerIdentity` answers with the same caller as policies and CloudTrail have: `user/lab` for
  an access key that IAM does not know. `SimulatePrincipalPolicy` decides as the lab does over the
  identity policies of a user, a group or a role, and knows of tags, Region and time only what
  ContextEntries tell it.
- A change is seen at once. Eventual consistency (of `DescribeKey` alone), throttling, internal
  errors, cut connections and late answers come only when they are ordered (`chaos kms lab fault`);
  their seconds are real ones. So do those of the data (`chaos kms lab fault data`), in seconds of
  AWS: a crash that loses or changes acknowledged writes, a recovery that is slow, elsewhere or
  never, or until whose end connections are neither refused nor answered; an outage of another shape
  (below); a copy of a snapshot that stays under its first key, whether it says so or not, or has a
  row changed; a rotation after which nothing opens that was encrypted before; a KMS that ignores
  the encryption context (and then does not notice either that a ciphertext was changed).
- Behind a custom key store there is nothing: its keys have material of the lab's own. It is
  CONNECTING for as long as AWS says (an external one about 5 minutes, one of CloudHSM up to 20),
  DISCONNECTING for 60 AWS seconds (assumed), and its keys are `Unavailable` unless it is CONNECTED
  (AWS says so of DISCONNECTED). It fails, or is slow, only if that is ordered (`key-store-fails`,
  `key-store-slow`). A cluster bears the loss of such a key as that of a disabled one (assumed).
- Databases take connections in the clear, or with `--tls` by TLS 1.3 alone, under a certificate of
  the lab's own authority, as with `rds.force_ssl`: what takes TLS off stands before each server,
  which has none itself (so `pg_stat_ssl` says nothing of it).
- A server starts with a cluster's first instance; a cluster without one is known to the API and
  costs nothing.
- A cluster's live data are not encrypted on disk: its key decides whether its servers run.
  Snapshots are encrypted.
- An instance that is no cluster's (engine `postgres`) has a server of its own, and is inaccessible
  7200 AWS seconds after its key is lost, in both profiles; it comes back by StartDBInstance only.
- Instances share a volume, as on Aurora: a failover hands it to a reader. Readers are PostgreSQL's
  own streaming replicas.
- A parameter that the lab has no use for is taken and forgotten; a cluster's subnet group and
  security groups are taken and described, and not looked up.
- Secrets Manager uses these keys: without its key a secret cannot be read. What a cluster has under
  keys of its own (the secret of its master user, Performance Insights, an activity stream) goes
  with those, and the cluster lives. AWS documents the error of a secret, and that who reads metrics
  or consumes a stream needs the use of its key; assumed are the error of Performance Insights
  (`NotAuthorizedException`), that a stream writes nothing meanwhile and is still called `started`,
  and that a secret is called `active` until RDS would rotate it. The tagging API's
  `GetResources` knows ours, and of moto's all but keys and clusters. Any other call to a service of
  moto's that names a customer managed key or a DB cluster is answered `NotImplemented`. AWS managed
  keys of moto's services are moto's; the secret of a master user that names no key is under one
  that is not described.
- CloudFormation makes the stacks of [`deploy/staging.yaml`](staging.md) and others of the same
  types, by the lab's own APIs, as whoever orders them; moto makes those without keys and clusters.
  A template with another type beside keys or clusters is answered `NotImplemented`.
- Rules on EventBridge's default bus get RDS' events, KMS' own (`KMS CMK Rotation`, `KMS CMK
  Deletion`, `KMS Imported Key Material Expiration`) and `AWS API Call via CloudTrail`, at once.
  Targets are SQS queues, log groups and other buses; any other is answered `NotImplemented`.
- CloudTrail has management events only, and hides what botocore's models call sensitive. Alarms
  are moved by `SetAlarmState`.
- Version 1 of the AWS CLI has addresses of its own for `sqs`, and in us-east-1 for `rds`, whatever
  `AWS_ENDPOINT_URL` says: there it needs `--endpoint-url` (on AWS the lab's credentials open
  nothing).

## Outages of other shapes

When its key is lost, a whole cluster hangs. In place of that, once, the next time (`--when
key-lost`, which is the default), or at once whatever the key does (`--when now`), one of these
happens if it is ordered (`chaos kms lab fault data KIND CLUSTER …`, `CHAOS_LAB_FAULTS`). Statuses,
events and the cluster's return are as ever.

- `freeze-share` (`--share`, `--seconds`): that share of the clients' sessions hangs, of those that
  are open and of those that are made meanwhile: with 0.5 every second one. Then they go on with
  what they were doing.
- `slow` (`--milliseconds`, `--seconds`): every answer takes about that long, and so does each step
  of a connect.
- `flap` (`--times`, `--down`, `--up`): everything hangs so many times, and works between.
- `lose-reader` (`--seconds`): the readers hang, and the writer works.

Seconds, `--down` and `--up` are AWS seconds, milliseconds real ones. There is one outage of a
cluster at a time; whatever stops or restarts one of its servers (a stop, a reboot, a failover, a
deletion, the key) ends it, as `chaos kms lab fault clear` does. `drop-packets` is another thing:
when the servers are killed for their next return, their port neither refuses connections nor
answers them until they listen again (a client's TCP tries again after 1, 3, 7 s).

How exact they are:

- A session that is in the middle of a statement is frozen at its end, or 0.1 s later.
- Slow answers come of requests that the server is not shown for so long. A session that asks again
  within some tens of microseconds of an answer may have the next one at once. Without the right to
  trace the servers' processes (Linux, and in a container as root `CAP_SYS_PTRACE`), all servers
  stand still again and again instead, and an answer takes up to that long.
- The lab's `truth.jsonl` has the begin and the end of each, with the instants of the first signals
  (CLOCK_MONOTONIC, ns), and of every session that was frozen when, and its client's address.
"""


def _section(service: str, title: str, shown: Mapping[str, Shown]) -> str:
    model = botocore.session.get_session().get_service_model(service)
    heads = ["operation", "the lab", "held against", "shown by"]
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    missing = []
    for operation in model.operation_names:
        found = shown.get(f"{service}:{operation}")
        if found is None:
            missing.append(f"`{operation}`")
            continue
        said = "deviates: " + "; ".join(sorted(found.deviations))
        said = said if found.deviations else "agrees"
        tests = "<br>".join(sorted(found.by))
        lines.append(f"| `{operation}` | {said} | {found.held_against} | {tests} |")
    rest = (
        f"Not there: {', '.join(missing)}."
        if service in OWN
        else "Its other operations are moto's."
    )
    return "\n".join([*lines, "", rest, ""])


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _marks(function: Any) -> Iterator[pytest.Mark]:
    """The marks of a test, and those of its parameters."""
    for mark in getattr(function, "pytestmark", []):
        yield mark
        if mark.name == "parametrize":
            for values in mark.args[1]:
                yield from getattr(values, "marks", ())


def _tests() -> Iterator[tuple[str, Any]]:
    import tests.lab as package

    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if module.name.startswith("test_"):
            loaded = importlib.import_module(f"{package.__name__}.{module.name}")
            for name, function in sorted(vars(loaded).items()):
                if name.startswith("test_") and callable(function):
                    yield name, function


def main() -> int:
    text = render()
    if "--check" in sys.argv:
        fresh = DOCUMENT.exists() and DOCUMENT.read_text() == text
        print("docs/lab.md is up to date" if fresh else "docs/lab.md is not: run make docs")
        return 0 if fresh else 1
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
