"""What a run makes on AWS, written down before it asks for it: whoever comes after us removes it.

One file a run, beside the undo journal. A lock beside it says that the run lives.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from chaosaws_kms_ext.aws import rds
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.aws.names import PREFIX
from chaosaws_kms_ext.connection_strings import options_of
from chaosaws_kms_ext.files import sync_folder
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.undo import store
from chaosaws_kms_ext.undo.store import ORIGIN, BadRecord, JournalDamaged, Origin

__all__ = [
    "Database",
    "Kind",
    "Ledger",
    "Resource",
    "asked_for",
    "is_of",
    "leftovers",
    "name_of",
]

SCHEMA = 3
FIRST = ("account", "endpoint", "lab", "owner", "region", "run", "target", "things")
SECOND = (*FIRST, "credentials", "database")
SCHEMAS = (FIRST, SECOND, SECOND)
"""The fields of each that is read. Before schema 3 no schema was in an instance of its own."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST = 30
"""Letters: with the run's id before it and an instance's number behind, 63 at most (RDS API
reference, CreateDBInstance, DBInstanceIdentifier)."""

Kind = Literal["key", "cluster", "instance", "snapshot", "schema"]
State = Literal["asked", "answered", "made"]

logger = logging.getLogger("chaostoolkit")


@dataclass(frozen=True)
class Resource:
    """One thing that a run makes, or wanted to make."""

    kind: Kind
    name: str
    """Its id; of a key, that of its alias without `alias/`; of the load's schema, the
    database's, an instance's with `db:` before it."""
    state: State = "asked"
    """`asked`: AWS may have made it; `answered`: AWS said that it did not; `made`."""
    arn: str = ""
    """A key's, once it has been heard."""
    at: str = ""
    """UTC, ISO 8601: when AWS was to be asked."""

    def __str__(self) -> str:
        if self.kind == "schema":
            return f"schema chaos_kms of the load in the {rds.in_words(self.name)}"
        return f"{self.kind} {self.arn or self.name}"


@dataclass(frozen=True)
class Database:
    """How the run logged in to the cluster's database; the settings of that name."""

    database: str = ""
    database_auth: str = "libpq"
    database_secret: str = ""


class Ledger:
    """The ledger of one run."""

    def __init__(
        self,
        origin: Origin,
        account: str,
        path: Path,
        *,
        database: Database = Database(),
        things: list[Resource] | None = None,
    ) -> None:
        self.origin = origin
        self.account = account
        self.path = path
        self.database = database
        self.things = things or []
        self._mutex = threading.RLock()
        self._hold: contextlib.ExitStack | None = None

    @classmethod
    def of(cls, run: Run) -> Ledger:
        """The ledger of this run; it is not on disk before the first thing is in it.

        Raises AwsError.
        """
        run.ledger = run.ledger or _new(run)
        return run.ledger

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """The ledger in a file; raises JournalDamaged."""
        try:
            said = {"credentials": "", "database": {}, **store.read(path, SCHEMAS)}
            resources = [_resource(each) for each in said["things"]]
            database = _database(said["database"])
            origin = Origin(**{name: said[name] for name in ORIGIN})
            _check(origin, said["account"], resources, path)
            return cls(origin, said["account"], path, database=database, things=resources)
        except (BadRecord, TypeError, AttributeError, KeyError) as problem:
            why = problem if isinstance(problem, BadRecord) else "is not as we write it"
            raise JournalDamaged(
                f"what a run made, {path}, {why}: look into it, remove by hand what it names, and "
                "then the file"
            ) from problem

    @property
    def run(self) -> str:
        """The run's id."""
        return self.origin.run

    @property
    def resources(self) -> list[Resource]:
        """What it has of AWS' own: everything but the load's schemas."""
        return [resource for resource in self.things if resource.kind != "schema"]

    @property
    def alive(self) -> bool:
        """Whether the run that keeps it, or whoever clears it up, still lives; raises OSError."""
        return store.is_held(self._beside)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds it for this process; raises Held if another does."""
        if self._hold:
            yield
            return
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Holds it for this process until `release`; raises Held if another does."""
        hold = contextlib.ExitStack()
        hold.enter_context(store.held(self._beside, f"what run {self.run} made ({self.path})"))
        self._hold = hold

    def release(self) -> None:
        """Lets go of it; what it names stays in it. Safe to call again."""
        with self._mutex:
            hold, self._hold = self._hold, None
            if hold:
                hold.close()

    def close(self) -> None:
        """Nothing of it is left: it goes. Safe to call again."""
        with self._mutex:
            self.things.clear()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
                sync_folder(self.path.parent)

    # Everything in it

    def record(self, kind: Kind, name: str) -> Resource:
        """Writes down what is about to be asked for: safely on disk when this returns.

        Raises OSError, and Refused where the run has it already.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        wanted = Resource(kind, name, at=now)
        with self._mutex:
            there = self.find(kind, name)
            if there and there.state == "made":
                raise Refused(f"this run has made the {there} already: give it another name")
            if not self._hold:
                self.hold()
            self._write([*(each for each in self.things if each != there), wanted])
        return wanted

    def find(self, kind: Kind, name: str) -> Resource | None:
        """The thing of that name."""
        return next((t for t in self.things if (t.kind, t.name) == (kind, name)), None)

    def created(self, resource: Resource, arn: str = "") -> Resource:
        """AWS has made it; a key has its ARN from now on."""
        return self._become(resource, replace(resource, state="made", arn=arn))

    def rejected(self, resource: Resource) -> Resource:
        """AWS said that it did not make it.

        It stays: an earlier try of the same call may have, whose answer was lost.
        """
        return self._become(resource, replace(resource, state="answered"))

    def deleted(self, resource: Resource) -> None:
        """It is not there any more."""
        with self._mutex:
            kept = [t for t in self.things if (t.kind, t.name) != (resource.kind, resource.name)]
            if len(kept) == len(self.things):
                return
            if kept:
                self._try_to_write(kept)
            else:
                self.close()

    # Internals

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".lock")

    def _become(self, before: Resource, after: Resource) -> Resource:
        with self._mutex:
            self._try_to_write([after if each == before else each for each in self.things])
        return after

    def _try_to_write(self, resources: list[Resource]) -> None:
        """What it said before is enough to find everything again."""
        try:
            self._write(resources)
        except OSError as problem:
            logger.warning(f"{self.path} could not be written: {problem}")
            self.things = resources

    def _write(self, resources: list[Resource]) -> None:
        said = {
            **asdict(self.origin),
            "account": self.account,
            "database": asdict(self.database),
            "things": [asdict(each) for each in resources],
        }
        store.write(self.path, SCHEMA, said)
        self.things = resources


def name_of(run: Run, name: str) -> str:
    """What a thing is called that an experiment calls `name`: no other run's has that name.

    Raises Refused.
    """
    if not isinstance(name, str) or len(name) > LONGEST or not NAME.fullmatch(name.lower()):
        raise Refused(
            f"a name is at most {LONGEST} letters, digits and single hyphens between them"
        )
    return f"{_prefix(run.id)}{name}".lower()


def is_of(run: Run, name: str) -> bool:
    """Whether something of this name is what this run makes."""
    return name.startswith(_prefix(run.id))


@contextlib.contextmanager
def asked_for(made: Ledger, kind: Kind, name: str) -> Iterator[Resource]:
    """Around the call that makes it: written down before, and what AWS said afterwards."""
    resource = made.record(kind, name)
    try:
        yield resource
    except AwsError as problem:
        if problem.code:
            made.rejected(resource)
        raise


def leftovers() -> tuple[list[Ledger], list[str]]:
    """The ledgers of runs that are over; and why others cannot be read, each in a sentence.

    Those of a lab that is surely gone are closed on the way.
    """
    found, problems = [], []
    try:
        paths = store.listed(_folder(), "*.json")
    except OSError as problem:
        return [], [f"what earlier runs made cannot be read: {problem}"]
    for path in paths:
        try:
            made = Ledger.read(path)
            if made.alive:
                continue
            if made.origin.lab_is_gone:
                made.close()
            else:
                found.append(made)
        except JournalDamaged as problem:
            if path.exists():
                problems.append(str(problem))
        except OSError as problem:
            problems.append(f"what a run made, {path}, cannot be looked at: {problem}")
    return found, problems


def _new(run: Run) -> Ledger:
    aws = Aws.of(run)
    ledger = Ledger(
        store.origin_of(run.id, aws.region, run.lab),
        aws.call("sts", "GetCallerIdentity", {})["Account"],
        _folder() / f"{run.id}.json",
        database=Database(
            run.settings.database, run.settings.database_auth, run.settings.database_secret
        ),
    )
    run.at_end.callback(ledger.release)
    return ledger


def _prefix(run: str) -> str:
    return f"{PREFIX}{run}-".lower()


def _folder() -> Path:
    return store.directory() / "made"


def _check(origin: Origin, account: object, resources: list[Resource], path: Path) -> None:
    """Raises BadRecord unless everything in it goes together."""
    store.check_origin(origin)
    store.check_texts({"account": account}, ["account"])
    if path.stem != origin.run:
        raise BadRecord(f"names another run than its file: {origin.run!r:.100}")
    if origin.lab and any(resource.kind == "schema" for resource in resources):
        raise BadRecord("names a schema in a lab, which goes with all of its schemas")


def _database(said: dict[str, Any]) -> Database:
    """Raises BadRecord for what is none."""
    database = Database(**said)
    store.check_texts(said, [name for name in said if name != "database"])
    try:
        options_of(database.database)
    except (TypeError, AttributeError, ValueError):
        raise BadRecord("has a database that is no connection string") from None
    return database


def _resource(said: dict[str, Any]) -> Resource:
    """Raises BadRecord for what is none."""
    resource = Resource(**said)
    store.check_texts(said, said)
    if resource.kind not in get_args(Kind) or resource.state not in get_args(State):
        raise BadRecord(f"names what it is not for: {resource.kind!r:.50}, {resource.state!r:.50}")
    form = store.DATABASE if resource.kind == "schema" else store.CLUSTER
    if not form.fullmatch(resource.name):
        raise BadRecord(f"has a {resource.kind} without a name: {resource.name!r:.100}")
    if resource.arn and not store.KEY.fullmatch(resource.arn):
        raise BadRecord(f"has a {resource.kind} whose ARN is none: {resource.arn!r:.100}")
    return resource
