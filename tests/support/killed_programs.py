"""A run and its watchdog as processes of their own, which are killed by SIGKILL at any step.

The process that tests has the AWS and the time: a program asks for each over a socket, waits for
the answer, and is killed while it waits, or at an instant that nobody chose. What is left of it is
what it has written to disk, and what the kernel does with its files and locks.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.errors import PlainError
from chaosaws_kms_ext.run import Refused
from chaosaws_kms_ext.undo import journal
from tests.support.fault_programs import Port, RunProgram, WatchdogProgram, restored
from tests.support.faulty_aws import FaultyAws, Killed

__all__ = ["Current", "KilledRun", "KilledWatchdog", "restored_in_a_process"]

SIZE = struct.Struct("I")
"""How long a message is, before it."""

PR_SET_PDEATHSIG = 1
"""prctl(2): with which signal a process dies when its parent does."""

ANSWERS_WITHIN = 60.0
"""Seconds of real time for a program to go on: it never sleeps in real time."""


class Current:
    """The world of whichever process this is: what is patched before a fork stays so in it."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.processes: list[_Process] = []
        """All that were started."""

    def now(self) -> float:
        return float(self.port.now())

    def sleep(self, seconds: float) -> None:
        self.port.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def kill_all(self) -> None:
        """Whatever still runs."""
        for each in self.processes:
            each.kill()


class _Line:
    """Messages over a socket."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, what: Any) -> None:
        content = pickle.dumps(what)
        self.end.sendall(SIZE.pack(len(content)) + content)

    def receive(self) -> Any:
        """Raises EOFError where the other side is gone."""
        return pickle.loads(self._exactly(*SIZE.unpack(self._exactly(SIZE.size))))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                more = self.end.recv(count - len(found))
            except ConnectionResetError:
                more = b""
            if not more:
                raise EOFError
            found += more
        return found


class _RemotePort:
    """The world, as a program in a process of its own has it."""

    def __init__(self, line: _Line, key: str) -> None:
        self._line, self.key = line, key

    def now(self) -> float:
        return float(self.ask("now"))

    def sleep(self, seconds: float) -> None:
        self.ask("sleep", seconds)

    def answer(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return dict(self.ask("answer", service, operation, params))

    def own_key(self, run: str) -> str:
        return str(self.ask("own_key", run))

    def number(self) -> int:
        return int(self.ask("number"))

    def at_step(self, write: Callable[[], None], takes_room: bool) -> None:
        self.ask("before_write", takes_room)
        write()
        self.ask("after_write")

    def ask(self, name: str, *arguments: Any) -> Any:
        self._line.send(("ask", name, arguments))
        kind, found = self._line.receive()
        if kind == "wrong":
            raise found
        return found


class _Process:
    """A program in a process of its own, as the process that tests sees it."""

    def __init__(self, current: Current, make: Callable[[Port], Any]) -> None:
        self._aws: FaultyAws = current.port
        self.watchdog: KilledWatchdog | None = None
        self._current = current
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWERS_WITHIN)
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads that stay behind
            self.pid = os.fork()
        if not self.pid:
            ours.close()
            _serve(current, _Line(theirs), self._aws.key, make)
        theirs.close()
        self._line: _Line | None = _Line(ours)
        current.processes.append(self)

    def tell(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the program; raises what it raises, or Killed once it is dead."""
        line = self._line
        if line is None:
            raise Killed
        try:
            line.send((name, arguments))
            while True:
                kind, *said = line.receive()
                if kind == "ask":
                    line.send(self._found(*said))
                elif kind == "wrong":
                    raise said[0]
                else:
                    return said[0]
        except (EOFError, BrokenPipeError):
            self.kill()
            raise Killed from None
        except Killed:
            self.kill()
            raise

    def kill(self) -> None:
        """By SIGKILL; safe to call again."""
        line, self._line = self._line, None
        if line is None:
            return
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        line.end.close()
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status

    @property
    def has_died(self) -> bool:
        """Whether it is dead, whether somebody has seen that or not."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._line is None or os.waitid(os.P_PID, self.pid, how) is not None

    @contextlib.contextmanager
    def killed_within(self, seconds: float) -> Iterator[None]:
        """Inside, it is killed after so many seconds of real time."""
        timer = threading.Timer(seconds, os.kill, (self.pid, signal.SIGKILL))
        timer.start()  # it is this process' child, and not waited for before: no other has its id
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _found(self, name: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
        """The answer to what the program asks; raises Killed where it is to die at it."""
        try:
            return "found", getattr(self, f"_{name}", getattr(self._aws, name, None))(*arguments)
        except (AwsError, OSError) as problem:
            return "wrong", problem

    def _start_watchdog(self, run: str, longest: float) -> None:
        self.watchdog = KilledWatchdog(self._current, run, longest)

    def _watchdog_runs(self) -> bool:
        return self.watchdog is not None and self.watchdog.running

    def _dismiss_watchdog(self) -> None:
        if self.watchdog:
            self.watchdog.running = False


class KilledRun(_Process):
    """A RunProgram in a process of its own."""

    def __init__(self, current: Current, switch: bool) -> None:
        super().__init__(current, lambda port: _Run(port, switch))

    @property
    def is_open(self) -> bool:
        try:
            return bool(self.tell("is_open_now"))
        except Killed:
            return False

    def key_for(self, name: str) -> str:
        return str(self.tell("key_for", name))

    def inject(self, names: Any) -> None:
        self.tell("inject", tuple(names))

    def put_back(self) -> None:
        self.tell("put_back")

    def recover(self) -> None:
        self.tell("recover")

    def end(self) -> None:
        self.tell("end")

    def bury(self) -> None:
        """Whatever it still has, the kernel takes."""
        self.kill()


class KilledWatchdog(_Process):
    """A WatchdogProgram in a process of its own."""

    def __init__(self, current: Current, run: str, longest: float) -> None:
        super().__init__(current, lambda port: WatchdogProgram(run, longest))
        self._is_running = True

    @property
    def running(self) -> bool:
        return self._is_running and self._line is not None

    @running.setter
    def running(self, runs: bool) -> None:
        self._is_running = bool(runs)
        if not runs:
            self.kill()

    def look(self) -> None:
        self.tell("look")

    def finish(self) -> None:
        self.tell("finish")
        self.running = False

    def bury(self) -> None:
        self.kill()


def restored_in_a_process(current: Current) -> str:
    """What `chaos kms restore` says, in a process of its own; raises Refused, or Killed."""
    process = _Process(current, lambda port: _Restore())
    try:
        return str(process.tell("restored"))
    finally:
        process.kill()


# In the process of the program


class _Run(RunProgram):
    """Its watchdog is a process, too."""

    def __init__(self, port: Any, switch: bool) -> None:
        super().__init__(port, switch)
        self._world = port

    def is_open_now(self) -> bool:
        return self.is_open

    def start(self, run: str, region: str, longest: float) -> Any:
        self._world.ask("start_watchdog", run, longest)
        return _WatchdogOfRun(self._world, run)


class _WatchdogOfRun:
    """As undo/watchdog.py has it for the run."""

    log = Path(os.devnull)
    child = SimpleNamespace(process=SimpleNamespace(pid=0))

    def __init__(self, world: _RemotePort, run: str) -> None:
        self._world, self._run = world, run

    @property
    def running(self) -> bool:
        return bool(self._world.ask("watchdog_runs"))

    def leave(self) -> None:
        """The run has ended."""

    def dismiss(self) -> None:
        self._world.ask("dismiss_watchdog")
        journal.forget_closed(self._run)


class _Restore:
    def restored(self) -> str:
        return restored()


def _serve(current: Current, line: _Line, key: str, make: Callable[[Port], Any]) -> NoReturn:
    """Does what it is told, until it is killed."""
    gc.disable()  # what it has of its parent's objects is not its own to finalise
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        current.port = _RemotePort(line, key)
        program = None
        while True:
            name, arguments = line.receive()
            program = program or make(current.port)
            try:
                found = getattr(program, name)(*arguments)
                said = ("done", found if isinstance(found, (bool, str)) else None)
            except Exception as problem:
                said = ("wrong", _portable(problem))  # type: ignore[assignment]
            line.send(said)
    except EOFError:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _portable(problem: Exception) -> Exception:
    """One that can be sent: what is told to a person stays that, a mistake of ours does too."""
    if isinstance(problem, AwsError):
        return AwsError(str(problem), problem.code)
    if isinstance(problem, OSError):
        return OSError(problem.errno, str(problem))
    if isinstance(problem, PlainError):
        return Refused(str(problem))
    return AssertionError("".join(traceback.format_exception(problem)))
