"""ResNet-18's convolutions as single quantised layers: cycles on the simulator beside what is reachable.

    python bench/resnet_layers.py [--config reference] [--latency 16] [--layers C2,C5] [--rtl]

Peak is one product a cycle in each element of the array. `reachable` is what an event model with all
engines overlapped and searched tilings found for 16 x 16 and a bus of 8 bytes. With `--rtl` the gates run
each layer, too.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np

from tilewright.cli.machine import make_device
from tilewright.cli.table import format_table
from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.pipeline import compile_model
from tilewright.isa.config import Config, load_config
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.runtime.device import Host
from tilewright.runtime.model_runner import ModelRunner

ZERO_POINT = -7


@dataclass(frozen=True)
class Layer:
    """A convolution of ResNet-18: padding is half of the kernel.

    Members:
        size: height and width of the input.
        inputs, outputs: channels.
        kernel, stride: in both directions.
        times: how often the network has it.
        reachable: share of peak at 16 x 16 and 8 bytes, percent.
    """

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    times: int
    reachable: float


LAYERS = {
    "C2": Layer(56, 64, 64, 3, 1, 4, 99.6),
    "C4": Layer(56, 64, 128, 3, 2, 1, 99.1),
    "C5": Layer(56, 64, 128, 1, 2, 1, 95.6),
    "C6": Layer(28, 128, 128, 3, 1, 3, 99.6),
    "C7": Layer(28, 128, 256, 3, 2, 1, 99.0),
    "C8": Layer(28, 128, 256, 1, 2, 1, 95.1),
    "C9": Layer(14, 256, 256, 3, 1, 3, 99.6),
    "C10": Layer(14, 256, 512, 3, 2, 1, 98.9),
    "C11": Layer(14, 256, 512, 1, 2, 1, 95.5),
    "C12": Layer(7, 512, 512, 3, 1, 3, 99.5),
}


def network(layer: Layer) -> Graph:
    """The layer between quantisation and dequantisation, with random weights."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-127, 128, (layer.outputs, layer.inputs, layer.kernel, layer.kernel), np.int8)
    scale = pack_scale(*quantise_multiplier(2e-2 / np.sqrt(weight[0].size)))
    bias = -ZERO_POINT * weight.sum(axis=(1, 2, 3), dtype=np.int32)
    half = layer.kernel // 2
    operator = QConv2d(
        strides=(layer.stride, layer.stride),
        pads=(half, half, half, half),
        dilations=(1, 1),
        groups=1,
        input_zero_point=ZERO_POINT,
        zero_point=ZERO_POINT,
        lo=ZERO_POINT,
        hi=127,
    )
    return Graph(
        name="layer",
        inputs=(("x", TensorType((1, layer.inputs, layer.size, layer.size), DType.FLOAT32)),),
        nodes=(
            Node("quantise", Quantise(0.05, ZERO_POINT), ("x",), "q"),
            Node("layer", operator, ("q", "weight", "bias", "scale"), "r"),
            Node("dequantise", Dequantise(0.05, ZERO_POINT), ("r",), "y"),
        ),
        outputs=("y",),
        constants={"weight": weight, "bias": bias, "scale": np.full(layer.outputs, scale, np.int32)},
    )


def measure(name: str, config: Config, host: Host, devices: list[str]) -> tuple[list[int], float, bool]:
    """Cycles on each device, seconds to compile, whether all answers are the interpreter's."""
    graph = network(LAYERS[name])
    begun = time.perf_counter()
    model = compile_model(graph, config)
    seconds = time.perf_counter() - begun
    shape = graph.inputs[0][1].shape
    x = np.random.default_rng(2).normal(0, 3, shape).astype(np.float32)
    expected = run(graph, {"x": x})["y"]
    results = [ModelRunner(model, make_device(device, config), host).run({"x": x}) for device in devices]
    right = all(np.array_equal(result.outputs["y"], expected) for result in results)
    return [result.cycles for result in results], seconds, right


def main() -> int:
    """The command: 0 if every answer is right and the devices agree on the cycles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="reference", help="default: %(default)s")
    parser.add_argument("--latency", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--layers", default=",".join(LAYERS), help="default: %(default)s")
    parser.add_argument("--rtl", action="store_true", help="the gates, too")
    options = parser.parse_args()
    config, host = load_config(options.config), Host(latency=options.latency)
    devices = ["sim", *(["rtl"] if options.rtl else [])]
    rows, fine, work, spent = [], True, 0.0, 0.0
    for name in options.layers.split(","):
        layer = LAYERS[name]
        cycles, seconds, right = measure(name, config, host, devices)
        products = (layer.size // layer.stride) ** 2 * layer.inputs * layer.outputs * layer.kernel**2
        fine &= right and len(set(cycles)) == 1
        work += products * layer.times
        spent += cycles[0] * config.peak_macs * layer.times
        share = products / (cycles[0] * config.peak_macs)
        counts = " = ".join(f"{count:,}" for count in cycles)
        rows.append((name, counts, f"{share:.1%}", f"{layer.reachable} %", f"{seconds:.1f}", str(right)))
    print(format_table(("layer", "cycles", "of peak", "reachable", "compile s", "right"), rows))
    print(f"\nweighted by products and times used: {work / spent:.1%} of peak")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
