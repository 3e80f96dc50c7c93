"""Machines tuned for boards, beside the presets, random machines, and random machines with random schedules.

    python bench/cotune.py [--boards zu3eg,zynq-7020,ecp5-85f] [--networks mobilenet_v2,lite0,resnet18]
        [--trials 200] [--guided 80] [--seeds 10] [--measure 3] [--keep FOLDER] [--lite0 FILE.onnx]

All have the board's budget and the preset's bus; a call is a machine that is looked at, with all networks.
Random ones have `--trials` calls, the search has `--guided` of them. `memory`: the least memory on the chip,
as a share of the preset's, of a machine that needs no more cycles for any of the networks. `faster`: the
preset's cycles to the fewest of a machine that fits, for each network. `hypervolume`: quartiles; `reached`:
calls until that of random machines behind all of theirs is, at the median. All by the models; `measured`: by
the simulator the end of the search's walk to the least memory, made with it, and the fastest machines of some
seeds. `--keep` keeps the quantised networks.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.zoo.vision import mobilenet_v2, resnet18

import tilewright
from tilewright.api.file import load, save
from tilewright.api.hardware_cost import HardwareCost
from tilewright.cli.table import format_table
from tilewright.isa.config import PRESETS, Config
from tilewright.numerics.error import TilewrightError
from tilewright.tune.area import AreaModel
from tilewright.tune.budget import BOARDS, Board
from tilewright.tune.evaluated import Costs, Evaluated
from tilewright.tune.front import Quartiles, calls_until, hypervolumes, values_of
from tilewright.tune.hardware import HardwareStudy
from tilewright.tune.hardware_space import HardwareSpace
from tilewright.tune.slack import Slack

LITE0 = Path(__file__).parents[2] / "shared" / "models" / "efficientnet-lite0-qdq.onnx"
WAYS = ("tpe", "random", "random joint")


def packages(names: list[str], folder: Path | None, lite0: Path) -> dict[str, Any]:
    """The networks, quantised once."""
    makes: Mapping[str, Callable[[], Any]] = {
        "mobilenet_v2": mobilenet_v2,
        "resnet18": resnet18,
        "lite0": lambda: str(lite0),
    }
    found = {}
    for name in names:
        path = folder / f"{name}.tw" if folder else None
        if path is not None and path.is_file():
            found[name] = load(path)
            continue
        x = np.random.default_rng(7).standard_normal((1, 3, 224, 224)).astype(np.float32)
        calibration = None if name == "lite0" else {"x": x}
        found[name] = tilewright.compile(makes[name](), calibration=calibration, ranges="min-max")
        if path is not None:
            save(found[name], path)
    return found


class RandomJoint:
    """Costs with a random schedule for each layer, of those that fit."""

    def __init__(self, cost: HardwareCost, seed: int) -> None:
        self._cost, self._rng = cost, np.random.default_rng(seed)

    def __call__(self, config: Config) -> Costs:
        """Of a machine."""
        cycles = {name: sum(self._drawn(config, name)) for name in self._cost.networks}
        return Costs(cycles=cycles, moved_bytes=dict.fromkeys(cycles, 1))

    def _drawn(self, config: Config, network: str) -> list[int]:
        known: dict[str, int] = {}
        found = []
        for tunable in self._cost.tunables(network, config):
            if tunable.key not in known:
                tilings = tunable.tilings(self._cost.latency_cycles)
                drawn = tilings.space.sample(self._rng, 1)
                if not len(drawn):
                    raise TilewrightError("no schedule fits")
                # The closed form knows what the event model does, but of tens of thousands of instructions.
                columns = tilings.space.columns(drawn)
                known[tunable.key] = int(tilings.estimate(columns)[0])
            found.append(known[tunable.key])
        return found


def studies(
    board: str, cost: HardwareCost, trials: Mapping[str, int], seeds: int
) -> dict[str, list[list[Evaluated]]]:
    """What each way looked at, by seed."""
    budget = BOARDS[board]
    space = HardwareSpace.around(PRESETS[board], fixed=("bus_bytes",))
    area = AreaModel.fitted(budget.family)
    found: dict[str, list[list[Evaluated]]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            objective = RandomJoint(cost, seed) if way == "random joint" else cost
            study = HardwareStudy(space, objective, area, budget, sampler=way.partition(" ")[0], seed=seed)
            begun = time.process_time()
            found[way].append(list(study.run(trials[way])))
            spent = (time.process_time() - begun) / trials[way]
            print(f"{board}: {way}, seed {seed}: {spent:.3f} s of CPU a call", file=sys.stderr, flush=True)
    return found


def as_fast(seen: list[Evaluated], base: Evaluated) -> list[Evaluated]:
    """The machines that need no more cycles for any network, that with the least memory on the chip first."""
    equal = [each for each in seen if each.is_as_fast_as(base)]
    return sorted((*equal, base), key=lambda each: each.config.chip_bytes)


def walked(base: Evaluated, board: Board, cost: HardwareCost) -> dict[Config, Evaluated]:
    """What the search's walk to the least memory sees with the simulator in the place of the models.

    It begins with a sliding window where the board has room for that and no network is slower with it.
    """
    varied = [name for name in vars(base.config) if name.endswith("_vectors") or name == "vector_taps"]
    space = HardwareSpace.around(base.config, fixed=vars(base.config).keys() - varied)
    form = AreaModel.fitted(board.family)
    slack = Slack(space=space, area=form, board=board)

    def measured(config: Config) -> Evaluated:
        try:
            return Evaluated(config=config, area=form.area(config), costs=cost.measured(config))
        except TilewrightError as error:
            # A layer does not fit any more: as good as slower.
            return Evaluated(config=config, area=form.area(config), costs=None, refusal=str(error))

    root = measured(base.config)
    known, start = {root.config: root}, space.windowed()
    if start is not None and not list(board.lacks(start, form.area(start))):
        known[start] = measured(start)
    if start not in known or not known[start].is_as_fast_as(root):
        start = None
    while (config := slack.next(root, known, start=start, kept=("vector_taps",))) is not None:
        known[config] = measured(config)
    return known


def fastest(seen: list[Evaluated], network: str) -> Evaluated:
    """The machine with the fewest cycles for a network."""
    return min((each for each in seen if each.costs), key=lambda each: each.costs.cycles[network])


def gain(base: Evaluated, other: Evaluated, network: str) -> float:
    """The cycles of one machine to those of another."""
    assert base.costs is not None
    assert other.costs is not None
    return base.costs.cycles[network] / other.costs.cycles[network]


def report(board: str, found: Mapping[str, list[list[Evaluated]]], cost: HardwareCost, measured: int) -> None:
    """The table of a board, and the best machines by the simulator."""
    budget, base = BOARDS[board], found["tpe"][0][0]
    assert base.costs is not None
    curves = {
        way: [hypervolumes(values_of(seen, budget, base.costs.latency)) for seen in runs]
        for way, runs in found.items()
    }
    random = float(Quartiles.of(curves["random"]).median[-1])
    rows = []
    for way, runs in found.items():
        quartiles = Quartiles.of(curves[way])
        memories = [as_fast(seen, base)[0].config.chip_bytes / base.config.chip_bytes for seen in runs]
        gains = [
            f"{np.median([gain(base, fastest(seen, name), name) for seen in runs]):.2f}"
            for name in cost.networks
        ]
        until = [calls_until(curve, random) for curve in curves[way]]
        calls = np.median([len(runs[0]) + 1 if each is None else each for each in until])
        rows.append(
            (
                way,
                str(len(runs[0])),
                f"{np.median(memories):.2f}",
                *gains,
                f"{quartiles.low[-1]:.3f} {quartiles.median[-1]:.3f} {quartiles.high[-1]:.3f}",
                f"{calls:.0f}" if calls <= len(runs[0]) else f"> {len(runs[0])}",
            )
        )
    header = (
        "search",
        "of",
        "memory",
        *(f"faster {name}" for name in cost.networks),
        "hypervolume",
        "reached",
    )
    print(f"\n{board}, bus {base.config.bus_bytes}, {len(found['tpe'])} seeds\n{format_table(header, rows)}")
    if measured:
        _measure(base, found["tpe"][:measured], budget, cost)


def _measure(base: Evaluated, runs: list[list[Evaluated]], board: Board, cost: HardwareCost) -> None:
    """The end of the walk by the simulator, and the fastest machines of some seeds."""
    seen = [each for run in runs for each in run]
    walk = walked(base, board, cost)
    measured = {config: each.costs for config, each in walk.items() if each.costs is not None}
    before = measured[base.config]
    chosen = {"preset": base, "least memory": as_fast(list(walk.values()), walk[base.config])[0]}
    chosen |= {f"fastest {name}": fastest(seen, name) for name in cost.networks}
    rows = []
    for label, each in chosen.items():
        now = measured[each.config] = measured.get(each.config) or cost.measured(each.config)
        gains = [f"{cycles:,} ({before.cycles[name] / cycles:.3f})" for name, cycles in now.cycles.items()]
        own, other = vars(each.config), vars(base.config)
        changed = " ".join(f"{name}={size}" for name, size in own.items() if size != other[name])
        kilobytes = f"{each.config.chip_bytes / 1024:.0f}"
        area = f"{each.area.lut:,.0f} / {each.area.dsp} / {each.area.bram:g}"
        rows.append((label, kilobytes, area, *gains, changed))
    print(format_table(("measured", "KB", "LUT / DSP / BRAM", *cost.networks, "sizes"), rows))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", default=",".join(BOARDS))
    parser.add_argument("--networks", default="mobilenet_v2,lite0,resnet18")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--guided", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--latency", type=int, default=16)
    parser.add_argument("--measure", type=int, default=3, metavar="SEEDS")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--lite0", type=Path, default=LITE0)
    options = parser.parse_args()
    cost = HardwareCost(packages(options.networks.split(","), options.keep, options.lite0), options.latency)
    for board in options.boards.split(","):
        trials = dict.fromkeys(WAYS, options.trials) | {WAYS[0]: options.guided}
        report(board, studies(board, cost, trials, options.seeds), cost, options.measure)


if __name__ == "__main__":
    main()
