"""What of a data source is sent: all that is new, and little else."""

from __future__ import annotations

import numpy as np
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from hypothesis import given
from hypothesis import strategies as st

from chaosaws_kms_ext.report.live.changes import FEW, send

values = st.one_of(st.just(float("nan")), st.integers(0, 3).map(float))
rows = st.lists(st.tuples(values, st.sampled_from(["a", "b", "<b>"])), max_size=12)


def columns(rows, arrays):
    numbers, names = [row[0] for row in rows], [row[1] for row in rows]
    return {"x": np.array(numbers, np.float64) if arrays else numbers, "name": names}


def shown(columns):
    numbers = np.nan_to_num(np.asarray(columns["x"], np.float64), nan=-1).tolist()
    return numbers, list(columns["name"])


@given(st.lists(rows, min_size=1, max_size=5), st.booleans())
def test_the_source_has_what_it_should_have_and_nobody_elses_columns_change(steps, arrays):
    source = ColumnDataSource({"x": [], "name": []})
    given_before = []
    for step in steps:
        its = columns(step, arrays)
        given_before.append((its, shown(its)))
        send(source, its)
        assert shown(source.data) == shown(its)
    assert all(shown(its) == was for its, was in given_before)


def sent(before, after):
    """The events of a document, by their kinds."""
    source, document, events = ColumnDataSource({"x": before}), Document(), []
    document.add_root(source)
    document.on_change(events.append)
    send(source, {"x": after})
    return [type(event).__name__ for event in events]


def test_what_is_the_same_is_not_sent():
    assert sent([1.0, 2.0], [1.0, 2.0]) == []
    assert sent([], []) == []


def test_new_rows_are_streamed_and_the_last_ones_patched():
    assert sent([1.0, 2.0], [1.0, 2.0, 3.0]) == ["ColumnsStreamedEvent"]
    assert sent([1.0, 2.0], [1.0, 9.0]) == ["ColumnsPatchedEvent"]
    assert sent([1.0, 2.0], [1.0, 9.0, 3.0]) == ["ColumnsPatchedEvent", "ColumnsStreamedEvent"]


def test_where_all_is_new_or_rows_have_gone_the_whole_is_sent():
    assert sent([1.0, 2.0], [5.0, 6.0, 7.0]) == ["ColumnDataChangedEvent"]
    assert sent([1.0, 2.0], [1.0]) == ["ColumnDataChangedEvent"]
    many = np.arange(2.0 * FEW)
    assert sent(many, np.where(many > 3, many + 1, many)) == ["ColumnDataChangedEvent"]
