"""Convolutions with what usually follows, as functions of their own."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution import convolution
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.te import cast, clamp, placeholder, requantise, saturating_add
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc


def float_layer(
    name: str, sizes: ConvolutionSizes, features: Features, schedule: ConvolutionSchedule | None = None
) -> PrimFunc:
    """x, weight, bias [outputs] -> float32 [height, width, outputs]."""
    bias = placeholder((sizes.outputs,), DType.FLOAT32, "bias")
    return convolution(
        name, sizes, [bias], lambda total, y, x, c: total + bias[c], features, schedule=schedule
    )


def integer_layer(
    name: str,
    sizes: ConvolutionSizes,
    features: Features,
    zero_point: int = 0,
    lo: int = -128,
    hi: int = 127,
    schedule: ConvolutionSchedule | None = None,
) -> PrimFunc:
    """x, weight, start, bias and scale [outputs] -> int8 [height, width, outputs].

    The result is clamp(requantise(saturating_add(total, bias), scale) + zero_point, lo, hi).
    """
    bias, scale = (placeholder((sizes.outputs,), DType.INT32, what) for what in ("bias", "scale"))

    def finish(total: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        scaled = requantise(saturating_add(total, bias[c]), scale[c])
        return cast(clamp(scaled + zero_point, lo, hi), DType.INT8)

    return convolution(name, sizes, [bias, scale], finish, features, schedule=schedule)
