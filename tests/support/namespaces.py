"""Machines on one machine: network namespaces on a bridge, each of which can be cut off."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

NETWORK = "10.231.77"
BRIDGE = "ckms0"


def possible():
    """Whether they can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


class Namespace:
    """One of them; its link is a pair of which one end is on the bridge."""

    def __init__(self, number):
        self.name, self.link = f"ckms-{number}", f"ckms-v{number}"
        self.address = f"{NETWORK}.{10 + number}"

    def make(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.link, "master", BRIDGE, "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def command(self, *words):
        """A command that runs in it."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut_off(self):
        """Nothing comes through any more, and nobody is told."""
        ip("link", "set", self.link, "nomaster")

    def connect(self):
        ip("link", "set", self.link, "master", BRIDGE)

    def delete(self):
        for words in (("link", "delete", self.link), ("netns", "delete", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*words)


@contextlib.contextmanager
def namespaces(number):
    """So many, and the address at which they find this machine."""
    made = [Namespace(each) for each in range(number)]
    address = f"{NETWORK}.1"
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{address}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for each in made:
            each.make()
        yield made, address
    finally:
        for each in made:
            each.delete()
        ip("link", "delete", BRIDGE)
