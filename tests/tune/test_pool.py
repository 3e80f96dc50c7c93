"""Whatever a job does to the process that measures it, it has one outcome, and the other jobs theirs."""

import os
import signal
import subprocess
import sys
import threading
from time import monotonic, sleep

import pytest

from tilewright.compiler.space.point import Point
from tilewright.tune.board import hold
from tilewright.tune.error import TuneError
from tilewright.tune.inline import Inline
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.pool import ProcessPool
from tilewright.tune.worker_process import Patience
from tune_runner import Cost, Large, Unreadable, is_alive, job, overlaps, until


@pytest.fixture(scope="module")
def warm():
    with ProcessPool(workers=2) as pool:
        yield pool


def measured(measure, jobs) -> dict[Point, Outcome]:
    """The outcomes, each job's once."""
    jobs = list(jobs)
    found = list(measure(iter(jobs)))
    assert sorted(map(id, jobs)) == sorted(id(each) for each, _ in found)
    return {each.point: outcome for each, outcome in found}


FAULTS = {
    "loop": (Kind.TIMEOUT, "stopped after 0.2 s"),
    "loop deaf": (Kind.TIMEOUT, "stopped after 0.2 s"),
    "stop": (Kind.TIMEOUT, "stopped after 0.2 s"),
    "kill": (Kind.CRASHED, "the process was killed by SIGKILL"),
    "segfault": (Kind.CRASHED, "the process was killed by SIGSEGV"),
    "abort": (Kind.CRASHED, "was killed by SIGABRT; its last words: LLVM ERROR: out of registers"),
    "leave": (Kind.CRASHED, "SystemExit: 3"),
    "leave at once": (Kind.CRASHED, "the process exited with 4"),
    "fail": (Kind.CRASHED, "ArithmeticError: no such number"),
    "return nothing": (Kind.CRASHED, "a runner must return an Outcome, not 7"),
    "answer wrongly": (Kind.WRONG, "output 0 differs"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_the_outcome_of_its_job_alone(warm, fault):
    timeout = 0.2 if FAULTS[fault][0] is Kind.TIMEOUT else 30
    faulty = job(2, fault, timeout=timeout)
    found = measured(warm, [job(0), job(1), faulty, *map(job, range(3, 9))])
    outcome = found.pop(faulty.point)
    assert outcome.kind is FAULTS[fault][0]
    assert outcome.detail.endswith(FAULTS[fault][1])
    assert all(each.kind is Kind.OK and each.cost == point.number("n") + 1 for point, each in found.items())


def test_all_faults_at_once_still_leave_one_outcome_each(warm):
    jobs = [job(n, fault, timeout=0.2) for n, fault in enumerate(FAULTS)]
    found = measured(warm, jobs)
    assert [found[each.point].kind for each in jobs] == [kind for kind, _ in FAULTS.values()]


def test_a_job_that_prints_much_is_not_stopped_by_it(warm):
    found = measured(warm, [job(n, "say much") for n in range(3)])
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}


def test_what_a_job_started_ends_with_it(warm, tmp_path):
    path = tmp_path / "pid"
    (outcome,) = measured(warm, [job(0, "loop below", timeout=0.5, path=str(path))]).values()
    assert outcome.kind is Kind.TIMEOUT
    until(lambda: not is_alive(int(path.read_text())))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_worker_killed_or_stopped_from_outside_is_replaced(warm, tmp_path, name):
    path = tmp_path / "pid"

    def send() -> None:
        until(path.exists)
        until(path.read_text)
        os.kill(int(path.read_text()), getattr(signal, name))

    sender = threading.Thread(target=send)
    sender.start()
    struck = job(0, "tell", path=str(path), ms=400, timeout=0.6)
    found = measured(warm, [struck, *map(job, range(1, 7))])
    sender.join()
    expected = {"SIGKILL": Kind.CRASHED, "SIGSTOP": Kind.TIMEOUT}[name]
    assert found.pop(struck.point).kind is expected
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}


def test_workers_killed_while_they_wait_cost_no_job_its_outcome(warm):
    workers = {outcome.worker for outcome in measured(warm, map(job, range(4))).values()}
    for worker in warm._workers:
        os.kill(worker._process.pid, signal.SIGKILL)
    found = measured(warm, map(job, range(5)))
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}
    assert workers.isdisjoint(outcome.worker for outcome in found.values())


def test_a_worker_stopped_while_it_waits_gives_its_job_to_another():
    with ProcessPool(workers=1, patience=Patience(start_seconds=5)) as pool:
        measured(pool, [job(0)])
        pool._workers[0]._patience = Patience(start_seconds=0.3)
        os.kill(pool._workers[0]._process.pid, signal.SIGSTOP)
        (outcome,) = measured(pool, [job(1)]).values()
    assert outcome.kind is Kind.OK


def test_workers_are_kept_and_hear_of_a_runner_once(warm):
    runner = Large(bytes(3 << 20))
    first = measured(warm, [job(n, runner=runner) for n in range(4)])
    processes = {worker._process.pid for worker in warm._workers}
    second = measured(warm, [job(n, runner=runner) for n in range(4)])
    assert {outcome.cost for outcome in [*first.values(), *second.values()]} == {3 << 20}
    assert processes == {worker._process.pid for worker in warm._workers}
    assert warm._pack(runner).number in warm._workers[0]._taught


def test_many_runners_are_told_apart(warm):
    jobs = [job(n, runner=Large(bytes(n + 1))) for n in range(100)]
    again = [jobs[n % 3] for n in range(7)] + [jobs[97 + n % 3] for n in range(13)]
    found = list(warm(jobs))
    processes = {worker._process.pid for worker in warm._workers}
    found += warm(again)
    assert len(found) == 120
    assert processes == {worker._process.pid for worker in warm._workers}
    assert all(outcome.cost == each.point.number("n") + 1 for each, outcome in found)


def test_jobs_are_taken_as_slots_become_free_and_outcomes_come_as_they_arrive(warm):
    taken = []

    def jobs():
        for n in range(8):
            taken.append(n)
            yield job(n, "wait", ms=0 if n % 2 else 100)

    for answered, _ in enumerate(warm(jobs())):
        assert len(taken) <= answered + warm.slots
    assert len(taken) == 8
    order = [each.point.number("n") for each, _ in warm([job(0, "wait", ms=600), job(1), job(2)])]
    assert order == [1, 2, 0]


def test_starting_does_not_count_as_measuring():
    with ProcessPool(workers=1) as pool:
        start = monotonic()
        (outcome,) = measured(pool, [job(0, timeout=0.05)]).values()
        assert monotonic() - start > 0.05
    assert outcome.kind is Kind.OK


def test_a_consumer_that_stops_ends_what_runs_and_can_begin_again(warm, tmp_path):
    path = tmp_path / "pid"
    # The first is given to the first worker that is ready, so it runs when the other is answered.
    running = warm([job(1, "tell", path=str(path), ms=60_000), job(0)])
    next(running)
    until(lambda: path.exists() and path.read_text())
    with pytest.raises(TuneError, match="must finish its jobs"):
        next(warm([job(0)]))
    running.close()
    assert not is_alive(int(path.read_text()))
    assert len(measured(warm, map(job, range(3)))) == 3


INTERRUPTED = """
import sys
sys.path.insert(0, {tests!r})
from tilewright.tune.pool import ProcessPool
from tune_runner import job
with ProcessPool(workers=2) as pool:
    for each, outcome in pool([job(0), job(1, "tell", path={path!r}, ms=60_000), job(2, "wait", ms=60_000)]):
        print(outcome.kind, flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_workers_end_with_who_started_them(tmp_path, name):
    path = tmp_path / "pid"
    tests = os.path.dirname(os.path.dirname(__file__))
    script = INTERRUPTED.format(tests=tests, path=str(path))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        until(lambda: path.exists() and path.read_text())
        assert run.stdout.readline() == b"ok\n"
        run.send_signal(getattr(signal, name))
        _, errors = run.communicate(timeout=10)
    assert run.returncode == -getattr(signal, name)
    assert (b"KeyboardInterrupt" in errors) == (name == "SIGINT")
    assert b"ResourceWarning" not in errors
    until(lambda: not is_alive(int(path.read_text())))


def test_a_worker_ends_at_its_timeout_though_who_started_it_has_stopped(tmp_path):
    path = tmp_path / "pid"
    tests = os.path.dirname(os.path.dirname(__file__))
    script = INTERRUPTED.format(tests=tests, path=str(path)).replace("ms=60_000)", "ms=60_000, timeout=0.7)")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL) as run:
        until(lambda: path.exists() and path.read_text())
        run.send_signal(signal.SIGSTOP)
        assert is_alive(int(path.read_text()))
        until(lambda: not is_alive(int(path.read_text())))
        run.kill()


def test_a_board_is_used_by_one_job_at_a_time(warm, tmp_path):
    path = tmp_path / "log"
    uses = [job(n, "use", path=str(path), ms=20, resource="board:a") for n in range(8)]
    found = measured(warm, [each for n in range(8) for each in (uses[n], job(n))])
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}
    assert overlaps(path) == []
    assert len(path.read_text().splitlines()) == 16


def test_jobs_of_a_pool_do_not_wait_for_each_other_where_patience_counts():
    with ProcessPool(workers=2, patience=Patience(board_seconds=0)) as pool:
        found = measured(pool, [job(n, "wait", ms=100, resource="board:b") for n in range(4)])
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}


def test_a_board_is_used_by_one_run_at_a_time(warm, tmp_path):
    path = tmp_path / "log"
    board = f"board:{tmp_path}"
    with ProcessPool(workers=1, name="other") as other:
        runs = [
            threading.Thread(
                target=measured,
                args=(pool, [job(n, "use", path=str(path), ms=30, resource=board) for n in range(5)]),
            )
            for pool in (warm, other)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
    assert len(path.read_text().splitlines()) == 20
    assert overlaps(path) == []


def test_waiting_for_a_board_is_no_measuring_and_has_an_end(tmp_path):
    board = str(tmp_path)
    with ProcessPool(workers=1, patience=Patience(board_seconds=0.5)) as pool:
        with hold(board, 0):
            (outcome,) = measured(pool, [job(0, resource=f"board:{board}", timeout=0.2)]).values()
        assert outcome.kind is Kind.LOST
        assert "was used by another process of this machine for 0.5 s" in outcome.detail
        (outcome,) = measured(pool, [job(0, resource=f"board:{board}")]).values()
        assert outcome.kind is Kind.OK


def test_times_of_the_host_are_taken_one_by_one(warm, tmp_path):
    path = tmp_path / "log"
    measured(warm, [job(n, "use", path=str(path), ms=20, resource="cpu") for n in range(5)])
    assert overlaps(path) == []
    with ProcessPool(workers=2, limits={}) as pool:
        measured(pool, [job(n, "wait", ms=400, resource="cpu") for n in range(2)])
        measured(pool, [job(n, "use", path=str(path), ms=100, resource="cpu") for n in range(4)])
    assert overlaps(path) != []


def test_a_runner_that_no_worker_can_have_is_an_outcome(warm):
    class Local(Cost):
        pass

    unpickled, unknown = job(0, runner=lambda point: None), job(1, runner=Local())
    deadly = job(2, runner=Unreadable())
    found = measured(warm, [unpickled, unknown, deadly, job(3)])
    assert found[unpickled.point].kind is found[unknown.point].kind is Kind.CRASHED
    assert "must be one that can be pickled" in found[unpickled.point].detail
    assert found[deadly.point].kind is Kind.LOST
    assert "3 processes ended before they began with it" in found[deadly.point].detail
    assert found[job(3).point].kind is Kind.OK


def test_a_runner_of_a_module_that_workers_do_not_find_says_so(warm, monkeypatch):
    module = type(sys)("only_here")
    exec("class Here:\n    def __call__(self, point): return None", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    (outcome,) = measured(warm, [job(0, runner=module.Here())]).values()
    assert outcome.kind is Kind.CRASHED
    assert outcome.detail.startswith("a runner must be of a module that workers can import: ModuleNotFound")


def test_memory_has_a_limit_where_one_is_given():
    with ProcessPool(workers=1, memory_bytes=4 << 30) as pool:
        found = measured(pool, [job(0, "eat"), job(1)])
    assert found[job(0, "eat").point].detail == "MemoryError"
    assert found[job(1).point].kind is Kind.OK


@pytest.mark.parametrize("executable", ["/bin/false", "/nothing"])
def test_where_no_worker_can_start_every_job_is_lost(monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    with ProcessPool(workers=2) as pool:
        found = measured(pool, map(job, range(5)))
        assert {outcome.kind for outcome in found.values()} == {Kind.LOST}
        assert all("no process to measure in could be started" in each.detail for each in found.values())
        monkeypatch.undo()
        assert measured(pool, [job(0)])[job(0).point].kind is Kind.OK


def test_a_late_look_does_not_make_a_right_answer_late(warm):
    while sum(worker.is_ready for worker in warm._workers) < 2:
        measured(warm, [job(n, "wait", ms=100) for n in range(2)])
    running = warm([job(1, "wait", ms=100, timeout=0.2), job(2, "wait", ms=50)])
    assert next(running)[0].point.number("n") == 2
    sleep(0.8)
    assert next(running)[1].kind is Kind.OK


def test_an_error_of_who_gives_jobs_is_theirs(warm):
    def jobs():
        yield job(0)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(warm(jobs()))
    assert len(measured(warm, [job(0)])) == 1


def test_this_process_alone_measures_as_well():
    inline = Inline()
    faults = ["fail", "leave", "return nothing", "answer wrongly"]
    found = measured(inline, [job(9), *(job(n, fault) for n, fault in enumerate(faults))])
    assert [outcome.kind for outcome in found.values()] == [Kind.OK, *(FAULTS[fault][0] for fault in faults)]
    assert found[job(9).point].seconds > 0
    inline.close()


def test_a_pool_without_workers_is_refused():
    with pytest.raises(TuneError, match="1 worker or more, not 0"):
        ProcessPool(workers=0)


def test_a_job_has_what_measuring_needs_alone():
    assert Job(runner=Cost(), point=Point({"n": 1})).resource == "sim"
