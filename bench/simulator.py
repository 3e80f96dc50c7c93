"""How fast the simulator is: the cycles of a program a second, its data included.

    python bench/simulator.py [--config reference] [--repeat 3] [--layers C2,C4] [--network FILE]

`timing` is from the bytes of a program to its timeline, `data` what its instructions do to the memories; each
is the best of a few runs. `first` adds the two up: the first sample of a run takes both; `others` takes data
alone, for no data changes the time. The last line of ResNet-18 counts each layer as often as the network has
it. A network, by default EfficientNet-Lite0 (QDQ), is measured where its file is found. NUMBA_CPU_NAME in the
environment names another processor to compile for.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
from resnet_layers import LAYERS, network
from single_layer import configuration

from tilewright.cli.table import format_table
from tilewright.compiler.pipeline import compile_model, load_onnx, quantise
from tilewright.isa.config import Config
from tilewright.isa.model import CONSTANTS, INPUTS, Model
from tilewright.isa.state import Dram
from tilewright.runtime.device import DEFAULT_ENVIRONMENT
from tilewright.runtime.loader import load
from tilewright.sim.machine import Simulator
from tilewright.sim.result import SimResult

NETWORK = Path(__file__).parents[2] / "shared" / "models" / "efficientnet-lite0-qdq.onnx"
SHOWN_FEATURES = ("avx2", "avxvnni", "avx512f", "avx512vnni", "neon", "dotprod")


@dataclass(frozen=True)
class Speed:
    """Cycles of a program, and the seconds that its timing and its data take."""

    cycles: float
    timing: float
    data: float

    def times(self, count: int) -> "Speed":
        """Of so many such programs."""
        return Speed(self.cycles * count, self.timing * count, self.data * count)

    def __add__(self, other: "Speed") -> "Speed":
        return Speed(self.cycles + other.cycles, self.timing + other.timing, self.data + other.data)

    def row(self, name: str) -> tuple[str, ...]:
        """A row of the table."""
        both = self.timing + self.data
        milliseconds = (f"{seconds * 1e3:.2f}" for seconds in (self.timing, self.data))
        speeds = (f"{self.cycles / seconds / 1e6:.0f}" for seconds in (both, self.data))
        return (name, f"{self.cycles:,.0f}", *milliseconds, *speeds)


def measure(model: Model, simulator: Simulator, repeat: int) -> Speed:
    """Run a model on random bytes.

    Args:
        model: compiled for the simulator's configuration.
        simulator: whose memories are changed.
        repeat: runs, of which the best counts.
    """
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    given = {INPUTS: np.random.default_rng(1).integers(0, 256, sizes[INPUTS], np.uint8).tobytes()}
    image = load(
        model.executable, given | ({CONSTANTS: model.constants} if model.constants else {}), model.config
    )
    memory = DEFAULT_ENVIRONMENT.memory(len(image.dram))

    def timed() -> SimResult:
        result = simulator.time(
            model.executable.code, dram=image.dram, memory=memory, bases=image.bases, check=False
        )
        assert len(result.operations)
        return result

    result = timed()
    outside = Dram(image.dram, image.bases)
    data = best(lambda: simulator.apply(result, outside), repeat)
    return Speed(result.cycles, best(timed, repeat), data)


def best(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def features() -> str:
    """The processor, and what of it decides the speed."""
    if numba.config.CPU_NAME:
        return f"as on {numba.config.CPU_NAME}"
    has = llvm.get_host_cpu_features()
    return f"{llvm.get_host_cpu_name()} ({' '.join(name for name in SHOWN_FEATURES if has.get(name))})"


def measure_all(options: argparse.Namespace, config: Config) -> list[tuple[str, ...]]:
    """The rows of the table."""
    simulator, rows, total = Simulator(config), [], Speed(0, 0, 0)
    for name in filter(None, options.layers.split(",")):
        speed = measure(compile_model(network(LAYERS[name]), config), simulator, options.repeat)
        rows.append(speed.row(name))
        total += speed.times(LAYERS[name].times)
    if total.cycles:
        rows.append(total.row("ResNet-18, weighted"))
    if options.network.is_file():
        model = compile_model(quantise(load_onnx(options.network)), config)
        rows.append(measure(model, simulator, options.repeat).row(options.network.stem))
    return rows


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    layers = ",".join(name for name, layer in LAYERS.items() if layer.times)
    parser.add_argument("--config", type=configuration, default="reference", help="default: %(default)s")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, default: %(default)s")
    parser.add_argument("--layers", default=layers, help="of ResNet-18, default: %(default)s")
    parser.add_argument("--network", type=Path, default=NETWORK, help="an ONNX file with QDQ")
    options = parser.parse_args()
    header = ("program", "cycles", "timing ms", "data ms", "first Mcycle/s", "others Mcycle/s")
    print(format_table(header, measure_all(options, options.config)))
    print(f"\n{features()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
