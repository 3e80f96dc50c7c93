"""How many measurements searches need on the host: convolutions in float32 and int8, against whole spaces.

    python bench/host_tuning.py [--records build/host_tuning.jsonl] [--seeds 10] [--trials 512]

First every point of a convolution's space is compiled, checked and timed once, on one thread: the median of
rounds that are apart in time. That takes half an hour, is kept as records, and goes on where it was broken
off. Then searches run on what was found: measurements to 95 % of the best speed, median and quartiles of
seeds.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from tilewright.api.host_runner import HostRunner, is_right
from tilewright.api.host_task import convolution_task
from tilewright.api.timer import median_seconds
from tilewright.cli.table import format_table
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import schedule_of
from tilewright.numerics.error import TilewrightError
from tilewright.tune.feature import describe
from tilewright.tune.harness import Budget, Trial, quartiles, steps
from tilewright.tune.model import CostModel, Samples
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.rank import spearman
from tilewright.tune.record import Key, Record
from tilewright.tune.record_file import RecordFile
from tilewright.tune.record_index import Records
from tilewright.tune.search.annealing import AnnealingSearch
from tilewright.tune.search.genetic import GeneticSearch
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.plain import RandomSearch
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

SIZES = {
    "3x3, 14 pixels, 128 channels": (14, 128, 128),
    "3x3, 7 pixels, 256 channels": (7, 256, 256),
}
"""Height and width, channels, outputs: a quarter of ResNet-18's C9 and C12, to be measured soon."""
ROUNDS, ROUND_SECONDS, AT_ONCE = 5, 0.01, 32
"""Times that a point is timed, for how long, and points that are timed in turns."""
SHARE, BATCH = 0.95, 8
KNOWN = 256
"""Points of the other convolution that a transferred model has learned from."""


@dataclass(frozen=True)
class Layer:
    """A convolution of the bench, with what was measured of it."""

    name: str
    sizes: ConvolutionSizes
    task: Task

    @staticmethod
    def of(name: str, is_float: bool) -> "Layer":
        pixels, channels, outputs = SIZES[name]
        sizes = ConvolutionSizes(
            height=pixels,
            width=pixels,
            channels=channels,
            outputs=outputs,
            kernel=(3, 3),
            pads=(1, 1, 1, 1),
            is_float=is_float,
        )
        return Layer(f"{sizes.dtype}, {name}", sizes, convolution_task(sizes, is_shared=False))

    @property
    def key(self) -> Key:
        task = self.task
        return Key(structure=task.key, target=task.target, machine=task.machine, unit=task.unit)

    @property
    def runner(self) -> HostRunner:
        return HostRunner(sizes=self.sizes, is_shared=False)


# --- the whole space ---------------------------------------------------------------------------------------


def measure(layer: Layer, records: Records, file: RecordFile) -> None:
    """Measure all points of a space that are not on record."""
    points = layer.task.space.points(layer.task.space.all_that_fit())
    order = np.random.default_rng(0).permutation(len(points))
    left = [points[at] for at in order if records.known(layer.key, points[at]) is None]
    for first in range(0, len(left), AT_ONCE):
        for point, outcome in outcomes(layer, left[first : first + AT_ONCE]):
            record = Record(key=layer.key, point=point, outcome=outcome)
            records.add(record)
            file.append(record)
        print(f"\r{layer.name}: {first} of {len(left)} points  ", end="", file=sys.stderr, flush=True)


def outcomes(layer: Layer, points: Sequence[Point]) -> Iterator[tuple[Point, Outcome]]:
    """Outcomes of points that are timed in turns: what disturbs one round disturbs all of them."""
    begin, calls = perf_counter(), dict[Point, Callable[[], None]]()
    for point in points:
        try:
            call, result = layer.runner.prepared(schedule_of(point))
        except TilewrightError as error:
            yield point, Outcome(kind=Kind.REFUSED, detail=str(error).partition("\n")[0])
            continue
        call()
        if is_right(layer.sizes, result):
            calls[point] = call
        else:
            yield point, Outcome(kind=Kind.WRONG, detail="another answer")
    times: dict[Point, list[float]] = {point: [] for point in calls}
    for _ in range(ROUNDS):
        for point, call in calls.items():
            times[point].append(median_seconds(call, ROUND_SECONDS, is_shared=False))
    each = (perf_counter() - begin) / len(points)
    for point, seconds in times.items():
        yield point, Outcome(kind=Kind.OK, cost=statistics.median(seconds), seconds=each)


# --- searches ----------------------------------------------------------------------------------------------


def searches(layer: Layer, other: Layer, records: Records) -> dict[str, Callable[[int], Search]]:
    """Searches by name, none of which is told the default."""
    task = replace(layer.task, default=None)
    blind = blind_to(task)
    learned, learned_blind = (
        transferred(other, each, records) for each in (other.task, blind_to(other.task))
    )
    return {
        "random": lambda seed: RandomSearch(task, seed),
        "genetic": lambda seed: GeneticSearch(task, seed),
        "annealing": lambda seed: AnnealingSearch(task, seed),
        "model, no estimate": lambda seed: GuidedSearch(blind, seed),
        "the same, with transfer": lambda seed: GuidedSearch(blind, seed, transferred=learned_blind),
        "model over estimate": lambda seed: GuidedSearch(task, seed),
        "estimate and transfer": lambda seed: GuidedSearch(task, seed, transferred=learned),
    }


def blind_to(task: Task) -> Task:
    """The task without the compiler's estimate."""
    return replace(task, estimate=None)


def transferred(other: Layer, task: Task, records: Records) -> CostModel:
    """What some points of the other convolution tell; its task has an estimate or not."""
    costs = {point: each.cost for point, each in records.outcomes(other.key).items() if each.cost}
    drawn = np.random.default_rng(0).permutation(len(costs))[:KNOWN]
    points = [list(costs)[at] for at in drawn]
    table = describe(task, task.space.positions_of(points), portable=True)
    relative = task.estimate is None
    samples = Samples(table=table, costs=np.array([costs[point] for point in points]))
    return CostModel.fit([samples], relative=relative)


def points_to(search: Search, known: Mapping[Point, Outcome], cost: float, trials: int) -> int | None:
    """How many points a search measures until one costs no more than this; None if it does not get there."""

    def measure_points(points: Sequence[Point]) -> list[tuple[Point, Outcome]]:
        return [(point, known[point]) for point in points]

    for step in steps(search, measure_points, Budget(trials=trials), batch=BATCH):
        if isinstance(step, Trial) and step.best_cost <= cost:
            return step.number
    return None


def table(layer: Layer, other: Layer, records: Records, seeds: int, trials: int) -> str:
    """What searches need, and what is known of the space."""
    known = records.outcomes(layer.key)
    costs = np.array([outcome.cost for outcome in known.values() if outcome.cost is not None])
    best, rows, first = float(costs.min()), [], None
    for name, make in searches(layer, other, records).items():
        numbers = [points_to(make(seed), known, best / SHARE, trials) for seed in range(seeds)]
        found = quartiles(numbers)
        first = first or found.median
        share = f"{found.median / first:.2f}" if first and found.median else "–"
        rows.append([name, str(found), share])
    head = ["search", f"points to {SHARE:.0%} of the best", "of random's"]
    return f"{landscape(layer, known)}\n{format_table(head, rows)}"


def landscape(layer: Layer, known: Mapping[Point, Outcome]) -> str:
    """What was measured of a space, in a line."""
    task = layer.task
    points = [point for point, outcome in known.items() if outcome.cost is not None]
    costs = np.array([known[point].cost for point in points], np.float64)
    assert task.default is not None
    assert task.estimate is not None
    default, best = known[task.default].cost, float(costs.min())
    assert default is not None
    rank = spearman(task.estimate(task.space.columns(task.space.positions_of(points))), costs)
    return (
        f"{layer.name}: {len(known)} points, {len(known) - len(points)} without a cost; best "
        f"{best * 1e6:.0f} us, default {best / default:.1%} of its speed, "
        f"{float((costs <= best / SHARE).mean()):.1%} of the points within {1 - SHARE:.0%}, median "
        f"{float(np.median(costs)) / best:.2f} x; rank of the estimate {rank:.2f}"
    )


def main() -> int:
    """The command: 0 if every answer was right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=Path, default=Path("build/host_tuning.jsonl"))
    parser.add_argument("--types", default="float32,int8", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=512, help="default: %(default)s")
    options = parser.parse_args()
    options.records.parent.mkdir(parents=True, exist_ok=True)
    print(f"{HostMachine.host().cpu}, {Features.of(HostMachine.host())}, one thread")
    wrong = 0
    with RecordFile(options.records) as file:
        records = Records(file.read().records)
        for dtype in options.types.split(","):
            layers = [Layer.of(name, dtype == "float32") for name in SIZES]
            for layer in layers:
                measure(layer, records, file)
            for layer, other in zip(layers, reversed(layers), strict=True):
                print("\n" + table(layer, other, records, options.seeds, options.trials), flush=True)
                wrong += sum(each.kind is Kind.WRONG for each in records.outcomes(layer.key).values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
