"""Takes the pictures of docs/pictures/ from the page of the newest run: `make pictures`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1000, 1000


def main(report: Path) -> None:
    """One of the page in light, and one in dark."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(
                color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT}
            )
            page.goto(report.resolve().as_uri())
            page.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
            page.screenshot(path=FOLDER / f"report-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
