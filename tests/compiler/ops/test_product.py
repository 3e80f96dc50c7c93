"""Operators whose meaning in numpy is their own: their definitions, and so their derivatives, agree."""

import numpy as np
from tests.compiler.derivative.central import check, traced

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.nn.product import GroupedProduct

RNG = np.random.default_rng(8)


def test_a_grouped_product_is_its_definition():
    x, w = (
        RNG.normal(0, 1, (2, 5, 3, 4)).astype(np.float32),
        RNG.normal(0, 1, (2, 7, 3, 5)).astype(np.float32),
    )
    operator = GroupedProduct(0.5)
    defined = operator.expanded(*(TensorType(DType.FLOAT32, each.shape) for each in (x, w)))
    np.testing.assert_allclose(run(defined, x, w)[0], operator.run(x, w)[0], rtol=1e-6)


def test_a_grouped_product_has_the_derivative_of_its_definition():
    x, w = RNG.normal(0, 1, (2, 3, 2, 4)), RNG.normal(0, 1, (2, 5, 2, 3))
    check(traced(lambda b, *values: b.emit(GroupedProduct(0.5), *values), x, w), x, w)


def pointwise():
    """x · tanh(x), as a function of single elements."""
    types = [TensorType(DType.FLOAT32, (Size.of("elements"),))]
    return Pointwise(trace("body", types, lambda b, x: [e.mul(b, x, e.tanh(b, x))]))


def test_a_function_of_elements_is_its_definition():
    x = RNG.normal(0, 1, (3, 4, 5)).astype(np.float32)
    defined = pointwise().expanded(TensorType(DType.FLOAT32, x.shape))
    np.testing.assert_array_equal(run(defined, x)[0], pointwise().run(x)[0])


def test_a_function_of_elements_is_defined_on_any_batch():
    tensor = TensorType(DType.FLOAT32, (Size.of("n"), 4))
    assert pointwise().expanded(tensor).result_types == (tensor,)
