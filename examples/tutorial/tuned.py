"""A layer whose default schedule is not the best, tuned: what is tried, and what it gains.

python examples/tutorial/tuned.py
"""

from dataclasses import replace
from functools import cache

import numpy as np

from tilewright.api.accel_task import accel_layers
from tilewright.api.file import package_of_model
from tilewright.api.tunable_layer import TunableLayer
from tilewright.api.tuning import TunedLayer, Tuning
from tilewright.cli.table import format_table
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.tune.harness import Budget
from tilewright.tune.inline import Inline
from tilewright.tune.session import Session

SMALL_MEMORIES = replace(
    PRESETS["reference"],
    activation_vectors=512,
    weight_vectors=2048,
    accumulator_vectors=256,
    parameter_vectors=128,
)
FAR_MEMORY_CYCLES = 100
SHOWN = ("height", "width", "first_height", "reduction_blocks", "outer_blocks", "threads")


def pointwise() -> NamedFunction:
    """A convolution of single pixels, as in MobileNetV2: 144 channels to 32, 28 by 28."""
    b = Builder("layer")
    x = b.parameter("x", TensorType(DType.FLOAT32, (1, 144, 28, 28)))
    weight = np.random.default_rng(1).integers(-127, 128, (32, 144, 1, 1), np.int8)
    bias, scale = np.zeros(32, np.int32), np.full(32, pack_scale(np.array(96000), np.array(11)), np.int32)
    operator = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 0, 0, -128, 127)
    with b.label("pointwise"):
        result = b.emit(
            operator, b.emit(Quantise(0.05, 0), x), b.constant(weight), b.constant(bias), b.constant(scale)
        )
    return NamedFunction(b.function(b.emit(Dequantise(0.05, 0), result)), ("x",), ("y",))


@cache
def layer() -> TunableLayer:
    """The layer as what is tuned."""
    package = package_of_model(compile_function(pointwise(), SMALL_MEMORIES))
    (found,) = accel_layers(package, FAR_MEMORY_CYCLES)
    return found


def knobs() -> str:
    """What may vary."""
    rows = [
        (
            knob.name,
            str(len(knob.values)),
            ", ".join(map(str, knob.values[:6])) + (", …" if len(knob.values) > 6 else ""),
        )
        for knob in layer().task.space.knobs
    ]
    return format_table(("knob", "values", ""), rows)


def tune(trials: int) -> TunedLayer:
    """The best point of some, in this process; `Session(path)` would keep what was measured."""
    with Session() as session:
        tuning = Tuning(layers=[layer()], session=session, measure=Inline())
        for _ in tuning.steps(Budget(trials=trials)):
            pass
        (result,) = tuning.results()
    return result


def compared(trials: int) -> str:
    """The default and the best of some points."""
    found = tune(trials)
    default, best = found.layer.task.default, found.point
    rows = [
        (name, f"{cost:,.0f}", *(str(point[knob]) for knob in SHOWN))
        for name, cost, point in (
            ("default", found.default_cost, default),
            ("best", found.cost, best),
        )
    ]
    return format_table(("point", "cycles", *SHOWN), rows)


if __name__ == "__main__":
    print(knobs())
    print(compared(32))
