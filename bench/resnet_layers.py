"""ResNet-18's convolutions as single quantised layers: cycles on the simulator beside what is reachable.

    python bench/resnet_layers.py [--config reference] [--bus-bytes 16] [--latency 16] [--layers C2] [--rtl]

Peak is one product a cycle in each element of the array. `reachable` is what an event model with all
engines overlapped and searched tilings found for 16 x 16 and a bus of 8 bytes. `hidden` and `one by one` are
the same schedule with and without virtual threads and deeper buffering. With `--rtl` the
gates run each layer, too. Last comes a dense layer over 1024 pixels: a product of 1024 x 1024 x 1024.
"""

import argparse
import sys
from dataclasses import dataclass

from single_layer import (
    add_options,
    convolution_network,
    machine_of,
    measure,
    without_hiding,
)

from tilewright.cli.table import format_table
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.targets.accel.compile import LengthError
from tilewright.compiler.targets.accel.layer_schedule import default_schedules


@dataclass(frozen=True)
class Layer:
    """A convolution: padding is half of the kernel.

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

    @property
    def products(self) -> int:
        """Of one such layer."""
        return (self.size // self.stride) ** 2 * self.inputs * self.outputs * self.kernel**2


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
    "1024": Layer(32, 1024, 1024, 1, 1, 0, 99.8),
}


def network(layer: Layer) -> NamedFunction:
    """The layer between quantisation and dequantisation, with random weights."""
    return convolution_network(layer.size, layer.inputs, layer.outputs, layer.kernel, layer.stride)


def main() -> int:
    """The command: 0 if every answer is right and the devices agree on the cycles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, LAYERS)
    options = parser.parse_args()
    config, host, devices = machine_of(options)
    rows, fine, work, spent, bare = [], True, 0.0, 0.0, 0.0
    for name in options.layers.split(","):
        layer, named = LAYERS[name], network(LAYERS[name])
        try:
            hidden = measure(named, config, host, devices)
            plain = measure(named, config, host, ["sim"], without_hiding(default_schedules(named, config)))
        except LengthError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        fine &= hidden.right and plain.right
        least = layer.products / config.peak_macs
        work += least * layer.times
        spent += hidden.cycles * layer.times
        bare += plain.cycles * layer.times
        shares = (f"{least / hidden.cycles:.1%}", f"{least / plain.cycles:.1%}", f"{layer.reachable} %")
        right = hidden.right and plain.right
        rows.append((name, hidden.counts, *shares, f"{hidden.compile_seconds:.1f}", str(right)))
    header = ("layer", "cycles", "hidden", "one by one", "reachable", "compile s", "right")
    print(format_table(header, rows))
    if work:
        print(
            f"\nweighted by products and times used: {work / spent:.1%} of peak, without: {work / bare:.1%}"
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
