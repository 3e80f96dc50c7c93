"""Statements of loop programs as LLVM control flow."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.contraction import MEANINGS
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.expression import ExpressionEmitter
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.function_context import FunctionContext
from tilewright.compiler.targets.cpu.micro_kernel import write_micro_kernel
from tilewright.compiler.targets.cpu.outline import call_parallel, outline
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, memory_type
from tilewright.compiler.targets.cpu.value import LaneValue, index, vector
from tilewright.compiler.targets.cpu.vectorise import is_parallelisable, is_vectorisable
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import UNBOUNDED, upper
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, Expr, Var
from tilewright.compiler.tir.printer import print_buffer
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    Extern,
    For,
    IntrinsicStmt,
    IterKind,
    LoopKind,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.walk import (
    block_indices,
    blocks,
    constant,
    map_stores,
    nodes,
    rewrite,
    statements,
    substitute,
)

_DIVISIONS = (BinaryOp.FLOORDIV, BinaryOp.MOD)
LANES_MAXIMUM = 64
"""Lanes of one vector; longer loops take several. LLVM splits a vector into registers."""
COPIES_MAXIMUM = 256
"""Copies of a statement in unrolled loops; beyond, LLVM decides."""
PEELED_BLOCKS = 2
"""A loop around more blocks is not written twice to take the inits out of it."""


@dataclass
class StatementEmitter:
    """Writes statements into a function context.

    Members:
        context: of the function that is written.
        contract: whether a product and a sum of floats may be rounded once.
        parallel: whether a parallel loop may be handed to other threads.
        features: of the machine, for micro-kernels.
        domain: extents of the loops around, by variable.
        begun: blocks of which a first instance, which runs the init, is behind.
        copies: the number of copies of the statement that the enclosing unrolled loops make.
    """

    context: FunctionContext
    contract: bool
    parallel: bool
    features: Features
    domain: dict[str, Expr] = field(default_factory=dict)
    begun: frozenset[str] = frozenset()
    copies: int = 1

    @property
    def _expressions(self) -> ExpressionEmitter:
        return ExpressionEmitter(self.context, self.contract)

    def write(self, stmt: Stmt) -> None:
        """The statement and all inside of it."""
        match stmt:
            case For():
                self._for(stmt)
            case Seq(body=body):
                for child in body:
                    self.write(child)
            case Allocate():
                self._allocate(stmt)
            case IntrinsicStmt() if stmt.name in MEANINGS and self.context.lanes == 1:
                write_micro_kernel(self, stmt)
            case IntrinsicStmt(body=body):
                self.write(body)
            case Block():
                self._block(stmt)
            case BufferStore():
                self._store((stmt,))
            case Extern(name=name):
                raise CpuError(
                    f"extern {name} must be run by the interpreter: its meaning is a Python function"
                )
            case _:
                raise TypeError(f"stmt must be a statement of loop programs, not {stmt!r}")

    def scalar(self, expr: Expr) -> ir.Value:
        """The value of an index."""
        return self._expressions.scalar(expr)

    def lanes_of(self, expr: Expr) -> ir.Value:
        """The value of an expression, an element a lane."""
        return vector(self.context.builder, self._expressions.value(expr), self.context.lanes)

    def pointer(self, buffer: Buffer, element: Expr) -> ir.Value:
        """A pointer to an element, counted from the first one."""
        return self.moved(buffer, self.context.pointers[buffer.name], self.scalar(element))

    def moved(self, buffer: Buffer, pointer: ir.Value, elements: ir.Value) -> ir.Value:
        """A pointer to another element of the buffer."""
        of = memory_type(buffer.dtype)
        return self.context.builder.gep(pointer, [elements], inbounds=True, source_etype=of)

    def _store(self, stores: Sequence[BufferStore]) -> None:
        """Elements assigned at the same time: all values come before any store."""
        expressions = self._expressions
        values = [expressions.value(store.value) for store in stores]
        for store, value in zip(stores, values, strict=True):
            expressions.store(store.buffer, store.indices, value)

    def _block(self, block: Block) -> None:
        inside = {it.var.name: self._expressions.value(it.value) for it in block.iters}
        block = self._with_plain_indices(block)
        with self.context.bound(inside):
            if block.inits and block.name not in self.begun:
                self._init(block)
            self._store(block.stores)

    def _with_plain_indices(self, block: Block) -> Block:
        """Quotients and remainders are decided by the loops around: then lanes are seen to be neighbours."""
        values = block_indices(block)

        def plain(index: Expr) -> Expr:
            divides = any(isinstance(n, Binary) and n.op in _DIVISIONS for n in nodes(index))
            return simplify(substitute(index, values), self.domain) if divides else index

        def load(node: Expr) -> Expr:
            return (
                replace(node, indices=tuple(map(plain, node.indices)))
                if isinstance(node, BufferLoad)
                else node
            )

        def store(one: BufferStore) -> BufferStore:
            return BufferStore(one.buffer, tuple(map(plain, one.indices)), rewrite(one.value, load))

        return map_stores(block, store)

    def _init(self, block: Block) -> None:
        """The inits, where all reduced indices are 0."""
        builder = self.context.builder
        first = ir.Constant(ir.IntType(1), 1)
        for it in block.iters:
            if it.kind is IterKind.REDUCE:
                zero = builder.icmp_signed("==", self._expressions.scalar(it.var), ir.Constant(INDEX_TYPE, 0))
                first = builder.and_(first, zero)
        with builder.if_then(first):
            self._store(block.inits)

    def _allocate(self, stmt: Allocate) -> None:
        """One instance, as large as the largest, serves all executions: none expects what another left."""
        buffer, context = stmt.buffer, self.context
        extents = tuple(max(upper(extent, self.domain), 0) for extent in buffer.shape)
        if any(extent >= UNBOUNDED // 2 for extent in extents):
            raise CpuError(f"the shape of {print_buffer(buffer)} must be bounded by loops around it")
        strides = buffer.strides(extents)
        context.strides[buffer.name] = strides
        elements = strides[0] * extents[0] if extents else 1
        # LLVM 22 puts uses before values where it makes one vector of what tiles store to the stack.
        on_heap = any(buffer.name in _results(inner) for inner in statements(stmt.body))
        context.pointers[buffer.name] = context.allocate(elements * buffer.dtype.size_bytes, on_heap)
        self.write(stmt.body)
        del context.pointers[buffer.name]

    def _for(self, loop: For) -> None:
        alone = self.context.lanes == 1
        if loop.kind is LoopKind.VECTORISE and alone:
            self._at_full_extent(loop, self._vector, lambda lanes: is_vectorisable(loop, lanes))
        elif loop.kind is LoopKind.UNROLL:
            self._at_full_extent(loop, self._unrolled, lambda n: n * self.copies <= COPIES_MAXIMUM)
        elif loop.kind is LoopKind.PARALLEL and self.parallel and alone and is_parallelisable(loop):
            self._parallel(loop)
        else:
            self._serial(loop)

    def _at_full_extent(
        self, loop: For, write: Callable[[For, int], None], holds: Callable[[int], bool]
    ) -> None:
        """Written for its largest extent, and beside it plainly for a smaller one at an edge."""
        number = constant(loop.extent)
        most = upper(loop.extent, self.domain) if number is None else number
        if not 0 < most < UNBOUNDED // 2 or not holds(most):
            self._serial(loop)
        elif number is not None:
            write(loop, number)
        else:
            builder, extent = self.context.builder, self._expressions.scalar(loop.extent)
            full = builder.icmp_signed("==", extent, ir.Constant(INDEX_TYPE, most))
            with builder.if_else(full) as (then, otherwise):
                with then:
                    write(loop, most)
                with otherwise:
                    self._serial(loop)

    def _vector(self, loop: For, extent: int) -> None:
        """Whole vectors, then smaller ones, by powers of 2: others are cut badly, or wrongly, by LLVM."""
        full, rest = divmod(extent, LANES_MAXIMUM)
        width = ir.Constant(INDEX_TYPE, LANES_MAXIMUM)
        if full == 1:
            self._lanes(loop, index(0), LANES_MAXIMUM)
        elif full:
            ends = ir.Constant(INDEX_TYPE, 0), ir.Constant(INDEX_TYPE, full)
            with self.counted(*ends, loop.var.name) as at:
                self._lanes(loop, LaneValue(self.context.builder.mul(at, width), INDEX), LANES_MAXIMUM)
        while rest:
            lanes = 1 << (rest.bit_length() - 1)
            self._lanes(loop, index(extent - rest), lanes)
            rest -= lanes

    def _lanes(self, loop: For, base: LaneValue, lanes: int) -> None:
        self._at(loop, LaneValue(base.ir, INDEX, 0 if lanes == 1 else 1), lanes=lanes)

    def _unrolled(self, loop: For, extent: int) -> None:
        self.copies *= extent
        for number in range(extent):
            self._at(loop, index(number), first=number == 0)
        self.copies //= extent

    def _serial(self, loop: For) -> None:
        zero, one = (ir.Constant(INDEX_TYPE, number) for number in (0, 1))
        extent = self._expressions.scalar(loop.extent)
        if not self._peels(loop):
            self._iterate(loop, zero, extent)
            return
        builder = self.context.builder
        with builder.if_then(builder.icmp_signed(">", extent, zero)):
            self._at(loop, index(0))
        self._iterate(loop, one, extent, first=False)

    def _iterate(self, loop: For, begin: ir.Value, end: ir.Value, first: bool = True) -> None:
        with self.counted(begin, end, loop.var.name) as at:
            self._at(loop, LaneValue(at, INDEX), first)

    def _at(self, loop: For, value: LaneValue, first: bool = True, lanes: int | None = None) -> None:
        """The body for one value of the variable, or one a lane; `first` if it may be the first value."""
        begun, self.domain[loop.var.name] = self.begun, loop.extent
        if not first:
            self.begun = begun | self._settled(loop)
        with self.context.bound({loop.var.name: value}, lanes):
            self.write(loop.body)
        self.begun = begun
        del self.domain[loop.var.name]

    def _parallel(self, loop: For) -> None:
        """The loop as a function of a range, which threads call."""
        extent = self._expressions.scalar(loop.extent)
        name, ends = f"{self.context.function.name}.{loop.var.name}", (INDEX_TYPE, INDEX_TYPE)
        inner, captured = outline(self.context, name, ends)
        begin, end = inner.function.args[:2]
        writer = StatementEmitter(
            inner, self.contract, False, self.features, dict(self.domain), self.begun, self.copies
        )
        writer._iterate(loop, begin, end)
        inner.close()
        call_parallel(self.context, inner.function, captured, extent)

    def _peels(self, loop: For) -> bool:
        """Whether the first iteration is written apart, so that no other one asks whether to run an init."""
        inside = list(blocks(loop))
        return len(inside) <= PEELED_BLOCKS and bool(self._settled(loop))

    def _settled(self, loop: For) -> frozenset[str]:
        """The blocks inside that have an init and never run it but in the first iteration."""
        inside = (block for block in blocks(loop) if block.inits and block.name not in self.begun)
        return frozenset(block.name for block in inside if _begins(block, loop.var))

    @contextmanager
    def counted(self, begin: ir.Value, end: ir.Value, name: str) -> Iterator[ir.Value]:
        """A loop over begin … end − 1; gives its counter."""
        builder = self.context.builder
        head, body, after = (builder.append_basic_block(f"{name}.{part}") for part in ("head", "body", "end"))
        before = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        counter = builder.phi(INDEX_TYPE)
        counter.add_incoming(begin, before)
        builder.cbranch(builder.icmp_signed("<", counter, end), body, after)
        builder.position_at_end(body)
        yield counter
        counter.add_incoming(builder.add(counter, ir.Constant(INDEX_TYPE, 1)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)


def _results(stmt: Stmt) -> set[str]:
    """The buffers that a micro-kernel stores to."""
    if not (isinstance(stmt, IntrinsicStmt) and stmt.name in MEANINGS):
        return set()
    return {store.buffer.name for block in blocks(stmt) for store in block.stores}


def _begins(block: Block, variable: Var) -> bool:
    """Whether a reduced index is a sum of loop variables, none subtracted, with this one among them."""
    for it in block.iters:
        position = Affine.of(it.value)
        rising = all(isinstance(atom, Var) and coefficient > 0 for atom, coefficient in position.terms)
        if (
            it.kind is IterKind.REDUCE
            and rising
            and position.constant >= 0
            and position.coefficient(variable.name)
        ):
            return True
    return False
