"""Which loops may run many iterations at a time, in lanes or on threads, with the numbers unchanged."""

from math import gcd

from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import BufferLoad, Expr, Var
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, IntrinsicStmt, IterKind, Stmt
from tilewright.compiler.tir.walk import (
    block_indices,
    blocks,
    constant,
    nodes,
    statements,
    substitute,
    variables,
)

Indices = tuple[Expr, ...]


def is_vectorisable(loop: For, lanes: int) -> bool:
    """Whether `lanes` iterations in step store what they would one after the other.

    That is so for loops around one block, if no lane reads what another one stores and no two lanes ever
    store to one element.
    """
    inner, stmt = _inner(loop)
    if not isinstance(stmt, Block) or any(loop.var.name in variables(one.extent) for one in inner):
        return False
    values = block_indices(stmt)
    in_order = [values[it.var.name] for it in stmt.iters if it.kind is not IterKind.SPATIAL]
    if any(loop.var.name in variables(value) for value in in_order) or not _reads_own(stmt):
        return False
    return all(_is_apart(store, values, loop, inner, lanes) for store in stmt.stores)


def _is_apart(store: BufferStore, values: dict[str, Expr], loop: For, inner: list[For], lanes: int) -> bool:
    positions = [Affine.of(substitute(position, values)) for position in store.indices]
    return any(_separates(position, loop, inner, lanes) for position in positions)


def is_parallelisable(loop: For) -> bool:
    """Whether no iteration needs another one's elements: in shared buffers each has elements of its own.

    That is so if what is stored to a buffer around the loop lies apart in all iterations, and is read in the
    loop only where it is stored.
    """
    if any(isinstance(stmt, BufferStore) for stmt in statements(loop)):
        return False
    own = {stmt.buffer.name for stmt in statements(loop) if isinstance(stmt, Allocate)}
    stored: dict[str, set[Indices]] = {}
    for block in blocks(loop):
        for store in block.stores:
            stored.setdefault(store.buffer.name, set()).add(_placed(store.indices, block))
    shared = {name: places for name, places in stored.items() if name not in own}
    if not all(_lie_apart(places, loop) for places in shared.values()):
        return False
    return all(_reads_stored(block, shared) for block in blocks(loop))


def _lie_apart(places: set[Indices], loop: For) -> bool:
    """Whether no two iterations store to one element.

    One place is another one for each instance of its block. Several must share an index of the loop's own:
    one of loops inside, too, could be that of another store in another iteration.
    """
    if len(places) == 1:
        return any(loop.var.name in variables(index) for place in places for index in place)
    inside = {stmt.var.name for stmt in statements(loop.body) if isinstance(stmt, For)}
    axes = (set(axis) for axis in zip(*places, strict=True))
    shared = [index for axis in axes if len(axis) == 1 for index in axis]
    return any(
        not variables(index) & inside and _separates(Affine.of(index), loop, [], lanes=1) for index in shared
    )


def _reads_stored(block: Block, stored: dict[str, set[Indices]]) -> bool:
    exprs = [expr for store in (*block.stores, *block.inits) for expr in (store.value, *store.indices)]
    read = [node for expr in exprs for node in nodes(expr) if isinstance(node, BufferLoad)]
    shared = [load for load in read if load.buffer.name in stored]
    return all(_placed(load.indices, block) in stored[load.buffer.name] for load in shared)


def _placed(indices: Indices, block: Block) -> Indices:
    """Indices of an element in terms of the loops around a block."""
    values = block_indices(block)
    return tuple(substitute(index, values) for index in indices)


def _inner(loop: For) -> tuple[list[For], Stmt]:
    """The loops directly inside of each other, and what is inside of them."""
    found, stmt = [], loop.body
    while isinstance(stmt, For | IntrinsicStmt):
        if isinstance(stmt, For):
            found.append(stmt)
        stmt = stmt.body
    return found, stmt


def _reads_own(block: Block) -> bool:
    """Whether the buffers that are stored to are read only where the instance stores."""
    own = {store.buffer.name: store.indices for store in block.stores}
    if len(own) < len(block.stores):
        return False
    exprs: list[Expr] = [
        expr for store in (*block.stores, *block.inits) for expr in (store.value, *store.indices)
    ]
    read = [node for expr in exprs for node in nodes(expr) if isinstance(node, BufferLoad)]
    return all(own.get(load.buffer.name, load.indices) == load.indices for load in read)


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
