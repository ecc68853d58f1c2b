"""The process of a plan's item: a `chaos run` that ends in order when the plan's process is gone.

`python -m chaosaws_kms_ext.plans.item_process ARGUMENTS` is `chaos ARGUMENTS`, but for that: at the
end of its lifeline (processes.py) it is stopped as by SIGTERM, with its rollbacks.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from chaosaws_kms_ext.files import open_private
from chaosaws_kms_ext.processes import LIFELINE, Child

__all__ = ["JOURNAL", "LOG", "OUTPUT", "start"]

LOG, OUTPUT, JOURNAL = "chaostoolkit.log", "output.txt", "journal.json"
"""What Chaos Toolkit logs, DEBUG included; what `chaos` prints; and its journal."""


def start(experiment: Path, files: Path, environment: Mapping[str, str]) -> Child:
    """Starts the run of an experiment; what it prints and logs goes to the folder `files`."""
    with open_private(files / OUTPUT, "wb") as output:
        return Child(
            [
                sys.executable, "-m", __name__, "--no-version-check", "--log-file",
                str(files / LOG), "run", "--journal-path", str(files / JOURNAL), str(experiment),
            ],
            log=output,
            env=environment,
        )  # fmt: skip


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> NoReturn:
    """Runs `chaos`; never returns."""
    if lifeline := os.environ.pop(LIFELINE, ""):
        threading.Thread(target=_end_with, args=(int(lifeline),), daemon=True).start()
    from chaostoolkit.__main__ import cli

    cli(prog_name="chaos")
    sys.exit()


if __name__ == "__main__":
    main()
