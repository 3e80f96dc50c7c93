"""Whole networks on the host's CPU beside ONNX Runtime: floats and int8, one thread and all processors.

    python bench/host_networks.py [--networks resnet18,minilm] [--types float32,int8] [--threads 1,2]
                                  [--without avx512] [--repeats 15]

ours: the network as a package on device `cpu`: floats, or the accelerator's integers. ONNX Runtime runs the
same model in floats, or the integers that its quantiser makes of it: with its default kernels, and with those
that never saturate (`session.x64quantprecision`), which are slower on CPUs where the default ones are exact,
too (with VNNI). For the encoder its quantiser's two ways are tried, and the faster one taken. Weights are
random; one sample of 224 x 224 pixels, or 128 tokens.

All run in turns in one process. On one thread the time is the processor's, so that other work on the machine
does not count; on several it is wall time, and only means something on an idle machine. Prints medians in
ms, the speed as a multiple of ONNX Runtime's, and the distance to its floats: the largest difference of an
output, relative to the largest, or in dB for int8. `--without avx512` compiles ours for a CPU that lacks
these features; ONNX Runtime takes what the CPU has.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer import Session, decibels, dynamic_integers, fixed, static_integers
from turns import Call, median_seconds

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.zoo.language import encoder
from bench.zoo.vision import mobilenet_v2, resnet18, resnet50

import tilewright
from tilewright.cli.table import format_table
from tilewright.compiler.targets.cpu.machine import HostMachine

Array = NDArray[Any]
TOKENS, WORDS = 128, 2000
HEADER = ("network", "type", "threads", "ours", "peer", "exact", "speed", "of exact", "distance", "compile s")


@dataclass(frozen=True)
class Network:
    """A network and a sample.

    Members:
        model: the ONNX model with known sizes.
        inputs: by name.
    """

    model: Any
    inputs: Mapping[str, Array]

    def integers(self) -> list[Any]:
        """The models that ONNX Runtime's quantiser makes."""
        made = [static_integers(self.model, self.inputs)]
        has_convolutions = any(node.op_type == "Conv" for node in self.model.graph.node)
        return made if has_convolutions else [*made, dynamic_integers(self.model)]


def _vision(make: Callable[[], Any]) -> Network:
    pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    return Network(fixed(make(), {"batch": 1}), {"x": pixels})


def _minilm() -> Network:
    """The sizes of MiniLM-L6 (Wang et al., 2020): 6 layers of 384 in 12 heads."""
    model = fixed(encoder(384, 12, 6, words=WORDS, most=TOKENS), {"batch": 1, "sequence": TOKENS})
    ids = np.random.default_rng(0).integers(0, WORDS, (1, TOKENS))
    return Network(model, {"ids": ids, "types": np.zeros_like(ids), "mask": np.ones_like(ids)})


NETWORKS: dict[str, Callable[[], Network]] = {
    "resnet18": lambda: _vision(resnet18),
    "resnet50": lambda: _vision(resnet50),
    "mobilenet_v2": lambda: _vision(mobilenet_v2),
    "minilm": _minilm,
}


@dataclass(frozen=True)
class Row:
    """A line of the table: milliseconds, speeds as multiples of the peer's."""

    network: str
    dtype: str
    threads: int
    milliseconds: tuple[float, ...]
    distance: str
    compile_seconds: float

    @property
    def speeds(self) -> list[float]:
        """Of ONNX Runtime's default kernels, and of its exact ones."""
        ours, *others = self.milliseconds
        return [other / ours for other in others]

    def texts(self) -> tuple[str, ...]:
        """As the table has it."""
        times = [f"{each:.2f}" for each in self.milliseconds]
        speeds = [f"{each:.2f}" for each in self.speeds]
        missing = [""] * (3 - len(times))
        seconds = f"{self.compile_seconds:.1f}" if self.compile_seconds else ""
        own = (self.network, self.dtype, str(self.threads), *times, *missing, *speeds, *missing)
        return (*own, self.distance, seconds)


@dataclass(frozen=True)
class Bench:
    """What is measured, and how."""

    machine: HostMachine
    threads: Sequence[int]
    repeats: int

    def rows(self, name: str, dtype: str) -> Iterator[Row]:
        """The lines of a network."""
        network = NETWORKS[name]()
        begun = time.perf_counter()
        calibration = None if dtype == "float32" else dict(network.inputs)
        package = tilewright.compile(network.model, calibration=calibration, ranges="min-max")
        first, compile_seconds = None, 0.0
        for threads in self.threads:
            ours = self._ours(package, network, threads)
            found = ours()
            if first is None:
                first, compile_seconds = found, time.perf_counter() - begun
            peers = list(self._peers(network, dtype, threads))
            seconds = self._seconds([ours, *peers], threads)
            distance = _distance(found, Session(network.model, 1).run(network.inputs), dtype)
            yield Row(name, dtype, threads, tuple(1e3 * x for x in seconds), distance, compile_seconds)
            compile_seconds = 0.0

    def _ours(self, package: Any, network: Network, threads: int) -> Callable[[], list[Array]]:
        own = replace(
            package, host_machine=self.machine, host_parallel=threads > 1, _programs={}, _networks={}
        )
        loaded = own.on("cpu")
        return lambda: list(loaded.run(network.inputs).outputs.values())

    def _peers(self, network: Network, dtype: str, threads: int) -> Iterator[Call]:
        models = [network.model] if dtype == "float32" else network.integers()
        for exact in (False,) if dtype == "float32" else (False, True):
            sessions = [Session(model, threads, exact=exact) for model in models]
            calls = [lambda session=each: session.run(network.inputs) for each in sessions]
            times = self._seconds(calls, threads)
            yield calls[times.index(min(times))]

    def _seconds(self, calls: Sequence[Call], threads: int) -> list[float]:
        clock = time.thread_time if threads == 1 else time.perf_counter
        return median_seconds(calls, threads, self.repeats, clock)


def _distance(found: Sequence[Array], expected: Sequence[Array], dtype: str) -> str:
    pairs = list(zip(found, expected, strict=True))
    if dtype == "int8":
        return f"{min(decibels(other, one) for one, other in pairs):.1f} dB"
    return f"{max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs):.0e}"


def means(rows: Sequence[Row]) -> Iterator[str]:
    """Geometric means and the lowest speeds, by type and threads."""
    for dtype, threads in dict.fromkeys((row.dtype, row.threads) for row in rows):
        speeds = zip(
            *(row.speeds for row in rows if (row.dtype, row.threads) == (dtype, threads)), strict=True
        )
        for what, column in zip(("its default", "its exact kernels"), speeds, strict=False):
            mean = statistics.geometric_mean(column)
            yield f"{dtype}, {threads} threads, of {what}: mean {mean:.2f}, lowest {min(column):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--types", default="float32,int8")
    parser.add_argument("--threads", default=",".join(map(str, sorted({1, os.cpu_count() or 1}))))
    parser.add_argument("--without", default="", help="beginnings of features, with commas between")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    lacking = [each for each in options.without.split(",") if each]
    machine = HostMachine.host().without(*lacking) if lacking else HostMachine.host()
    bench = Bench(machine, [int(each) for each in options.threads.split(",")], options.repeats)
    rows: list[Row] = []
    for name in options.networks.split(","):
        for dtype in options.types.split(","):
            for row in bench.rows(name, dtype):
                rows.append(row)
                print("  ".join(row.texts()), flush=True)
    print(f"\n{machine.cpu}" + (f" without {options.without}" if lacking else ""))
    print(format_table(HEADER, [row.texts() for row in rows]))
    print("\n".join(means(rows)))


if __name__ == "__main__":
    main()
