"""On a real scheduler with real workers, killed, stopped and restarted, every job has its one outcome."""

import os
import signal
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import pytest

from dask_cluster import dask_cluster
from repository import ROOT
from tilewright.tune.cluster import Cluster
from tilewright.tune.error import TuneError
from tilewright.tune.outcome import Kind
from tilewright.tune.record import Key
from tilewright.tune.record_file import RecordFile
from tilewright.tune.session import Session
from tune_runner import Large, is_alive, job, overlaps, until

pytestmark = pytest.mark.slow

FAULTS = {
    "kill": Kind.CRASHED,
    "segfault": Kind.CRASHED,
    "leave at once": Kind.CRASHED,
    "fail": Kind.CRASHED,
    "loop": Kind.TIMEOUT,
    "stop": Kind.TIMEOUT,
    "answer wrongly": Kind.WRONG,
}


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """A cluster of two machines that nobody strikes; both claim one board."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as dask:
        dask.scheduler()
        for _ in range(2):
            dask.worker("sim=1 board:x=1")
        yield dask


@pytest.fixture
def dask(tmp_path):
    with dask_cluster(tmp_path) as found:
        yield found


def measured(cluster, jobs):
    jobs = list(jobs)
    found = list(cluster(iter(jobs)))
    assert sorted(map(id, jobs)) == sorted(id(each) for each, _ in found)
    return {each.point.number("n"): outcome for each, outcome in found}


def the_process(path: Path) -> int:
    """That a `tell` names."""
    until(lambda: path.exists() and path.read_text(), 60)
    return int(path.read_text())


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def struck(cluster, jobs, strike):
    """The outcomes, of which some come after a blow that another thread strikes."""
    errors = []

    def act():
        try:
            strike()
        except BaseException as error:
            errors.append(error)
            raise

    thread = threading.Thread(target=act)
    thread.start()
    found = measured(cluster, jobs)
    thread.join()
    assert not errors
    return found


def test_faults_of_jobs_are_theirs_alone(steady):
    jobs = [job(n, fault, timeout=0.5) for n, fault in enumerate(FAULTS)]
    with Cluster(steady.address) as cluster:
        assert cluster.slots == 3
        found = measured(cluster, [*jobs, *map(job, range(10, 20))])
    assert [found[n].kind for n in range(len(FAULTS))] == list(FAULTS.values())
    assert all(found[n].cost == n + 1 for n in range(10, 20))
    # Workers of Dask went on through all of it.
    assert len({outcome.worker.split()[0] for outcome in found.values()}) == 2


def test_large_runners_reach_every_machine(steady):
    with Cluster(steady.address) as cluster:
        found = measured(cluster, [job(n, runner=Large(bytes((11 << 20) + n % 2))) for n in range(6)])
    assert [found[n].cost for n in range(6)] == [(11 << 20) + n % 2 for n in range(6)]


def test_two_workers_and_two_clients_use_one_board_one_by_one(steady, tmp_path):
    log = tmp_path / "log"
    found = []

    def run():
        with Cluster(steady.address) as cluster:
            jobs = [job(n, "use", path=str(log), ms=30, resource="board:x") for n in range(6)]
            found.append(measured(cluster, jobs))

    runs = [threading.Thread(target=run) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert [outcome.kind for run in found for outcome in run.values()] == [Kind.OK] * 12
    assert len(log.read_text().splitlines()) == 24
    assert overlaps(log) == []


def test_a_consumer_that_stops_leaves_the_cluster_to_the_next(steady, tmp_path):
    path = tmp_path / "pid"
    with Cluster(steady.address) as cluster:
        running = cluster([job(0, "tell", path=str(path), ms=60_000, timeout=2), job(1)])
        next(running)
        the_process(path)
        running.close()
        assert measured(cluster, [job(2)])[2].kind is Kind.OK


def test_another_version_is_told_and_measures_nothing(steady, monkeypatch):
    notes = []
    with Cluster(steady.address, tell=notes.append) as cluster:
        monkeypatch.setattr("tilewright.tune.cluster.version", lambda: "tilewright 9 on Python 3.11")
        found = measured(cluster, map(job, range(5)))
    assert {outcome.kind for outcome in found.values()} == {Kind.LOST}
    assert len(notes) == 2
    assert all("install the same on both" in note for note in notes)
    assert "install the same on both" in found[4].detail


def test_what_no_machine_offers_is_lost_with_the_remedy(steady):
    with Cluster(steady.address, patience_seconds=1) as cluster:
        found = measured(cluster, [job(0, resource="board:y"), job(1)])
    assert found[0].kind is Kind.LOST
    assert f'`dask worker {steady.address} --resources "board:y=1"`' in found[0].detail
    assert found[1].kind is Kind.OK


def test_a_worker_that_is_killed_is_restarted_and_its_job_measured_again(dask, tmp_path):
    path = tmp_path / "pid"
    dask.scheduler()
    dask.worker("sim=2")
    children = []

    def strike():
        children.append(the_process(path))
        os.kill(parent(children[0]), signal.SIGKILL)

    with Cluster(dask.address) as cluster:
        jobs = [job(0, "tell first", path=str(path), ms=60_000), *map(job, range(1, 8))]
        found = struck(cluster, jobs, strike)
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}
    until(lambda: not is_alive(children[0]))


def test_a_machine_that_is_stopped_loses_its_jobs_to_another(dask, tmp_path):
    path = tmp_path / "pid"
    dask.scheduler()
    first = dask.worker("sim=1")
    children = []

    def strike():
        children.append(the_process(path))
        first.strike("SIGSTOP")
        dask.worker("sim=1")

    with Cluster(dask.address, patience_seconds=4) as cluster:
        jobs = [job(0, "tell first", path=str(path), ms=60_000, timeout=2)]
        found = struck(cluster, [*jobs, *map(job, range(1, 5))], strike)
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}
    until(lambda: not is_alive(children[0]))


def test_without_machines_jobs_are_lost_in_bounded_time(dask, tmp_path):
    path = tmp_path / "pid"
    dask.scheduler()
    worker = dask.worker("sim=1")

    def strike():
        the_process(path)
        worker.strike("SIGKILL")

    with Cluster(dask.address, patience_seconds=2) as cluster:
        start = monotonic()
        found = struck(
            cluster, [job(0, "tell", path=str(path), ms=60_000, timeout=2), *map(job, range(1, 30))], strike
        )
        assert monotonic() - start < 40
    assert {outcome.kind for outcome in found.values()} == {Kind.LOST}


@pytest.mark.parametrize("connect_seconds", [2.0, 20.0], ids=["Dask gave up", "Dask waits"])
def test_a_scheduler_that_is_restarted_costs_no_outcome(dask, tmp_path, monkeypatch, connect_seconds):
    monkeypatch.setattr("tilewright.tune.cluster._CONNECT_SECONDS", connect_seconds)
    path, records = tmp_path / "pid", tmp_path / "r.jsonl"
    scheduler = dask.scheduler()
    worker = dask.worker("sim=1")

    def strike():
        the_process(path)
        scheduler.end()
        worker.end()
        sleep(3)
        dask.scheduler()
        dask.worker("sim=1")

    key = Key(structure="matmul", target="accel", machine="12ab")
    with Cluster(dask.address) as cluster, Session(records) as session:

        def remembered(jobs):
            return ((each, outcome) for _, each, outcome in session(cluster, ((key, each) for each in jobs)))

        jobs = [
            *map(job, range(1, 4)),
            job(0, "tell first", path=str(path), ms=60_000),
            *map(job, range(4, 8)),
        ]
        found = struck(remembered, jobs, strike)
    assert {outcome.kind for outcome in found.values()} == {Kind.OK}
    with RecordFile(records) as file:
        assert sorted(record.point.number("n") for record in file.read().records) == list(range(8))


def test_a_scheduler_that_is_gone_costs_the_outcomes_and_no_more(dask, tmp_path):
    path = tmp_path / "pid"
    scheduler = dask.scheduler()
    dask.worker("sim=1")

    def strike():
        the_process(path)
        scheduler.strike("SIGKILL")

    with Cluster(dask.address, patience_seconds=2) as cluster:
        start = monotonic()
        jobs = [job(0), job(1, "tell", path=str(path), ms=60_000, timeout=3), *map(job, range(2, 30))]
        found = struck(cluster, jobs, strike)
        assert monotonic() - start < 40
        assert found.pop(0).kind is Kind.OK
        assert {outcome.kind for outcome in found.values()} == {Kind.LOST}
        assert dask.address in found[29].detail


def test_a_scheduler_that_is_stopped_is_not_waited_for_for_ever(dask):
    scheduler = dask.scheduler()
    dask.worker("sim=1")
    with Cluster(dask.address, patience_seconds=2) as cluster:
        assert measured(cluster, [job(0)])[0].kind is Kind.OK
        scheduler.strike("SIGSTOP")
        start = monotonic()
        found = measured(cluster, [job(n, timeout=1) for n in range(4)])
        assert monotonic() - start < 60
        assert {outcome.kind for outcome in found.values()} == {Kind.LOST}
        scheduler.strike("SIGCONT")
        assert measured(cluster, [job(0)])[0].kind is Kind.OK


def test_the_commands_are_those_of_the_page():
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert "\ndask scheduler\n" in page
    assert '\ndask worker tcp://ADDRESS:8786 --resources "sim=2"\n' in page


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "strange://x:1"])
def test_where_no_scheduler_answers_the_remedy_is_named(address, monkeypatch):
    monkeypatch.setattr("tilewright.tune.cluster._CONNECT_SECONDS", 1.0)
    with pytest.raises(TuneError, match="start one with `dask scheduler`"):
        Cluster(address)


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed.utils", None)
    with pytest.raises(TuneError, match=r"pip install 'tilewright\[cluster\]'"):
        Cluster("tcp://127.0.0.1:9")
