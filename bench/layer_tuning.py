"""How many points each search measures until it has 99 % of the best speed, on layers of the accelerator.

    python bench/layer_tuning.py [--layers C8,C11] [--machines starved] [--searches models] [--records FILE]

The best is the best of all that any search or seed measured. `random` draws from one pool of points that
fit, in another order for each seed; `prior alone` is the top of the event model, `models` learns over it;
`default` is what the compiler chooses, with which `tilewright tune` begins; the searches but the last do
without. `starved` is the reference with a quarter of its memories and a latency of 100. Every point is
compiled, run and compared with the answer; with --records none is measured twice.

Of these layers the machine's own model knows nearly all: they are the easy case. `models without prior` shows
what learning from knobs alone would take.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from mobilenet_layers import LAYERS as MOBILENET
from mobilenet_layers import network as mobilenet_network
from resnet_layers import LAYERS as RESNET
from single_layer import convolution_network

from tilewright.api.accel_task import accel_layers
from tilewright.api.file import package_of_model
from tilewright.api.tunable_layer import TunableLayer
from tilewright.cli.table import format_table
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Positions
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.isa.config import PRESETS, Config
from tilewright.tune.harness import Budget, Trace, quartiles, run, trials_to
from tilewright.tune.measure import Job, Measure
from tilewright.tune.outcome import Outcome
from tilewright.tune.pool import ProcessPool
from tilewright.tune.search.genetic import GeneticSearch
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.prior import PriorSearch
from tilewright.tune.search.search import Search
from tilewright.tune.session import Session
from tilewright.tune.task import Task

SHARE = 0.99
REFERENCE = PRESETS["reference"]
STARVED = replace(
    REFERENCE,
    activation_vectors=REFERENCE.activation_vectors // 4,
    weight_vectors=REFERENCE.weight_vectors // 4,
    accumulator_vectors=REFERENCE.accumulator_vectors // 4,
    parameter_vectors=REFERENCE.parameter_vectors // 4,
)
MACHINES: dict[str, tuple[Config, int]] = {"reference": (REFERENCE, 16), "starved": (STARVED, 100)}
MANY = 240
"""Trials of searches that start without a prior; the others end after a tenth of them."""


class _PoolSearch(Search):
    """Random, from a pool that seeds share, so that a point is measured once."""

    def __init__(self, task: Task, pool: Positions, seed: int) -> None:
        super().__init__(replace(task, default=None), seed)
        self._order = pool[np.random.default_rng(seed).permutation(len(pool))]

    def _propose(self, count: int) -> Positions:
        left = self._order[~self._is_taken(self._order)]
        return left[:count]


def _without_prior(task: Task, seed: int) -> Search:
    return GuidedSearch(replace(task, estimate=None, refine=None, default=None), seed)


def _blank(make: Callable[[Task, int], Search]) -> Callable[[Task, int], Search]:
    """The search without the default, which is near the best already."""
    return lambda task, seed: make(replace(task, default=None), seed)


SEARCHES: dict[str, tuple[Callable[[Task, int], Search], int]] = {
    "genetic": (_blank(GeneticSearch), MANY),
    "models without prior": (_without_prior, MANY // 4),
    "prior alone": (_blank(PriorSearch), MANY // 10),
    "models": (_blank(GuidedSearch), MANY // 10),
    "models from the default": (GuidedSearch, MANY // 10),
}


@dataclass(frozen=True)
class Measured:
    """Measures points of a layer through the records.

    Members:
        layer: which.
        session, measure: where outcomes come from.
    """

    layer: TunableLayer
    session: Session
    measure: Measure

    def __call__(self, points: Sequence[Point]) -> Iterable[tuple[Point, Outcome]]:
        """The points with their outcomes."""
        jobs = [(self.layer.key, Job(runner=self.layer.runner, point=point)) for point in points]
        return ((job.point, outcome) for _, job, outcome in self.session(self.measure, jobs))


def _network(name: str) -> NamedFunction:
    if name in MOBILENET:
        return mobilenet_network(MOBILENET[name])
    layer = RESNET[name]
    return convolution_network(layer.size, layer.inputs, layer.outputs, layer.kernel, layer.stride)


def _report(name: str, machine: str, options: argparse.Namespace, session: Session, measure: Measure) -> str:
    config, latency = MACHINES[machine]
    package = package_of_model(compile_function(_network(name), config))
    (layer,) = accel_layers(package, latency)
    measured = Measured(layer, session, measure)
    task, seeds = layer.task, range(options.seeds)
    pool = task.space.sample(np.random.default_rng(0), options.pool)
    traces = {
        "random": [
            run(_PoolSearch(task, pool, seed), measured, Budget(trials=options.pool), batch=64)
            for seed in seeds
        ]
    }
    for search in options.searches.split(","):
        make, trials = SEARCHES[search]
        traces[search] = [run(make(task, seed), measured, Budget(trials=trials), batch=8) for seed in seeds]
    assert task.default is not None, "every layer has one"
    ((_, outcome),) = measured([task.default])
    default = outcome.cost or np.inf
    best = min(default, *(float(trace.best[-1]) for found in traces.values() for trace in found))
    costs = traces["random"][0].costs
    head = (
        f"{name}, {machine}: {task.space.size:,} points; of {len(costs)} by chance "
        f"{np.mean(costs <= best / SHARE):.2%} within {SHARE:.0%}, median / best "
        f"{np.median(costs) / best:.1f}; best {best:,.0f} cycles, default {best / default:.2%} of it"
    )
    rows = [_row(search, found, best) for search, found in traces.items()]
    return head + "\n" + format_table(("search", f"to {SHARE:.0%}", "reached at the end", "rank"), rows)


def _row(name: str, traces: list[Trace], best: float) -> tuple[str, ...]:
    found = quartiles([trials_to(trace, SHARE, best) for trace in traces])
    ends = quartiles([100 * best / float(trace.best[-1]) for trace in traces])
    ranks = [rank for trace in traces for rank in trace.rank[1:] if rank is not None]
    return name, str(found), f"{ends.median:.1f} %", f"{np.median(ranks):.2f}" if ranks else "–"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", default="C8,C11,p28x144x32,d56x144s1,addition56x24")
    parser.add_argument("--machines", default=",".join(MACHINES))
    parser.add_argument("--searches", default=",".join(SEARCHES), help="beside random; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pool", type=int, default=2000, help="points for random (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--records", help="a file that keeps what was measured")
    options = parser.parse_args()
    with Session(options.records) as session, ProcessPool(workers=options.workers) as measure:
        for name in options.layers.split(","):
            for machine in options.machines.split(","):
                print(_report(name, machine, options, session, measure) + "\n", flush=True)


if __name__ == "__main__":
    main()
