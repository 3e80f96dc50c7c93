"""Every job sent to a cluster ends, whatever its machines and its scheduler do; here these are played."""

from collections import Counter
from time import monotonic

import pytest

from tilewright.tune.dispatch import TRIES, Dispatch, Trouble
from tilewright.tune.error import TuneError
from tilewright.tune.fleet import Machine
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.station import Answer
from tune_runner import Large, job


class Played:
    """A link to machines that do as they are told.

    `behaviour` of a machine: "answer", "silent", "away" (lost with the job), "strange" (of another version).
    """

    address = "played"

    def __init__(self, **behaviour):
        self.behaviour = behaviour
        self.offers = {name: {"sim": 1.0} for name in behaviour}
        self.heard_at = dict.fromkeys(behaviour, 0.0)
        self.is_there = True
        self.restored = []
        self.orders = []
        self.known = {name: set() for name in behaviour}
        self.released = 0
        self.running = Counter()
        self.most_running = 0

    def is_up(self):
        return self.is_there

    def restore(self, patience_seconds):
        self.restored.append(patience_seconds)
        return False

    def machines(self):
        return {
            name: Machine(offers=self.offers[name], heard_at=self.heard_at[name]) for name in self.behaviour
        }

    def send(self, order, machines):
        names = [name for name in machines or self.behaviour if self.offers[name].get(order.resource, 0) >= 1]
        name = min(names, key=lambda name: self.running[name])
        self.orders.append((name, order))
        self.running[name] += 1
        self.most_running = max(self.most_running, self.running.total())
        return PlayedHandle(self, name, order)

    def wait(self, seconds):
        pass

    def close(self):
        pass


class PlayedHandle:
    def __init__(self, link, name, order):
        self.link, self.name, self.order = link, name, order

    def poll(self):
        match self.link.behaviour[self.name]:
            case "silent":
                return None
            case "away":
                return Trouble(f"{self.name} went away", may_retry=True)
            case "strange":
                return Answer(station=self.name, version="tilewright 9 on Python 4")
        known = self.link.known[self.name]
        if self.order.runner is None and self.order.digest not in known:
            return Answer(station=self.name, lacks_runner=True)
        known.add(self.order.digest)
        outcome = Outcome(kind=Kind.OK, cost=self.order.point.number("n") + 1, worker=self.name)
        return Answer(station=self.name, outcome=outcome)

    def holder(self):
        return self.name

    def release(self):
        self.link.released += 1
        self.link.running[self.name] -= 1


def measured(link, jobs, *, patience=0.05, tell=None):
    jobs = list(jobs)
    found = list(Dispatch(link, patience_seconds=patience, tell=tell)(iter(jobs)))
    assert sorted(map(id, jobs)) == sorted(id(each) for each, _ in found)
    assert link.released == len(link.orders)
    return [outcome for _, outcome in sorted(found, key=lambda item: jobs.index(item[0]))]


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr("tilewright.tune.dispatch._LOOK_SECONDS", 0.0)


def test_jobs_go_to_all_machines_and_come_back():
    outcomes = measured(Played(a="answer", b="answer"), map(job, range(9)))
    assert [outcome.cost for outcome in outcomes] == [n + 1 for n in range(9)]
    assert {outcome.worker for outcome in outcomes} == {"a", "b"}


def test_a_silent_machine_is_left_out_until_it_is_heard_again():
    link = Played(a="silent", b="answer")
    dispatch = Dispatch(link, patience_seconds=0.05)
    jobs = [job(n, timeout=0.01) for n in range(6)]
    found = list(dispatch(jobs))
    assert {outcome.kind for _, outcome in found} == {Kind.OK}
    assert [name for name, _ in link.orders].count("a") == 1
    link.behaviour["a"], link.heard_at["a"] = "answer", 1.0
    assert {outcome.worker for _, outcome in dispatch(jobs)} == {"a", "b"}


def test_a_job_whose_machines_all_fall_silent_is_lost():
    link = Played(a="silent")
    (one, two) = measured(link, [job(0, timeout=0.01), job(1, timeout=0.01)])
    assert one.kind is two.kind is Kind.LOST
    assert one.detail == "a does not answer"
    assert len(link.orders) == 1


def test_a_job_that_machines_go_away_with_is_lost_after_three():
    link = Played(a="away", b="away")
    (outcome,) = measured(link, [job(0)])
    assert outcome.kind is Kind.LOST
    assert outcome.detail.endswith("went away (3 tries)")
    assert len(link.orders) == TRIES


def test_a_board_is_used_by_one_job_though_two_machines_claim_it():
    link = Played(a="answer", b="answer")
    for offers in link.offers.values():
        offers["board:x"] = 1.0
    measured(link, [job(n, resource="board:x") for n in range(6)])
    assert link.most_running == 1


def test_no_more_jobs_are_taken_than_there_are_slots():
    link = Played(a="answer", b="answer")
    taken = []

    def jobs():
        for n in range(9):
            taken.append(n)
            yield job(n)

    for answered, _ in enumerate(Dispatch(link, patience_seconds=1)(jobs())):
        assert len(taken) <= answered + 2


def test_a_large_runner_is_sent_to_a_machine_once():
    link = Played(a="answer", b="answer")
    runner = Large(bytes(1 << 20))
    measured(link, [job(n, runner=runner) for n in range(12)])
    carrying = [name for name, order in link.orders if order.runner is not None]
    assert sorted(carrying) == ["a", "b"]
    link = Played(a="answer")
    measured(link, [job(n) for n in range(3)])
    assert all(order.runner is not None for _, order in link.orders)


def test_what_no_machine_offers_is_waited_for_once_and_named():
    link = Played(a="answer")
    start = monotonic()
    outcomes = measured(link, [job(n, resource=f"board:{n % 2}") for n in range(40)], patience=0.2)
    assert 0.2 < monotonic() - start < 2
    assert {outcome.kind for outcome in outcomes} == {Kind.LOST}
    assert '`dask worker played --resources "board:0=1"`' in outcomes[0].detail


def test_without_a_scheduler_all_jobs_are_lost_after_one_wait():
    link = Played(a="answer")
    link.is_there = False
    start = monotonic()
    jobs = [job(n, resource=f"board:{n % 10}") for n in range(40)]
    outcomes = measured(link, jobs, patience=0.2)
    assert 0.2 < monotonic() - start < 1.5
    assert {outcome.detail for outcome in outcomes} == {"the scheduler at played is gone"}


def test_a_later_call_waits_for_the_scheduler_anew():
    link = Played(a="answer")
    dispatch = Dispatch(link, patience_seconds=0.1)
    for _ in range(2):
        link.is_there, link.restored = False, []
        assert {outcome.kind for _, outcome in dispatch([job(0)])} == {Kind.LOST}
        assert link.restored[0] > 0.05
        assert link.restored[-1] == 0
    link.is_there = True
    assert {outcome.kind for _, outcome in dispatch([job(0)])} == {Kind.OK}


def test_a_scheduler_that_does_not_answer_counts_as_gone(monkeypatch):
    link = Played(a="answer")
    monkeypatch.setattr(link, "machines", lambda: None)
    outcomes = measured(link, map(job, range(5)), patience=0.1)
    assert {outcome.detail for outcome in outcomes} == {"the scheduler at played is gone"}


def test_machines_of_another_version_are_named_once_and_given_nothing():
    link = Played(a="strange", b="answer")
    notes = []
    outcomes = measured(link, map(job, range(6)), tell=notes.append)
    assert {outcome.worker for outcome in outcomes} == {"b"}
    assert len(notes) == 1
    assert "a has tilewright 9 on Python 4, and here is tilewright" in notes[0]
    (outcome,) = measured(Played(a="strange"), [job(0)])
    assert outcome.kind is Kind.LOST
    assert "install the same on both" in outcome.detail


def test_a_runner_that_cannot_be_sent_is_an_outcome():
    outcomes = measured(Played(a="answer"), [job(0, runner=lambda point: None), job(1)])
    assert [outcome.kind for outcome in outcomes] == [Kind.CRASHED, Kind.OK]


def test_a_consumer_that_stops_has_its_jobs_forgotten():
    link = Played(a="answer", b="silent")
    dispatch = Dispatch(link, patience_seconds=9)
    running = dispatch(map(job, range(9)))
    next(running)
    with pytest.raises(TuneError, match="must finish its jobs"):
        next(dispatch([job(0)]))
    running.close()
    assert link.released == len(link.orders)
