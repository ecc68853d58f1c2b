"""The canaries of a run: a thread for each dependent, which tries it every second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaosaws_kms_ext.aws.client import Aws, AwsError, Patience
from chaosaws_kms_ext.canaries.choose import Choice, choose
from chaosaws_kms_ext.dependents import Dependent, Request
from chaosaws_kms_ext.dependents.find import find
from chaosaws_kms_ext.guard import elsewhere
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.history.canaries import CANARIES, NO_ANSWER, OK, CanaryTry
from chaosaws_kms_ext.history.lines import Lines
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.text import shortened

__all__ = ["EVERY", "Canaries", "running"]

EVERY = 1.0
"""Seconds from one try to the next; one that is due while another lasts is left out."""

LONGEST_CODE = 100
"""Letters of an error code that are kept: it is a server's own word."""


@contextlib.contextmanager
def running(run: Run) -> Iterator[None]:
    """With CHAOS_CANARIES=yes: what else is under the key is tried inside; raises PlainError."""
    if run.settings.canaries != "yes" or run.target is None or run.folder is None:
        yield
        return
    aws, key = Aws.of(run), run.target.key.arn
    found = run.target.elsewhere
    if found is None:  # no fault, so that the guard was not asked; or it was told not to look
        found = find(aws, key)
        elsewhere.record(run, found)
    deadline = run.settings.query_deadline
    # One try is one call: a client that tried again would hide what an application sees.
    patience = Patience(connect=deadline, read=deadline, attempts=1)
    chosen = choose(aws, found.dependents, key)
    run.canaries = Canaries(run, Aws(aws.region, patience=patience), chosen)
    try:
        _start(run.canaries, run.folder / "history")
        yield
    finally:
        run.canaries.stop()


class Canaries:
    """All of a run. What they try is written down at once; nothing here judges it."""

    def __init__(self, run: Run, aws: Aws, choices: Sequence[Choice]) -> None:
        """`aws`: what tries, whose calls are not recorded beside the tries themselves."""
        self._run, self._aws = run, aws
        self._lines = Lines()
        self._lock = threading.Lock()
        self._newest: dict[str, CanaryTry] = {}
        self._end = threading.Event()
        self.tries = 0
        """How many were made."""
        self._threads: list[threading.Thread] = []
        self.dependents: list[Dependent] = []
        """Those that are tried."""
        for each in choices:
            operation = each.request.operation if each.request else ""
            run.event(
                EventName.CANARY,
                dependent=each.dependent.arn,
                operation=operation,
                why_not=each.why_not,
            )
            if each.request:
                self.dependents.append(each.dependent)
                self._threads.append(self._thread(each.dependent, each.request))

    def start(self, folder: Path) -> None:
        """Begins to try, and to write to a `history/` folder; raises OSError and AwsError."""
        self._lines.open(folder / CANARIES)
        self._aws.credentials()
        for each in self._threads:
            each.start()

    def newest(self) -> Mapping[str, CanaryTry]:
        """ARN → its newest try, as far as it has one."""
        with self._lock:
            return dict(self._newest)

    def stop(self) -> None:
        """Ends all within their deadlines; safe to call again."""
        self._end.set()
        patience = time.monotonic() + 2 * self._run.settings.query_deadline + EVERY
        for each in self._threads:
            with contextlib.suppress(RuntimeError):  # it was not started
                each.join(max(patience - time.monotonic(), 0.0))
        with self._lock:
            self._lines.close()

    def _thread(self, dependent: Dependent, request: Request) -> threading.Thread:
        # A daemon: it ends with the process, whatever it waits for.
        return threading.Thread(
            target=self._try_again_and_again,
            args=(dependent.arn, request),
            name=f"canary of {dependent}",
            daemon=True,
        )

    def _try_again_and_again(self, arn: str, request: Request) -> None:
        due = time.monotonic()
        while not self._end.wait(max(due - time.monotonic(), 0.0)):
            at = time.monotonic_ns()
            outcome = self._outcome(request)
            self._keep(CanaryTry(at, round((time.monotonic_ns() - at) / 1e9, 4), arn, outcome))
            due += EVERY * max(1, 1 + int((time.monotonic() - due) // EVERY))

    def _outcome(self, request: Request) -> str:
        try:
            _read(self._aws.call(*request))
        except AwsError as problem:
            return shortened(problem.code, LONGEST_CODE) or NO_ANSWER
        except Exception:  # a body that does not come: whatever urllib3 makes of it
            return NO_ANSWER
        return OK

    def _keep(self, tried: CanaryTry) -> None:
        with self._lock:
            if self._end.is_set():
                return  # whoever judges has the file already
            self._newest[tried.dependent] = tried
            self.tries += 1
            try:
                self._lines.write(tried._asdict())
            except OSError as problem:
                self._run.unrecorded = str(problem)


def _start(canaries: Canaries, folder: Path) -> None:
    try:
        canaries.start(folder)
    except OSError as problem:
        raise Refused(f"what the canaries try cannot be written down: {problem}") from None


def _read(answer: Mapping[str, Any]) -> None:
    """An object is answered when its bytes are there."""
    if body := answer.get("Body"):
        with contextlib.closing(body):
            body.read()
