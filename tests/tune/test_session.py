"""A run that was stopped goes on where it was, and measures nothing twice."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count

import pytest

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.inline import Inline
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.pool import ProcessPool
from tilewright.tune.record import Key
from tilewright.tune.record_file import RecordFile
from tilewright.tune.session import Session
from tune_runner import is_alive, job, until

KEY = Key(structure="matmul", target="accel", machine="12ab")
OTHER = replace(KEY, machine="34cd")


class Counted:
    """Knows what it measured; every third point is lost at first."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def __call__(self, point: Point) -> Outcome:
        self.points.append(point)
        if point.number("n") % 3 == 0 and self.points.count(point) == 1:
            return Outcome(kind=Kind.LOST, detail="gone")
        if point.number("n") % 3 == 1:
            return Outcome(kind=Kind.WRONG, detail="differs")
        return Outcome(kind=Kind.OK, cost=point.number("n") + 1)


def counted_job(runner: Counted, n: int) -> Job:
    return Job(runner=runner, point=Point({"n": n}))


def test_only_what_is_not_final_is_measured_again(tmp_path):
    runner, path = Counted(), tmp_path / "r.jsonl"
    for _ in range(3):
        with Session(path) as session:
            found = list(session(Inline(), [(KEY, counted_job(runner, n)) for n in range(9)]))
            assert sorted(each.point.number("n") for _, each, _ in found) == list(range(9))
            assert session.notes == ()
    assert len(runner.points) == 9 + 3
    assert [outcome.kind for _, _, outcome in found].count(Kind.OK) == 6
    with RecordFile(path) as file:
        assert len(file.read().records) == 12


def test_another_key_is_measured_for_itself():
    runner, session = Counted(), Session()
    each = counted_job(runner, 2)
    found = list(session(Inline(), [(KEY, each), (OTHER, each), (KEY, each)]))
    assert [key for key, _, _ in found] == [KEY, OTHER, KEY]
    assert len(runner.points) == 2
    assert session.records.best(OTHER).outcome.cost == 3


def test_a_point_on_its_way_is_not_measured_beside_itself(tmp_path):
    path = tmp_path / "log"
    twice = job(1, "use", path=str(path), ms=50)
    with ProcessPool(workers=2) as pool, Session() as session:
        found = list(session(pool, [(KEY, twice), (OTHER, twice), (KEY, replace(twice)), (KEY, job(2))]))
    assert sorted((key.machine, each.point.number("n")) for key, each, _ in found) == [
        ("12ab", 1),
        ("12ab", 1),
        ("12ab", 2),
        ("34cd", 1),
    ]
    assert len(path.read_text().splitlines()) == 4


def test_known_outcomes_come_before_more_jobs_are_taken():
    runner, session = Counted(), Session()
    list(session(Inline(), [(KEY, counted_job(runner, n)) for n in (1, 2)]))
    said = []

    def jobs():
        for n in count():
            # Whoever proposes points for ever looks at the outcomes to know when to end.
            if len(said) == 20:
                return
            yield KEY, counted_job(runner, 1 + n % 2)

    for each in session(Inline(), jobs()):
        said.append(each)
    assert len(said) == 20
    assert len(runner.points) == 2


def test_an_outcome_is_in_the_file_before_it_is_said(tmp_path):
    path = tmp_path / "r.jsonl"
    with Session(path) as session:
        for n, _ in enumerate(session(Inline(), [(KEY, job(n)) for n in range(5)])):
            with RecordFile(path) as file:
                assert len(file.read().records) == n + 1


def test_a_file_that_was_cut_off_is_gone_on_with(tmp_path):
    path = tmp_path / "r.jsonl"
    runner = Counted()
    jobs = [(KEY, counted_job(runner, n)) for n in (1, 2, 4)]
    with Session(path) as session:
        list(session(Inline(), jobs))
    path.write_bytes(path.read_bytes()[:-9])
    with Session(path) as session:
        assert len(session.notes) == 1
        found = list(session(Inline(), jobs))
        assert len(found) == 3
    assert runner.points.count(Point({"n": 4})) == 2
    assert len(runner.points) == 4


INTERRUPTED = """
import sys
sys.path.insert(0, {tests!r})
from tilewright.tune.pool import ProcessPool
from tilewright.tune.record import Key
from tilewright.tune.session import Session
from tune_runner import job

key = Key(structure="matmul", target="accel", machine="12ab")
jobs = [(key, job(n, "wait", ms=0 if n < 5 else {ms})) for n in range(8)]
with ProcessPool(workers=2) as pool, Session({path!r}) as session:
    for _, each, outcome in session(pool, jobs):
        print(each.point.number("n"), flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_what_a_stopped_run_had_said_is_kept(tmp_path, name):
    path = tmp_path / "r.jsonl"
    tests = os.path.dirname(os.path.dirname(__file__))
    script = INTERRUPTED.format(tests=tests, path=str(path), ms=60_000)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        said = {int(run.stdout.readline()) for _ in range(5)}
        run.send_signal(getattr(signal, name))
        assert run.wait(10) == -getattr(signal, name)
    assert said == set(range(5))
    with RecordFile(path) as file:
        assert {record.point.number("n") for record in file.read().records} == said
    until(lambda: not is_alive(run.pid))
    # The points of the script with no time to wait are others: five are known, three are not.
    with ProcessPool(workers=1) as pool, Session(path) as session:
        jobs = [(KEY, job(n, "wait", ms=0)) for n in range(8)]
        found = {each.point.number("n"): outcome for _, each, outcome in session(pool, jobs)}
    assert {n for n, outcome in found.items() if outcome.worker == "process 0"} >= {5, 6, 7}
    with RecordFile(path) as file:
        points = [record.point for record in file.read().records]
    assert len(points) == len(set(points)) == 8


def test_who_measures_without_an_outcome_is_told():
    class Forgetful(Inline):
        def __call__(self, jobs):
            yield from list(super().__call__(jobs))[1:]

    with pytest.raises(TuneError, match="1 jobs were measured without an outcome"):
        list(Session()(Forgetful(), [(KEY, job(0)), (KEY, job(1))]))


def test_a_consumer_that_stops_ends_what_runs(tmp_path):
    path = tmp_path / "pid"
    # The first is given to the first worker that is ready, so it runs when the other is answered.
    jobs = [(KEY, job(1, "tell", path=str(path), ms=60_000)), (KEY, job(0))]
    with ProcessPool(workers=2) as pool, Session() as session:
        running = session(pool, jobs)
        next(running)
        until(lambda: path.exists() and path.read_text())
        running.close()
        assert not is_alive(int(path.read_text()))
        assert len(list(session(pool, [(KEY, job(2))]))) == 1
