"""Padded feature maps."""

from tilewright.compiler.te import Tensor, both, compute, select
from tilewright.compiler.tir.expr import Const, Expr


def padded(
    x: Tensor, size: tuple[int, int], before: tuple[int, int], value: int, name: str, step_y: int = 1
) -> Tensor:
    """A window of a feature map that may reach beyond it.

    Args:
        x: [blocks][height][width][lanes].
        size: (height, width) of the result.
        before: (rows, columns) of the result before the feature map.
        value: what lies outside.
        name: of the stage.
        step_y: rows of the feature map from one row of the result to the next.
    """
    blocks, height, width, lanes = x.shape

    def element(z: Expr, y: Expr, x_: Expr, c: Expr) -> Expr:
        at_y, at_x = y * step_y - before[0], x_ - before[1]
        inside = both([at_y >= 0, at_y < height, at_x >= 0, at_x < width])
        return select(inside, x[z, at_y, at_x, c], Const(value, x.dtype))

    return compute((blocks, *size, lanes), lambda z, y, x, c: element(z, y, x, c), name)
