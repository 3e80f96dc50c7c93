"""Loop nests around one block, run as one numpy evaluation over the grid of their variables."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tilewright.compiler.tir.evaluate import Array, check_inside, element_index, evaluate
from tilewright.compiler.tir.expr import Binary, BinaryOp, Expr
from tilewright.compiler.tir.stmt import Block, For, IntrinsicStmt, IterKind, Stmt
from tilewright.compiler.tir.walk import block_indices, loads, substitute, variables

Arrays = dict[str, Array]

_COMBINE: dict[BinaryOp, np.ufunc] = {
    BinaryOp.ADD: np.add,
    BinaryOp.MUL: np.multiply,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
}


@dataclass(frozen=True)
class Update:
    """The store of an instance: `value`, combined by `op` with the stored element unless `op` is None."""

    op: BinaryOp | None
    value: Expr


@dataclass(frozen=True)
class RectangularNest:
    """Loops, outer first, directly around one block, none of whose extents depends on another of them."""

    loops: tuple[For, ...]
    block: Block
    update: Update

    @staticmethod
    def of(outer: For) -> "RectangularNest | None":
        """The loop nest from this loop inwards, if all its instances may run as one evaluation."""
        chain: list[For] = []
        stmt: Stmt = outer
        while isinstance(stmt, (For, IntrinsicStmt)):
            if isinstance(stmt, For):
                chain.append(stmt)
            stmt = stmt.body
        update = _update(stmt) if isinstance(stmt, Block) else None
        own = {loop.var.name for loop in chain}
        if update is None or any(variables(loop.extent) & own for loop in chain):
            return None
        assert isinstance(stmt, Block)
        return RectangularNest(tuple(chain), stmt, update)

    @cached_property
    def reduced(self) -> tuple[int, ...]:
        """The positions of the loops all of whose iterations store to the same element."""
        values = block_indices(self.block)
        used: set[str] = set()
        for index in self.block.body.indices:
            used |= variables(substitute(index, values))
        return tuple(axis for axis, loop in enumerate(self.loops) if loop.var.name not in used)


def run_loop_nest(nest: RectangularNest, extents: list[int], outer: Arrays, arrays: Arrays) -> bool:
    """Run all instances as one evaluation; False, with nothing done, where the result would differ.

    Args:
        nest: the loops and the block.
        extents: of the loops, none of them 0.
        outer: values of the variables around, by name.
        arrays: the contents of the buffers, by name; changed.
    """
    points = _points(nest, extents, outer, arrays)
    store = nest.block.body
    target = arrays[store.buffer.name]
    kept = [1 if axis in nest.reduced else extent for axis, extent in enumerate(extents)]
    index = tuple(np.broadcast_to(i, kept) for i in element_index(store.indices, points, arrays))
    check_inside(store.buffer, store.indices, index, target.shape)
    if not _is_injective(index, target.shape, kept):
        return False
    before = _before(nest, extents, points, target[index].reshape(kept), arrays)
    if before is None:
        return False
    value = np.broadcast_to(evaluate(nest.update.value, points, arrays), extents)
    target[index] = _combined(nest, before, value).reshape(target[index].shape)
    return True


def _combined(nest: RectangularNest, before: Array, value: Array) -> Array:
    if nest.update.op is None:
        return value
    combine = _COMBINE[nest.update.op]
    if nest.reduced:
        value = combine.reduce(value, axis=nest.reduced, keepdims=True, dtype=value.dtype)
    return np.asarray(combine(before, value))


def _points(nest: RectangularNest, extents: list[int], outer: Arrays, arrays: Arrays) -> Arrays:
    points = dict(outer)
    for axis, (loop, extent) in enumerate(zip(nest.loops, extents, strict=True)):
        shape = [extent if other == axis else 1 for other in range(len(extents))]
        points[loop.var.name] = np.arange(extent, dtype=np.int64).reshape(shape)
    inside = {it.var.name: evaluate(it.value, points, arrays) for it in nest.block.iters}
    return {**points, **inside}


def _before(
    nest: RectangularNest, extents: list[int], points: Arrays, current: Array, arrays: Arrays
) -> Array | None:
    """The elements that the instances combine with: the init where an instance runs it, else the stored ones.

    None if an instance other than the first runs the init.
    """
    if nest.update.op is None:
        return current if all(extents[axis] == 1 for axis in nest.reduced) else None
    if nest.block.init is None:
        return current
    runs = np.ones([1] * len(extents), np.bool_)
    for it in nest.block.iters:
        if it.kind is IterKind.REDUCE:
            runs = runs & (points[it.var.name] == 0)
    shape = [extents[axis] if axis in nest.reduced else n for axis, n in enumerate(runs.shape)]
    runs = np.broadcast_to(runs, shape)
    first = runs[tuple(slice(0, 1) if axis in nest.reduced else slice(None) for axis in range(len(extents)))]
    if np.count_nonzero(runs) != np.count_nonzero(first):
        return None
    init = evaluate(nest.block.init.value, points, arrays)
    # An init that differs along a reduction is what the first instance stores: left to the run in order.
    return None if np.broadcast(init, current).shape != current.shape else np.where(first, init, current)


def _is_injective(index: tuple[Array, ...], shape: tuple[int, ...], grid: list[int]) -> bool:
    """Whether no two points of the grid are one element."""
    if not index:
        return int(np.prod(grid)) == 1
    flat = np.ravel_multi_index(index, shape).ravel()
    return bool((flat[1:] > flat[:-1]).all()) or len(np.unique(flat)) == flat.size


def _update(block: Block) -> Update | None:
    store = block.body
    init = block.init
    if block.more or (init is not None and init.indices != store.indices):
        return None
    own = [load for load in loads(block) if load.buffer.name == store.buffer.name]
    if not own:
        return Update(None, store.value) if init is None else None
    value = store.value
    if len(own) > 1 or own[0].indices != store.indices or not isinstance(value, Binary):
        return None
    return Update(value.op, value.b) if value.a == own[0] and value.op in _COMBINE else None
