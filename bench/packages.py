"""Whole networks as packages: what runs where, how many cycles, and how near the floats are.

    python bench/packages.py [--config reference] [--only NAMES] [--rtl NAMES] [--models FOLDER] [--markdown]

Each network is compiled in floats for the CPU and compared with ONNX Runtime, then in integers for both
targets, calibrated on random inputs; the simulator and the CPU must give the same bytes. `share` is that of
the multiply-accumulates on the accelerator, `dB` the distance of integers to floats. Networks named with
`--rtl` run one sample in the gates, too: bytes and cycles must be equal. `--models` adds the networks of a
folder beside the project: LeNet, EfficientNet-Lite0, a direction classifier. `--markdown` prints the lines of
the README's table instead.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.zoo.language import decoder, encoder, lstm_classifier
from bench.zoo.light import light_models, loaded
from bench.zoo.vision import detector, mobilenet_v2, resnet18

import tilewright
from tilewright.cli.table import format_table
from tilewright.numerics.error import TilewrightError

SIZES = {"batch": 1, "sequence": 16, "length": 4, "past": 12, "time": 10}
"""For symbolic sizes of the seeded networks."""
SAMPLES = 4
LIGHT = ("squeezenet", "shufflenet", "resnet50", "densenet121", "inception_v1")
HEADER = (
    *("network", "float error", "cpu ms", "share", "programs", "cycles"),
    *("compile s", "sim s", "dB", "sim = cpu", "rtl"),
)
README_COLUMNS = ("network", "share", "programs", "cycles", "rtl")


@dataclass(frozen=True)
class Network:
    """A model, numbers for its symbolic sizes, and samples."""

    model: Any
    sizes: Mapping[str, int]
    samples: Mapping[str, Any]


def samples_of(model: Any, sizes: Mapping[str, int], count: int) -> dict[str, Any]:
    """Random inputs: small indices, a normal distribution else; `count` along a first axis of 1."""
    rng = np.random.default_rng(7)
    fixed = {tensor.name for tensor in model.graph.initializer}
    found = {}
    for value in model.graph.input:
        if value.name in fixed:
            continue
        kind = value.type.tensor_type
        dims = [dim.dim_value or sizes[dim.dim_param] for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = (count, *dims[1:]) if dims and dims[0] == 1 else tuple(dims)
        values = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(1, 2, shape)
        found[value.name] = values.astype(dtype)
    return found


def networks(folder: Path | None) -> Iterator[tuple[str, Callable[[], Network]]]:
    """The networks by name, made when they are asked for."""
    seeded = {
        "resnet18": resnet18,
        "mobilenet_v2": mobilenet_v2,
        "lstm": lstm_classifier,
        "encoder": encoder,
        "decoder": decoder,
        "detector": detector,
    }
    for name, make in seeded.items():
        yield name, lambda make=make: _network(make(), SIZES)  # type: ignore[misc]
    for path in light_models():
        name = path.stem.removeprefix("light_").removeprefix("bvlc_")
        if name in LIGHT:
            yield name, lambda path=path: _network(loaded(path), {})  # type: ignore[misc]
    for path in sorted(folder.glob("*.onnx")) if folder else ():
        yield path.stem, lambda path=path: _network(loaded(path), {"batch": 1})  # type: ignore[misc]


def _network(model: Any, sizes: Mapping[str, int]) -> Network:
    return Network(model, sizes, samples_of(model, sizes, SAMPLES))


def sizes_of(network: Network) -> dict[str, int]:
    """Of the symbolic sizes that its inputs have, but the batch."""
    dims = (dim for each in network.model.graph.input for dim in each.type.tensor_type.shape.dim)
    names = {dim.dim_param for dim in dims} - {"batch", "N", ""}
    return {name: size for name, size in network.sizes.items() if name in names}


def measure(network: Network, config: str, in_gates: bool) -> list[str]:
    """A line of the table."""
    one = {name: array[:1] if len(array) == SAMPLES else array for name, array in network.samples.items()}
    floats = tilewright.compile(network.model, accelerator=False)
    floats.run(one)
    result = floats.run(one)
    error = max(map(_distance, result.outputs.values(), _peer(network.model, one)))
    line = [f"{error:.0e}", f"{result.seconds * 1e3:.1f}"]
    begun = time.process_time()
    sizes = sizes_of(network)
    try:
        package = tilewright.compile(
            network.model,
            config=config,
            calibration=network.samples,
            ranges="min-max",
            sizes=sizes,
            accelerator=True,
        )
    except TilewrightError as refused:
        return [*line, *[""] * 7, str(refused)[:60]]
    compiled = time.process_time() - begun
    simulated, host = package.run(one), package.run(one, device="cpu")
    equal = all(np.array_equal(x, host.outputs[name]) for name, x in simulated.outputs.items())
    noise = min(map(_decibels, simulated.outputs.values(), result.outputs.values()))
    explained = package.explain()
    line += [
        f"{explained.share('accelerator'):.1%}",
        f"{explained.programs}",
        f"{simulated.cycles:,}" if simulated.cycles else "",
        f"{compiled:.1f}",
        f"{simulated.seconds:.2f}",
        f"{noise:.1f}",
        "yes" if equal else "NO",
    ]
    return [*line, _gates(package, one, simulated) if in_gates else ""]


def _gates(package: Any, one: Mapping[str, Any], simulated: Any) -> str:
    gates = package.run(one, device="rtl")
    bytes_equal = all(np.array_equal(x, gates.outputs[name]) for name, x in simulated.outputs.items())
    return "equal" if bytes_equal and gates.cycles == simulated.cycles else "DIFFERENT"


def _peer(model: Any, inputs: Mapping[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Else its integers saturate on CPUs without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return list(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, dict(inputs)))


def _distance(ours: Any, theirs: Any) -> float:
    if not theirs.size:
        return 0.0
    scale = np.abs(theirs).max()
    return float(np.abs(ours.astype(np.float64) - theirs).max() / (scale if scale else 1))


def _decibels(ours: Any, floats: Any) -> float:
    noise = np.square(ours.astype(np.float64) - floats).sum()
    return float(10 * np.log10(np.square(floats.astype(np.float64)).sum() / noise)) if noise else np.inf


def main() -> None:
    """Measure and print a line for each network as it is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="reference")
    parser.add_argument("--only", default="")
    parser.add_argument("--rtl", default="")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    only, gates = ({name for name in text.split(",") if name} for text in (args.only, args.rtl))
    rows = []
    for name, make in networks(args.models):
        if only and name not in only:
            continue
        rows.append([name, *measure(make(), args.config, name in gates)])
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    if args.markdown:
        print("\n".join(map(_markdown, rows)))
        return
    print(format_table(HEADER, rows))


def _markdown(row: list[str]) -> str:
    """A line of the README's table."""
    cells = dict(zip(HEADER, row, strict=True))
    return f"| {' | '.join(cells[name] for name in README_COLUMNS)} |".replace("  ", " ")


if __name__ == "__main__":
    main()
