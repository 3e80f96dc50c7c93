"""Convolution of floats."""

import math
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.convolution import Convolution
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs, expect_shape
from tilewright.compiler.ops.window import Pads, Pair


@dataclass(frozen=True)
class Conv2d(Operator):
    """x float32 (N, I, H, W), weight float32 (O, I/groups, KH, KW), bias float32 (O,) → (N, O, OH, OW).

    Members: those of `Convolution`.
    """

    name: ClassVar[str] = "conv2d"
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        self._geometry()

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x", "weight", "bias")
        x, weight, bias = types
        shape = self._geometry().infer(x, weight, DType.FLOAT32)
        expect_dtype("bias", bias, DType.FLOAT32)
        expect_shape("bias", bias, (weight.shape[0],))
        return TensorType(shape, DType.FLOAT32)

    def run(self, *arrays: Array) -> Array:
        x, weight, bias = arrays
        return self._geometry().run_float(x, weight) + bias[:, None, None]

    def macs(self, *types: TensorType) -> int:
        return self.infer(*types).size * math.prod(types[1].shape[1:])

    def _geometry(self) -> Convolution:
        return Convolution(self.strides, self.pads, self.dilations, self.groups)
