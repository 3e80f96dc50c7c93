"""rfactor: a loop of a reduction as an axis of partial results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    Path,
    check_fresh,
    domain_of,
    edit,
    find_block,
    simplified,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.bound import UNBOUNDED, upper
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr, Var
from tilewright.compiler.tir.reducer import combined, reduction_of
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import (
    Block,
    BufferStore,
    For,
    IntrinsicStmt,
    Iter,
    IterKind,
    PrimFunc,
    Reducer,
    Stmt,
)
from tilewright.compiler.tir.walk import substitute, variables

Names = Mapping[str, Var]


@dataclass(frozen=True)
class RFactor(Primitive):
    """A block `name` reduces over all but one loop, into a buffer `name` with an axis for that loop, its
    first; the block then reduces over this axis alone. Its init stays with the block.

    Loops of the new block are {name}_{axis}. Partial results can be computed in parallel; sums of floats may
    round otherwise.
    """

    block: str
    loop: str
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the block of partial results, and the block that reduces them.

        Raises:
            ScheduleError: if the block has no reducer, or the loop is not one that it alone reduces over,
                directly around it.
        """
        path = find_block(self, function, self.block)
        block = path[-1]
        assert isinstance(block, Block)
        chain = _chain(path)
        reduction = reduction_of(block)
        if reduction is None or any(it.kind is IterKind.ORDERED for it in block.iters):
            raise self.refusal(
                function, f"{self.block} must reduce by an operator or its reducer: name a block that does"
            )
        kept = self._kept(function, path, chain)
        partial = self._partial(function, path, kept)
        names = self._names(function, block, chain)
        first = self._first(block, chain, names, partial, reduction)
        last = self._last(block, kept, partial, reduction[0])
        return simplified(_replaced(function, path, chain, (first, last), partial))

    def _kept(self, function: PrimFunc, path: Path, chain: Sequence[For]) -> list[For]:
        """The loops that the block keeps: all that it does not reduce over, and the named one."""
        block = path[-1]
        assert isinstance(block, Block)
        reduced_loops = _used(block, IterKind.REDUCE)
        names = {loop.var.name for loop in chain}
        if self.loop not in reduced_loops or not reduced_loops & set(domain_of(path)) <= names:
            choice = ", ".join(sorted(reduced_loops & names)) or "none here"
            raise self.refusal(
                function,
                f"{self.loop} must be a loop directly around {self.block}, which reduces over it, as all its "
                f"loops ({choice}): apply this before other stages are attached",
            )
        fused = reduced_loops & _used(block, IterKind.SPATIAL)
        if fused:
            raise self.refusal(
                function,
                f"{min(fused)} must be reduced over alone: apply this before it is fused with others",
            )
        others: dict[str, Expr] = {name: Const(0) for name in reduced_loops - {self.loop}}
        domain = domain_of(path)
        kept = [loop for loop in chain if loop.var.name not in others]
        return [self._with_first_extent(function, loop, others, domain) for loop in kept]

    def _with_first_extent(
        self, function: PrimFunc, loop: For, others: dict[str, Expr], domain: dict[str, Expr]
    ) -> For:
        """The loop with its extent where the other reduced loops begin, which must be the largest."""
        if not variables(loop.extent) & {*others, self.loop}:
            return loop
        first = simplify(substitute(loop.extent, others), domain)
        if loop.var.name != self.loop or upper(loop.extent - first, domain) > 0:
            raise self.refusal(
                function,
                f"the extent of {loop.var.name} must be largest where the other reduced loops begin: "
                "split by a factor that divides",
            )
        return replace(loop, extent=first)

    def _partial(self, function: PrimFunc, path: Path, kept: Sequence[For]) -> tuple[Buffer, ...]:
        """The buffers of the partial results."""
        block = path[-1]
        assert isinstance(block, Block)
        extent = next(loop.extent for loop in kept if loop.var.name == self.loop)
        size = upper(extent, domain_of(path))
        if size >= UNBOUNDED // 2:
            raise self.refusal(function, f"the extent of {self.loop} must be bounded: split it first")
        return tuple(
            Buffer(
                f"{self.name}_{number}" if block.more else self.name,
                (Const(size), *store.buffer.shape),
                store.buffer.dtype,
                store.buffer.scope if store.buffer.scope is not MemoryScope.LANE else MemoryScope.GLOBAL,
            )
            for number, store in enumerate(block.stores)
        )

    def _names(self, function: PrimFunc, block: Block, chain: Sequence[For]) -> tuple[Names, Names]:
        """New names of loops, and of the block's indices that are not reduced."""
        loops = {
            loop.var.name: Var(f"{self.name}_{loop.var.name.removeprefix(f'{block.name}_')}")
            for loop in chain
        }
        inside = {
            it.var.name: Var(f"v_{self.name}_{it.var.name.removeprefix(f'v_{block.name}_')}")
            for it in block.iters
            if it.kind is not IterKind.REDUCE
        }
        reduced = {f"v_{loops[name].name}" for name in _used(block, IterKind.REDUCE) & set(loops)}
        check_fresh(
            self,
            function,
            self.name,
            *(v.name for v in (*loops.values(), *inside.values())),
            *sorted(reduced),
        )
        return loops, inside

    def _first(
        self,
        block: Block,
        chain: Sequence[For],
        names: tuple[Names, Names],
        partial: Sequence[Buffer],
        reduction: tuple[Reducer, tuple[Expr, ...]],
    ) -> Stmt:
        """The loop nest of the partial results."""
        loops, inside = names
        reduced = _used(block, IterKind.REDUCE)
        own = {
            loop.var.name: Var(f"v_{loops[loop.var.name].name}") for loop in chain if loop.var.name in reduced
        }
        at: dict[str, Expr] = {**loops, **inside}
        for it in block.iters:
            if it.kind is IterKind.REDUCE:
                at[it.var.name] = substitute(it.value, own)
        iters = [
            Iter(inside[it.var.name], it.kind, substitute(it.value, loops))
            for it in block.iters
            if it.kind is not IterKind.REDUCE
        ]
        for loop, var in own.items():
            kind = IterKind.SPATIAL if loop == self.loop else IterKind.REDUCE
            iters.append(Iter(var, kind, loops[loop]))
        targets = [
            (buffer, (own[self.loop], *(substitute(index, at) for index in store.indices)))
            for buffer, store in zip(partial, block.stores, strict=True)
        ]
        values = tuple(substitute(value, at) for value in reduction[1])
        stmt: Stmt = _reduction_block(block, self.name, iters, targets, values, reduction[0])
        for each in reversed(chain):
            stmt = replace(each, var=loops[each.var.name], extent=substitute(each.extent, loops), body=stmt)
        return stmt

    def _last(self, block: Block, kept: Sequence[For], partial: Sequence[Buffer], reducer: Reducer) -> Stmt:
        """The loop nest that reduces the partial results."""
        var = Var(f"v_{block.name}_{self.loop.removeprefix(f'{block.name}_')}")
        spatial = [it for it in block.iters if it.kind is not IterKind.REDUCE]
        zero: dict[str, Expr] = {it.var.name: Const(0) for it in block.iters if it.kind is IterKind.REDUCE}
        own = tuple(BufferLoad(store.buffer, store.indices) for store in block.stores)
        right = tuple(
            BufferLoad(buffer, (var, *store.indices))
            for buffer, store in zip(partial, block.stores, strict=True)
        )
        results = combined(reducer, own, right)
        stores = [replace(store, value=v) for store, v in zip(block.stores, results, strict=True)]
        inits = [replace(init, value=substitute(init.value, zero)) for init in block.inits]
        stmt: Stmt = replace(
            block,
            iters=(*spatial, Iter(var, IterKind.REDUCE, Var(self.loop))),
            body=stores[0],
            more=tuple(stores[1:]),
            init=inits[0] if inits else None,
            more_init=tuple(inits[1:]),
        )
        for loop in reversed(kept):
            stmt = replace(loop, body=stmt)
        return stmt


def _reduction_block(
    block: Block,
    name: str,
    iters: Sequence[Iter],
    targets: Sequence[tuple[Buffer, tuple[Expr, ...]]],
    values: tuple[Expr, ...],
    reducer: Reducer,
) -> Block:
    """The reduction of the values from the identity on; a plain block if nothing is left to reduce."""
    if all(it.kind is not IterKind.REDUCE for it in iters):
        first, *more = (BufferStore(*target, value) for target, value in zip(targets, values, strict=True))
        return Block(name, tuple(iters), first, more=tuple(more))
    old = tuple(BufferLoad(*target) for target in targets)
    first, *more = (BufferStore(*t, v) for t, v in zip(targets, combined(reducer, old, values), strict=True))
    init, *more_init = (BufferStore(*t, v) for t, v in zip(targets, reducer.identity, strict=True))
    return Block(name, tuple(iters), first, init, tuple(more), tuple(more_init), block.reducer)


def _used(block: Block, kind: IterKind) -> set[str]:
    return {name for it in block.iters if it.kind is kind for name in variables(it.value)}


def _chain(path: Path) -> list[For]:
    """The loops directly around the last statement, outer first."""
    chain: list[For] = []
    for stmt in reversed(path[:-1]):
        if not isinstance(stmt, For):
            break
        chain.insert(0, stmt)
    return chain


def _replaced(
    function: PrimFunc, path: Path, chain: Sequence[For], nests: tuple[Stmt, Stmt], buffers: Sequence[Buffer]
) -> PrimFunc:
    """The function with two loop nests in place of the chain's, and buffers in the body around them."""
    top = path.index(chain[0])
    around = [at for at in range(top) if isinstance(path[at], For | IntrinsicStmt)]
    body = path[around[-1] + 1] if around else function.body
    body_scope = BodyScope.of(body)
    new = body_scope.with_nests(body_scope.position(chain[0]), *nests, buffers=buffers)
    return edit(function, {id(body): new.stmt})
