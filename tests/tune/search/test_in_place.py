"""The search over a whole program keeps what makes all of it faster, and nothing else."""

import numpy as np
import pytest

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Space
from tilewright.tune.harness import Budget
from tilewright.tune.search.candidate import Candidates
from tilewright.tune.search.in_place import REACH, InPlaceSearch, Site
from tilewright.tune.task import Task

VALUES = range(5)


def point(n: int) -> Point:
    return Point({"n": n})


class Program:
    """Layers whose best point depends on the layers beside them."""

    def __init__(self, layers: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.alone = rng.integers(10, 50, (layers, len(VALUES)))
        self.between = rng.integers(0, 30, (layers - 1, len(VALUES), len(VALUES)))
        self.measured: list[dict[int, Point]] = []

    def chosen(self, points) -> list[int]:
        return [points.get(layer, point(0)).number("n") for layer in range(len(self.alone))]

    def cycles(self, points, near=None) -> int:
        chosen = self.chosen(points)
        near = range(len(chosen)) if near is None else near
        return sum(int(self.alone[k, chosen[k]]) for k in near) + sum(
            int(self.between[k, chosen[k], chosen[k + 1]]) for k in near if k + 1 in near
        )

    def cost(self, points) -> int:
        assert points not in self.measured, "measured twice"
        self.measured.append(dict(points))
        return self.cycles(points)


def search(program: Program, points=None, **options) -> InPlaceSearch:
    sites = [
        Site(
            default=point(0),
            candidates=lambda current: [point(n) for n in VALUES if point(n) != current],
            promise=float(n % 3 + 1),
        )
        for n in range(len(program.alone))
    ]
    points = {} if points is None else points
    settings = {"cost": program.cost, "excerpt_cost": program.cycles, **options}
    return InPlaceSearch(sites, points=points, best_cost=program.cycles(points), **settings)


@pytest.mark.parametrize("seed", range(5))
def test_it_ends_where_no_single_change_gains(seed):
    program = Program(9, seed)
    found, default = search(program), program.cycles({})
    best = default
    for attempt in found.steps(Budget()):
        assert attempt.is_kept == (attempt.cost is not None and attempt.cost < best)
        best = min(best, attempt.cost or best)
    assert found.best_cost == best == program.cycles(found.points) < default
    assert point(0) not in found.points.values()
    changes = [{**found.points, layer: point(n)} for layer in range(9) for n in VALUES]
    assert min(map(program.cycles, changes)) == best


def test_what_only_seems_to_gain_is_not_kept():
    program = Program(6, 1)
    # The layers near a change are faster with it, the program never is.
    found = search(program, cost=lambda points: program.cycles({}))
    attempts = list(found.steps(Budget()))
    assert any(attempt.cost is not None for attempt in attempts)
    assert not any(attempt.is_kept for attempt in attempts)
    assert found.points == {}


@pytest.mark.parametrize("missing", ["cost", "excerpt_cost"])
def test_what_makes_no_program_is_passed_over(missing):
    program = Program(6, 1)
    found = search(program, **{missing: lambda *arguments: None})
    assert all(attempt.cost is None for attempt in found.steps(Budget()))
    assert found.points == {}


def test_it_ends_with_its_budget_and_goes_on_from_points():
    program = Program(9, 2)
    first = search(program)
    attempts = list(first.steps(Budget(trials=7)))
    assert [attempt.number for attempt in attempts] == list(range(1, 8))
    assert attempts[0].points.keys() == {2}, "the most promising layer comes first"
    second = search(program, dict(first.points))
    list(second.steps(Budget()))
    assert second.best_cost <= first.best_cost


def test_layers_without_promise_keep_their_points():
    program = Program(5, 3)
    found = search(program)
    found.sites = [Site(default=each.default, candidates=each.candidates) for each in found.sites]
    assert list(found.steps(Budget())) == []


def test_only_layers_near_a_change_are_tried_again():
    program = Program(4 * REACH, 4)
    program.between[:] = 0
    program.alone[:] = 20
    program.alone[0, 3] = 10
    tried = [next(iter(each.points.keys() - {0}), 0) for each in search(program).steps(Budget())]
    counts = {layer: tried.count(layer) for layer in range(4 * REACH)}
    assert {counts[layer] for layer in range(REACH + 1, 4 * REACH)} == {len(VALUES) - 1}
    assert counts[1] == 2 * counts[4 * REACH - 1]


# --- points to try -----------------------------------------------------------------------------------------


def task(**options) -> Task:
    space = Space((Knob("n", tuple(range(100))), Knob("word", ("a", "b"))))
    settings = {"key": "k", "target": "accel", "machine": "m", "space": space, "unit": "cycles"}
    return Task(**{**settings, **options})


def test_candidates_come_from_neighbours_models_and_measurements_in_turn():
    measured = [Point({"n": 90, "word": "a"}), Point({"n": 50, "word": "a"})]
    current = Point({"n": 50, "word": "a"})
    estimate = task(estimate=lambda columns: columns["n"] + 1.0)
    found = Candidates(estimate, measured, 9)(current)
    assert len(found) == len(set(found)) == 9
    assert current not in found
    assert found[0] == Point({"n": 47, "word": "a"})
    assert found[1].number("n") < 5
    assert found[2] == measured[0]
    assert found[3] == Point({"n": 48, "word": "a"})


def test_candidates_without_models_or_measurements_are_neighbours_and_others():
    current = Point({"n": 50, "word": "a"})
    found = Candidates(task(), [], 30)(current)
    near = [each for each in found if each.word("word") == "a" and abs(each.number("n") - 50) <= 3]
    assert len(near) == 6
    assert Point({"n": 50, "word": "b"}) in found
    assert len(found) == 30
