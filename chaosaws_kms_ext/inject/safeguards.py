"""Puts a key back if this process cannot, and keeps other runs from the key meanwhile.

Set up for a key before its fault: by the control when the run begins, else by the fault itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosaws_kms_ext.aws import names
from chaosaws_kms_ext.aws.client import Aws, AwsError
from chaosaws_kms_ext.guard import leftovers
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.undo import journal, store, switch
from chaosaws_kms_ext.undo.watchdog import Watchdog, WatchdogFailed

__all__ = ["Safeguards", "confined"]

logger = logging.getLogger("chaostoolkit")

LOCK_LOOK, LOCK_LOOKS = 60.0, 2
"""Seconds between two checks that the switch is still ours, and how many of them have to fail."""


class Safeguards:
    """The safeguards of one run. They end with it, except a watchdog with something to put back."""

    def __init__(self, run: Run, aws: Aws) -> None:
        self._run, self._aws = run, aws
        lab = run.lab
        self._lab = lab.id if lab else ""
        self._holds = contextlib.ExitStack()
        self._keys: set[str] = set()
        self._watchdog: Watchdog | None = None
        self._looked, self._lost = time.monotonic(), 0
        run.at_end.callback(self.close)

    @classmethod
    def ensure(cls, run: Run, aws: Aws, cluster: str, key: str, undo: Sequence[str]) -> Safeguards:
        """Sets the safeguards up for this key (an ARN) and its cluster, if that is not done yet.

        `undo`: the calls that put the key back (for example `kms:EnableKey`).

        Raises Refused if another run uses the key or has left it away, or if they cannot be set up.
        """
        safeguards = run.safeguards = run.safeguards or cls(run, aws)
        if key not in safeguards._keys:
            safeguards._set_up(cluster, key, undo)
            safeguards._keys.add(key)
        return safeguards

    def why_broken(self) -> str:
        """Why they do not protect the key any more, in a sentence; empty if they do."""
        if self._watchdog and not self._watchdog.running:
            return (
                f"its watchdog has ended, see {self._watchdog.log}: nobody would put the key back "
                "if this process died"
            )
        return self._lock_lost()

    def close(self) -> None:
        """Releases everything, the watchdog last; safe to call again."""
        self._holds.close()
        watchdog, self._watchdog = self._watchdog, None
        mine = self._run.open_faults
        if watchdog and (mine.key_away or mine.awaiting_cluster):
            if mine.key_away:
                logger.error(f"the watchdog goes on putting the key back; its log: {watchdog.log}")
            else:
                logger.warning(f"the watchdog sees to the cluster's return, see {watchdog.log}")
            watchdog.leave()
            return
        if watchdog:
            watchdog.dismiss()
        journal.forget_closed(self._run.id)

    # Internals

    def _set_up(self, cluster: str, key: str, undo: Sequence[str]) -> None:
        for name in filter(None, (cluster, key)):
            leftovers.refuse_if_left_open(name, self._lab)
        with contextlib.ExitStack() as stack:  # released again if anything is refused
            try:
                journal.check_writable()
                stack.enter_context(journal.held(key))
            except store.Held as problem:
                raise Refused(str(problem)) from None
            except OSError as problem:
                raise Refused(f"the undo journal cannot be written: {problem}") from None
            armed = {"undo journal": f"in {store.directory()}, before the fault"}
            if self._run.settings.target == "aws":
                unknown = self._others(key)
                self._watch()
                means = self._means(undo)
                said = f"{'; '.join(means.values())}{unknown}"
                logger.info(f"If this run dies the key is put back by: {said}")
                armed.update(means)
            else:
                armed["lab"] = "it ends with the run, and its keys with it"
            armed["lock"] = f"no other run of this machine's user may take {key} away meanwhile"
            self._run.event(EventName.SAFEGUARDS, key=key, armed=armed)
            self._holds.push(stack.pop_all())

    def _others(self, key: str) -> str:
        """Whether a run on another machine holds the key, as far as that can be seen."""
        lock, *_ = names.schedules(key)
        try:
            holder = switch.holder(self._aws, lock)
        except AwsError as problem:
            if self._run.settings.switch_role:
                raise Refused(f"whether another run holds {key} is not known: {problem}") from None
            return f"; whether a run elsewhere holds the key is not known: {problem}"
        if holder:
            raise Refused(
                f"run {holder} holds the key {key}, by the schedule {lock} of group "
                f"{names.GROUP}. If that run is over, put it back with `chaos kms restore`"
            )
        return ""

    def _watch(self) -> None:
        if self._watchdog is not None:
            return
        longest = self._run.settings.watchdog_after
        try:
            self._watchdog = Watchdog.start(self._run.id, self._aws.region, longest)
        except (WatchdogFailed, OSError) as problem:
            raise Refused(str(problem)) from None

    def _means(self, undo: Sequence[str]) -> dict[str, str]:
        """Name → what puts the key back if this process cannot."""
        assert self._watchdog is not None
        role = self._run.settings.switch_role
        where = confined()
        if where:
            logger.warning(
                f"This run is in {where}, which its watchdog does not outlive"
                + ("" if role else ": set CHAOS_SWITCH_ROLE, so that AWS itself puts the key back")
            )
        by_switch = switch.covered(undo)
        if not role:
            armed = "no schedules on AWS (CHAOS_SWITCH_ROLE): if this machine goes, nobody does"
        elif switch.can(undo):
            armed = f"schedules on AWS, as {role}, which are armed just before the fault"
        elif by_switch:
            rest = ", ".join(each for each in undo if each not in by_switch)
            armed = (
                f"schedules on AWS, as {role}, for {', '.join(by_switch)} alone, which are armed "
                f"just before that fault: if this machine goes, nobody calls {rest}"
            )
        else:
            armed = "no schedules on AWS, which cannot do it: if this machine goes, nobody does"
        return {
            "watchdog": f"a watchdog (pid {self._watchdog.child.process.pid})",
            "switch": armed,
            "restore": f"`chaos kms restore`, from {store.directory()}",
        }

    def _lock_lost(self) -> str:
        """Checks it once in LOCK_LOOK seconds; one stale or missing answer of AWS is no proof."""
        armed = [entry for entry in list(self._run.open_faults.key_away) if entry.switch]
        if not armed or time.monotonic() - self._looked < LOCK_LOOK:
            return ""
        self._looked = time.monotonic()
        with contextlib.suppress(AwsError):
            ours = all(switch.holder(self._aws, e.switch[0]) == e.run for e in armed)
            self._lost = 0 if ours else self._lost + 1
        if self._lost < LOCK_LOOKS:
            return ""
        return "its switch is gone: somebody disarmed it (`chaos kms restore` elsewhere?)"


def confined(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> str:
    """What would end this process and its watchdog together, in words; empty if nothing is known.

    Docker and Podman leave these files, Kubernetes and CI services these variables.
    """
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return "a container"
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "a Kubernetes pod"
    if environ.get("ECS_CONTAINER_METADATA_URI_V4"):
        return "an ECS task"
    return "a CI job" if environ.get("CI") else ""
