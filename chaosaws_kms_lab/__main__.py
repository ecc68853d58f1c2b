"""The lab as a program: starts, prints one JSON line when it is ready, ends with its parent."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from chaosaws_kms_lab.aurora import PROFILES
from chaosaws_kms_lab.data_plane import LabCannotStart, Servers
from chaosaws_kms_lab.private import open_private
from chaosaws_kms_lab.reaper import Reaper, new_directory

if TYPE_CHECKING:
    from chaosaws_kms_lab.door import Door
    from chaosaws_kms_lab.rds import Rds

TICK = 0.02
"""Seconds between two looks at the clusters: what the lab's own instants are good to."""

SWITCH_EVERY = 0.0005
"""Seconds for which a thread may keep the others waiting where queries pass through the lab: with
Python's own 0.005 a query took 20 ms beside a busy thread, with this 2."""

COLLECT = (20_000, 20, 20)
"""When garbage is looked for: with Python's own thresholds, in the middle of most calls."""

REGION = "eu-west-1"

ACCESS_KEY = "lab"
SECRET = 24
"""Bytes of its secret."""


def main() -> int:
    """Runs the lab until its lifeline closes or it gets SIGINT or SIGTERM."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    ready = threading.Event()
    _forget_the_outside()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # moto warns of every error code that a service's model does not list.
    warnings.filterwarnings("ignore", module=r"moto\.")
    try:
        with _directory() as directory:
            # Not before there is a reaper: a lab that goes at once leaves it what there is.
            _watch_lifeline(stop, ready)
            with _listening(options.port) as listener:
                said = _serve(directory, options, listener)
                ready.set()
                print(json.dumps(said), flush=True)
                stop.wait()
    except LabCannotStart as problem:
        print(json.dumps({"error": str(problem)}), flush=True)
        return 1
    return 0


def _forget_the_outside() -> None:
    """Nothing in here may find a real account or database.

    moto makes boto3 clients here and there, and libpq prefers PGHOSTADDR to the host it is given.
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
    parser.add_argument("--port", type=int, default=0, help="of the AWS endpoint (a free one)")
    parser.add_argument("--region", default=REGION, help=f"of the seeded cluster ({REGION})")
    return parser.parse_args()


def _watch_lifeline(stop: threading.Event, ready: threading.Event) -> None:
    """Stops the lab when the write end of its parent's pipe is closed, however that came about.

    A lab that is still starting just goes: its reaper cleans up.
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
    """Builds the world, opens the door, and says what there is."""
    if options.tls:
        # What passes TLS on shares this process: it must not wait long for the other threads.
        sys.setswitchinterval(SWITCH_EVERY)
    # initdb takes as long as the imports of moto: side by side.
    aside = ThreadPoolExecutor(1)
    making = aside.submit(Servers, directory, options.speed, options.tls)
    gc.disable()  # of what the imports make nothing is garbage, and looking takes a sixth of them
    try:
        from werkzeug.serving import make_server

        from chaosaws_kms_lab import seed, wire
        from chaosaws_kms_lab.clock import Clock
        from chaosaws_kms_lab.door import Door
        from chaosaws_kms_lab.rds import Rds
        from chaosaws_kms_lab.scheduler import RoleInvoker, Scheduler
        from chaosaws_kms_lab.world import World

        wire.check()
    except (ImportError, RuntimeError) as problem:
        raise LabCannotStart(
            f"the lab needs the extra 'lab' (pip install 'chaostoolkit-aws-kms[lab]'): {problem}"
        ) from None
    finally:
        gc.freeze()
        gc.set_threshold(*COLLECT)
        gc.enable()
        aside.shutdown()
    servers = making.result()

    lab_id = uuid.uuid4().hex
    world = World(Clock(options.speed), PROFILES[options.profile])
    rds = Rds(world, servers)
    cluster = seed.orders(rds, options.region)
    requests = directory / "requests.jsonl"
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    secret_key, own_secret = secrets.token_urlsafe(SECRET), secrets.token_urlsafe(SECRET)
    credentials = directory / "credentials"
    with open_private(credentials) as file:
        file.write(json.dumps({"access_key": ACCESS_KEY, "secret_key": secret_key}) + "\n")
    schedules = Scheduler(world.clock, RoleInvoker(endpoint, own_secret))
    keys = wire.Secrets(secret_key, own_secret)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    door = Door(world, rds, schedules, lab_id, requests, address, keys, iam=options.iam)
    server = make_server(
        "127.0.0.1",
        listener.getsockname()[1],
        door,
        threaded=True,
        request_handler=wire.MotoRequestHandler,
        fd=listener.fileno(),
    )
    threading.Thread(target=server.serve_forever, daemon=True, name="door").start()
    schedules.start()
    threading.Thread(target=_tick, args=(rds, door), daemon=True, name="clock").start()
    return {
        "lab": lab_id,
        "endpoint": endpoint,
        "region": options.region,
        "access_key": ACCESS_KEY,
        "secret_key": secret_key,
        "credentials": str(credentials),
        "passfile": str(servers.passfile),
        "clusters": [cluster],
        "ca": str(ca) if (ca := servers.ca) else None,
        "psql": str(psql) if (psql := servers.binaries.psql) else None,
        "requests": str(requests),
        "truth": str(directory / "truth.jsonl"),
    }


def _tick(rds: Rds, door: Door) -> NoReturn:
    """Moves time on; a mistake of ours in one tick must not stop the clock for good."""
    from chaosaws_kms_lab import kms

    while True:
        with rds.world.lock:
            try:
                kms.tick(rds.world)
                rds.tick()
                if door.misbehaviours.stale:
                    for region in rds.world.regions():
                        door.misbehaviours.look(region.keys.values())
            except Exception:
                logging.exception("the lab's clock stumbled")
        time.sleep(TICK)


if __name__ == "__main__":
    sys.exit(main())
