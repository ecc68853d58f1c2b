"""While a key is away: how long it may stay so, and whether somebody else puts it back."""

from __future__ import annotations

from chaosaws_kms_ext.aws.client import Aws, AwsError, go_on_after
from chaosaws_kms_ext.history import Event, EventName
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
        """Raises Refused if the key, or what one of its faults changed, was back in several
        answers, one after the other."""
        entries = list(self._run.open_faults.key_away)
        try:
            back = [e for e in entries if not still_wrong(Aws.of(self._run), e.undo)]
        except AwsError as problem:
            go_on_after(self._run, problem)
            return
        self._back = self._back + 1 if back else 0
        if self._back < self.LOOKS:
            return
        key = back[0].key
        if len(back) == len([entry for entry in entries if entry.key == key]):
            raise Refused(f"the key {key} is usable again: somebody put it back")
        undone = ", ".join(action for each in back for action in each.undo.actions)
        raise Refused(f"one of the faults of {key} is undone ({undone}), not by this run")


def time_left(run: Run) -> float:
    """Seconds until the run has to put the key back; raises Refused if it took none away.

    Of several faults of a key the first counts: from then on it is away.
    """
    injected = _injected(run)
    if injected is None:
        raise Refused("this run has taken no key away, so there is nothing to wait for")
    return run.settings.put_back_after - run.seconds_since(injected)


def _injected(run: Run) -> Event | None:
    """The first of the faults that are not put back."""
    for entry in list(run.open_faults.key_away):
        opened = run.last(EventName.JOURNAL_OPENED, entry=str(entry.path))
        if opened is None:
            continue
        if injected := run.first_since(EventName.INJECTED, opened.at, key=entry.key):
            return injected
    return None
