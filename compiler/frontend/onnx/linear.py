"""Products of matrices and tensors."""

from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.einsum import einsum
from tilewright.compiler.ops.nn.fourier import Transform, dft


@converter("MatMul")
def _matmul(node: Node) -> Result:
    return e.matmul(node.b, node.x(0), node.x(1))


@converter("Gemm")
def _gemm(node: Node) -> Result:
    b, x, y = node.b, node.x(0), node.x(1)
    require(x.type.rank == y.type.rank == 2, f"must multiply matrices, not {x.type} and {y.type}")
    by_x = 0 if node.integer("transA", 0) else 1
    by_y = 1 if node.integer("transB", 0) else 0
    product = _scaled(node, e.dot(b, x, y, (by_x,), (by_y,)), "alpha")
    if not node.has(2):
        return product
    added = e.add(b, product, _scaled(node, node.x(2), "beta"))
    require(
        added.type.shape == product.type.shape, f"C must broadcast to {product.type}, not be {node.type(2)}"
    )
    return added


def _scaled(node: Node, x: Value, name: str) -> Value:
    factor = node.number(name, 1.0)
    if factor == 1.0:
        return x
    if x.type.dtype.is_float:
        return e.mul(node.b, x, factor)
    require(factor == int(factor), f"{name} must be whole for integers, not {factor}")
    return e.mul(node.b, x, int(factor))


@converter("Einsum")
def _einsum(node: Node) -> Result:
    equation = node.string("equation")
    operands = node.all()
    if len(operands) > 2:
        raise UnsupportedError(f"must have one or two operands, not {len(operands)}")
    return einsum(node.b, equation, *operands)


@converter("Det")
def _det(node: Node) -> Result:
    """By elimination without pivots over a known, small size: by minors."""
    x = node.x(0)
    size = x.type.shape[-1]
    require(isinstance(size, int) and 0 < size <= 4, f"must be of matrices up to 4 by 4, not {x.type}")
    assert isinstance(size, int)
    return _minor(node, x, 0, tuple(range(size)))


def _minor(node: Node, x: Value, row: int, columns: tuple[int, ...]) -> Value:
    b, rank = node.b, x.type.rank
    total: Value | None = None
    for place, column in enumerate(columns):
        line = e.slice_axis(b, x, rank - 2, row, row + 1)
        term = e.squeeze(b, e.slice_axis(b, line, rank - 1, column, column + 1), (rank - 2, rank - 1))
        rest = columns[:place] + columns[place + 1 :]
        term = e.mul(b, term, _minor(node, x, row + 1, rest)) if rest else term
        term = e.neg(b, term) if place % 2 else term
        total = term if total is None else e.add(b, total, term)
    assert total is not None
    return total


@converter("DFT")
def _dft(node: Node) -> Result:
    x, rank = node.x(0), node.rank(0)
    if node.opset >= 20:
        axis = normal_axis(node.numbers(2)[0] if node.has(2) else -2, rank)
    else:
        axis = node.axis("axis", rank, 1)
    size, parts = x.type.shape[axis], x.type.shape[-1]
    require(isinstance(size, int) and size > 0 and parts in (1, 2), f"must have known sizes, not {x.type}")
    require(axis != rank - 1, "axis must not be that of the real and the imaginary part")
    assert isinstance(size, int)
    inverse, onesided = bool(node.integer("inverse", 0)), bool(node.integer("onesided", 0))
    usual = 2 * (size - 1) if inverse and onesided else size
    length = node.numbers(1)[0] if node.has(1) else usual
    require(length > 0, f"dft_length must be positive, not {length}")
    return dft(node.b, x, axis, Transform(size, length, inverse, onesided))
