"""Queries and keys of like sizes: what one of them is multiplied by, the other is divided by.

A score is the sum of products of features, so that a factor may move from a key's feature to the query's. As
each of them has one scale for all its features, and the weights of keys may have one as well, those of both
should be of like sizes (Xiao et al., SmoothQuant, 2023, does so between activations and weights). Factors are
powers of two: the same scores, to the bit, but for the least numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.passes.linear import Linear, is_read_once, linear_of
from tilewright.compiler.quantise.constant import Constants
from tilewright.compiler.quantise.parameter import Real
from tilewright.compiler.quantise.reweigh import Changes, reweighed


def balanced(function: Function) -> Function:
    """The function with features of queries and keys of like sizes, by the sizes of their weights.

    Args:
        function: of floats; all sizes are numbers.
    """
    search, changes = _Search(function, Constants(function)), dict[Equation, Mapping[int, Array]]()
    for each in function.equations:
        if isinstance(each.operator, Dot) and each.operator.batch_a:
            changes |= search.changes(each)
    return reweighed(function, changes) if changes else function


@dataclass(frozen=True)
class _Side:
    """An operand of a product of two activations that a linear layer makes.

    Members:
        layer: it.
        features: of the layer, for each element that the product sums: [group][place in the sum].
    """

    layer: Linear
    features: NDArray[np.int64]

    def sizes(self) -> Real:
        """Of the weights of each feature and its bias: the root of the sum of squares."""
        squares = np.square(self.layer.weight, dtype=np.float64).sum(1 - self.layer.axis)
        bias = self.layer.bias
        return np.asarray(np.sqrt(squares + (0.0 if bias is None else np.square(bias, dtype=np.float64))))

    def times(self, factors: Real) -> Changes:
        """Its layer with features that are multiplied: factors in the order of `features`."""
        own = np.ones(len(factors), np.float32)
        own[self.features.reshape(-1)] = factors
        weight = self.layer.weight * (own if self.layer.axis == 1 else own[:, None])
        found: dict[Equation, dict[int, Array]] = {self.layer.product: {1: weight}}
        if self.layer.repeated is not None and self.layer.bias is not None:
            found[self.layer.repeated] = {0: self.layer.bias * own}
        return found


@dataclass(frozen=True)
class _Search:
    function: Function
    constants: Constants

    def changes(self, product: Equation) -> Changes:
        """Other constants of the layers that make the operands of a product; none where nothing changes."""
        operator, (a, b) = product.operator, product.operands
        assert isinstance(operator, Dot)
        one = self._side(a, operator.batch_a, operator.contract_a)
        other = self._side(b, operator.batch_b, operator.contract_b)
        if one is None or other is None or one.layer.product == other.layer.product:
            return {}
        sizes, others = (each.sizes()[each.features.reshape(-1)] for each in (one, other))
        known = (sizes > 0) & (others > 0)
        ratio = np.divide(others, sizes, out=np.ones_like(sizes), where=known)
        factors = np.exp2(np.rint(np.log2(ratio) / 2))
        if (factors == 1).all():
            return {}
        return {**one.times(factors), **other.times(1 / factors)}

    def _side(self, value: Value, batch: tuple[int, ...], contract: tuple[int, ...]) -> _Side | None:
        views, layer, end = self._layer(value)
        if layer is None:
            return None
        shape = end.type.numbers
        found = np.broadcast_to(np.arange(shape[-1]), shape)
        for view in reversed(views):
            (found,) = view.run(found)
        rest = [axis for axis in range(found.ndim) if axis not in (*batch, *contract)]
        places = found.transpose(*batch, *contract, *rest)
        places = places.reshape(*places.shape[: len(batch) + len(contract)], -1)
        features = places[..., 0]
        is_same = bool((places == places[..., :1]).all())
        is_whole = np.array_equal(np.sort(features, axis=None), np.arange(shape[-1]))
        return _Side(layer, features.astype(np.int64)) if is_same and is_whole else None

    def _layer(self, value: Value) -> tuple[list[Operator], Linear | None, Value]:
        """The views between a linear layer and a value that alone reads it, perhaps times a number."""
        views = list[Operator]()
        while is_read_once(self.function, value):
            made = self.function.producers.get(value)
            if made is None:
                break
            if isinstance(made.operator, Reshape | Transpose):
                views.append(made.operator)
            elif not self._is_scaled(made):
                layer = linear_of(self.function, made)
                is_alone = (
                    layer is None
                    or layer.repeated is None
                    or is_read_once(self.function, layer.repeated.result)
                )
                return views, layer if is_alone else None, value
            value = made.operands[0]
        return views, None, value

    def _is_scaled(self, equation: Equation) -> bool:
        operator = equation.operator
        if not isinstance(operator, Map) or operator.function not in ("mul", "div"):
            return False
        factor = equation.operands[1]
        if factor not in self.constants or equation.operands[0] in self.constants:
            return False
        array = self.constants.array(factor)
        return bool((array == array.reshape(-1)[0]).all())
