"""What only Linux has stands in a few named places, and what happens elsewhere is said.

mypy looks for calls and constants: tests/deploy/test_other_systems.py (`make deploy-check`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.other_systems import modules, only_linux

ROOT = Path(__file__).parents[1]

ADDRESSES = "nothing: docs/systems.md says which addresses to make"

NAMED = {
    "bench/machine.py": ({"/proc/cpuinfo"}, "else the processor is as Python calls it"),
    "chaosaws_kms_ext/loadgen/engines/passfile.py": (
        {"/proc"},
        "else a file in its own folder",
    ),
    "chaosaws_kms_lab/data_plane/client_sessions.py": (
        {"/proc", "syscall"},
        "psutil finds the sessions; misbehaviours that hold requests say that they cannot",
    ),
    "chaosaws_kms_lab/processes.py": ({"/proc"}, "else psutil asks for the working directory"),
    "chaosaws_kms_lab/data_plane/members.py": ({"127.0.0.2", "127.0.0.3"}, ADDRESSES),
    "chaosaws_kms_lab/data_plane/proxies.py": ({"127.0.2."}, ADDRESSES),
    "chaosaws_kms_lab/data_plane/servers.py": ({"127.0.1.{}"}, ADDRESSES),
}
"""The places, what they have, and what happens elsewhere."""


def test_what_only_linux_has_stands_in_named_places():
    found = {
        name: its
        for name, text in modules(ROOT, "bench", "chaosaws_kms_ext", "chaosaws_kms_lab")
        if (its := only_linux(text))
    }
    assert found == {name: its for name, (its, _) in NAMED.items()}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("open(f'/proc/{pid}/stat')", {"/proc"}),
        ("Path('/dev/shm')", {"/dev/shm"}),
        ("host = '127.0.0.2'", {"127.0.0.2"}),
        ("run(['ip', 'netns', 'add', 'a'])", {"ip"}),
        ("psutil.Process().cpu_affinity([0])", {"cpu_affinity"}),
        ("ctypes.CDLL(None).prctl(1)", {"prctl"}),
        ('"""/proc is read."""\nhost = "127.0.0.1"\npath = "/processes"', set()),
    ],
)
def test_each_of_them_is_found(source, found):
    assert only_linux(source) == found
