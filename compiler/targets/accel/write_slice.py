"""Loop programs that write into a slice of a larger array, and buffers with a prefix."""

from collections.abc import Callable
from dataclasses import replace

from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, PrimFunc, Stmt
from tilewright.compiler.tir.walk import map_exprs, rewrite, rewrite_stmt


def write_into_slice(function: PrimFunc, shape: tuple[int, ...], origin: tuple[int, ...]) -> PrimFunc:
    """The function with a larger array as its last parameter, of which it writes a slice.

    Args:
        function: only writes its last parameter.
        shape: of the larger array.
        origin: index of the first element of the slice.
    """
    part = function.parameters[-1]
    whole = replace(part, shape=tuple(Const(extent) for extent in shape))

    def moved(store: BufferStore) -> BufferStore:
        if store.buffer != part:
            return store
        indices = (
            index if not offset else index + offset
            for index, offset in zip(store.indices, origin, strict=True)
        )
        return BufferStore(whole, tuple(indices), store.value)

    def change(stmt: Stmt) -> Stmt:
        if isinstance(stmt, Block):
            return replace(stmt, body=moved(stmt.body), init=stmt.init and moved(stmt.init))
        return stmt

    body = rewrite_stmt(function.body, change)
    return replace(function, parameters=(*function.parameters[:-1], whole), body=body)


def with_prefix(function: PrimFunc, prefix: str) -> PrimFunc:
    """The function with `prefix` and a dot before the name of each buffer."""
    return _with_buffers(function, lambda buffer: replace(buffer, name=f"{prefix}.{buffer.name}"))


def _with_buffers(function: PrimFunc, change: Callable[[Buffer], Buffer]) -> PrimFunc:
    def value(expr: Expr) -> Expr:
        return rewrite(
            expr,
            lambda node: replace(node, buffer=change(node.buffer)) if isinstance(node, BufferLoad) else node,
        )

    def stmt(node: Stmt) -> Stmt:
        if isinstance(node, Allocate):
            return replace(node, buffer=change(node.buffer))
        if isinstance(node, Block):
            init = node.init and replace(node.init, buffer=change(node.init.buffer))
            return replace(node, body=replace(node.body, buffer=change(node.body.buffer)), init=init)
        return node

    body = rewrite_stmt(map_exprs(function.body, value), stmt)
    return replace(function, parameters=tuple(map(change, function.parameters)), body=body)
