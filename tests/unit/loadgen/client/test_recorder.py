"""Records are written whole and in order, and the users go on meanwhile."""

from __future__ import annotations

import gevent

from chaosaws_kms_ext.loadgen.client.recorder import AT_ONCE, Recorder

ROWS = [(number,) for number in range(AT_ONCE * 5 // 2)]


class Written:
    """Takes what is written, beside how often somebody else could run until then."""

    def __init__(self):
        self.parts, self.runs_before, self.runs, self.closed = [], [], 0, False

    def write(self, rows):
        self.parts.append(list(rows))
        self.runs_before.append(self.runs)

    def close(self):
        self.closed = True

    @property
    def rows(self):
        return [row for part in self.parts for row in part]

    def run(self):
        while True:
            self.runs += 1
            gevent.sleep(0)


def test_many_records_are_written_in_parts_and_others_run_in_between():
    written = Written()
    recorder = Recorder(written, print)
    other, flushing = gevent.spawn(written.run), gevent.spawn(recorder.flush_for_ever)
    for row in ROWS:
        recorder.add(row)
    with gevent.Timeout(30):
        while len(written.rows) < len(ROWS):
            gevent.sleep(0.01)
    gevent.killall([other, flushing])
    assert written.rows == ROWS
    assert [len(part) for part in written.parts] == [AT_ONCE, AT_ONCE, AT_ONCE // 2]
    assert written.runs_before[0] < written.runs_before[1] < written.runs_before[2]


def test_what_a_stopped_flush_had_left_is_written_at_the_end():
    written = Written()
    recorder = Recorder(written, print)
    flushing = gevent.spawn(recorder.flush_for_ever)
    for row in ROWS:
        recorder.add(row)
    with gevent.Timeout(30):
        while not written.parts:
            gevent.sleep(0)
    gevent.kill(flushing)
    assert len(written.parts) == 1
    recorder.close()
    assert written.rows == ROWS
    assert written.closed


def test_a_disk_that_is_full_is_said_once_and_ends_the_flushing():
    said = []

    class Full(Written):
        def write(self, rows):
            raise OSError(28, "No space left on device")

    recorder = Recorder(Full(), said.append)
    recorder.add((1,))
    with gevent.Timeout(30):
        gevent.spawn(recorder.flush_for_ever).join()
    assert said == ["operations cannot be recorded: [Errno 28] No space left on device"]
