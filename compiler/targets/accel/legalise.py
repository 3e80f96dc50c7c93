"""Functions of integers in which every operator is one that the machine does as a unit."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d, QConv2dTable
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qgather import NOWHERE, QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmatmul import QMatmul
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import POINT
from tilewright.compiler.targets.accel.operator.layout import blocks
from tilewright.compiler.targets.accel.product import joined_input, legal_keys, legal_product
from tilewright.compiler.targets.accel.space_to_depth import space_to_depth
from tilewright.compiler.targets.accel.view import is_view, is_whole, with_copies
from tilewright.isa.config import Config
from tilewright.numerics.table import ENTRIES


def legalise(function: Function, config: Config) -> Function:
    """The same function in units of the machine.

    What the host hands over to a convolution with strides may be patches (`space_to_depth`). A maximum
    pooling behind a convolution is a loop of the instruction that requantises; where its windows are
    padded, or hold more sums than a bank, it becomes an operator of its own. Requantisation is monotone, so
    that both are equal. A table that alone reads a convolution becomes the end of it. Channels are
    concatenated in whole blocks, and put in order behind that: by the weights of the convolution that reads
    them, if it can be.
    """
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    results = inline(b, function, parameters, partial(_legal, function, config))
    # What nobody changed is handed back behind a layer.
    copied = [
        b.emit(QMaxPool2d(POINT), value) if value in parameters and _is_map(value) else value
        for value in results
    ]
    return with_copies(pruned(b.function(*copied)), config)


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
    elif isinstance(operator, QGather):
        operator, operands = _composed(b, function, equation, operator, operands)
    elif isinstance(operator, QConcat) and operator.axis == 1:
        return _concatenated(b, equation, operator, operands, config)
    elif isinstance(operator, QMatmul):
        return (legal_product(b, equation, operands, config),)
    elif isinstance(operator, QDenseTransposed):
        return (legal_keys(b, equation, operands, config),)
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
    operands = _ungathered(b, operator, operands, config)
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


def _concatenated(
    b: Builder, equation: Equation, operator: QConcat, operands: tuple[Value, ...], config: Config
) -> Sequence[Value]:
    """Whole blocks, one behind the other, and what takes the channels out of them."""
    types = [value.type for value in operands]
    if is_whole(operator, types, config):
        return emit(b, equation, operator, operands)
    filled = QConcat(operator.axis, config.cols)
    starts = filled.starts(*types)
    indices = [
        start + index
        for start, each in zip(starts, types, strict=False)
        for index in range(each.numbers[operator.axis])
    ]
    with b.label(*equation.labels):
        return b.apply(QGather(tuple(indices)), *b.apply(filled, *operands))


def _composed(
    b: Builder, function: Function, equation: Equation, operator: QGather, operands: tuple[Value, ...]
) -> tuple[QGather, tuple[Value, ...]]:
    """One change of the channels' order for two, if nothing else reads what is between."""
    read, before = equation.operands[0], b.producer(operands[0])
    readers = function.consumers[read]
    alone = read not in function.results and all(isinstance(each.operator, QGather) for each in readers)
    if before is None or not isinstance(before.operator, QGather) or not alone:
        return operator, operands
    fills = {each.fill for each in (operator, before.operator) if NOWHERE in each.channels}
    if len(fills) > 1:
        return operator, operands
    channels = (*before.operator.channels, NOWHERE)
    composed = tuple(channels[index] for index in operator.channels)
    return QGather(composed, max(fills, default=0)), before.operands


def _ungathered(
    b: Builder, operator: QConv2d, operands: tuple[Value, ...], config: Config
) -> tuple[Value, ...]:
    """A convolution's operands without a change of the channels' order before it, if its weights can do that.

    Weights of 0 for what was not taken cost the array some cycles: more than the change saves is too much.
    """
    before, weight = b.producer(operands[0]), b.literal(operands[1])
    if before is None or weight is None or not isinstance(before.operator, QGather) or operator.groups > 1:
        return operands
    channels, (x,) = before.operator.channels, before.operands
    if NOWHERE in channels or len(set(channels)) < len(channels) or is_view(before.operator, config):
        return operands
    outputs, _, *kernel = weight.array.shape
    _, inputs, height, width = x.type.numbers
    further = blocks(inputs, config) - blocks(len(channels), config)
    _, *size = operator.geometry().infer(operands[0].type, operands[1].type)
    own = blocks(outputs, config) * prod(kernel) * prod(size)
    # Each vector is loaded and stored, and passes the array.
    change = blocks(len(channels), config) * height * width * (1 + 2 * config.cols // config.bus_bytes)
    if further * own * config.slices > change:
        return operands
    wide = np.zeros((outputs, inputs, *kernel), np.int8)
    wide[:, list(channels)] = weight.array
    return (x, b.constant(Literal(wide)), *operands[2:])


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
