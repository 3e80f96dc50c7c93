"""Which loops may be computed many iterations at a time, each in a lane, with the numbers unchanged."""

from math import gcd

from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.stmt import Block, For, Intrinsic, IterKind, Stmt
from tilewright.compiler.tir.walk import block_indices, constant, nodes, substitute, variables
from tilewright.compiler.tir.expr import Load


def is_vectorisable(loop: For, lanes: int) -> bool:
    """Whether `lanes` iterations in step store what they would one after the other.

    That is so for loops around one block, if no lane reads what another one stores and no two lanes ever store
    to one element.
    """
    inner, stmt = _inner(loop)
    if not isinstance(stmt, Block) or any(loop.var.name in variables(one.extent) for one in inner):
        return False
    values = block_indices(stmt)
    folds = [values[it.var.name] for it in stmt.iters if it.kind is IterKind.REDUCE]
    if any(loop.var.name in variables(value) for value in folds) or not _reads_own(stmt):
        return False
    stored = [substitute(position, values) for position in stmt.body.indices]
    return any(_separates(Affine.of(position), loop, inner, lanes) for position in stored)


def _inner(loop: For) -> tuple[list[For], Stmt]:
    """The loops directly inside of each other, and what is inside of them."""
    found, stmt = [], loop.body
    while isinstance(stmt, For | Intrinsic):
        if isinstance(stmt, For):
            found.append(stmt)
        stmt = stmt.body
    return found, stmt


def _reads_own(block: Block) -> bool:
    """Whether the buffer that is stored to is read only where the instance stores."""
    stores = [block.body, *([] if block.init is None else [block.init])]
    exprs: list[Expr] = [expr for store in stores for expr in (store.value, *store.indices)]
    read = [node for expr in exprs for node in nodes(expr) if isinstance(node, Load)]
    own = [load for load in read if load.buffer.name == block.body.buffer.name]
    return all(load.indices == block.body.indices for load in own)


def _separates(position: Affine, loop: For, inner: list[For], lanes: int) -> bool:
    """Whether an index is another one in each lane, wherever the inner loops are in each of them."""
    own = abs(position.coefficient(loop.var.name))
    names = {one.var.name for one in inner}
    for atom, _ in position.terms:
        if not isinstance(atom, Var) and variables(atom) & (names | {loop.var.name}):
            return False
    moved = [(one, abs(position.coefficient(one.var.name))) for one in inner]
    moved = [(one, coefficient) for one, coefficient in moved if coefficient]
    if not own or not moved:
        return bool(own)
    if gcd(*(coefficient for _, coefficient in moved)) > own * (lanes - 1):
        return True
    extents = [constant(one.extent) for one, _ in moved]
    if any(extent is None for extent in extents):
        return False
    return own > sum(c * (e - 1) for (_, c), e in zip(moved, extents, strict=True) if e is not None)
