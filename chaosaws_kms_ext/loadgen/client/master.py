"""In a load's Locust master: shares the load out to workers, and keeps what they record."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gevent
import gevent.os
import locust.runners

from chaosaws_kms_ext.files import open_private
from chaosaws_kms_ext.history import SECOND
from chaosaws_kms_ext.history.operations_file import PREFIX, SUFFIX
from chaosaws_kms_ext.loadgen.client.config import STOP, STOPPED, ClientConfig
from chaosaws_kms_ext.loadgen.client.driver import QUIT_WITHIN, to_the_log
from chaosaws_kms_ext.loadgen.client.messages import CLOCK, CONFIG, KEPT, RECORDS, SAID, Inbox

__all__ = ["Master"]

START_AFTER = 3.0
"""Seconds until the first arrival, after all workers are there."""

ASKED_BEFORE, ASKED_WITHIN = 4, 10.0
"""How often a worker has to have asked for the time before it begins; seconds."""

MISSING_AFTER = 60
"""Seconds without a heartbeat after which Locust takes a worker for gone, and gives its users to
others. Before that it may come back; Locust's own 3 seconds are shorter than many an outage."""

LAST_WITHIN, SILENT_FOR = 20.0, 5.0
"""Seconds for the workers' last records; without any new ones, after which no more are waited for.
"""


class Master:
    """What makes a Locust master that of a load of ours."""

    def __init__(self, config: ClientConfig, environment: Any) -> None:
        self._config = config
        self._runner = environment.runner
        self._asked: dict[str, int] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._ends = False
        locust.runners.HEARTBEAT_LIVENESS = MISSING_AFTER
        self._runner.register_message(CLOCK, self._say_time)
        self._runner.register_message(RECORDS, self._keep)
        self._runner.register_message(SAID, self._note)
        environment.events.test_start.add_listener(self._share_out)
        environment.events.test_stop.add_listener(self._note_end)

    def quit_with_parent(self, lifeline: int) -> None:
        """A greenlet's work: ends the load when it is told to, or when its parent has ended."""
        told = gevent.os.tp_read(lifeline, len(STOP))
        if not told:
            os._exit(1)  # the workers see that nobody listens any more
        self._ends = True
        gevent.spawn_later(LAST_WITHIN + QUIT_WITHIN, os._exit, 1)
        if not self._inboxes:
            self._runner.quit()
            os._exit(0)  # Locust still waits for workers
        gevent.spawn(self._runner.stop)
        self._wait_for_the_last()
        self._runner.quit()

    def _wait_for_the_last(self) -> None:
        """Until every worker that is heard of has sent its last records."""
        until = time.monotonic() + LAST_WITHIN
        heard, number = time.monotonic(), -1
        while time.monotonic() < until and time.monotonic() - heard < SILENT_FOR:
            if all(inbox.ended for inbox in self._inboxes.values()):
                return
            if (now := sum(inbox.number for inbox in self._inboxes.values())) != number:
                heard, number = time.monotonic(), now
            gevent.sleep(0.05)

    def _say_time(self, msg: Any, **_: Any) -> None:
        answer = {"asked": msg.data["asked"], "answer": time.monotonic_ns()}
        self._runner.send_message(CLOCK, answer, client_id=msg.node_id)
        self._asked[msg.node_id] = self._asked.get(msg.node_id, 0) + 1

    def _share_out(self, **_: Any) -> None:
        """Each worker gets its part, before Locust tells it to begin."""
        workers = [client.id for client in self._runner.clients.ready][: self._config.workers]
        until = time.monotonic() + ASKED_WITHIN
        while any(self._asked.get(each, 0) < ASKED_BEFORE for each in workers):
            if time.monotonic() > until:
                self._fail("a worker is none of ours: start it by `chaos kms load-worker`")
                return
            gevent.sleep(0.05)
        start = time.monotonic_ns() + round(START_AFTER * SECOND)
        for number, worker in enumerate(workers):
            self._inboxes[worker] = Inbox(self._file(number))
            told = replace(self._config, worker=number, start=start, folder="")
            data = {"config": asdict(told), "version": version("chaostoolkit-aws-kms")}
            self._runner.send_message(CONFIG, data, client_id=worker)

    def _file(self, number: int) -> Any:
        name = f"{PREFIX}{self._config.name}-w{number}{SUFFIX}"
        file = open_private(Path(self._config.folder) / name, "wb")
        failed: list[OSError] = []

        def keep(data: bytes) -> None:
            if failed:
                raise failed[0]  # the worker sends it again: nothing may follow a part of it
            try:
                file.write(data)
                file.flush()
            except OSError as problem:
                failed.append(problem)
                raise

        return keep

    def _keep(self, msg: Any, **_: Any) -> None:
        inbox = self._inboxes.get(msg.node_id)
        if inbox is None:
            return
        try:
            number = inbox.take(msg.data["number"], msg.data["data"], msg.data["last"])
        except OSError as problem:
            self._fail(f"operations cannot be recorded: {problem}")
            return
        self._runner.send_message(KEPT, {"number": number}, client_id=msg.node_id)

    def _note(self, msg: Any, **_: Any) -> None:
        to_the_log(str(msg.data)[:1000])

    def _note_end(self, **_: Any) -> None:
        """Locust ends the load when it has heard of no worker for `MISSING_AFTER` seconds."""
        if not self._ends:
            self._fail("all its workers are gone")

    def _fail(self, why: str) -> None:
        self._ends = True
        to_the_log(f"{STOPPED}{why}")
        gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
        gevent.spawn(self._runner.quit)
