"""Lowers operators of the network to tensor expressions and schedules."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d, QConv2dTable
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted, QMatmulTransposed
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.qadd import lower_qadd
from tilewright.compiler.targets.accel.operator.qconv2d import lower_qconv2d
from tilewright.compiler.targets.accel.operator.qlookup import lower_qlookup
from tilewright.compiler.targets.accel.operator.qmatmul import lower_qdense_transposed, lower_qmatmul
from tilewright.compiler.targets.accel.operator.qmove import lower_qconcat, lower_qgather, lower_qpad2d
from tilewright.compiler.targets.accel.operator.qmul import lower_qmul
from tilewright.compiler.targets.accel.operator.qpool2d import lower_qaverage_pool2d, lower_qmax_pool2d
from tilewright.isa.config import Config

_LOWERINGS: dict[type[Operator], Callable[..., list[Lowered]]] = {
    QConv2d: lower_qconv2d,
    QConv2dTable: lower_qconv2d,
    QMaxPool2d: lower_qmax_pool2d,
    QAveragePool2d: lower_qaverage_pool2d,
    QAdd: lower_qadd,
    QLookup: lower_qlookup,
    QMul: lower_qmul,
    QConcat: lower_qconcat,
    QGather: lower_qgather,
    QPad2d: lower_qpad2d,
    QMatmul: lower_qmatmul,
    QMatmulParted: lower_qmatmul,
    QMatmulTransposed: lower_qmatmul,
    QDenseTransposed: lower_qdense_transposed,
}

OPERATORS = tuple(_LOWERINGS)
"""The operators that the machine computes."""


def lower(
    operator: Operator, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops and schedules of an operator, in parts that run one after the other.

    Args:
        operator: one of `OPERATORS`.
        types: of its inputs.
        constants: its inputs that are constants; None for the others.
        config: the machine.

    Raises:
        TilingError: if it does not fit the machine.
    """
    return _LOWERINGS[type(operator)](operator, types, constants, config)
