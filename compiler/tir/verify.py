"""The rules of loop programs: names are unique and bound, types agree, each dimension has one index."""

from dataclasses import dataclass, field

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.tir.bound import lower, upper
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.element_function import result_type
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, ElementCall, Expr, Select, Var
from tilewright.compiler.tir.printer import print_buffer, print_expr, print_function
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    Break,
    BufferStore,
    Continue,
    Extern,
    For,
    IfThenElse,
    IntrinsicStmt,
    IterKind,
    Opaque,
    PrimFunc,
    Procedure,
    Seq,
    Stmt,
    While,
)
from tilewright.compiler.tir.walk import constant, operands, variables


def verify(function: PrimFunc) -> None:
    """Refuse a function that breaks a rule.

    Raises:
        TirError: naming the first broken rule and where, with the function as text below it.
    """
    try:
        _Verifier.of(function).statement(function.body)
    except TirError as error:
        raise TirError(f"{function.name}: {error}\n{print_function(function)}") from None


@dataclass
class _Verifier:
    """The declarations around the current statement."""

    buffers: dict[str, Buffer] = field(default_factory=dict)
    domain: dict[str, Expr] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    used_names: dict[str, set[str]] = field(default_factory=dict)
    procedure: str | None = None
    """The one around, if there is one."""
    loops: int = 0
    """The number of enclosing loops of the procedure."""

    @staticmethod
    def of(function: PrimFunc) -> "_Verifier":
        _require(0 <= function.outputs <= len(function.parameters), "outputs must be the last parameters")
        count = len(function.parameters) - function.outputs
        verifier = _Verifier(inputs={buffer.name for buffer in function.parameters[:count]})
        for buffer in function.parameters:
            verifier.declare("buffer", buffer.name)
            verifier.buffers[buffer.name] = buffer
            constant_shape = all(constant(extent) is not None for extent in buffer.shape)
            _require(constant_shape, "parameter {} must have a constant shape", buffer.name)
            _require(buffer.scope is MemoryScope.GLOBAL, "parameter {} must be global", buffer.name)
        return verifier

    def declare(self, kind: str, name: str) -> None:
        names = self.used_names.setdefault(kind, set())
        _require(name not in names, "the name of {} {} must be unique in the function", kind, name)
        names.add(name)

    def statement(self, stmt: Stmt) -> None:
        if isinstance(stmt, IfThenElse | While | Break | Continue):
            self._flow(stmt)
            return
        if isinstance(stmt, Block | Opaque):
            text = "{} must not be in procedure {}, which holds no blocks: store elements"
            _require(self.procedure is None, text, stmt.name, self.procedure)
        match stmt:
            case For():
                self._loop(stmt)
            case Seq(body=body):
                for child in body:
                    self.statement(child)
            case Allocate():
                self._allocate(stmt)
            case IntrinsicStmt(body=body):
                self.statement(body)
            case Block():
                self._block(stmt)
            case BufferStore():
                self._store(stmt)
            case Extern():
                self._opaque(stmt)
            case Procedure():
                self._procedure(stmt)
            case _:
                raise TypeError(f"stmt must be a statement of loop programs, not {stmt!r}")

    def _loop(self, loop: For) -> None:
        name = loop.var.name
        self.declare("variable", name)
        self._index(loop.extent, "the extent of loop", name)
        for hint in loop.prefetch:
            text = "the distance of prefetching {} in loop {} must be at least 1"
            _require(hint.distance >= 1, text, hint.buffer, name)
        self.domain[name] = loop.extent
        self.bound.add(name)
        self._inside(loop.body)
        del self.domain[name]
        self.bound.remove(name)

    def _inside(self, body: Stmt) -> None:
        """The body of a loop."""
        self.loops += 1
        self.statement(body)
        self.loops -= 1

    def _flow(self, stmt: IfThenElse | While | Break | Continue) -> None:
        """Check statements whose flow depends on elements, and those that leave a loop."""
        word = type(stmt).__name__.lower()
        _require(self.procedure is not None, "{} must be in a procedure: schedules do not see it", word)
        if isinstance(stmt, IfThenElse | While):
            self._expr(stmt.condition, guarded=False)
            _require_type(DType.BOOL, stmt.condition.dtype, "the condition {}", stmt.condition)
        match stmt:
            case IfThenElse(then=then, otherwise=otherwise):
                self.statement(then)
                if otherwise is not None:
                    self.statement(otherwise)
            case While(body=body):
                self._inside(body)
            case _:
                _require(self.loops > 0, "{} must be in a loop of procedure {}", word, self.procedure)

    def _allocate(self, stmt: Allocate) -> None:
        name = stmt.buffer.name
        self.declare("buffer", name)
        for extent in stmt.buffer.shape:
            self._index(extent, "the shape of", name)
        _require(stmt.buffer.depth >= 1, "the depth of {} must be at least 1", name)
        for align in stmt.buffer.align:
            inside = 0 <= align.axis < len(stmt.buffer.shape) and align.factor >= 1
            _require(inside, "{} must align axes that it has, to factors of at least 1", stmt.buffer)
        self.buffers[name] = stmt.buffer
        self.statement(stmt.body)
        del self.buffers[name]

    def _block(self, block: Block) -> None:
        self.declare("block", block.name)
        for it in block.iters:
            self.declare("variable", it.var.name)
            self._index(it.value, "index", it.var.name)
        inside = {it.var.name for it in block.iters}
        self.bound |= inside
        for store in (*block.stores, *block.inits):
            self._store(store)
        self._check_stores(block)
        self._check_reduction(block)
        self.bound -= inside

    def _check_stores(self, block: Block) -> None:
        names = {store.buffer.name for store in block.stores}
        _require(len(names) == len(block.stores), "block {} must store to each buffer once", block.name)
        elements = [[(s.buffer, s.indices) for s in stores] for stores in (block.stores, block.inits)]
        same = elements[0] == elements[1] or not (block.inits or block.more_init)
        _require(same, "the init of block {} must store to the element of its body", block.name)

    def _procedure(self, stmt: Procedure) -> None:
        """Check a procedure: of the buffers around it uses the named ones only, and writes `writes` only."""
        self._opaque(stmt)
        outside, self.buffers = self.buffers, {b.name: b for b in (*stmt.reads, *stmt.writes)}
        inputs, written = self.inputs, {buffer.name for buffer in stmt.writes}
        self.inputs = {buffer.name for buffer in stmt.reads} - written
        loops, self.loops, self.procedure = self.loops, 0, stmt.name
        self.statement(stmt.body)
        self.buffers, self.inputs, self.loops, self.procedure = outside, inputs, loops, None

    def _opaque(self, stmt: Opaque) -> None:
        self.declare("block", stmt.name)
        for buffer in (*stmt.reads, *stmt.writes):
            declared = self.buffers.get(buffer.name)
            _require(declared == buffer, "buffer {} must be allocated around its use, as it is used", buffer)
        for buffer in stmt.writes:
            _require(buffer.name not in self.inputs, "input {} must not be written", buffer.name)

    def _check_reduction(self, block: Block) -> None:
        stored = {n for store in block.stores for index in store.indices for n in variables(index)}
        for it in block.iters:
            if it.kind is IterKind.REDUCE:
                text = "reduced index {} of block {} must not be in the stored element"
                _require(it.var.name not in stored, text, it.var.name, block.name)

    def _store(self, store: BufferStore) -> None:
        self._access(store.buffer, store.indices, guarded=False)
        _require(store.buffer.name not in self.inputs, "input {} must not be written", store.buffer.name)
        self._expr(store.value, guarded=False)
        name = store.buffer.name
        _require_type(store.buffer.dtype, store.value.dtype, "{}, assigned to {},", store.value, name)

    def _index(self, expr: Expr, what: str, name: str) -> None:
        self._expr(expr, guarded=False)
        _require_type(INDEX, expr.dtype, "{} {}", what, name)

    def _access(self, buffer: Buffer, indices: tuple[Expr, ...], guarded: bool) -> None:
        declared = self.buffers.get(buffer.name)
        _require(declared is not None, "buffer {} must be allocated around its use", buffer.name)
        same = declared is buffer or declared == buffer
        _require(same, "buffer {} must be used as it is declared, not as {}", buffer.name, buffer)
        rank = len(buffer.shape)
        _require(len(indices) == rank, "{} must have {} indices, not {}", buffer.name, rank, len(indices))
        for index, extent in zip(indices, buffer.shape, strict=True):
            self._expr(index, guarded)
            _require_type(INDEX, index.dtype, "index {} of {}", index, buffer.name)
            if not guarded:
                self._check_inside(buffer, index, extent)

    def _check_inside(self, buffer: Buffer, index: Expr, extent: Expr) -> None:
        """Refuse a constant outside of the extent; an index that depends on loops is checked when it runs."""
        if constant(index) is None:
            return
        beyond = lower(index - extent, self.domain) >= 0 or upper(index, self.domain) < 0
        _require(not beyond, "index {} of {} must be from 0 to {} - 1", index, buffer.name, extent)

    def _expr(self, expr: Expr, guarded: bool) -> None:
        match expr:
            case Var(name=name):
                _require(name in self.bound, "variable {} must be bound by a loop or a block around it", name)
            case BufferLoad(buffer=buffer, indices=indices):
                self._access(buffer, indices, guarded)
                return
            case Select(condition=condition, then=then, otherwise=otherwise):
                self._expr(condition, guarded)
                self._expr(then, guarded=True)
                self._expr(otherwise, guarded=True)
                _check_types(expr)
                return
        for operand in operands(expr):
            self._expr(operand, guarded)
        _check_types(expr)


def _check_types(expr: Expr) -> None:
    match expr:
        case Binary():
            _check_binary(expr)
        case Select(condition=condition, then=then, otherwise=otherwise):
            _require_type(DType.BOOL, condition.dtype, "the condition {}", condition)
            _require_type(then.dtype, otherwise.dtype, "the second side of {}", expr)
        case ElementCall():
            types = tuple(argument.dtype for argument in expr.arguments)
            accepted = result_type(expr.function, types) is expr.type
            text = "{} must not be {} of ({}): cast its arguments"
            _require(accepted, text, expr, expr.type, ", ".join(types))
        case _:
            pass


def _check_binary(expr: Binary) -> None:
    _require_type(expr.a.dtype, expr.b.dtype, "the second operand of {}", expr)
    if expr.op in (BinaryOp.AND, BinaryOp.OR):
        _require_type(DType.BOOL, expr.a.dtype, "an operand of {}", expr)


def _require_type(wanted: DType, dtype: DType, what: str, *parts: object) -> None:
    if dtype is not wanted:
        _require(False, what + " must be {}, not {}: cast it", *parts, wanted, dtype)


def _require(holds: bool, text: str, *parts: object) -> None:
    """Raise with the parts in the text, where they are printed only then, for it is called very often."""
    if not holds:
        raise TirError(text.format(*(_printed(part) for part in parts)))


def _printed(part: object) -> str:
    if isinstance(part, Expr):
        return print_expr(part)
    return print_buffer(part) if isinstance(part, Buffer) else str(part)
