"""Loop programs as text: read like Python, for errors, dumps and goldens."""

from collections.abc import Iterator

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    Expr,
    Select,
    Var,
)
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
    Iter,
    IterKind,
    LoopKind,
    Opaque,
    Pipelining,
    PrimFunc,
    Procedure,
    Seq,
    Stmt,
    While,
)

_INDENT = "    "
_PRECEDENCE = {
    BinaryOp.OR: 1,
    BinaryOp.AND: 2,
    BinaryOp.LT: 3,
    BinaryOp.LE: 3,
    BinaryOp.EQ: 3,
    BinaryOp.NE: 3,
    BinaryOp.ADD: 4,
    BinaryOp.SUB: 4,
    BinaryOp.MUL: 5,
    BinaryOp.FLOORDIV: 5,
    BinaryOp.MOD: 5,
}
"""How tightly operators bind; minimum and maximum are printed as calls."""


def print_function(function: PrimFunc) -> str:
    """The function as text, without a newline at its end."""
    inputs = len(function.parameters) - function.outputs
    taken = ", ".join(print_buffer(buffer) for buffer in function.parameters[:inputs])
    given = ", ".join(print_buffer(buffer) for buffer in function.parameters[inputs:])
    head = f"function {function.name}({taken}) -> ({given}):"
    return "\n".join([head, *(_INDENT + line for line in _lines(function.body))])


def print_stmt(stmt: Stmt) -> str:
    """A statement as text, without a newline at its end."""
    return "\n".join(_lines(stmt))


def print_buffer(buffer: Buffer) -> str:
    """name: type[shape], with its scope and depth where they are not the defaults."""
    text = f"{buffer.name}: {buffer.dtype}[{_list(buffer.shape)}]"
    if buffer.scope is not MemoryScope.GLOBAL:
        text += f" {buffer.scope}"
    if buffer.depth != 1:
        text += f" x{buffer.depth}"
    return text + "".join(f" align({a.axis}, {a.factor}, {a.offset})" for a in buffer.align)


def print_expr(expr: Expr) -> str:
    """An expression as text."""
    match expr:
        case Const(value=value):
            return str(value)
        case Var(name=name):
            return name
        case Binary():
            return _binary(expr)
        case Select(condition=condition, then=then, otherwise=otherwise):
            return f"select({_list((condition, then, otherwise))})"
        case Cast(type=dtype, value=value):
            return f"{dtype}({print_expr(value)})"
        case BufferLoad(buffer=buffer, indices=indices):
            return f"{buffer.name}[{_list(indices)}]"
        case ElementCall(function=function, arguments=arguments):
            return f"{function}({_list(arguments)})"
        case _:
            return repr(expr)


def _binary(expr: Binary) -> str:
    if expr.op in (BinaryOp.MIN, BinaryOp.MAX):
        return f"{expr.op}({_list((expr.a, expr.b))})"
    own = _PRECEDENCE[expr.op]
    # Comparisons do not associate; the right side of a - (b + c) keeps its parentheses.
    left = _inside(expr.a, own + expr.op.is_comparison)
    return f"{left} {expr.op} {_inside(expr.b, own + 1)}"


def _inside(expr: Expr, least: int) -> str:
    text = print_expr(expr)
    loose = isinstance(expr, Binary) and _PRECEDENCE.get(expr.op, least) < least
    return f"({text})" if loose else text


def _list(exprs: tuple[Expr, ...]) -> str:
    return ", ".join(print_expr(expr) for expr in exprs)


def _lines(stmt: Stmt) -> Iterator[str]:
    match stmt:
        case For(var=var, extent=extent, body=body, kind=kind, prefetch=prefetch, pipelining=pipelining):
            loop = "range" if kind is LoopKind.SERIAL else kind
            hints = "".join(f" prefetch({hint.buffer}, {hint.distance})" for hint in prefetch)
            order = "" if pipelining is None else f" {_pipelining(pipelining)}"
            yield f"for {var.name} in {loop}({print_expr(extent)}):{hints}{order}"
            yield from _inner(body)
        case Seq(body=()):
            yield "pass"
        case Seq(body=body):
            for child in body:
                yield from _lines(child)
        case Allocate(buffer=buffer, body=body):
            yield f"allocate {print_buffer(buffer)}"
            yield from _lines(body)
        case IntrinsicStmt(name=name, body=body):
            yield f"intrinsic {name}:"
            yield from _inner(body)
        case Extern():
            yield f"extern {_signature(stmt)}"
        case Procedure(body=body):
            yield f"procedure {_signature(stmt)}:"
            yield from _inner(body)
        case IfThenElse() | While():
            yield from _flow(stmt)
        case Break() | Continue():
            yield type(stmt).__name__.lower()
        case Block():
            yield from _block(stmt)
        case BufferStore():
            yield _store(stmt)
        case _:
            yield repr(stmt)


def _pipelining(pipelining: Pipelining) -> str:
    stages = ", ".join(f"{stage.block} + {stage.offset}" for stage in pipelining.stages)
    return f"pipeline({stages}; across {pipelining.across}, drain + {pipelining.drain})"


def _signature(stmt: Opaque) -> str:
    taken, filled = (", ".join(buffer.name for buffer in buffers) for buffers in (stmt.reads, stmt.writes))
    return f"{stmt.name}({taken}) -> ({filled})"


def _flow(stmt: IfThenElse | While) -> Iterator[str]:
    condition = print_expr(stmt.condition)
    if isinstance(stmt, While):
        yield f"while {condition}:"
        yield from _inner(stmt.body)
        return
    yield f"if {condition}:"
    yield from _inner(stmt.then)
    if stmt.otherwise is not None:
        yield "else:"
        yield from _inner(stmt.otherwise)


def _inner(stmt: Stmt) -> Iterator[str]:
    return (_INDENT + line for line in _lines(stmt))


def _block(block: Block) -> Iterator[str]:
    yield f"block {block.name}({', '.join(_iter(it) for it in block.iters)}):"
    for stores, word in ((block.inits, "init "), (block.stores, "")):
        if stores:
            yield _INDENT + word + _stores(stores)


def _iter(it: Iter) -> str:
    prefix = "" if it.kind is IterKind.SPATIAL else f"{it.kind} "
    return f"{prefix}{it.var.name} = {print_expr(it.value)}"


def _store(store: BufferStore) -> str:
    return _stores((store,))


def _stores(stores: tuple[BufferStore, ...]) -> str:
    """All at the same time, as Python assigns tuples."""
    targets = ", ".join(f"{store.buffer.name}[{_list(store.indices)}]" for store in stores)
    return f"{targets} = {', '.join(_value(store.value) for store in stores)}"


def _value(value: Expr) -> str:
    text = print_expr(value)
    return f"{value.dtype}({text})" if isinstance(value, Const) and value.dtype is not INDEX else text
