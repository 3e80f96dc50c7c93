"""Functions of integers in which every operator is one that the machine does as a unit."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d, QConv2dTable
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmatmul import QMatmul
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import POINT
from tilewright.compiler.targets.accel.product import joined_input, legal_product
from tilewright.compiler.targets.accel.space_to_depth import space_to_depth
from tilewright.isa.config import Config
from tilewright.numerics.table import ENTRIES


def legalise(function: Function, config: Config) -> Function:
    """The same function in units of the machine.

    What the host hands over to a convolution with strides may be patches (`space_to_depth`). A maximum
    pooling behind a convolution is a loop of the instruction that requantises; where its windows are
    padded, or hold more sums than a bank, it becomes an operator of its own. Requantisation is monotone, so
    that both are equal. A table that alone reads a convolution becomes the end of it.
    """
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    results = inline(b, function, parameters, partial(_legal, function, config))
    # What nobody changed is handed back behind a layer.
    copied = [
        b.emit(QMaxPool2d(POINT), value) if value in parameters and _is_map(value) else value
        for value in results
    ]
    return pruned(b.function(*copied))


def _legal(
    function: Function,
    config: Config,
    b: Builder,
    equation: Equation,
    operator: Operator,
    operands: tuple[Value, ...],
) -> Sequence[Value]:
    if isinstance(operator, Dequantise) and _is_given(function, equation.operands[0]):
        with b.label(f"{equation.label}:copy"):
            operands = b.apply(QMaxPool2d(POINT), *operands)
    elif isinstance(operator, QLookup) and (found := _convolved(b, function, equation, config, operands)):
        return found
    elif isinstance(operator, QMatmul):
        return (legal_product(b, equation, operands, config),)
    elif isinstance(operator, QConv2d):
        return _convolution(b, function, equation, config, operands)
    return emit(b, equation, operator, operands)


def _convolution(
    b: Builder, function: Function, equation: Equation, config: Config, operands: tuple[Value, ...]
) -> Sequence[Value]:
    """A convolution, and the pooling that cannot follow it on the chip."""
    operator = equation.operator
    assert isinstance(operator, QConv2d), "asked of convolutions"
    pool = operator.pool if operator.pool is not None and _must_part(operator, config) else None
    if pool is not None:
        operator = replace(operator, pool=None)
    operator, operands = space_to_depth(b, function, equation.operands[0], operator, operands, config)
    operator, operands = joined_input(b, operator, operands, config)
    with b.label(*equation.labels):
        results = b.apply(operator, *operands)
    if pool is None:
        return results
    with b.label(*(f"{label}:pool" for label in equation.labels)):
        return b.apply(QMaxPool2d(pool), *results)


def _convolved(
    b: Builder, function: Function, equation: Equation, config: Config, operands: tuple[Value, ...]
) -> Sequence[Value]:
    """The convolution whose results only a table reads, with the table behind it; empty if there is none."""
    x, table = operands
    before, read = b.producer(x), equation.operands[0]
    is_alone = read not in function.results and len(function.consumers[read]) == 1
    is_convolution = before is not None and isinstance(before.operator, QConv2d)
    if before is None or not is_convolution or not is_alone or config.activation_vectors < ENTRIES:
        return ()
    assert isinstance(before.operator, QConv2d)
    if before.operator.lookup:
        return ()
    with b.label(*before.labels, *equation.labels):
        return b.apply(QConv2dTable.of(before.operator), *before.operands, table)


def _is_given(function: Function, value: Value) -> bool:
    """Whether no layer makes a value: it must not be handed back without having been on the chip."""
    producer = function.producers.get(value)
    return producer is None or isinstance(producer.operator, Quantise)


def _is_map(value: Value) -> bool:
    return value.type.dtype is DType.INT8 and value.type.rank == 4


def _must_part(operator: QConv2d, config: Config) -> bool:
    assert operator.pool is not None, "asked of convolutions with a pooling"
    too_large = prod(operator.pool.kernel) > config.accumulator_vectors
    return any(operator.pool.pads) or too_large or operator.groups > 1 or operator.residual
