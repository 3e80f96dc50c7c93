"""What compiling takes: CPU seconds of each pass of the accelerator's lower half, for whole networks.

    python bench/compile_time.py [--config reference] [--networks resnet50,mobilenetv2] [--model FILE.onnx]

The networks have the layers of the published ones, with random integer weights: what the weights are does not
matter here. `layers` are those of the accelerator, `distinct` how many of them differ in more than weights.
With `--model` a quantised ONNX file is compiled, too.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import numpy as np
from single_layer import scale_word

from tilewright.cli.table import format_table
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.operator import QuantisedOperator
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.pipeline import load_onnx, quantise
from tilewright.compiler.targets.accel import compile as accelerator
from tilewright.compiler.targets.accel import program as programs
from tilewright.isa.config import Config, load_config

FACTOR = 64
"""Of a residual: what it is multiplied by, beside the sums."""

# --- networks ----------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A network of integers in the making; each method adds a layer behind `value` and returns its result.

    Members:
        rng: of the weights.
        b: where its equations go.
        layers: so far.
    """

    rng: np.random.Generator
    b: Builder = field(default_factory=lambda: Builder("network"))
    layers: int = 0

    def emit(self, operator: Operator, *operands: Value) -> Value:
        """A layer."""
        with self.b.label(f"layer{self.layers}"):
            self.layers += 1
            return self.b.emit(operator, *operands)

    def channels(self, value: Value) -> int:
        """Of a value."""
        return value.type.numbers[1]

    def convolution(
        self,
        value: Value,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        residual: Value | None = None,
        depthwise: bool = False,
    ) -> Value:
        """A convolution with requantisation and ReLU; padding is half of the kernel."""
        inputs = 1 if depthwise else self.channels(value)
        weight = self.rng.integers(-127, 128, (outputs, inputs, kernel, kernel), np.int8)
        scale = np.full(outputs, scale_word(2e-2 / np.sqrt(weight[0].size)), np.int32)
        operands = [self.b.constant(each) for each in (weight, np.zeros(outputs, np.int32), scale)]
        if residual is not None:
            operands += [residual, self.b.constant(np.full(outputs, FACTOR, np.int16))]
        operator = QConv2d(
            strides=(stride, stride),
            pads=(kernel // 2,) * 4,
            dilations=(1, 1),
            groups=self.channels(value) if depthwise else 1,
            input_zero_point=0,
            zero_point=0,
            lo=0,
            hi=127,
            residual=residual is not None,
        )
        return self.emit(operator, value, *operands)

    def average(self, value: Value) -> Value:
        """The average of each channel."""
        _, _, height, width = value.type.numbers
        pixels = height * width
        operator = QAveragePool2d(
            window=Window((height, width)),
            input_zero_point=0,
            bias=0,
            scales=((pixels, scale_word(1 / pixels)),),
            zero_point=0,
            lo=-128,
            hi=127,
        )
        return self.emit(operator, value)

    def network(self, size: int, body: Callable[["Draft", Value], Value]) -> NamedFunction:
        """The whole network, between quantisation and dequantisation."""
        x = self.b.parameter("x", TensorType(DType.FLOAT32, (1, 3, size, size)))
        result = body(self, self.b.emit(Quantise(0.05, 0), x))
        return NamedFunction(self.b.function(self.b.emit(Dequantise(0.05, 0), result)), ("x",), ("y",))


def resnet50(draft: Draft, value: Value) -> Value:
    """Bottlenecks of a 1 x 1, a 3 x 3 and a 1 x 1 convolution, the last with the residual."""
    value = draft.convolution(value, 64, 7, 2)
    value = draft.emit(QMaxPool2d(Window((3, 3), (2, 2), (1, 1, 1, 1))), value)
    for stage, (channels, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            residual = value if block else draft.convolution(value, 4 * channels, 1, stride)
            inner = draft.convolution(draft.convolution(value, channels, 1), channels, 3, stride)
            value = draft.convolution(inner, 4 * channels, 1, residual=residual)
    return draft.convolution(draft.average(value), 1000, 1)


def mobilenetv2(draft: Draft, value: Value) -> Value:
    """Inverted residuals: a 1 x 1, a depthwise 3 x 3 and a 1 x 1 convolution."""
    value = draft.convolution(value, 32, 3, 2)
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for widen, channels, blocks, first_stride in stages:
        for block in range(blocks):
            stride = 1 if block else first_stride
            wide = widen * draft.channels(value)
            inner = value if widen == 1 else draft.convolution(value, wide, 1)
            inner = draft.convolution(inner, wide, 3, stride, depthwise=True)
            value = draft.convolution(inner, channels, 1, residual=value if block else None)
    return draft.convolution(draft.average(draft.convolution(value, 1280, 1)), 1000, 1)


NETWORKS = {"resnet50": resnet50, "mobilenetv2": mobilenetv2}


def network(name: str, size: int = 224) -> NamedFunction:
    """One of `NETWORKS`, with seeded weights."""
    return Draft(np.random.default_rng(1), Builder(name)).network(size, NETWORKS[name])


# --- times -------------------------------------------------------------------------------------------------

PASSES = {
    "lower": (accelerator, "lowered_parts"),
    "schedule": (accelerator, "apply"),
    "tensorise": (accelerator, "tensorise"),
    "enumerate": (accelerator, "enumerated"),
    "allocate": (accelerator, "Allocation"),
    "place": (programs, "_table"),
    "tokens": (programs, "add_tokens"),
    "encode": (programs, "encode_table"),
    "check": (programs, "check"),
}
"""Each pass: the module that calls it, and by which name."""


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """CPU seconds of each pass, of all that is compiled inside."""
    seconds = dict.fromkeys(PASSES, 0.0)

    def measured(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            begun = time.process_time()
            try:
                result = function(*args, **options)
                return list(result) if isinstance(result, Iterator) else result
            finally:
                seconds[name] += time.process_time() - begun

        return call

    with ExitStack() as stack:
        for name, (module, attribute) in PASSES.items():
            function = measured(name, getattr(module, attribute))
            stack.enter_context(patch.object(module, attribute, function))
        yield seconds


def distinct(named: NamedFunction) -> tuple[int, int]:
    """Layers of the accelerator, and how many of them differ in operator or shapes."""
    keys = [
        (each.operator, tuple(value.type for value in each.operands))
        for each in named.function.equations
        if isinstance(each.operator, QuantisedOperator)
    ]
    return len(keys), len(set(keys))


def measure(named: NamedFunction, config: Config) -> tuple[str, ...]:
    """A row of the table."""
    with timed() as seconds:
        begun = time.process_time()
        model = accelerator.compile_function(named, config)
        total = time.process_time() - begun
    layers, different = distinct(named)
    others = total - sum(seconds.values())
    times = [*seconds.values(), others, total]
    counts = (named.function.name, str(layers), str(different), f"{model.instructions:,}")
    return (*counts, *(f"{each:.2f}" for each in times))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="reference")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--model", metavar="FILE", help="a quantised ONNX file")
    options = parser.parse_args()
    config = load_config(options.config)
    networks = [network(name) for name in options.networks.split(",") if name]
    if options.model is not None:
        networks.append(quantise(load_onnx(options.model), None))
    rows = [measure(each, config) for each in networks]
    header = ("network", "layers", "distinct", "instructions", *PASSES, "rest", "all")
    print(format_table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
