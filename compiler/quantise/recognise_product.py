"""Recognises products of two activations: matrices that are feature maps, groups as rows."""

from dataclasses import dataclass
from math import prod

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.product import GroupedProduct
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.quantise.arrangement import Arrangement
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.recognition import Recognition


def product(r: Recognition, equation: Equation) -> Value:
    """A product of matrices, of any number of groups in front."""
    operator, (a, b) = equation.operator, equation.operands
    assert isinstance(operator, Dot)
    roles = product_roles(operator, a, b)
    require(roles is not None, "it must multiply matrices group by group, with groups in front")
    assert roles is not None
    pixels, groups = a.type.numbers[roles.pixels], prod(a.type.numbers[axis] for axis in operator.batch_a)
    inputs, outputs = (value.type.numbers[axis] for value, axis in ((a, roles.a), (b, roles.b)))
    x = r.reshape(r.feature_map(a, (roles.a,), moves=True), (inputs, groups, pixels))
    w = r.reshape(r.feature_map(b, (roles.b,), moves=True, transposes=True), (outputs, groups, inputs))
    result = r.emit(GroupedProduct(), x, w)
    found = Arrangement.of(equation.result, (equation.result.type.rank - 1,), result)
    return r.rearranged(found)


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
