"""Networks of one quantised layer with random contents, and what they take on devices: shared by benches."""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.cli.machine import make_device
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.schedule import BufferDepth, VirtualThread
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.layer_schedule import Schedules
from tilewright.isa.config import Config, ConfigError, load_config
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.runtime.device import DeviceResult, Environment
from tilewright.runtime.model_runner import ModelRunner

ZERO_POINT = -7


def layer_network(
    operator: Operator, shapes: Sequence[tuple[int, ...]], **constants: NDArray[Any]
) -> NamedFunction:
    """An operator between quantisation and dequantisation.

    Args:
        operator: takes activations, and then constants.
        shapes: of the activations, [1, channels, height, width].
        constants: its other inputs, in order.
    """
    b = Builder("layer")
    names = tuple(f"x{number}" for number in range(len(shapes)))
    inputs = [
        b.parameter(name, TensorType(DType.FLOAT32, shape)) for name, shape in zip(names, shapes, strict=True)
    ]
    operands = [b.emit(Quantise(0.05, ZERO_POINT), value) for value in inputs]
    operands += [b.constant(array) for array in constants.values()]
    with b.label("layer"):
        result = b.emit(operator, *operands)
    return NamedFunction(b.function(b.emit(Dequantise(0.05, ZERO_POINT), result)), names, ("y",))


def convolution_network(
    size: int, inputs: int, outputs: int, kernel: int, stride: int, *, depthwise: bool = False
) -> NamedFunction:
    """A convolution with requantisation and ReLU; padding is half of the kernel.

    Args:
        size: height and width of the input.
        inputs, outputs: channels.
        kernel, stride: in both directions.
        depthwise: each channel by itself.
    """
    rng = np.random.default_rng(1)
    shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
    weight = rng.integers(-127, 128, shape, np.int8)
    scale = scale_word(2e-2 / np.sqrt(weight[0].size))
    half = kernel // 2
    operator = QConv2d(
        strides=(stride, stride),
        pads=(half, half, half, half),
        dilations=(1, 1),
        groups=inputs if depthwise else 1,
        input_zero_point=ZERO_POINT,
        zero_point=ZERO_POINT,
        lo=ZERO_POINT,
        hi=127,
    )
    return layer_network(
        operator,
        [(1, inputs, size, size)],
        weight=weight,
        bias=-ZERO_POINT * weight.sum(axis=(1, 2, 3), dtype=np.int32),
        scale=np.full(outputs, scale, np.int32),
    )


def scale_word(factor: float) -> int:
    """A real factor as the word that requantises."""
    return int(pack_scale(*quantise_multiplier(factor)))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a network took.

    Members:
        results: of each device.
        compile_seconds: wall time of the compiler.
        right: whether all answers are the interpreter's, bit for bit, and the devices agree on the cycles.
    """

    results: list[DeviceResult]
    compile_seconds: float
    right: bool

    @property
    def cycles(self) -> int:
        """On the first device."""
        return self.results[0].cycles

    @property
    def counts(self) -> str:
        """The cycles on every device, as a text."""
        return " = ".join(f"{result.cycles:,}" for result in self.results)


def without_hiding(schedules: Schedules) -> Schedules:
    """The same schedules with one version of each buffer, and blocks one after the other."""
    return {
        part: tuple(
            replace(primitive, depth=1) if isinstance(primitive, BufferDepth) else primitive
            for primitive in schedule
            if not isinstance(primitive, VirtualThread)
        )
        for part, schedule in schedules.items()
    }


def measure(
    named: NamedFunction,
    config: Config,
    environment: Environment,
    devices: list[str],
    schedules: Schedules | None = None,
) -> Measured:
    """Compile a network, with other schedules than the default ones if given, and run it on each device."""
    begun = time.perf_counter()
    model = compile_function(named, config, schedules=schedules)
    seconds = time.perf_counter() - begun
    rng = np.random.default_rng(2)
    shapes, _ = named.sample_shapes
    given = {name: rng.normal(0, 3, (1, *shape)).astype(np.float32) for name, shape in shapes.items()}
    expected = named.run(given)["y"]
    outcomes = [ModelRunner(model, make_device(device, config), environment).run(given) for device in devices]
    right = all(np.array_equal(outcome.outputs["y"], expected) for outcome in outcomes)
    results = [outcome.first for outcome in outcomes]
    agreed = len({result.cycles for result in results}) == 1
    return Measured(results=results, compile_seconds=seconds, right=right and agreed)


def configuration(name: str) -> Config:
    """A preset or a file, for argparse: a mistake is one line."""
    try:
        return load_config(name)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_options(parser: argparse.ArgumentParser, layers: Iterable[str]) -> None:
    """The options of every bench of layers, which has those of these names."""
    parser.add_argument("--config", type=configuration, default="reference", help="default: %(default)s")
    parser.add_argument("--bus-bytes", type=int, help="another width of the bus than the configuration's")
    parser.add_argument("--latency", type=int, default=16, help="of the memory, default: %(default)s")
    parser.add_argument("--layers", default=",".join(layers), help="default: %(default)s")
    parser.add_argument("--rtl", action="store_true", help="the gates, too")


def machine_of(options: argparse.Namespace) -> tuple[Config, Environment, list[str]]:
    """The configuration, the memory outside and the devices that options ask for."""
    config = options.config
    if options.bus_bytes is not None:
        config = replace(config, bus_bytes=options.bus_bytes)
    return config, Environment(latency=options.latency), ["sim", *(["rtl"] if options.rtl else [])]
