"""The records as Parquet and CSV, read back by others; and those of runs that are not whole."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from chaosaws_kms_ext.cli import kms
from chaosaws_kms_ext.history import Event, EventName, Operation
from chaosaws_kms_ext.history.reader import read_events, read_history
from chaosaws_kms_ext.history.writer import OperationWriter
from chaosaws_kms_ext.report import export as export_module
from chaosaws_kms_ext.report.export import FORMATS, CannotExport, export
from tests.support.damages import DAMAGES, inputs_of
from tests.support.small_run import stored
from tests.support.synthetic import record
from tests.support.synthetic_run import note

RATE = 20.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EVIL = "=cmd|'/C calc'!A0\x1b[31m,\"x\"\r\n<script>"


@pytest.fixture
def run(tmp_path):
    """A run with the loads `main` and `copy`, which has seen what is not meant well."""
    folder = stored(tmp_path / "reports")
    path = folder / "history" / "events.jsonl"
    *before, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join(before))
    note(folder, 1, EventName.LOAD_STEADY, load="copy")
    path.write_text(path.read_text() + last)
    operations = [
        Operation("copy", 3, n, "read", 10**9 * n, None, 10**9 * n + 5, "error", *said)
        for n, said in enumerate([("+1", None), ("57P01", EVIL), (None, "@SUM(A1)"), (None, "")], 1)
    ]
    writer = OperationWriter(folder / "history", "copy", RATE)
    writer.write([each[1:] for each in operations])
    writer.close()
    return folder


def command(*arguments):
    return CliRunner().invoke(kms, ["export", *map(str, arguments)])


def table_of(path):
    return pq.read_table(path).to_pylist()


def cells_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_parquet_has_every_operation_of_all_loads_with_both_times(run):
    ran = command(run)
    assert ran.exit_code == 0, ran.output
    rows = table_of(run / "export" / "operations.parquet")
    assert f"operations.parquet: {len(rows)} rows" in ran.output
    history, (anchor, events) = read_history(run / "history"), read_events(run / "history")
    for load in ("main", "copy"):
        its = sorted((r for r in rows if r["load"] == load), key=lambda r: r["due_ns"])
        arrivals = [r for r in its if r["kind"] in ("read", "write")]
        assert [r["due_ns"] + anchor.monotonic_ns for r in arrivals] == list(
            history.arrivals(load).due
        )
        assert len(its) == len(arrivals) + len(history.recorded[load].witnessed)
    for row in rows:
        since = timedelta(microseconds=(anchor.utc_ns + row["due_ns"]) // 1000)
        assert row["due_utc"].replace(nanosecond=0) == EPOCH + since
    (evil,) = [r for r in rows if r["sqlstate"] == "57P01" and r["load"] == "copy"]
    assert (evil["detail"], evil["sent_ns"], evil["sent_utc"]) == (EVIL, None, None)
    told = table_of(run / "export" / "events.parquet")
    assert [
        (r["at_ns"] + anchor.monotonic_ns, r["name"], json.loads(r["details"])) for r in told
    ] == [tuple(each) for each in events]
    assert (run / "export" / "operations.parquet").stat().st_mode & 0o077 == 0


def test_csv_has_the_same_and_no_cell_is_a_formula_or_obeyed_by_a_terminal(run):
    assert command(run, "--format", "csv").exit_code == 0
    assert command(run, "--format", "parquet").exit_code == 0
    rows = table_of(run / "export" / "operations.parquet")
    cells = cells_of(run / "export" / "operations.csv")
    assert len(cells) == len(rows)
    for row, its in zip(rows, cells, strict=True):
        for name in ("load", "kind", "outcome", "writer", "due_ns", "done_ns"):
            assert its[name] == str(row[name])
        assert its["sent_ns"] == ("" if row["sent_ns"] is None else str(row["sent_ns"]))
        assert datetime.fromisoformat(its["due_utc"]) == row["due_utc"].replace(nanosecond=0)
    said = {(each["sqlstate"], each["detail"]) for each in cells if each["load"] == "copy"}
    shown = "'=cmd|'/C calc'!A0\\x1b[31m,\"x\"\\r\\n<script>"
    assert said == {("'+1", ""), ("57P01", shown), ("", "'@SUM(A1)"), ("", "")}
    text = (run / "export" / "operations.csv").read_bytes()
    assert b"\x1b" not in text
    assert len(text.splitlines()) == len(rows) + 1
    events = cells_of(run / "export" / "events.csv")
    assert [each["name"] for each in events] == [
        each.name for each in read_events(run / "history")[1]
    ]


@pytest.mark.parametrize("first", "=+-@＝")
def test_whatever_a_formula_begins_with_is_text(tmp_path, first):
    folder = tmp_path / "run"
    (folder / "history").mkdir(parents=True)
    writer = OperationWriter(folder / "history", f"{first}1", RATE)
    writer.write([Operation("", 1, 1, "read", 1, 1, 2, "ok", None)[1:]])
    writer.close()
    export(folder, tmp_path, "csv")
    (cells,) = cells_of(tmp_path / "operations.csv")
    assert cells["load"] == f"'{first}1"
    assert cells["writer"] == "1"


def test_the_rows_that_were_read_back_are_a_table_of_their_own(run):
    read = read_history(run / "history").rows["main"]
    for kind in ("parquet", "csv"):
        ran = command(run, "--format", kind)
        assert ran.exit_code == 0, ran.output
        assert f"rows.{kind}: {len(read.rows) + len(read.registers)} rows" in ran.output
    its = [r for r in table_of(run / "export" / "rows.parquet") if r["load"] == "main"]
    for register, found in ((False, read.rows), (True, read.registers)):
        assert [
            (r["writer"], r["sequence"], r["payload"]) for r in its if r["register"] is register
        ] == list(zip(found.rows.writer, found.rows.sequence, found.payload, strict=True))
    cells = cells_of(run / "export" / "rows.csv")
    assert {each["register"] for each in cells} == {"true", "false"}
    (run / "history" / "rows-main.arrows").write_bytes(b"torn")
    ran = command(run, "--overwrite")
    assert ran.exit_code == 1
    assert "Warning: the rows that were read back are not there: rows-main.arrows" in ran.output
    assert table_of(run / "export" / "rows.parquet") == []
    (run / "history" / "rows-main.arrows").unlink()
    assert command(run, "--output", str(run / "without")).exit_code == 0
    assert not (run / "without" / "rows.parquet").exists()


def canaries_of(run, *lines):
    (run / "history" / "canaries.jsonl").write_text("".join(f"{line}\n" for line in lines))


def a_try(at, **more):
    its = {"at": at, "seconds": 0.25, "dependent": "arn:aws:sqs:e:1:q", "outcome": "ok", **more}
    return json.dumps(its)


def test_the_tries_of_canaries_are_a_table_of_their_own_on_the_same_clock(run):
    anchor, _ = read_events(run / "history")
    at = anchor.monotonic_ns + 7
    canaries_of(run, a_try(at), a_try(at + 10**9, outcome="=KMS\x1b", seconds=0))
    for kind in ("parquet", "csv"):
        ran = command(run, "--format", kind)
        assert ran.exit_code == 0, ran.output
        assert f"canaries.{kind}: 2 rows" in ran.output
    first, second = table_of(run / "export" / "canaries.parquet")
    assert (first["at_ns"], first["done_ns"], first["outcome"]) == (7, 7 + 250_000_000, "ok")
    since = timedelta(microseconds=(anchor.utc_ns + 7) // 1000)
    assert first["at_utc"].replace(nanosecond=0) == EPOCH + since
    assert (second["dependent"], second["outcome"]) == ("arn:aws:sqs:e:1:q", "=KMS\x1b")
    assert second["done_ns"] == second["at_ns"]
    cells = cells_of(run / "export" / "canaries.csv")
    assert [each["outcome"] for each in cells] == ["ok", "'=KMS\\x1b"]
    assert [each["at_ns"] for each in cells] == ["7", str(10**9 + 7)]


def test_a_run_without_canaries_has_no_such_table(run):
    assert command(run).exit_code == 0
    assert not (run / "export" / "canaries.parquet").exists()


def test_of_tries_that_are_damaged_those_that_are_whole_are_there(run):
    lines = [
        a_try(1), "{", a_try("1"), a_try(2, seconds=-1), "[" * 5000, a_try(3, outcome="\ud800"),
        a_try(2**70),
    ]  # fmt: skip
    canaries_of(run, *lines)
    ran = command(run)
    assert ran.exit_code == 1
    assert "Warning: 5 lines of canaries.jsonl are damaged" in ran.output
    assert len(table_of(run / "export" / "canaries.parquet")) == 2
    canaries_of(run)
    assert command(run, "--overwrite").exit_code == 0
    assert table_of(run / "export" / "canaries.parquet") == []


def test_a_file_that_is_there_is_replaced_only_on_demand(run, tmp_path):
    (tmp_path / "out").mkdir()
    other = tmp_path / "out" / "events.parquet"
    other.write_text("somebody's")
    ran = command(run, "--output", tmp_path / "out")
    assert ran.exit_code == 2
    assert ran.output.startswith(f"Error: {other} is there already: give --overwrite")
    assert other.read_text() == "somebody's"
    assert list((tmp_path / "out").iterdir()) == [other]
    assert command(run, "--output", tmp_path / "out", "--overwrite").exit_code == 0
    assert table_of(other)
    assert command(run).exit_code == 0
    assert command(run).exit_code == 2


def test_without_a_folder_it_is_the_newest_of_the_reports(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CHAOS_REPORTS_DIR", str(tmp_path))
    (tmp_path / "latest").symlink_to(run)
    assert command().exit_code == 0
    assert (run / "export" / "operations.parquet").exists()


@pytest.mark.parametrize("what", ["none", "empty", "a file where the folder goes"])
def test_what_cannot_be_exported_is_one_sentence(run, tmp_path, what):
    arguments = [tmp_path / "none"]
    if what == "empty":
        (tmp_path / "none" / "history").mkdir(parents=True)
    elif what != "none":
        (tmp_path / "file").write_text("x")
        arguments = [run, "--output", tmp_path / "file"]
    ran = command(*arguments)
    assert ran.exit_code == 2
    assert ran.output.startswith("Error: ")
    assert len(ran.output.splitlines()) == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_a_disk_that_is_full_leaves_no_half_file(run, tmp_path, monkeypatch, capfd, kind):
    write = FORMATS[kind]

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(export_module.FORMATS, kind, lambda _, *its: write(Full(), *its))
    with pytest.raises(CannotExport, match="No space left on device"):
        export(run, tmp_path / "out", kind)
    assert list((tmp_path / "out").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_link_is_not_followed_and_not_replaced_unasked(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("somebody's")
    out = tmp_path / "out"
    out.mkdir()
    for to in (precious, tmp_path / "nowhere"):
        (out / "events.parquet").symlink_to(to)
        assert command(run, "--output", out).exit_code == 2
        assert command(run, "--output", out, "--overwrite").exit_code == 0
        assert not (out / "events.parquet").is_symlink()
        (out / "events.parquet").unlink()
        (out / "operations.parquet").unlink()
    assert precious.read_text() == "somebody's"
    assert not (tmp_path / "nowhere").exists()


def test_half_a_character_in_an_event_is_no_traceback(run):
    path = run / "history" / "events.jsonl"
    line = json.dumps({"at": 5, "name": "\ud800", "details": {"why": "\ud800"}})
    path.write_text(path.read_text() + line + "\n")
    for kind in ("csv", "parquet"):
        ran = command(run, "--format", kind)
        assert ran.exit_code == 0, ran.output
    assert table_of(run / "export" / "events.parquet")[-1]["name"] == "?"


def test_a_run_that_was_killed_gives_what_is_whole_and_says_what_is_missing(tmp_path):
    folder = stored(tmp_path, until=EventName.STATUS)
    ran = command(folder)
    assert ran.exit_code == 1
    assert "Warning: operations-main-" in ran.output
    assert "has no end: what came after its last whole batch is missing" in ran.output
    assert "the run did not record its end" in ran.output
    rows = table_of(folder / "export" / "operations.parquet")
    arrivals = [row for row in rows if row["kind"] in ("read", "write")]
    assert len(arrivals) == len(read_history(folder / "history").arrivals("main")) > 50


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_happens_to_a_file_the_rest_is_exported_and_it_is_said(run, tmp_path, damage):
    for path in inputs_of(run):
        if not path.name.startswith(("operations", "events")):
            continue
        folder = tmp_path / "damaged"
        shutil.copytree(run, folder)
        DAMAGES[damage](next(each for each in inputs_of(folder) if each.name == path.name))
        ran = command(folder)
        assert isinstance(ran.exception, SystemExit), ran.exception
        assert ran.exit_code == 1, ran.output
        assert "Warning: " in ran.output
        rows = table_of(folder / "export" / "operations.parquet")
        assert any(each["load"] == "copy" for each in rows) or "copy" in path.name
        assert any(each["load"] == "main" for each in rows) or "main" in path.name
        shutil.rmtree(folder)


def test_batches_before_a_damage_are_there(tmp_path):
    folder = tmp_path / "run"
    (folder / "history").mkdir(parents=True)
    writer = OperationWriter(folder / "history", "main", RATE)
    (path,) = (folder / "history").iterdir()
    sizes = []
    for n in range(50):
        writer.write([Operation("", 1, n, "read", n, n, n + 1, "ok", None)[1:]])
        sizes.append(path.stat().st_size)
    writer.close()
    content = bytearray(path.read_bytes())
    place = (sizes[29] + sizes[30]) // 2 + 100
    content[place] ^= 255
    path.write_bytes(content)
    done = export(folder, tmp_path / "out", "parquet")
    assert [r["sequence"] for r in table_of(tmp_path / "out" / "operations.parquet")][:29] == list(
        range(29)
    )
    assert any("is damaged" in why for why in done.missing)


MOST = """\
import sys
from pathlib import Path
from chaosaws_kms_ext.report.export import export
export(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
(most,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(most.split()[1])
"""


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_large_record_is_never_all_in_memory(tmp_path, kind):
    most = []
    for number in (100_000, 800_000):
        folder = tmp_path / str(number)
        (folder / "history").mkdir(parents=True)
        record(folder / "history", number, 5000.0, 1000)
        command = [sys.executable, "-c", MOST, folder, tmp_path / f"out-{number}", kind]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        most.append(int(said.stdout) * 1024)
    assert (folder / "history" / "operations-main-1.arrows").stat().st_size > 45e6
    assert most[1] - most[0] < 40e6


def test_the_types_are_those_of_the_page(run):
    command(run)
    schema = pq.read_schema(run / "export" / "operations.parquet")
    assert schema.field("due_utc").type == pa.timestamp("ns", "UTC")
    assert schema.field("due_ns").type == pa.int64()


def test_an_event_that_others_wrote_is_text(run):
    path = run / "history" / "events.jsonl"
    evil = Event(5, "=1+1", {"why": EVIL})
    path.write_text(path.read_text() + json.dumps(evil._asdict()) + "\n")
    command(run, "--format", "csv")
    last = cells_of(run / "export" / "events.csv")[-1]
    assert last["name"] == "'=1+1"
    assert json.loads(last["details"]) == {"why": EVIL}
