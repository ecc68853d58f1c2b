"""The pages as a site (`make site`): the README is its first page.

What a page links to outside of docs/ comes along.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "reports/README.md": "reports.md",
}
"""Pages of the repository that are not in docs/, and what they are called on the site."""

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")
DRAWN = re.compile(r"^```mermaid\n.*?^```\n\n?", re.MULTILINE | re.DOTALL)
"""A diagram that GitHub draws: what would draw it on the site comes from elsewhere, and a table of
the same page says the same."""
PICTURE = re.compile(r'(?<=")docs/(pictures/[^"]+)')


def on_files(files: Files, config: Any, **_: Any) -> Files:
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    texts = {page: (ROOT / source).read_text("utf-8") for source, page in PAGES.items()}
    for each in list(files.documentation_pages()):
        text = texts.get(each.src_uri) or each.content_string
        for path in map(_outside, [(each.src_uri, target) for _, target, _ in LINK.findall(text)]):
            uri = f"files/{path}"
            if path and (ROOT / path).is_file() and files.get_file_from_path(uri) is None:
                content = (ROOT / path).read_bytes()
                files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    here = page.file.src_uri

    def linked(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        source = _source(here, target)
        if source is None:
            return match.group()
        if source in PAGES:
            return f"[{text}]({PAGES[source]}{anchor or ''})"
        if source.startswith("docs/"):
            return f"[{text}]({source.removeprefix('docs/')}{anchor or ''})"
        if (ROOT / source).is_file():
            return f"[{text}](files/{source})"
        return text  # a folder: there is no page of it

    return PICTURE.sub(r"\1", LINK.sub(linked, DRAWN.sub("", markdown)))


def _source(here: str, target: str) -> str | None:
    """Where a link of a page leads in the repository, or None if nowhere in it."""
    origins = {page: source for source, page in PAGES.items()}
    folder = (ROOT / origins.get(here, f"docs/{here}")).parent
    found = (folder / target).resolve()
    if not found.exists() or not found.is_relative_to(ROOT):
        return None
    return found.relative_to(ROOT).as_posix()


def _outside(link: tuple[str, str]) -> str:
    """The path of a file outside of docs/ to which a page links, or nothing."""
    found = _source(*link) or ""
    return "" if found.startswith("docs/") or found in PAGES else found
