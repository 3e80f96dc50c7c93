"""MobileNetV2's depthwise and pointwise layers, poolings and additions, each alone, beside their bounds.

    python bench/mobilenet_layers.py [--config reference] [--latency 16] [--layers d56x144s2,…] [--rtl]

The bound of a layer is that of its slowest engine, from the work alone: the array takes a slice of
activations a cycle, the vector engine an item, load, store and fetch a beat or a vector of padding; nothing
waits for anything. `bus` is how much of the time loads and instructions, which share it, keep the bus busy.
`d` is depthwise, `p` pointwise: size of the picture, channels.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from single_layer import (
    ZERO_POINT,
    add_options,
    convolution_network,
    layer_network,
    machine_of,
    measure,
    scale_word,
)

from tilewright.cli.table import format_table
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.memory import Memory
from tilewright.isa.timing import item_interval

LEAST_SHARE = 0.9
"""Of the bound's cycles to the layer's, asked of depthwise and pointwise layers."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer whose pictures are square.

    Members:
        size: height and width of the input.
        inputs, outputs: channels.
        kernel, stride, pad: in both directions.
        kind: depthwise, pointwise, maximum, average or addition.
    """

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    pad: int
    kind: str

    @property
    def result_size(self) -> int:
        """Height and width of the result."""
        return (self.size + 2 * self.pad - self.kernel) // self.stride + 1


def _depthwise(size: int, channels: int, stride: int) -> tuple[str, Layer]:
    layer = Layer(
        size=size, inputs=channels, outputs=channels, kernel=3, stride=stride, pad=1, kind="depthwise"
    )
    return f"d{size}x{channels}s{stride}", layer


def _pointwise(size: int, inputs: int, outputs: int) -> tuple[str, Layer]:
    layer = Layer(size=size, inputs=inputs, outputs=outputs, kernel=1, stride=1, pad=0, kind="pointwise")
    return f"p{size}x{inputs}x{outputs}", layer


def _other(kind: str, size: int, channels: int, kernel: int, stride: int, pad: int) -> tuple[str, Layer]:
    layer = Layer(
        size=size, inputs=channels, outputs=channels, kernel=kernel, stride=stride, pad=pad, kind=kind
    )
    return f"{kind}{size}x{channels}", layer


LAYERS: Mapping[str, Layer] = dict(
    (
        _depthwise(112, 32, 1),
        _depthwise(112, 96, 2),
        _depthwise(56, 144, 1),
        _depthwise(56, 144, 2),
        _depthwise(28, 192, 1),
        _depthwise(28, 192, 2),
        _depthwise(14, 384, 1),
        _depthwise(14, 576, 1),
        _depthwise(14, 576, 2),
        _depthwise(7, 960, 1),
        _pointwise(112, 32, 16),
        _pointwise(112, 16, 96),
        _pointwise(56, 96, 24),
        _pointwise(56, 24, 144),
        _pointwise(56, 144, 24),
        _pointwise(28, 144, 32),
        _pointwise(28, 32, 192),
        _pointwise(28, 192, 32),
        _pointwise(14, 192, 64),
        _pointwise(14, 64, 384),
        _pointwise(14, 384, 64),
        _pointwise(14, 384, 96),
        _pointwise(14, 96, 576),
        _pointwise(14, 576, 96),
        _pointwise(7, 576, 160),
        _pointwise(7, 160, 960),
        _pointwise(7, 960, 160),
        _pointwise(7, 960, 320),
        _pointwise(7, 320, 1280),
        _other("average", 7, 1280, 7, 1, 0),
        _other("average", 28, 64, 2, 2, 0),
        _other("maximum", 112, 64, 3, 2, 1),
        _other("maximum", 28, 128, 2, 2, 0),
        _other("addition", 56, 24, 1, 1, 0),
        _other("addition", 28, 32, 1, 1, 0),
        _other("addition", 14, 96, 1, 1, 0),
        _other("addition", 7, 160, 1, 1, 0),
    )
)


# --- bounds ------------------------------------------------------------------------------------------------


def bounds(layer: Layer, config: Config) -> dict[str, int]:
    """Cycles for which each engine is busy at least, by its name."""
    pixels = layer.result_size**2
    out_blocks = -(-layer.outputs // config.cols)
    results = pixels * out_blocks
    return {
        "matrix": _matrix(layer, results, config),
        "vector": _vector(layer, results, config),
        "load": _load(layer, out_blocks, config),
        "store": results * _beats(Memory.ACTIVATION, config),
        "fetch": out_blocks * 3 * INSTRUCTION_BYTES // config.bus_bytes,
    }


def _matrix(layer: Layer, results: int, config: Config) -> int:
    in_blocks = -(-layer.inputs // config.cols)
    return results * in_blocks * config.slices if layer.kind == "pointwise" else 0


def _vector(layer: Layer, results: int, config: Config) -> int:
    folded = 1 if layer.kind == "pointwise" else layer.kernel**2
    if layer.kind == "depthwise":
        sizes = {"kernel": (layer.kernel,) * 2, "strides": (layer.stride,) * 2}
        folded = Windows(blocks=1, height=1, width=1, has_weights=True, **sizes).least_items(config)
    items = 2 if layer.kind == "addition" else folded
    return results * items * item_interval(layer.kind != "maximum", items, config.requant_interval)


def _load(layer: Layer, out_blocks: int, config: Config) -> int:
    """Every pixel, weight and parameter once, and what pads the pictures."""
    in_blocks = -(-layer.inputs // config.cols)
    operands = 2 if layer.kind == "addition" else 1
    activation, parameter = _beats(Memory.ACTIVATION, config), _beats(Memory.PARAMETER, config)
    taps = layer.kernel**2 if layer.kind == "depthwise" else 0
    vectors = {"maximum": 0, "addition": 3}.get(layer.kind, 2)
    seen = max(layer.size, (layer.result_size - 1) * layer.stride + layer.kernel)
    weights = config.cols * in_blocks * out_blocks if layer.kind == "pointwise" else 0
    return (
        operands * in_blocks * (layer.size**2 * activation + seen**2 - layer.size**2)
        + weights * _beats(Memory.WEIGHT, config)
        + out_blocks * (taps + vectors) * parameter
    )


def _beats(memory: Memory, config: Config) -> int:
    """Cycles of the bus for a vector."""
    return config.vector_bytes(memory) // config.transfer_bytes(memory)


# --- networks ----------------------------------------------------------------------------------------------


def network(layer: Layer) -> NamedFunction:
    """The layer between quantisation and dequantisation."""
    shape = (1, layer.inputs, layer.size, layer.size)
    window = Window((layer.kernel,) * 2, (layer.stride,) * 2, (layer.pad,) * 4)
    clamp = {"zero_point": ZERO_POINT, "lo": -128, "hi": 127}
    if layer.kind == "maximum":
        return layer_network(QMaxPool2d(window), [shape])
    if layer.kind == "average":
        pixels = layer.kernel**2
        scales = ((pixels, scale_word(1 / pixels)),)
        bias = -ZERO_POINT * pixels
        average = QAveragePool2d(window, input_zero_point=ZERO_POINT, bias=bias, scales=scales, **clamp)
        return layer_network(average, [shape])
    if layer.kind == "addition":
        bias = -ZERO_POINT * (64 + 16384)
        return layer_network(QAdd(ka=64, kb=16384, bias=bias, scale=scale_word(2**-15), **clamp), [shape] * 2)
    return convolution_network(
        layer.size,
        layer.inputs,
        layer.outputs,
        layer.kernel,
        layer.stride,
        depthwise=layer.kind == "depthwise",
    )


def main() -> int:
    """The command: 0 if every answer is right and the devices agree on the cycles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, LAYERS)
    options = parser.parse_args()
    config, host, devices = machine_of(options)
    rows, fine, shares = [], True, list[float]()
    for name in options.layers.split(","):
        layer = LAYERS[name]
        measured = measure(network(layer), config, host, devices)
        fine &= measured.right
        engines = bounds(layer, config)
        slowest = max(engines, key=lambda engine: engines[engine])
        share = engines[slowest] / measured.cycles
        if layer.kind in ("depthwise", "pointwise"):
            shares.append(share)
        counters = measured.results[0].counters
        beats = (counters["load_bytes"] + counters["fetch_bytes"]) // config.bus_bytes
        rows.append(
            (
                name,
                measured.counts,
                f"{engines[slowest]:,}",
                slowest,
                f"{share:.1%}",
                f"{beats / measured.cycles:.1%}",
                f"{measured.compile_seconds:.1f}",
                str(measured.right),
            )
        )
    header = ("layer", "cycles", "bound", "slowest", "of bound", "bus", "compile s", "right")
    print(format_table(header, rows))
    if shares:
        print(f"\nworst of depthwise and pointwise: {min(shares):.1%} of the bound, asked: {LEAST_SHARE:.0%}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
