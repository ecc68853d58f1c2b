"""The page of a run as a process of its own, which the run starts and never waits for again.

It lives as long as the run, and then for a moment more, so that whoever looks at the page sees the
end and gets the report; however the run ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.processes import LIFELINE, Child, first_line
from chaosaws_kms_ext.run import Run

__all__ = ["AFTER", "NotStarted", "be_polite", "can_show", "main", "show", "start"]

logger = logging.getLogger("chaostoolkit")

AFTER = 60.0
"""Seconds that the page is served when the run's process has ended."""

READY_WITHIN = 20.0
"""Seconds until it is served; two are usual."""

NICE = 10
"""What runs beside the load leaves it the processor."""


class NotStarted(PlainError):
    """Why there is no page: one sentence. The run goes on without one."""


def show(run: Run) -> None:
    """Starts the page of a run, if CHAOS_WATCH says so, and says where it is.

    Without it the run goes on as well. Its process is not ended with the run: it shows the end.
    """
    if run.settings.watch != "yes":
        return
    assert run.folder is not None
    try:
        child, address = start(run.folder)
    except NotStarted as problem:
        logger.warning(str(problem))
        return
    run.at_end.callback(child.let_go)
    logger.info(f"The run is shown at {address}")


def start(folder: Path) -> tuple[Child, str]:
    """Starts the page of a run, by its folder; the process, and its address. Raises NotStarted."""
    log = folder / "watch.log"
    ours, theirs = os.pipe()
    try:
        command = [sys.executable, "-m", __name__, str(folder.resolve())]
        child = Child(command, log=log, stdout=theirs)
    except OSError as problem:
        os.close(ours)
        raise NotStarted(f"the live page cannot be started: {problem}") from None
    finally:
        os.close(theirs)
    try:
        said = first_line(ours, READY_WITHIN)
    finally:
        os.close(ours)
    if not said.startswith("http://"):
        child.stop()
        words = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        raise NotStarted(f"the live page did not start: {(words or ['it said nothing'])[-1]:.300}")
    return child, said


def be_polite() -> None:
    """Lets others have the processor first: the load, above all."""
    with contextlib.suppress(OSError):
        os.nice(NICE)


def can_show(environ: Mapping[str, str]) -> bool:
    """Whether this is a desktop, where a page can be opened."""
    if environ.get("CI") or environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    )


def main(folder: Path, lifeline: int) -> int:
    """Serves the page of a run until AFTER seconds after the end of its process."""
    be_polite()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those end the run, and it ends this
    # Imported late: the run waits until the page is there.
    from chaosaws_kms_ext.report.live.server import LivePage
    from chaosaws_kms_ext.report.live.watched import Watched

    ended: list[float] = []

    def goes_on() -> bool:
        if not ended and select.select([lifeline], [], [], 0)[0]:
            ended.append(time.monotonic())
        return not stopped and not (ended and time.monotonic() - ended[0] > AFTER)

    page = LivePage(Watched(folder, lambda: None, ""))
    print(page.address, flush=True)
    if can_show(os.environ):
        # Some browsers return when they are closed.
        threading.Thread(target=webbrowser.open, args=[page.address], daemon=True).start()
    os.close(sys.stdout.fileno())  # whoever started it has read all there is
    page.serve(goes_on)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(os.environ.pop(LIFELINE))))
