"""The blocks of networks as the compiler makes them, each alone on the simulator, beside their bounds.

    python bench/blocks.py [--networks mobilenet_v2,…] [--config reference] [--latency 16] [--models FOLDER]

A block is a layer, or a chain of layers that hand on what they compute on the chip. Its bound is that of its
slowest engine, from the work alone: nothing waits for anything. `--models` adds the networks of a folder
beside the project, as for `bench/packages.py`. Every answer is compared with that of the unscheduled loops.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.packages import Network, networks, sizes_of

import tilewright
from tilewright.api.accel_task import accel_layers
from tilewright.api.tunable_layer import TunableLayer
from tilewright.cli.table import format_table

NETWORKS = "mobilenet_v2,efficientnet-lite0"
LEAST_SHARE = 0.8
"""Of the bound's cycles to a block's, asked of each."""
HEADER = ("block", "times", "cycles", "load", "matrix", "vector", "store", "of its bound")


def blocks(network: Network, config: str, latency_cycles: int) -> list[TunableLayer]:
    """The distinct blocks of a network, the longest first."""
    package = tilewright.compile(
        network.model,
        config=config,
        calibration=network.samples,
        ranges="min-max",
        sizes=sizes_of(network),
        accelerator=True,
        records=None,
        latency_cycles=latency_cycles,
    )
    return accel_layers(package, latency_cycles)


def row(block: TunableLayer, latency_cycles: int) -> tuple[tuple[str, ...], float]:
    """A line of the table, and the share of the bound."""
    default = block.task.default
    assert default is not None, "every layer has one"
    work = block.runner.lowered.tunable.tilings(latency_cycles).occupancy(default)
    engines = work.load, work.matrix, work.vector, work.store
    outcome = block.runner(default)
    assert outcome.cost is not None, outcome.detail
    share = max(engines) / outcome.cost
    cells = (
        block.names[0],
        str(len(block.names)),
        f"{outcome.cost:,.0f}",
        *(f"{each:,.0f}" for each in engines),
    )
    return (*cells, f"{share:.1%}"), share


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--config", default="reference")
    parser.add_argument("--latency", type=int, default=16)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    wanted = options.networks.split(",")
    for name, make in networks(options.models):
        if name not in wanted:
            continue
        found = [row(block, options.latency) for block in blocks(make(), options.config, options.latency)]
        least = min(share for _, share in found)
        lowest = f"the lowest at {least:.1%} of its bound, asked {LEAST_SHARE:.0%}"
        print(f"{name}: {len(found)} distinct blocks, {lowest}")
        print(format_table(HEADER, [cells for cells, _ in found]) + "\n", flush=True)


if __name__ == "__main__":
    main()
