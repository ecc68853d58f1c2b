"""The commands that the pages show, as bash reads them: no program is started."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "Command", "blocks", "inline", "read", "sandbox"]

ROOT = Path(__file__).parents[2]

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "reports/README.md", "docs/*.md")
DEPLOY = ("deploy/*", "deploy/*/*")

MADE = ("docs/commands.md",)
"""Pages that are made from click's own commands."""

SHELL = ("sh", "bash", "shell", "console")
PROGRAMS = ("aws", "chaos", "docker", "kubectl", "make", "pip", "pytest", "sh", "ssh")

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:aws|chaos|make)\s[^`]+)`")
IN_COMMENT = re.compile(rf"^\s*#(?:.*?[:.] | )((?:{'|'.join(PROGRAMS)}) .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Some lines of shell of one page."""

    page: str
    number: int
    """Which one of its page."""
    text: str
    file: str = ""
    """The file that its commands read, where the page shows that too: of a comment in a file."""

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


@dataclass(frozen=True)
class Command:
    """One command, with the settings (CHAOS_…) that it would have."""

    words: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that people read and edit."""
    found = [path for each in PAGES for path in sorted(root.glob(each))]
    return [path for path in found if path.relative_to(root).as_posix() not in MADE]


def blocks(root: Path = ROOT) -> list[Block]:
    """The blocks of shell of all pages, and the commands in comments of deploy/.

    Raises ValueError for a block that has commands and does not say that it is shell.
    """
    found = []
    for path in pages(root):
        page = path.relative_to(root).as_posix()
        for number, (_, language, text) in enumerate(FENCED.findall(path.read_text("utf-8")), 1):
            if language in SHELL:
                found.append(Block(page, number, text))
            elif not language and (line := _command_in(text)):
                raise ValueError(f"{page}: the block with `{line}` has to begin with ```sh")
            elif language == "yaml":
                found += [Block(page, number, each, text) for each in IN_COMMENT.findall(text)]
    for path in (path for each in DEPLOY for path in sorted(root.glob(each)) if path.is_file()):
        commands = IN_COMMENT.findall(path.read_text("utf-8"))
        page = path.relative_to(root).as_posix()
        found += [Block(page, number, text) for number, text in enumerate(commands, 1)]
    return found


def inline(root: Path = ROOT) -> list[tuple[Path, str]]:
    """Page and text of each command that stands within a sentence."""
    return [
        (path, " ".join(text.split()))
        for path in pages(root)
        for text in INLINE.findall(FENCED.sub("", path.read_text("utf-8")))
    ]


def _command_in(text: str) -> str | None:
    begins = re.compile(rf"(?:export |[A-Z_]+=\S* )*({'|'.join(PROGRAMS)}) [-a-z./]")
    return next((line for line in text.splitlines() if begins.match(line)), None)


RECORDING = r"""
record() {
    printf '%s\0' command "$#" "$@" >&9
    local name
    for name in "${!CHAOS_@}"; do printf '%s\0' setting "$name" "${!name}" >&9; done
    echo '{}'
    return "$STATUS"
}
for program in PROGRAMS; do eval "$program() { record $program \"\$@\"; }"; done
function . { record . "$@"; }
cat() { local line; while IFS= read -r line; do printf '%s\n' "$line"; done; }
command_not_found_handle() { record "$@"; }
trap 'record end > /dev/null' EXIT
PATH=/nowhere
""".replace("PROGRAMS", " ".join(PROGRAMS))


def sandbox(folder: Path, block: Block | None = None) -> Path:
    """A folder like the repository's own, with what the pages' placeholders stand for."""
    for name in ("experiments", "probes", "docs", "deploy", "policies", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("FILE", "PLAN.toml", "chaos-kms.yaml"):
        (folder / name).write_text("")
    latest = folder / "reports" / "latest"
    latest.mkdir(parents=True)
    (latest / "summary.md").write_text("passed\n")
    for name in ("FOLDER", "RUN"):
        shutil.copytree(latest, folder / name)
    if block and block.file and (name := re.search(r"file://(\S+)", block.text)):
        (folder / name[1]).write_text(block.file)
    return folder


def read(text: str, folder: Path) -> list[Command]:
    """The commands of some lines of shell, whether each before it succeeds or fails.

    What the lines write themselves (`cat > FILE <<END`) is in `folder` afterwards. Raises
    ValueError for what is no shell.
    """
    found: dict[Command, None] = {}
    for status in ("0", "1"):
        with (folder / ".recorded").open("wb") as to:
            done = subprocess.run(
                ["bash", "-c", f"exec 9>&{to.fileno()}\n{RECORDING}\n{text}"],
                cwd=folder,
                env={"STATUS": status, "TOPIC": "arn:aws:sns:eu-west-1:123456789012:game-day"},
                pass_fds=[to.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=20,
            )
        if done.stderr:
            raise ValueError(f"bash says: {done.stderr.strip()}")
        recorded = (folder / ".recorded").read_text("utf-8").split("\0")[:-1]
        found.update(dict.fromkeys(_commands(iter(recorded))))
    return list(found)


def _commands(recorded: Iterator[str]) -> Sequence[Command]:
    found: list[tuple[tuple[str, ...], list[tuple[str, str]]]] = []
    for what in recorded:
        if what == "command":
            found.append((tuple(next(recorded) for _ in range(int(next(recorded)))), []))
        else:
            found[-1][1].append((next(recorded), next(recorded)))
    return [Command(words, tuple(settings)) for words, settings in found]
