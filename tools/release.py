"""`make release`: what is given to others, built, and tried as they would.

The wheel and the source distribution are each installed into an empty environment, and the main job
runs there, in an empty folder without the repository. What it leaves in dist/: both files, an SBOM,
SHA256SUMS, and sizes.json: what an installation takes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import programs
from programs import ROOT, Failed

DIST = ROOT / "dist"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

SIZES = """
import importlib.metadata, json, os
found = {}
for each in importlib.metadata.distributions():
    paths = [each.locate_file(name) for name in each.files or ()]
    found[each.metadata["Name"]] = sum(os.path.getsize(p) for p in paths if os.path.exists(p))
print(json.dumps(found))
"""


class NotReleased(Failed):
    """It is not as it has to be."""


run = partial(programs.run, speed=300, limit=900.0)


def main() -> None:
    try:
        version = checked_version()
        shutil.rmtree(DIST, ignore_errors=True)
        run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
        wheel, sdist = only("*.whl"), only("*.tar.gz")
        sizes = {}
        with tempfile.TemporaryDirectory() as temporary:
            for number, (what, file) in enumerate({"wheel": wheel, "sdist": sdist}.items()):
                installed = Installed(Path(temporary) / str(number), f"{file}[lab]")
                installed.tries(version)
                sizes[f"{what} with the lab"] = installed.size
                if what == "wheel":
                    write_sbom(installed)
            core = Installed(Path(temporary) / "core", str(wheel))
            core.says_that_the_lab_is_not_there()
            sizes["wheel"] = core.size
    except Failed as problem:
        sys.exit(f"Not released: {problem}")
    (DIST / "sizes.json").write_text(json.dumps(sizes, indent=1) + "\n")
    write_checksums()
    for name, each in sizes.items():
        print(f"{name}: {each['seconds']:.0f} s to install, {each['megabytes']:.0f} MB, most:")
        print("   " + ", ".join(f"{part} {mb:.0f}" for part, mb in each["most"].items()))
    print(
        f"{version} is in {DIST.relative_to(ROOT)}/. Sign SHA256SUMS, and publish it beside them."
    )


def checked_version() -> str:
    """The version of pyproject.toml; raises NotReleased if tag or changelog say another."""
    version = str(PROJECT["version"])
    said = subprocess.run(
        ["git", "-C", str(ROOT), "tag", "--points-at", "HEAD"], capture_output=True, text=True
    )
    tags = [tag for tag in said.stdout.split() if re.fullmatch(r"v\d.*", tag)]
    if tags and f"v{version}" not in tags:
        raise NotReleased(f"the tag here is {tags[0]}, and pyproject.toml has version {version}")
    if f"\n## {version}" not in (ROOT / "CHANGELOG.md").read_text("utf-8"):
        raise NotReleased(f"CHANGELOG.md has no heading '## {version}'")
    return version


class Installed:
    """An environment of its own with one file installed, and an empty folder to be in."""

    def __init__(self, folder: Path, what: str) -> None:
        self.home = folder / "empty"
        self.home.mkdir(parents=True)
        self.bin = folder / "venv" / "bin"
        start = time.monotonic()
        run(sys.executable, "-m", "venv", folder / "venv")
        pins = ROOT / "constraints.txt"
        self._run("python", "-m", "pip", "install", "-q", "--constraint", pins, what)
        self.size = {"seconds": time.monotonic() - start, **self._sizes()}

    def tries(self, version: str) -> None:
        """What a newcomer does; raises NotReleased for what does not work."""
        self._run("chaos", "kms", "try")
        summary = json.loads((self.home / "reports" / "latest" / "summary.json").read_text())
        if summary["verdict"] != "passed":
            raise NotReleased(f"chaos kms try has the verdict {summary['verdict']}")
        conditions = json.loads((self.home / "reports/latest/history/run.json").read_text())
        if conditions["versions"][PROJECT["name"]] != version:
            raise NotReleased(f"what is installed says that it is not {version}")
        self._run("chaos", "discover", PROJECT["name"], "--no-install")
        if not json.loads((self.home / "discovery.json").read_text())["activities"]:
            raise NotReleased("chaos discover finds no actions")
        self._run("chaos", "kms", "experiments", "--copy", ".")
        copied = {path.name for path in (self.home / "experiments").glob("*.json")}
        if copied != {path.name for path in (ROOT / "experiments").glob("*.json")}:
            raise NotReleased("the experiments of the package are not those of the repository")
        for name in sorted(copied):
            self._run("chaos", "validate", f"experiments/{name}")

    def says_that_the_lab_is_not_there(self) -> None:
        said = self._run("chaos", "kms", "try", fails=True)
        if f"pip install '{PROJECT['name']}[lab]'" not in said:
            raise NotReleased("without the extra lab, nothing says how to install it")

    def _run(self, program: str, *arguments: object, fails: bool = False) -> str:
        return run(self.bin / program, *arguments, folder=self.home, fails=fails)

    def _sizes(self) -> dict[str, Any]:
        found: dict[str, int] = json.loads(self._run("python", "-c", SIZES))
        most = sorted(found.items(), key=lambda each: -each[1])[:8]
        megabytes = {name: round(size / 1e6, 1) for name, size in most}
        return {"megabytes": sum(found.values()) / 1e6, "most": megabytes}


def write_sbom(installed: Installed) -> None:
    file = DIST / "sbom.cdx.json"
    run(sys.executable, "-m", "cyclonedx_py", "environment", installed.bin / "python", "-o", file)
    names = {each["name"].lower() for each in json.loads(file.read_text())["components"]}
    if not {PROJECT["name"], "boto3", "psycopg", "locust"} <= names:
        raise NotReleased("the SBOM does not name what is installed")


def write_checksums() -> None:
    """In the form that `sha256sum --check` reads."""
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / "SHA256SUMS").write_text("".join(lines))


def only(pattern: str) -> Path:
    (found,) = DIST.glob(pattern)
    return found


if __name__ == "__main__":
    main()
