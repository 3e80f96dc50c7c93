"""Records survive whatever cuts a file off, and nothing in a file is lost without a word."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.program_record import MOST_LAYERS, ProgramRecord
from tilewright.tune.record import UNITS, Key, Record, VersionError
from tilewright.tune.record_file import RecordFile
from tilewright.tune.record_index import Records
from tilewright.tune.record_line import read_line

POINTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4).map(Point)
COSTS = st.integers(1, 10**18) | st.floats(min_value=1e-300, allow_nan=False, allow_infinity=False)
SECONDS = st.floats(0, 1e9)
OUTCOMES = st.builds(
    Outcome, kind=st.just(Kind.OK), cost=COSTS, seconds=SECONDS, worker=st.text(max_size=5)
) | st.builds(
    Outcome,
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.OK]),
    detail=st.text(max_size=9),
    seconds=SECONDS,
)
KEYS = st.builds(
    Key,
    structure=st.text(max_size=9),
    target=st.sampled_from(["accel", "cpu", "rtl"]),
    machine=st.text(max_size=5),
    environment=POINTS,
    unit=st.sampled_from(UNITS),
)
MEASUREMENTS = st.builds(Record, key=KEYS, point=POINTS, outcome=OUTCOMES)


@st.composite
def programs(draw) -> ProgramRecord:
    default_cycles = draw(st.integers(1, 10**18))
    return ProgramRecord(
        key=replace(draw(KEYS), unit="cycles"),
        points=draw(st.dictionaries(st.integers(0, MOST_LAYERS - 1), POINTS, max_size=3)),
        default_cycles=default_cycles,
        cycles=draw(st.integers(1, default_cycles)),
        trials=draw(st.integers(0, 10**9)),
    )


RECORDS = MEASUREMENTS | programs()

KEY = Key(structure='{"op":"matmul"}', target="accel", machine="12ab", environment=Point({"latency": 16}))


def record(n: int, outcome: Outcome | None = None) -> Record:
    return Record(key=KEY, point=Point({"n": n}), outcome=outcome or Outcome(kind=Kind.OK, cost=n + 1))


@given(RECORDS)
def test_a_record_is_what_its_line_says(one):
    line = one.line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    read = read_line(line)
    assert read == one
    if isinstance(one, Record):
        assert type(read.outcome.cost) is type(one.outcome.cost)


@given(st.lists(RECORDS, max_size=3), RECORDS, st.data())
@settings(max_examples=60)
def test_a_file_cut_off_anywhere_keeps_the_whole_lines_and_can_be_appended_to(kept, new, data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        with RecordFile(path) as file:
            for one in kept:
                file.append(one)
        text = path.read_bytes()
        cut = data.draw(st.integers(0, len(text)))
        path.write_bytes(text[:cut])
        # The end of a line says nothing more: without it the last record is whole as well.
        whole = [
            one for n, one in enumerate(kept) if len(b"".join(o.line() for o in kept[: n + 1])) - 1 <= cut
        ]
        with RecordFile(path) as file:
            reading = file.read()
            assert list(reading.records) == whole
            is_cut = cut not in {
                len(b"".join(o.line() for o in kept[:n])) - end for n in range(4) for end in (0, 1)
            }
            assert len(reading.notes) == is_cut
            file.append(new)
            again = file.read()
        assert list(again.records) == [*whole, new]
        assert len(again.notes) == is_cut
        # Cut off once more, the file is still ours.
        path.write_bytes(path.read_bytes()[:-3])
        with RecordFile(path) as file:
            assert list(file.read().records) == whole


@given(st.binary(max_size=40))
@settings(max_examples=60)
def test_whatever_stands_between_records_they_are_read_and_it_is_named(garbage):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        path.write_bytes(record(0).line() + garbage + b"\n" + record(1).line())
        with RecordFile(path) as file:
            reading = file.read()
        assert reading.records == (record(0), record(1))
        lines = [n for n, line in enumerate(path.read_bytes().split(b"\n"), 1) if line.strip()]
        assert len(reading.notes) == len(lines) - 2


def test_what_is_no_record_is_named_by_its_line_and_reason(tmp_path):
    path = tmp_path / "r.jsonl"
    good = json.loads(record(0).line())
    bad = [
        "{",
        "[]",
        json.dumps({**good, "cost": None}),
        json.dumps({**good, "cost": True}),
        json.dumps({**good, "cost": float("nan")}),
        json.dumps({**good, "kind": "better"}),
        json.dumps({**good, "unit": "miles"}),
        json.dumps({**good, "point": {"n": True}}),
        json.dumps({**good, "point": {"n": [1]}}),
        json.dumps({**good, "more": 1}),
        json.dumps({**good, "version": "1"}),
        "[" * 100_000,
    ]
    path.write_text("\n".join([json.dumps(good), *bad, record(1).line().decode()]))
    with RecordFile(path) as file:
        reading = file.read()
    assert reading.records == (record(0), record(1))
    assert [note.split(": ")[0] for note in reading.notes] == [f"{path}:{n + 2}" for n in range(len(bad))]
    assert "cost must not be True" in reading.notes[3]
    assert "more" in reading.notes[9]


PROGRAM = ProgramRecord(
    key=replace(KEY, structure="12ef"),
    points={0: Point({"n": 1}), 12: Point({"order": "yo og"})},
    default_cycles=100,
    cycles=90,
    trials=7,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": []}, "points must not be"),
        ({"points": {"-1": {}}}, "named by its number, not '-1'"),
        ({"points": {"01": {}}}, "named by its number, not '01'"),
        ({"points": {"²": {}}}, "named by its number"),
        ({"points": {"1" * 5000: {}}}, "named by its number"),
        ({"points": {str(MOST_LAYERS): {}}}, "layers must be from 0 to"),
        ({"points": {"1": {"n": True}}}, "values of knobs must be"),
        ({"points": {"1": {"n": 1.5}}}, "values of knobs must be"),
        ({"points": {"1": 3}}, "values of knobs must be"),
        ({"cycles": 101}, "cycles must be from 1 to 100"),
        ({"cycles": 0}, "cycles must be from 1 to 100"),
        ({"cycles": True}, "cycles must not be True"),
        ({"default_cycles": 90.5}, "default_cycles must not be 90.5"),
        ({"trials": -1}, "trials must be at least 0"),
        ({"program": None}, "program must not be None"),
        ({"environment": {"latency": None}}, "values of knobs must be"),
        ({"more": 1}, "more"),
    ],
    ids=str,
)
def test_what_is_no_program_is_skipped_with_its_reason(tmp_path, change, message):
    path = tmp_path / "r.jsonl"
    path.write_bytes(PROGRAM.line() + json.dumps({**json.loads(PROGRAM.line()), **change}).encode() + b"\n")
    with RecordFile(path) as file:
        reading = file.read()
    assert reading.records == (PROGRAM,)
    assert len(reading.notes) == 1
    assert message in reading.notes[0]


def test_of_a_program_the_last_record_counts():
    later = replace(PROGRAM, points={}, cycles=100, trials=9)
    records = Records([PROGRAM, record(0), later])
    assert records.program(PROGRAM.key) == later
    assert records.program(KEY) is None
    assert len(records) == 2
    assert list(records) == [later, record(0)]
    assert PROGRAM.key in records.keys()  # noqa: SIM118


def test_programs_are_measured_in_cycles():
    with pytest.raises(TuneError, match="unit of a program must be cycles"):
        replace(PROGRAM, key=replace(KEY, unit="seconds"))


def test_records_of_another_version_are_counted_and_left_alone(tmp_path):
    path = tmp_path / "r.jsonl"
    other = b'{"version":2,"anything":[]}\n'
    path.write_bytes(other + record(0).line() + other * 12)
    with RecordFile(path) as file:
        reading = file.read()
        assert reading.records == (record(0),)
        assert len(reading.notes) == 1
        assert "13 records of version 2" in reading.notes[0]
        assert "lines 1, 3, 4" in reading.notes[0]
        file.append(record(1))
    assert path.read_bytes() == other + record(0).line() + other * 12 + record(1).line()
    with pytest.raises(VersionError):
        read_line(other)


@pytest.mark.parametrize("text", [b"PK\x03\x04", b"{}\n", b"# notes\n", b'{"name": 1}'])
def test_a_file_of_something_else_is_not_appended_to(tmp_path, text):
    path = tmp_path / "precious"
    path.write_bytes(text)
    with pytest.raises(TuneError, match="must be a file of records"):
        RecordFile(path)
    assert path.read_bytes() == text


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(TuneError, match="regular file"):
        RecordFile("/dev/null")
    with pytest.raises(OSError, match="directory"):
        RecordFile(tmp_path)


APPENDER = """
import sys
from tilewright.compiler.space.point import Point
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.program_record import MOST_LAYERS, ProgramRecord
from tilewright.tune.record import Key, Record
from tilewright.tune.record_file import RecordFile

first = int(sys.argv[2])
key = Key(structure="s", target="accel", machine="m")
with RecordFile(sys.argv[1]) as file:
    for n in range(first, first + 300):
        outcome = Outcome(kind=Kind.CRASHED, detail="x" * (n % 97) * 100)
        file.append(Record(key=key, point=Point({"n": n}), outcome=outcome))
"""


def test_processes_append_to_one_file(tmp_path):
    path = tmp_path / "r.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", APPENDER, str(path), str(n)]) for n in (0, 300, 600)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with RecordFile(path) as file:
        reading = file.read()
    assert reading.notes == ()
    assert sorted(one.point.number("n") for one in reading.records) == list(range(900))


def test_a_full_disk_is_an_error_that_names_the_file_and_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl"
    with RecordFile(path) as file:
        file.append(record(0))
        write = os.write

        def half(descriptor, data):
            if len(data) < 50:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[: len(data) // 2])

        monkeypatch.setattr("os.write", half)
        with pytest.raises(OSError, match=r"r\.jsonl"):
            file.append(record(1))
        monkeypatch.undo()
        file.append(record(2))
        reading = file.read()
    assert reading.records == (record(0), record(2))
    assert len(reading.notes) == 1


def test_a_final_outcome_stays_and_a_lost_one_gives_way():
    lost, ok = Outcome(kind=Kind.LOST, detail="gone"), Outcome(kind=Kind.OK, cost=5)
    records = Records([record(1, lost)])
    assert records.known(KEY, Point({"n": 1})) is None
    assert records.outcomes(KEY) == {Point({"n": 1}): lost}
    assert records.add(record(1, ok))
    assert not records.add(record(1, Outcome(kind=Kind.OK, cost=3)))
    assert not records.add(record(1, lost))
    assert records.known(KEY, Point({"n": 1})) == ok
    assert list(records) == [record(1, ok)]
    assert len(records) == 1


def test_the_best_is_the_right_answer_of_least_cost():
    wrong = Outcome(kind=Kind.WRONG, detail="differs")
    records = Records([record(0, wrong)])
    assert records.best(KEY) is None
    for n in (7, 3, 5):
        records.add(record(n))
    records.add(record(99, Outcome(kind=Kind.OK, cost=4)))
    assert records.best(KEY) == record(3)


@pytest.mark.parametrize(
    "change",
    [{"structure": "x"}, {"target": "cpu"}, {"machine": "x"}, {"environment": Point({"latency": 100})}],
)
def test_another_key_knows_nothing(change):
    records = Records([record(1)])
    other = replace(KEY, **change)
    assert records.known(other, Point({"n": 1})) is None
    assert records.best(other) is None
    assert records.outcomes(other) == {}


def test_what_makes_no_record_is_refused():
    with pytest.raises(TuneError, match="unit must be one of cycles, seconds"):
        replace(KEY, unit="miles")
    with pytest.raises(TuneError, match="time of a measurement"):
        record(1, Outcome(kind=Kind.WRONG, seconds=float("inf")))
