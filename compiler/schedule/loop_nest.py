"""Find loops, blocks and buffers of a loop program, and edit the program.

A *body scope* is the body of a function or of a loop: buffers allocated there, around statements in sequence.
Each of these statements is a *loop nest*.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Expr, Var
from tilewright.compiler.tir.simplify import simplify_stmt
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    Iter,
    IterKind,
    Opaque,
    PrimFunc,
    Procedure,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.walk import (
    block_indices,
    blocks,
    children,
    is_left_early,
    loads,
    loads_of,
    map_exprs,
    map_stores,
    rewrite,
    rewrite_stmt,
    statements,
    substitute,
    variables,
    with_children,
)

Path = tuple[Stmt, ...]
"""Statements from the root to one inside, both included."""


def find_loop(primitive: Primitive, function: PrimFunc, name: str) -> Path:
    """The path to a loop; refused if there is none."""
    path = _path(function.body, lambda stmt: isinstance(stmt, For) and stmt.var.name == name)
    if path is None:
        names = [stmt.var.name for stmt in statements(function.body) if isinstance(stmt, For)]
        raise primitive.refusal(function, f"there is no loop {name}: name one of {', '.join(names)}")
    return path


def find_free_loop(primitive: Primitive, function: PrimFunc, name: str) -> For:
    """A loop that may run in another order; refused if there is none, or inside of a procedure."""
    path = find_loop(primitive, function, name)
    for stmt in path:
        if isinstance(stmt, Procedure):
            raise primitive.refusal(
                function,
                f"{name} runs in the order of procedure {stmt.name}: change it there, where it is written",
            )
    loop = path[-1]
    assert isinstance(loop, For)
    return loop


def check_whole(primitive: Primitive, function: PrimFunc, loop: For) -> None:
    """Refuse a loop that a break ends, of two loops it would end one only, and one that is pipelined."""
    if loop.pipelining is not None:
        raise primitive.refusal(
            function, f"{loop.var.name} must be pipelined behind this: its steps are its iterations"
        )
    if is_left_early(loop):
        raise primitive.refusal(
            function,
            f"{loop.var.name} must run to its end, and a break leaves it: unroll it, or leave it whole",
        )


def find_block(primitive: Primitive, function: PrimFunc, name: str) -> Path:
    """The path to a block; refused if there is none."""
    path = _path(function.body, lambda stmt: isinstance(stmt, Block) and stmt.name == name)
    if path is None:
        for stmt in statements(function.body):
            if isinstance(stmt, Opaque) and stmt.name == name:
                raise primitive.refusal(
                    function, f"{name} is opaque, not a block: schedule what it reads and what reads it"
                )
        names = [block.name for block in blocks(function.body)]
        raise primitive.refusal(function, f"there is no block {name}: name one of {', '.join(names)}")
    return path


def find_allocation(primitive: Primitive, function: PrimFunc, name: str) -> Path:
    """The path to where a buffer is allocated; refused if it is a parameter or unknown."""
    path = _path(function.body, lambda stmt: isinstance(stmt, Allocate) and stmt.buffer.name == name)
    if path is not None:
        return path
    if any(buffer.name == name for buffer in function.parameters):
        raise primitive.refusal(
            function,
            f"buffer {name} is a parameter, in the caller's memory: use cache_read or cache_write first",
        )
    names = [stmt.buffer.name for stmt in statements(function.body) if isinstance(stmt, Allocate)]
    raise primitive.refusal(function, f"there is no buffer {name}: name one of {', '.join(names)}")


def find_single(primitive: Primitive, function: PrimFunc, name: str) -> Path:
    """The path to a block that stores to one buffer; refused if it stores to more."""
    path = find_block(primitive, function, name)
    block = path[-1]
    assert isinstance(block, Block)
    if block.more:
        stored = ", ".join(store.buffer.name for store in block.stores)
        raise primitive.refusal(
            function,
            f"{name} must store to one buffer, not to {stored} at once: use reverse_compute_at or compute_at",
        )
    return path


def find_alike(primitive: Primitive, function: PrimFunc, name: str) -> Block:
    """A block whose stores are all to one element, of buffers of one shape; refused if they are not."""
    block = find_block(primitive, function, name)[-1]
    assert isinstance(block, Block)
    for store in block.more:
        if store.indices != block.body.indices or store.buffer.shape != block.body.buffer.shape:
            raise primitive.refusal(
                function,
                f"{name} must store to the same element of {block.body.buffer.name} and {store.buffer.name}: "
                "apply this before one of them is attached alone",
            )
    return block


def find_allocations(primitive: Primitive, function: PrimFunc, block: Block) -> list[Path]:
    """The paths to where the buffers of a block are allocated, outer first; refused if not at one place."""
    paths = [find_allocation(primitive, function, store.buffer.name) for store in block.stores]
    scopes = {}
    for path in paths:
        allocation = path[-1]
        assert isinstance(allocation, Allocate)
        scopes[id(BodyScope.of(allocation.body).nests[0])] = allocation.buffer.name
    if len(scopes) > 1:
        raise primitive.refusal(
            function,
            f"{' and '.join(scopes.values())}, which {block.name} stores to, must be allocated at one place: "
            "apply this before one of them is attached alone",
        )
    return sorted(paths, key=len)


def path_to(root: Stmt, target: Stmt) -> Path:
    """The path from a statement to one inside of it."""
    path = _path(root, lambda stmt: stmt is target)
    assert path is not None, "the target must lie inside of the root"
    return path


def contains(root: Stmt, target: Stmt) -> bool:
    """Whether a statement lies inside of another, or is it."""
    return any(stmt is target for stmt in statements(root))


def domain_of(path: Path) -> dict[str, Expr]:
    """The loops on a path, outer first."""
    return {stmt.var.name: stmt.extent for stmt in path if isinstance(stmt, For)}


def check_fresh(primitive: Primitive, function: PrimFunc, *names: str) -> None:
    """Refuse names that loops, blocks or buffers have already."""
    taken = {buffer.name for buffer in function.parameters}
    for stmt in statements(function.body):
        match stmt:
            case For(var=var):
                taken.add(var.name)
            case Allocate(buffer=buffer):
                taken.add(buffer.name)
            case Block(name=name, iters=iters):
                taken |= {name, *(it.var.name for it in iters)}
            case Opaque(name=name):
                taken.add(name)
    for name in names:
        if name in taken or not name.isidentifier() or names.count(name) > 1:
            raise primitive.refusal(function, f"{name!r} must be a new identifier: choose another name")


@dataclass(frozen=True)
class BodyScope:
    """The body of a function or of a loop: buffers allocated there, around loop nests in sequence."""

    buffers: tuple[Buffer, ...]
    nests: tuple[Stmt, ...]

    @staticmethod
    def of(body: Stmt) -> "BodyScope":
        """The buffers and loop nests of a body."""
        buffers: list[Buffer] = []
        while isinstance(body, Allocate):
            buffers.append(body.buffer)
            body = body.body
        return BodyScope(tuple(buffers), body.body if isinstance(body, Seq) else (body,))

    @property
    def stmt(self) -> Stmt:
        """The body as one statement."""
        body = self.nests[0] if len(self.nests) == 1 else Seq(self.nests)
        for buffer in reversed(self.buffers):
            body = Allocate(buffer, body)
        return body

    def position(self, target: Stmt) -> int:
        """The position of the loop nest that contains a statement."""
        return next(index for index, nest in enumerate(self.nests) if contains(nest, target))

    def with_nests(self, position: int, *new: Stmt, buffers: Sequence[Buffer] = ()) -> "BodyScope":
        """The body with other loop nests in place of the one at a position, and with further buffers."""
        nests = (*self.nests[:position], *new, *self.nests[position + 1 :])
        return BodyScope((*buffers, *self.buffers), nests)


def scope_body(path_to_allocation: Path | None, function: PrimFunc) -> Stmt:
    """The body in which a buffer is live: of its allocation, or of the function for a parameter."""
    if path_to_allocation is None:
        return function.body
    allocation = path_to_allocation[-1]
    assert isinstance(allocation, Allocate)
    return allocation.body


def allocation_of(function: PrimFunc, name: str) -> Path | None:
    """The path to where a buffer is allocated; None for a parameter."""
    return _path(function.body, lambda stmt: isinstance(stmt, Allocate) and stmt.buffer.name == name)


def edit(function: PrimFunc, changes: Mapping[int, Stmt | None], unwrap: Container[int] = ()) -> PrimFunc:
    """The function after `edit_stmt`."""
    body = edit_stmt(function.body, changes, unwrap)
    assert body is not None, "a function must keep a statement"
    return replace(function, body=_linked(body, {}))


def simplified(function: PrimFunc) -> PrimFunc:
    """The function with simple indices and extents."""
    return replace(function, body=_linked(simplify_stmt(function.body), {}))


def _linked(stmt: Stmt, declared: Mapping[str, Buffer]) -> Stmt:
    """The statement whose accesses are to the buffers as they are allocated, when a shape has changed."""
    match stmt:
        case Allocate(buffer=buffer, body=body):
            return with_children(stmt, (_linked(body, {**declared, buffer.name: buffer}),))
        case Block() | Opaque():
            used = (*stored_buffers(stmt), *read_buffers(stmt))
            result: Stmt = stmt
            for name in {old.name for old in used if _differs(old, declared.get(old.name, old))}:
                result = change_accesses(result, name, lambda indices: indices, declared[name])
            return result
        case _:
            return with_children(stmt, tuple(_linked(child, declared) for child in children(stmt)))


def _differs(old: Buffer, new: Buffer) -> bool:
    return new is not old and new != old


def edit_stmt(stmt: Stmt, changes: Mapping[int, Stmt | None], unwrap: Container[int] = ()) -> Stmt | None:
    """A statement with others inside of it changed; None if nothing is left.

    Args:
        stmt: where to look.
        changes: new statements by the identity of the old; None removes one.
        unwrap: identities of allocations of which only the body stays.
    """
    if id(stmt) in changes:
        return changes[id(stmt)]
    old = children(stmt)
    if not old:
        return stmt
    found = (edit_stmt(child, changes, unwrap) for child in old)
    new = tuple(child for child in found if child is not None)
    if not new:
        return None
    if isinstance(stmt, Seq):
        return BodyScope((), _flat(new)).stmt
    return new[0] if id(stmt) in unwrap else with_children(stmt, new)


def _flat(nests: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    return tuple(part for nest in nests for part in (nest.body if isinstance(nest, Seq) else (nest,)))


def substitute_stmt(stmt: Stmt, values: Mapping[str, Expr]) -> Stmt:
    """The statement with values for variables, by name."""
    return map_exprs(stmt, lambda expr: substitute(expr, values))


def change_accesses(
    stmt: Stmt, name: str, change: Callable[[tuple[Expr, ...]], tuple[Expr, ...]], new: Buffer
) -> Stmt:
    """Every read and write of a buffer made one of another, at changed indices."""

    def load(expr: Expr) -> Expr:
        if isinstance(expr, BufferLoad) and expr.buffer.name == name:
            return BufferLoad(new, change(expr.indices))
        return expr

    def store(old: BufferStore) -> BufferStore:
        return BufferStore(new, change(old.indices), old.value) if old.buffer.name == name else old

    def swapped(buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
        return tuple(new if buffer.name == name else buffer for buffer in buffers)

    def node(part: Stmt) -> Stmt:
        match part:
            case Block():
                return map_stores(part, store)
            case BufferStore():
                return store(part)
            case Opaque(reads=reads, writes=writes):
                return replace(part, reads=swapped(reads), writes=swapped(writes))
            case _:
                return part

    def loads_changed(expr: Expr) -> Expr:
        return rewrite(expr, load) if any(each.buffer.name == name for each in loads_of(expr)) else expr

    return rewrite_stmt(map_exprs(stmt, loads_changed), node)


def replace_buffer(stmt: Stmt, new: Buffer) -> Stmt:
    """The statement with a buffer of the same name in the place of the old one, its allocation too."""

    def allocation(part: Stmt) -> Stmt:
        mine = isinstance(part, Allocate) and part.buffer.name == new.name
        return Allocate(new, part.body) if mine and isinstance(part, Allocate) else part

    return rewrite_stmt(change_accesses(stmt, new.name, lambda indices: indices, new), allocation)


def stored_buffers(part: Block | Opaque) -> tuple[Buffer, ...]:
    """The buffers that a block or an opaque statement writes."""
    return part.writes if isinstance(part, Opaque) else tuple(store.buffer for store in part.stores)


def read_buffers(part: Block | Opaque) -> tuple[Buffer, ...]:
    """The buffers that a block or an opaque statement reads."""
    return part.reads if isinstance(part, Opaque) else tuple(load.buffer for load in loads(part))


def readers(stmt: Stmt, name: str) -> list[Block | Opaque]:
    """The blocks and opaque statements that read a buffer and do not write it."""
    return [part for part in _parts(stmt) if _has(read_buffers(part), name) and not writers(part, name)]


def writers(stmt: Stmt, name: str) -> list[Block | Opaque]:
    """The blocks and opaque statements that write a buffer."""
    return [part for part in _parts(stmt) if _has(stored_buffers(part), name)]


def _parts(stmt: Stmt) -> Iterator[Block | Opaque]:
    return (node for node in statements(stmt) if isinstance(node, Block | Opaque))


def _has(buffers: tuple[Buffer, ...], name: str) -> bool:
    return any(buffer.name == name for buffer in buffers)


def reduces_over(block: Block, loop: str) -> bool:
    """Whether the loop runs over a reduced index of the block."""
    return _has_iter(block, loop, IterKind.REDUCE)


def in_order_over(block: Block, loop: str) -> bool:
    """Whether the loop runs over an ordered index of the block."""
    return _has_iter(block, loop, IterKind.ORDERED)


def _has_iter(block: Block, loop: str, kind: IterKind) -> bool:
    return any(it.kind is kind and loop in variables(it.value) for it in block.iters)


def is_plain(block: Block) -> bool:
    """Whether an instance needs no other one: nothing is reduced, and nothing read of what it writes."""
    own = {buffer.name for buffer in stored_buffers(block)}
    spatial = all(it.kind is IterKind.SPATIAL for it in block.iters)
    return spatial and block.init is None and not any(load.buffer.name in own for load in loads(block))


def stored_at(block: Block, buffer: str) -> tuple[Expr, ...]:
    """The element of a buffer that a block stores to, in terms of the loops."""
    values = block_indices(block)
    (indices,) = (store.indices for store in block.stores if store.buffer.name == buffer)
    return tuple(substitute(index, values) for index in indices)


def copy_nest(name: str, axes: Sequence[str], *pairs: tuple[Buffer, Buffer]) -> Stmt:
    """A block `name` in loops {name}_{axis} that copies all of some buffers of one shape.

    Args:
        name: of the block.
        axes: a name for each dimension.
        pairs: what is copied, and where to.
    """
    loops = [Var(f"{name}_{axis}") for axis in axes]
    inside = tuple(Var(f"v_{name}_{axis}") for axis in axes)
    iters = tuple(Iter(var, IterKind.SPATIAL, loop) for var, loop in zip(inside, loops, strict=True))
    first, *more = (BufferStore(target, inside, BufferLoad(source, inside)) for source, target in pairs)
    stmt: Stmt = Block(name, iters, first, more=tuple(more))
    for loop, extent in zip(reversed(loops), reversed(pairs[0][0].shape), strict=True):
        stmt = For(loop, extent, stmt)
    return stmt


def _path(root: Stmt, wanted: Callable[[Stmt], bool]) -> Path | None:
    if wanted(root):
        return (root,)
    for child in children(root):
        inside = _path(child, wanted)
        if inside is not None:
            return (root, *inside)
    return None
