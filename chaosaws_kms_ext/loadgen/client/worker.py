"""In a Locust worker on another machine: its part of a load, and its records sent to the load."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gevent
from locust.exception import RPCError

from chaosaws_kms_ext.connection_strings import options_of, protocol_of, written
from chaosaws_kms_ext.history import Outcome
from chaosaws_kms_ext.history.clocks import ASK_EVERY, SILENT, Clock, Sample
from chaosaws_kms_ext.history.writer import OperationStream
from chaosaws_kms_ext.loadgen.client.config import STOPPED, ClientConfig
from chaosaws_kms_ext.loadgen.client.driver import Driver, Due, header_of, to_the_log
from chaosaws_kms_ext.loadgen.client.messages import CLOCK, CONFIG, KEPT, RECORDS, SAID, Outbox
from chaosaws_kms_ext.loadgen.engines import engine_of
from chaosaws_kms_ext.loadgen.engines.base import LoadFailed

__all__ = ["Worker"]

SEND_EVERY = 0.05
"""Seconds."""

GONE_AFTER = 3.0
"""Seconds without an answer after which it is looked whether the load is still there: whoever is
cut off from it may come back, and goes on."""

QUIT_WITHIN = 5.0
"""Seconds in which the last records have to be kept by the load."""


class Worker:
    """What makes a Locust worker a part of a load of ours."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._config: ClientConfig | None = None
        self._samples: list[Sample] = []
        self._heard = time.monotonic()
        self._outbox = Outbox(self._send)
        self._driver: Driver | None = None
        runner = environment.runner
        runner.register_message(CLOCK, self._note_time)
        runner.register_message(CONFIG, self._note_config)
        runner.register_message(KEPT, lambda msg, **_: self._outbox.kept(msg.data["number"]))
        self._works = [gevent.spawn(work) for work in (self._ask_for_the_time, self._send_on)]

    def driver(self) -> Driver:
        """Begins with its part of the load."""
        if self._config is None:
            self._fail("the load has all its workers: this one came too late")
        config = self._config
        assert config is not None
        stream = OperationStream(header_of(config, config.start), self._outbox)
        self._driver = Driver(config, self._environment, stream, self._tell)
        for sample in self._samples:
            self._record(sample)
        return self._driver

    def finish(self) -> None:
        """Everything is recorded: the last chunk."""
        self._outbox.flush(last=True)

    def wait(self) -> None:
        """Until the load has it, or `QUIT_WITHIN` seconds."""
        receive = gevent.spawn(self._receive)  # Locust has ended its own
        until = time.monotonic() + QUIT_WITHIN
        while not self._outbox.empty and time.monotonic() < until:
            gevent.sleep(SEND_EVERY)
        gevent.killall([*self._works, receive], timeout=1)

    def _receive(self) -> None:
        runner = self._environment.runner
        while True:
            runner.handle_message(runner.client.recv())

    def _note_config(self, msg: Any, **_: Any) -> None:
        told, theirs = msg.data["config"], msg.data["version"]
        if theirs != (ours := version("chaostoolkit-aws-kms")):
            self._fail(f"a worker has version {ours} of this package, and the load {theirs}")
            return
        config = ClientConfig(**told)
        try:
            engine_of(config.database)
        except LoadFailed as problem:
            self._fail(f"a worker cannot take part: {problem}")
            return
        start = Clock(self._samples).own(config.start)
        self._config = replace(config, start=start, database=_here(config.database))

    def _fail(self, why: str) -> None:
        self._tell(f"{STOPPED}{why}")
        gevent.spawn_later(QUIT_WITHIN, os._exit, 1)
        gevent.spawn(self._environment.runner.quit)

    # The clock

    def _ask_for_the_time(self) -> None:
        while True:
            self._message(CLOCK, {"asked": time.monotonic_ns()})
            gevent.sleep(ASK_EVERY)
            if time.monotonic() - self._heard > GONE_AFTER and self._is_gone():
                to_the_log(f"{STOPPED}the load has ended, and has not said so")
                os._exit(1)

    def _is_gone(self) -> bool:
        """Whether the load's machine says that nobody listens there: not where it says nothing."""
        runner = self._environment.runner
        try:
            with socket.create_connection((runner.master_host, runner.master_port), timeout=1):
                return False
        except ConnectionRefusedError:
            return True
        except OSError:
            return False

    def _note_time(self, msg: Any, **_: Any) -> None:
        self._heard = time.monotonic()
        sample = Sample(msg.data["asked"], msg.data["answer"], time.monotonic_ns())
        if sample.came - sample.asked > SILENT:
            return  # it says nothing of the time in between
        self._samples.append(sample)
        if self._driver is not None:
            self._record(sample)

    def _record(self, sample: Sample) -> None:
        assert self._driver is not None
        what = Due(0, len(self._samples), "clock", sample.asked)
        row = (*what, sample.answer, sample.came, Outcome.OK.value, None, None, None, None, None)
        self._driver.recorder.add(row)

    # The records

    def _send_on(self) -> None:
        while True:
            self._outbox.go_on(time.monotonic())
            gevent.sleep(SEND_EVERY)

    def _send(self, number: int, data: bytes, last: bool) -> None:
        self._message(RECORDS, {"number": number, "data": data, "last": last})

    def _tell(self, line: str) -> None:
        to_the_log(line)
        self._message(SAID, line)

    def _message(self, kind: str, data: Any) -> None:
        try:
            self._environment.runner.send_message(kind, data)
        except RPCError:
            return  # it is sent again, or was only of now


def _here(database: str) -> str:
    """A connection string without what is a file of the load's machine only: passwords are looked
    for on this machine."""
    parts = options_of(database)
    files = ("passfile",)
    here = {k: v for k, v in parts.items() if k not in files or Path(str(v)).exists()}
    return written(protocol_of(database), here)
