"""While a key is away: how long it may stay so, and whether somebody else puts it back."""

from __future__ import annotations

from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.history import EventName
from chaosaws_kms_ext.run import Refused, Run
from chaosaws_kms_ext.undo.replay import still_wrong

__all__ = ["KeyStaysAway", "time_left"]


class KeyStaysAway:
    """Notices when somebody else puts back the key that this run took away.

    One answer may be stale: KMS is eventually consistent.
    """

    LOOKS = 3

    def __init__(self, run: Run) -> None:
        self._run = run
        self._back = 0

    def look(self) -> None:
        """Raises Refused if the key was back in several answers, one after the other."""
        entry = self._run.open_faults.key_away[-1]
        try:
            back = not still_wrong(Aws.of(self._run), entry.undo)
        except AwsError as problem:
            go_on_after(self._run, problem)
            return
        self._back = self._back + 1 if back else 0
        if self._back >= self.LOOKS:
            raise Refused(f"the key {entry.key} is usable again: somebody put it back")


def time_left(run: Run) -> float:
    """Seconds until the run has to put the key back; raises Refused if it took none away."""
    injected = run.last(EventName.INJECTED)
    if injected is None or not run.open_faults.key_away:
        raise Refused("this run has taken no key away, so there is nothing to wait for")
    return run.settings.put_back_after - run.seconds_since(injected)
