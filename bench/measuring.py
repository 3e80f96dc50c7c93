"""How many schedules the simulator measures in a minute, each compiled, run, and its answer compared.

    python bench/measuring.py [--networks resnet18,…] [--calls 20] [--workers 2] [--models FOLDER]

Of every distinct layer, or chain of layers, as many points as `--calls` are measured: what the search by
models proposes, as it does in `tilewright tune`. Printed are the wall time of measuring alone, of searching
beside it, and how long ten thousand calls take. `--models` adds the networks of a folder beside the project.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.blocks import blocks
from bench.packages import networks

from tilewright.api.tunable_layer import TunableLayer
from tilewright.cli.table import format_table
from tilewright.tune.measure import Job
from tilewright.tune.pool import ProcessPool
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.session import Session

NETWORKS = "resnet18,mobilenet_v2,efficientnet-lite0"
MANY = 10_000
BATCH = 16
HEADER = ("network", "layers", "calls", "search s", "measure s", "calls a minute", f"{MANY:,} calls, min")


def _batches(layer: TunableLayer, calls: int) -> Iterator[tuple[GuidedSearch, int]]:
    search = GuidedSearch(layer.task)
    for first in range(0, calls, BATCH):
        yield search, min(BATCH, calls - first)


def row(name: str, layers: list[TunableLayer], calls: int, measure: ProcessPool) -> tuple[str, ...]:
    """A line of the table."""
    seconds, count, session = Counter[str](), 0, Session()
    for layer in layers:
        for search, wanted in _batches(layer, calls):
            begun = time.perf_counter()
            positions = search.propose(wanted)
            points = list(layer.task.space.points(positions))
            asked = time.perf_counter()
            jobs = [(layer.key, Job(runner=layer.runner, point=point)) for point in points]
            outcomes = {job.point: outcome for _, job, outcome in session(measure, jobs)}
            answered = time.perf_counter()
            search.learn(positions, [outcomes[point] for point in points])
            count += len(points)
            seconds["measure"] += answered - asked
            seconds["search"] += asked - begun + time.perf_counter() - answered
    each = seconds["measure"] / count
    times = f"{seconds['search']:.0f}", f"{seconds['measure']:.0f}"
    return name, str(len(layers)), str(count), *times, f"{60 / each:.0f}", f"{MANY * each / 60:.1f}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--calls", type=int, default=20, help="of each layer (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    wanted, rows = options.networks.split(","), []
    with ProcessPool(workers=options.workers) as measure:
        for name, make in networks(options.models):
            if name in wanted:
                rows.append(row(name, blocks(make(), "reference", 16), options.calls, measure))
    print(format_table(HEADER, rows))


if __name__ == "__main__":
    main()
