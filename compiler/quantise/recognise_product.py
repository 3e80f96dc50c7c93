"""Recognises products of two activations: matrices that are feature maps, groups as rows."""

from dataclasses import dataclass
from math import prod

import numpy as np

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.parted_softmax import PartedProduct
from tilewright.compiler.ops.nn.product import FinePart, GroupedProduct, PartSum
from tilewright.compiler.ops.nn.transposed_dense import TransposedDense
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.quantise.arrangement import Arrangement
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.recognition import Recognition, rule, sample_of


def product(r: Recognition, equation: Equation) -> Value:
    """A product of matrices, of any number of groups in front."""
    operator, (a, b) = equation.operator, equation.operands
    assert isinstance(operator, Dot)
    return _rows_of(r, equation, _grouped_product(r, operator, a, b))


@rule(PartedProduct)
def _parted_product(r: Recognition, equation: Equation) -> Value:
    """The same of rows in two parts, which are added."""
    p, v = equation.operands
    result = _grouped_product(r, PartedProduct.dot(p.type.rank), p, v)
    return _rows_of(r, equation, r.emit(PartSum(), result, r.emit(FinePart(), result)))


def _rows_of(r: Recognition, equation: Equation, feature_map: Value) -> Value:
    """The result of an equation whose last axis are the channels of feature maps."""
    found = Arrangement.of(equation.result, (equation.result.type.rank - 1,), feature_map)
    return r.rearranged(found)


def _grouped_product(r: Recognition, operator: Dot, a: Value, b: Value) -> Value:
    """The product of matrices as feature maps, groups as rows."""
    roles = product_roles(operator, a, b)
    require(roles is not None, "it must multiply matrices group by group, with groups in front")
    assert roles is not None
    pixels, groups = a.type.numbers[roles.pixels], prod(a.type.numbers[axis] for axis in operator.batch_a)
    inputs, outputs = (value.type.numbers[axis] for value, axis in ((a, roles.a), (b, roles.b)))
    x = r.reshape(r.feature_map(a, (roles.a,), moves=True), (inputs, groups, pixels))
    w = _exchanged_keys(r, b, roles.b)
    if w is None:
        w = r.feature_map(b, (roles.b,), moves=True, transposes=True)
    return r.emit(GroupedProduct(), x, r.reshape(w, (outputs, groups, inputs)))


def _exchanged_keys(r: Recognition, keys: Value, tokens: int) -> Value | None:
    """Keys with tokens as channels, made so by the layer that makes them; None if it is not possible.

    Of x · W, the array holds W, and the result has features in its lanes. If it holds x, which the host hands
    over in any order, and reads W as if it were a feature map, tokens are in the lanes, and nothing must be
    transposed. A bias would be one for each pixel, so that nothing may be added: a softmax needs none.
    """
    made = _made_for_one(r, keys)
    found = r.arrangements.get(r.view(keys))
    layer = None if found is None or found.feature_map is None else r.linears.get(found.feature_map)
    both = None if found is None else found.alike(Arrangement.of(r.view(keys), (tokens,)))
    if made is None or layer is None or both is None or not both[1].is_transposition_of(both[0]):
        return None
    x, weight = r.view(made.operands[0]), layer.weight
    if not isinstance(weight, np.ndarray) or not layer.is_point or not r.is_input(x):
        return None
    *rows, features = sample_of(x)
    given = r.reshape(x, (prod(rows), 1, features))
    return r.emit(TransposedDense(), given, r.weights(weight[:, :, 0, 0]), labels=layer.labels)


def _made_for_one(r: Recognition, value: Value) -> Equation | None:
    """The product that makes a value, which one other alone reads, perhaps as a view."""
    while r.is_read_once(value):
        made = r.source.producers.get(value)
        if made is None or not isinstance(made.operator, Reshape | Transpose):
            return made if made is not None and isinstance(made.operator, Dot) else None
        value = made.operands[0]
    return None


@dataclass(frozen=True)
class Roles:
    """The axes that are channels: of a the one that is summed, of b the one of the result.

    Members:
        a, b: these axes.
        pixels: the axis of a that the result has.
    """

    a: int
    b: int
    pixels: int


def product_roles(operator: Dot, a: Value, b: Value) -> Roles | None:
    """What the axes of operands are; None if these are no matrices in groups."""
    batch = tuple(range(len(operator.batch_a)))
    rest_a, rest_b = operator.rest(a.type.rank, b.type.rank)
    is_plain = operator.batch_a == operator.batch_b == batch and batch[:1] == (0,)
    if not is_plain or len(rest_a) != 1 or len(rest_b) != 1 or len(operator.contract_a) != 1:
        return None
    return Roles(operator.contract_a[0], rest_b[0], rest_a[0])
