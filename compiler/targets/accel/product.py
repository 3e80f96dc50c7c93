"""Products of two activations with their operands where the machine wants them.

A layer before a product can write its channels in any order, and a layer behind it can read them so: weights
are put in that order. So heads, which are channels of the layers and rows of the product, move nowhere.
"""

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.heads import JoinHeads, SplitHeads, StackBlocks
from tilewright.compiler.ops.quantised.operator import sample_of
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted, QMatmulTransposed
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.accel.space_to_depth import alone
from tilewright.isa.config import Config
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.requantise import pack_scale, quantise_multiplier

MOST_TRANSPOSED_LANES = 32
"""A transposition has weights of the fourth power of as many bytes."""
Indices = NDArray[np.int64]


class ProductError(TilewrightError):
    """A product whose operands the machine cannot have where it wants them."""


def legal_product(b: Builder, equation: Equation, operands: tuple[Value, ...], config: Config) -> Value:
    """The product with operands that lie as the machine wants them.

    Args:
        b: where operands are.
        equation: of the product.
        operands: of it, in `b`.
        config: the machine.

    Raises:
        ProductError: if one of them cannot.
    """
    inputs = sample_of("x", operands[0].type, "NIGP")[0]
    columns = -(-inputs // config.cols) * config.cols
    x = _in_place(b, operands[0], None, config)
    keys = _transposed(b, operands[1], config)
    if keys is not None and isinstance(equation.operator, QMatmulParted):
        raise ProductError(f"{equation.label!r}: values must have tokens as pixels, not as channels")
    if keys is not None:
        return _of_keys(b, equation, x, keys, sample_of("w", operands[1].type, "NOGI")[0], config)
    w = _in_place(b, operands[1], columns, config)
    is_padded = columns == inputs or _has_zero_rows(b, w) or _has_zero_lanes(b, x)
    if not is_padded:
        raise ProductError(f"{equation.label!r}: what fills blocks of {inputs} channels must be 0")
    with b.label(*equation.labels):
        return b.emit(equation.operator, x, w)


def legal_keys(b: Builder, equation: Equation, operands: tuple[Value, ...], config: Config) -> Value:
    """A layer whose tokens become channels, with rows of its input that fill whole blocks.

    Raises:
        ProductError: if the host does not hand over its input.
    """
    inputs = sample_of("x", operands[0].type, "NTHI")[2]
    x = _in_place(b, operands[0], -(-inputs // config.cols) * config.cols, config)
    with b.label(*equation.labels):
        return b.emit(equation.operator, x, operands[1])


def joined_input(
    b: Builder, operator: QConv2d, operands: tuple[Value, ...], config: Config
) -> tuple[QConv2d, tuple[Value, ...]]:
    """A layer that reads the heads of a product as channels, if it does; and its operands."""
    base, order = _order(b, operands[0])
    made = b.producer(base)
    if base == operands[0] or made is None or not isinstance(made.operator, QMatmul):
        return operator, operands
    size, heads, tokens = sample_of("x", base.type, "NCHW")
    pixels = np.arange(tokens)[None, :]
    flat = order.reshape(order.shape[0], -1)
    is_joined = flat.shape[1] == tokens and np.array_equal(flat, flat[:, :1] + pixels)
    kernel = operands[1].type.numbers[2:]
    if not is_joined or kernel != (1, 1) or operator.groups > 1 or any(operator.pads):
        return operator, operands
    indices = _lanes(size, heads, config)
    # Where each channel of the base, size · heads, is among those of the layer.
    channels = np.argsort(flat[:, 0] // tokens)
    weight = b.literal(operands[1])
    assert weight is not None, "verified: weights are constants"
    found = _taken(weight.array, channels, indices, 1)
    asked = replace(operator, asked_macs=operator.macs(*(alone(each.type) for each in operands)))
    return asked, (b.emit(JoinHeads(config.cols), base), b.constant(Literal(found)), *operands[2:])


def _in_place(b: Builder, value: Value, columns: int | None, config: Config) -> Value:
    """Feature maps (channels, groups, pixels) in the order of the machine, padded to `columns` pixels."""
    size, _, pixels = sample_of("operand", value.type, "NCHW")
    missing = 0 if columns is None else columns - pixels
    base, order = _order(b, value)
    made = b.producer(base)
    if base == value and made is not None and isinstance(made.operator, Quantise) and missing:
        padded = Pad((0,) * 4, (0, 0, 0, missing))
        real = b.emit(padded, made.operands[0], b.constant(np.zeros((), np.float32)))
        return b.emit(made.operator, real)
    if missing and made is not None and isinstance(made.operator, QDenseTransposed):
        return _padded_keys(b, made, sample_of("operand", value.type, "NCHW"), missing)
    own, *rest = sample_of("operand", base.type, "NCHW") if base.type.rank == 4 else (0,)
    is_row = own == size and np.array_equal(order.reshape(-1), np.arange(order.size))
    if not missing and (base == value or (is_row and own)):
        return value
    if made is None or not isinstance(made.operator, QConv2d) or not _is_of_pixels(made, missing):
        raise ProductError(
            "what a product of two activations reads must be of a layer with weights, or of the host, not of "
            f"{'an input' if made is None else made.operator.name}"
        )
    tokens = prod(rest)
    channels = order[:, :, 0] // tokens
    expected = channels[:, :, None] * tokens + np.arange(pixels)
    if pixels != tokens or not np.array_equal(order, expected):
        raise ProductError(
            "heads must be groups of channels, and tokens pixels, of the layer before a product"
        )
    return _split_output(b, made, channels, missing, config)


def _padded_keys(b: Builder, made: Equation, sample: tuple[int, ...], missing: int) -> Value:
    """Keys (tokens, heads, size) with rows of 0 behind those of each head."""
    tokens, heads, size = sample
    operator, weight = made.operator, b.literal(made.operands[1])
    assert isinstance(operator, QDenseTransposed)
    assert weight is not None, "verified: weights are constants"
    features, inputs = weight.array.shape
    split = np.pad(weight.array.reshape(heads, size, inputs), ((0, 0), (0, missing), (0, 0)))
    padded = b.constant(Literal(np.ascontiguousarray(split.reshape(-1, inputs))))
    with b.label(*made.labels):
        column = b.emit(replace(operator, features=features), made.operands[0], padded)
    return b.emit(Reshape((column.type.shape[0], tokens, heads, size + missing)), column)


def _of_keys(b: Builder, equation: Equation, x: Value, keys: Value, outputs: int, config: Config) -> Value:
    operator = equation.operator
    assert isinstance(operator, QMatmul)
    limits = operator.scale, operator.zero_point, operator.lo, operator.hi
    with b.label(*equation.labels):
        return b.emit(QMatmulTransposed(*limits, outputs, config.cols), x, keys)


def _transposed(b: Builder, value: Value, config: Config) -> Value | None:
    """The result of a layer, (heads · size, tokens), with tokens as channels; None if nobody asks for that.

    A convolution of lanes × 1 with that stride, over the blocks one below the other, puts the tokens of each
    block into lanes: each of its weights is 0, but for one of each result, which is 1.
    """
    tokens, heads, size = sample_of("w", value.type, "NOGI")
    base, order = _order(b, value)
    made, lanes = b.producer(base), config.cols
    if base == value or made is None or not isinstance(made.operator, QConv2d) or order.size == 1:
        return None
    channels = order[0] // tokens
    is_keys = np.array_equal(order, channels[None] * tokens + np.arange(tokens)[:, None, None])
    missing = -tokens % lanes
    if not is_keys or not _is_of_pixels(made, missing) or prod(base.type.numbers[2:]) != tokens:
        return None
    if lanes > MOST_TRANSPOSED_LANES:
        raise ProductError(
            f"keys can be transposed in blocks of at most {MOST_TRANSPOSED_LANES} lanes, not of {lanes}"
        )
    indices = np.full((heads, -(-size // lanes) * lanes), -1, np.int64)
    indices[:, :size] = np.arange(heads * size).reshape(heads, size)
    column = _again(b, made, channels.reshape(-1), indices.reshape(-1), missing)
    weight = np.zeros((lanes, lanes, lanes, lanes), np.int8)
    one, other = np.indices((lanes, lanes)).reshape(2, -1)
    weight[one, other, one, other] = 1
    scale = np.full(lanes * lanes, int(pack_scale(*quantise_multiplier(np.float64(1)))), np.int32)
    constants = (weight.reshape(lanes * lanes, lanes, lanes, 1), np.zeros(lanes * lanes, np.int32), scale)
    operator = QConv2d((lanes, 1), (0, 0, 0, 0), (1, 1), 1, 0, 0, -128, 127, asked_macs=0)
    with b.label(*(f"{label}:transpose" for label in made.labels)):
        stacked = b.emit(StackBlocks(lanes), column)
        return b.emit(operator, stacked, *(b.constant(Literal(each)) for each in constants))


def _split_output(b: Builder, made: Equation, channels: Indices, missing: int, config: Config) -> Value:
    """The layer again, with channels (size, heads) in blocks for each head, and further rows."""
    size, heads = channels.shape
    column = _again(b, made, channels.reshape(-1), _lanes(size, heads, config), missing)
    return b.emit(SplitHeads(heads, size, config.cols), column)


def _again(b: Builder, made: Equation, channels: Indices, indices: Indices, missing: int) -> Value:
    """The layer again, as (batch, indices, rows, 1): the channel of each index, none where it is below 0."""
    operator = made.operator
    assert isinstance(operator, QConv2d)
    constants = []
    for value in made.operands[1:4]:
        literal = b.literal(value)
        assert literal is not None, "verified: weights are constants"
        constants.append(b.constant(Literal(_taken(literal.array, channels, indices, 0))))
    top, left, bottom, right = operator.pads
    asked = operator.macs(*(alone(each.type) for each in made.operands))
    longer = replace(operator, pads=(top, left, bottom + missing, right), asked_macs=asked)
    with b.label(*made.labels):
        result = b.emit(longer, made.operands[0], *constants)
    rows = prod(sample_of("operand", result.type, "NCHW")[1:])
    shape = (result.type.shape[0], indices.size, rows, 1)
    return result if result.type.shape == shape else b.emit(Reshape(shape), result)


def _is_of_pixels(made: Equation, missing: int) -> bool:
    """Whether a layer can write its channels in another order, and add the rows that this takes."""
    operator, kernel = made.operator, made.operands[1].type.numbers[2:]
    assert isinstance(operator, QConv2d)
    is_free = not operator.residual and operator.pool is None and operator.groups == 1 and not operator.lookup
    is_point = (kernel, operator.strides, operator.pads) == ((1, 1), (1, 1), (0, 0, 0, 0))
    return is_free and (not missing or (is_point and made.result.type.numbers[3:] == (1,)))


def _lanes(size: int, heads: int, config: Config) -> Indices:
    """The index in rows of (size, heads) of each lane of [block][head][lane]; −1 for none."""
    padded = np.full((-(-size // config.cols) * config.cols, heads), -1, np.int64)
    padded[:size] = np.arange(size * heads).reshape(size, heads)
    return padded.reshape(-1, config.cols, heads).transpose(0, 2, 1).reshape(-1)


def _taken(array: Array, channels: Indices, indices: Indices, axis: int) -> Array:
    """An array with its channels at these indices, and 0 where an index is below 0."""
    found = np.take(array, channels[np.maximum(indices, 0)], axis)
    shape = [1] * array.ndim
    shape[axis] = -1
    return np.ascontiguousarray(np.where((indices >= 0).reshape(shape), found, 0).astype(array.dtype))


def _order(b: Builder, value: Value) -> tuple[Value, Indices]:
    """The value behind views, and the index there of each element of the view, behind the batch."""
    views: list[Equation] = []
    while (made := b.producer(value)) is not None and isinstance(made.operator, (Reshape, Transpose)):
        views.append(made)
        value = made.operands[0]
    numbers = [size for size in value.type.shape[1:] if isinstance(size, int)]
    order = np.arange(prod(numbers)).reshape(1, *numbers)
    for view in reversed(views):
        if isinstance(view.operator, Transpose):
            order = order.transpose(view.operator.permutation)
        else:
            order = order.reshape(1, *(size for size in view.result.type.shape[1:] if isinstance(size, int)))
    return value, order[0]


def _has_zero_rows(b: Builder, value: Value) -> bool:
    """Whether rows that fill blocks are 0: of the host, or of keys whose weights are 0 there."""
    made = b.producer(value)
    while made is not None and isinstance(made.operator, Reshape):
        made = b.producer(made.operands[0])
    return made is not None and isinstance(made.operator, (Quantise, QDenseTransposed))


def _has_zero_lanes(b: Builder, value: Value) -> bool:
    """Whether lanes that are no channels hold 0."""
    made = b.producer(value)
    while made is not None and isinstance(made.operator, (Reshape, SplitHeads)):
        made = b.producer(made.operands[0])
    if made is None or isinstance(made.operator, Quantise):
        return made is not None
    operator = made.operator
    if isinstance(operator, QMatmulTransposed):
        return operator.outputs % operator.lanes == 0
    is_sum = isinstance(operator, QMatmul) or (isinstance(operator, QConv2d) and not operator.lookup)
    return is_sum and operator.zero_point == 0 and operator.lo <= 0 <= operator.hi  # type: ignore[attr-defined]
