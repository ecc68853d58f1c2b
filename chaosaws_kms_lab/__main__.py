"""The lab as a program: starts, prints one JSON line when it is ready, ends with its parent."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chaosaws_kms_lab.aurora import PROFILES, RECOVERABLE_FOR
from chaosaws_kms_lab.data_plane import LabCannotStart, Servers
from chaosaws_kms_lab.reaper import Reaper, new_directory

SWITCH_EVERY = 0.0005
"""Seconds for which a thread may keep the others waiting, where queries pass through the lab. With
Python's own 0.005 a query took 20 ms beside a busy thread, with this 2."""

COLLECT = (20_000, 20, 20)
"""When Python looks for garbage: with its own thresholds, in the middle of most calls."""

REGION = "eu-west-1"


def main() -> int:
    """Runs the lab until its lifeline closes or it gets SIGINT or SIGTERM."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    ready = threading.Event()
    _clear_environment()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # moto warns of every error code that is not in a service's model.
    warnings.filterwarnings("ignore", module=r"moto\.")
    try:
        with _directory() as directory:
            # After the reaper has started, which cleans up if the lab ends at once.
            _watch_lifeline(stop, ready)
            with _listening(options.port) as listener:
                ready_line = _serve(directory, options, listener)
                ready.set()
                print(json.dumps(ready_line), flush=True)
                stop.wait()
    except LabCannotStart as problem:
        print(json.dumps({"error": str(problem)}), flush=True)
        return 1
    return 0


def _clear_environment() -> None:
    """Removes what could lead this process to a real account or database.

    moto makes boto3 clients of its own, and libpq prefers PGHOSTADDR to the host that it is given.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO", "PG")):
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="lab",
        AWS_SECRET_ACCESS_KEY="lab",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaosaws_kms_lab", description=__doc__)
    parser.add_argument("--speed", type=float, default=60, help="AWS seconds in a second (60)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="observed")
    parser.add_argument("--iam", action="store_true", help="enforce IAM for callers it knows")
    parser.add_argument("--tls", action="store_true", help="take database connections by TLS only")
    parser.add_argument("--readers", type=int, default=0, help="of the first cluster (0)")
    parser.add_argument("--clusters", type=int, default=1, help="under one key (1)")
    parser.add_argument(
        "--database", choices=("cluster", "instance"), default="cluster", help="the first"
    )
    parser.add_argument(
        "--key-store",
        choices=("no", "cloudhsm", "external"),
        default="no",
        help="the custom key store that their key is in (no)",
    )
    parser.add_argument(
        "--secondary-keys",
        action="store_true",
        help="the first has a secret, Performance Insights and an activity stream under own keys",
    )
    parser.add_argument(
        "--recoverable-for",
        type=float,
        default=RECOVERABLE_FOR,
        metavar="AWS_SECONDS",
        help="until a cluster without its key is lost for good (7 days, as on AWS)",
    )
    parser.add_argument(
        "--maintenance",
        type=float,
        default=0.0,
        metavar="AWS_SECONDS",
        help="of the first, pending, and so long (none)",
    )
    parser.add_argument("--proxy", action="store_true", help="an RDS Proxy is before the first")
    parser.add_argument("--dependents", action="store_true", help="more under it: a secret, …")
    parser.add_argument("--port", type=int, default=0, help="of the AWS endpoint (a free one)")
    parser.add_argument("--region", default=REGION, help=f"of the seeded cluster ({REGION})")
    return parser.parse_args()


def _watch_lifeline(stop: threading.Event, ready: threading.Event) -> None:
    """Stops the lab when its parent's end of a pipe is closed, for whatever reason.

    A lab that is still starting exits at once: its reaper cleans up.
    """
    lifeline = os.environ.pop("CHAOSAWS_KMS_LIFELINE", None)
    if lifeline is None:
        return

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(int(lifeline), 1)
        if not ready.is_set():
            os._exit(1)
        stop.set()

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory, lock = new_directory()
    reaper = Reaper(directory, lock)
    try:
        yield directory
    finally:
        reaper.reap()


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except (OSError, OverflowError) as problem:
        listener.close()
        raise LabCannotStart(f"the lab cannot listen on port {port}: {problem}") from None
    with listener:
        yield listener


def _serve(directory: Path, options: argparse.Namespace, listener: socket.socket) -> dict[str, Any]:
    """Starts servers and AWS; what a client has to know of them."""
    if options.tls or options.proxy:
        # Queries pass through this process: it must not wait long for other threads.
        sys.setswitchinterval(SWITCH_EVERY)
    # initdb takes as long as the imports of moto: side by side.
    background = ThreadPoolExecutor(1)
    servers = background.submit(Servers, directory, options.speed, options.tls)
    gc.disable()  # imports make no garbage, and looking for it takes a sixth of their time
    try:
        from chaosaws_kms_lab import serving, wire

        wire.check()
    except (ImportError, RuntimeError) as problem:
        raise LabCannotStart(
            f"the lab needs the extra 'lab' (pip install 'chaostoolkit-aws-kms[lab]'): {problem}"
        ) from None
    finally:
        gc.freeze()
        gc.set_threshold(*COLLECT)
        gc.enable()
        background.shutdown()
    return serving.serve(
        directory,
        listener,
        servers.result(),
        options.profile,
        options.region,
        options.iam,
        options.readers,
        options.clusters,
        options.database,
        options.key_store,
        options.recoverable_for,
        options.secondary_keys,
        options.dependents,
        options.proxy,
        options.maintenance,
    )


if __name__ == "__main__":
    sys.exit(main())
