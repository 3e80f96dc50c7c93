"""Traversal of loop programs: the parts of a node, and the same node with other parts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from operator import is_

from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Binary, BufferLoad, Cast, Const, ElementCall, Expr, Select, Var
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    Break,
    BufferStore,
    For,
    IfThenElse,
    IntrinsicStmt,
    Iter,
    Procedure,
    Seq,
    Stmt,
    While,
)
from tilewright.compiler.tir.value import kept

Rewrite = Callable[[Expr], Expr]


def operands(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside of this one."""
    # The most frequent by far.
    if isinstance(expr, Var | Const):
        return ()
    match expr:
        case Binary(a=a, b=b):
            return (a, b)
        case Select(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)
        case Cast(value=value):
            return (value,)
        case BufferLoad(indices=indices):
            return indices
        case ElementCall(arguments=arguments):
            return arguments
        case _:
            return ()


def with_operands(expr: Expr, new: tuple[Expr, ...]) -> Expr:
    """The same node of other operands."""
    match expr:
        case Binary(op=op):
            return Binary(op, *new)
        case Select():
            return Select(*new)
        case Cast(type=dtype):
            return Cast(dtype, *new)
        case BufferLoad():
            return replace(expr, indices=new)
        case ElementCall(function=function, type=dtype):
            return ElementCall(function, new, dtype)
        case _:
            return expr


def rewrite(expr: Expr, change: Rewrite) -> Expr:
    """`change` of each node, operands first."""
    old = operands(expr)
    if not old:
        return change(expr)
    new = tuple([rewrite(operand, change) for operand in old])
    same = all(map(is_, old, new))
    return change(expr if same else with_operands(expr, new))


def nodes(expr: Expr) -> Iterator[Expr]:
    """The expression and all inside of it."""
    pending = [expr]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(operands(node))


@kept
def variables(expr: Expr) -> frozenset[str]:
    """The names of the variables in it."""
    if isinstance(expr, Var):
        return frozenset((expr.name,))
    return frozenset().union(*map(variables, operands(expr)))


def substitute(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with values for variables, by name."""
    if variables(expr).isdisjoint(values):
        return expr
    if isinstance(expr, Var):
        return values[expr.name]
    return with_operands(expr, tuple([substitute(operand, values) for operand in operands(expr)]))


def constant(expr: Expr) -> int | None:
    """Its integer value, if it is a constant."""
    return expr.value if isinstance(expr, Const) and isinstance(expr.value, int) else None


def children(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside of this one; the store and the init of a block are parts of it."""
    match stmt:
        case Seq(body=body):
            return body
        case For(body=inner) | Allocate(body=inner) | IntrinsicStmt(body=inner):
            return (inner,)
        case While(body=inner) | Procedure(body=inner):
            return (inner,)
        case IfThenElse(then=then, otherwise=otherwise):
            return (then,) if otherwise is None else (then, otherwise)
        case _:
            return ()


def with_children(stmt: Stmt, new: tuple[Stmt, ...]) -> Stmt:
    """The same statement around others; itself if these are those that it has."""
    if all(map(is_, new, children(stmt))):
        return stmt
    match stmt:
        case Seq():
            return Seq(new)
        case For(var=var, extent=extent, kind=kind, prefetch=prefetch, pipelining=pipelining):
            return For(var, extent, new[0], kind, prefetch, pipelining)
        case Allocate(buffer=buffer):
            return Allocate(buffer, new[0])
        case IntrinsicStmt(name=name):
            return IntrinsicStmt(name, new[0])
        case While() | Procedure():
            return replace(stmt, body=new[0])
        case IfThenElse(condition=condition):
            return IfThenElse(condition, *new)
        case _:
            return stmt


def statements(stmt: Stmt) -> Iterator[Stmt]:
    """The statement and all inside of it, in order."""
    pending = [stmt]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(children(node))


def blocks(stmt: Stmt) -> Iterator[Block]:
    """The blocks of a statement, in order."""
    return (node for node in statements(stmt) if isinstance(node, Block))


def is_left_early(loop: For | While) -> bool:
    """Whether a `Break` inside ends the loop itself."""
    return _breaks(loop.body)


def _breaks(stmt: Stmt) -> bool:
    if isinstance(stmt, Break):
        return True
    return not isinstance(stmt, For | While) and any(map(_breaks, children(stmt)))


def rewrite_stmt(stmt: Stmt, change: Callable[[Stmt], Stmt]) -> Stmt:
    """`change` of each statement, those inside first."""
    old = children(stmt)
    return change(with_children(stmt, tuple([rewrite_stmt(child, change) for child in old])))


def map_store(store: BufferStore, change: Rewrite) -> BufferStore:
    """A store with `change` of each index and of the value."""
    indices, value = tuple([change(index) for index in store.indices]), change(store.value)
    if value is store.value and all(map(is_, indices, store.indices)):
        return store
    return BufferStore(store.buffer, indices, value)


def map_stores(block: Block, change: Callable[[BufferStore], BufferStore]) -> Block:
    """A block with `change` of each of its stores and inits."""
    return _map_stores(block, block.iters, change)


def map_iters(block: Block, change: Rewrite) -> Block:
    """A block with `change` of the values of its indices."""
    return _map_stores(block, tuple([_map_iter(it, change) for it in block.iters]), lambda store: store)


def map_block(block: Block, change: Rewrite) -> Block:
    """A block with `change` of the values of its indices, and of all in its stores and inits."""
    iters = tuple([_map_iter(it, change) for it in block.iters])
    return _map_stores(block, iters, lambda store: map_store(store, change))


def _map_iter(it: Iter, change: Rewrite) -> Iter:
    value = change(it.value)
    return it if value is it.value else Iter(it.var, it.kind, value)


def _map_stores(block: Block, iters: tuple[Iter, ...], change: Callable[[BufferStore], BufferStore]) -> Block:
    """A block with these indices, and `change` of its stores and inits; itself if all stays."""
    body, init = change(block.body), None if block.init is None else change(block.init)
    more, more_init = (tuple([change(each) for each in part]) for part in (block.more, block.more_init))
    new = (*iters, body, init, *more, *more_init)
    if all(map(is_, new, (*block.iters, block.body, block.init, *block.more, *block.more_init))):
        return block
    return Block(block.name, iters, body, init, more, more_init, block.reducer)


def map_exprs(stmt: Stmt, change: Rewrite) -> Stmt:
    """The statement with `change` of each whole expression: extents, shapes, values of indices, elements."""
    return rewrite_stmt(stmt, lambda node: _map_own(node, change))


def _map_own(stmt: Stmt, change: Rewrite) -> Stmt:
    match stmt:
        case For(var=var, extent=extent, body=body, kind=kind, prefetch=prefetch, pipelining=pipelining):
            new = change(extent)
            return stmt if new is extent else For(var, new, body, kind, prefetch, pipelining)
        case Allocate(buffer=buffer, body=body):
            shaped = _map_shape(buffer, change)
            return stmt if shaped is buffer else Allocate(shaped, body)
        case IfThenElse(condition=condition) | While(condition=condition):
            return replace(stmt, condition=change(condition))
        case BufferStore():
            return map_store(stmt, change)
        case Block():
            return map_block(stmt, change)
        case _:
            return stmt


def _map_shape(buffer: Buffer, change: Rewrite) -> Buffer:
    shape = tuple([change(extent) for extent in buffer.shape])
    return buffer if all(map(is_, shape, buffer.shape)) else replace(buffer, shape=shape)


def loads(block: Block) -> tuple[BufferLoad, ...]:
    """The loads in values, inits and indices of a block, those of its own buffer in a reduction included."""
    stores = (*block.stores, *block.inits) if block.more else block.stores
    exprs = [expr for store in stores for expr in (store.value, *store.indices)]
    if block.init is not None:
        exprs.append(block.init.value)
    return tuple([load for expr in exprs for load in loads_of(expr)])


@kept
def loads_of(expr: Expr) -> tuple[BufferLoad, ...]:
    """The elements that an expression reads."""
    return tuple([node for node in nodes(expr) if isinstance(node, BufferLoad)])


def block_indices(block: Block) -> dict[str, Expr]:
    """The values of a block's indices, by name."""
    return {it.var.name: it.value for it in block.iters}
