"""Sums of products as micro-kernels see them: loops by the role that the strides of the accesses give them.

    dot   c[row, lane] += int32(a[row, k, q]) · int32(b[k, lane, q])    for rows, reductions, lanes, q in 4
    fma   c[row, lane] += a[row, k] · b[k, lane]                        for rows, reductions, lanes

in any order of the loops, with any number of rows and reductions. `dot` takes uint8 and int8, or int16 in the
place of uint8; `fma` takes floats. Neighbouring lanes are neighbours in c and in b (in units of four bytes in
`dot`), the four of q in a and b.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, Cast, Const, Expr, Var
from tilewright.compiler.tir.printer import print_stmt
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import Block, For, LoopKind, Stmt
from tilewright.compiler.tir.walk import block_indices, constant, substitute, variables

GROUP = 4
"""Products that one lane of a dot instruction adds."""
DOT = "dot"
DOT_FACTORS = [[DType.UINT8, DType.INT8], [DType.INT16, DType.INT8]]
"""Types of a and b."""
FMA = "fma"
MEANINGS = {
    DOT: """\
for row in rows:
    for k in reductions:
        for lane in lanes:
            for q in 4:
                c[row, lane] = c[row, lane] + int32(a[row, k, q]) * int32(b[k, lane, q])
with a of uint8 or int16, b of int8, c of int32""",
    FMA: """\
for row in rows:
    for k in reductions:
        for lane in lanes:
            c[row, lane] = c[row, lane] + a[row, k] * b[k, lane]""",
}
Strides = Callable[[Buffer], tuple[int, ...]]
"""Elements from one index of a buffer to the next, in each dimension."""


class MicroKernelMismatchError(CpuError):
    """A loop nest that is no micro-kernel: the first difference, the loop nest, and what was expected."""


@dataclass(frozen=True)
class ContractionLoop:
    """A loop: one step moves the accesses to a, b and c by that many elements.

    Members:
        name: of its variable.
        extent: steps.
        a, b, c: elements that one step moves.
        is_unrolled: whether its steps are written one behind the other.
    """

    name: str
    extent: Expr
    a: int
    b: int
    c: int
    is_unrolled: bool = False


@dataclass(frozen=True)
class ContractionOperand:
    """An access: `base` is its offset in elements where all loops of the loop nest are at 0."""

    buffer: Buffer
    base: Expr


@dataclass(frozen=True)
class Contraction:
    """A loop nest that is a micro-kernel.

    Members:
        kind: `dot` or `fma`.
        block: the block that adds a product.
        names: of the variables of all loops.
        rows, reductions: loops of several steps, outer first; without the group of `dot`.
        lanes: the loop over neighbours in c.
        a, b, c: the operands; `a` is the same for all lanes.
    """

    kind: str
    block: Block
    names: tuple[str, ...]
    rows: tuple[ContractionLoop, ...]
    reductions: tuple[ContractionLoop, ...]
    lanes: ContractionLoop
    a: ContractionOperand
    b: ContractionOperand
    c: ContractionOperand


def contraction_of(kind: str, stmt: Stmt, domain: Domain, strides: Strides) -> Contraction:
    """The micro-kernel that a loop nest is.

    Args:
        kind: `dot` or `fma`.
        stmt: loops around a block.
        domain: the loops around these.
        strides: of the buffers.

    Raises:
        MicroKernelMismatchError: if it is none.
    """
    if kind not in MEANINGS:
        raise CpuError(f"intrinsic must be one of {', '.join(MEANINGS)}, not {kind!r}")
    try:
        return _matched(kind, stmt, domain, strides)
    except _DifferenceError as difference:
        text = f"no {kind}: {difference}\nthe loop nest:\n{print_stmt(stmt)}\n{kind} does:\n{MEANINGS[kind]}"
        raise MicroKernelMismatchError(text) from None


class _DifferenceError(Exception):
    """The first difference."""


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise _DifferenceError(text)


def _matched(kind: str, stmt: Stmt, domain: Domain, strides: Strides) -> Contraction:
    loops, block = _chain(stmt)
    own = {loop.var.name for loop in loops}
    bent = [loop.var.name for loop in loops if variables(loop.extent) & own]
    _require(
        not bent, f"{', '.join(bent)} must be as long in all of the loop nest: split by a factor that divides"
    )
    inside = {**domain, **{loop.var.name: loop.extent for loop in loops}}
    c = BufferLoad(block.body.buffer, block.body.indices)
    one, other = _factors(kind, block, c)
    accesses = {load: _access(load, block, loops, inside, strides) for load in (c, one, other)}
    unit = GROUP if kind == DOT else 1
    orders = [(one, other)] if kind == DOT else [(one, other), (other, one)]
    for a, b in orders:
        axes = [
            _contraction_loop(loop, *(accesses[load][1][loop.var.name] for load in (a, b, c)))
            for loop in loops
        ]
        # A single lane is one too; where there are several, a loop of one step is none of them.
        lanes = [axis for axis in axes if (axis.a, axis.b, axis.c) == (0, unit, 1)]
        lanes.sort(key=lambda axis: constant(axis.extent) == 1)
        if lanes:
            several = [axis for axis in axes if constant(axis.extent) != 1]
            rows, reductions = _roles(kind, several, lanes[0])
            operands = [ContractionOperand(load.buffer, accesses[load][0]) for load in (a, b, c)]
            names = tuple(loop.var.name for loop in loops)
            return Contraction(kind, block, names, rows, reductions, lanes[0], *operands)
    raise _DifferenceError(f"one loop must move c by 1, b by {unit} and a not at all: {_moves(axes)}")


def _contraction_loop(loop: For, a: int, b: int, c: int) -> ContractionLoop:
    return ContractionLoop(loop.var.name, loop.extent, a, b, c, loop.kind is LoopKind.UNROLL)


def _chain(stmt: Stmt) -> tuple[list[For], Block]:
    loops = []
    while isinstance(stmt, For):
        loops.append(stmt)
        stmt = stmt.body
    _require(
        isinstance(stmt, Block), f"loops around one block are expected, not around {type(stmt).__name__}"
    )
    assert isinstance(stmt, Block)
    _require(not stmt.more, f"block {stmt.name} must store one element, not {len(stmt.stores)}")
    return loops, stmt


def _factors(kind: str, block: Block, c: BufferLoad) -> tuple[BufferLoad, BufferLoad]:
    """a and b of c + a · b; of floats in the order in which they are written."""
    match block.body.value:
        case Binary(op=BinaryOp.ADD, a=left, b=right) if c in (left, right):
            product = right if left == c else left
        case _:
            raise _DifferenceError(f"block {block.name} must add to what it stores")
    if not (isinstance(product, Binary) and product.op is BinaryOp.MUL):
        raise _DifferenceError(f"block {block.name} must add a product")
    if kind == FMA:
        loads = [factor for factor in (product.a, product.b) if isinstance(factor, BufferLoad)]
        _require(len(loads) == 2 and c.dtype.is_float, "the factors must be elements of floats")
        return loads[0], loads[1]
    found = sorted(_widened(product), key=lambda load: load.dtype is DType.INT8)
    dtypes = [load.dtype for load in found]
    _require(
        dtypes in DOT_FACTORS and c.dtype is DType.INT32,
        "the factors must be a uint8 or int16 and an int8 element, converted to int32",
    )
    return found[0], found[1]


def _widened(product: Binary) -> Iterator[BufferLoad]:
    for factor in (product.a, product.b):
        match factor:
            case Cast(type=DType.INT32, value=BufferLoad() as load):
                yield load


def _access(
    load: BufferLoad, block: Block, loops: list[For], domain: Domain, strides: Strides
) -> tuple[Expr, dict[str, int]]:
    """The offset of an element with the loops at 0, and the stride of each loop, in elements."""
    total, values = Affine((), 0), block_indices(block)
    for position, stride in zip(load.indices, strides(load.buffer), strict=True):
        total += Affine.of(simplify(substitute(position, values), domain)).scaled(stride)
    names = {loop.var.name for loop in loops}
    rest = Affine(
        tuple(term for term in total.terms if not (isinstance(term[0], Var) and term[0].name in names)),
        total.constant,
    )
    bent = [atom for atom, _ in rest.terms if variables(atom) & names]
    _require(not bent, f"the indices of {load.buffer.name} must be sums of multiples of loop variables")
    steps = {name: total.coefficient(name) for name in names}
    return rest.expr(), steps


def _roles(
    kind: str, axes: list[ContractionLoop], lanes: ContractionLoop
) -> tuple[tuple[ContractionLoop, ...], tuple[ContractionLoop, ...]]:
    """The loops over rows, and those that reduce."""
    rows = tuple(axis for axis in axes if axis.c and axis is not lanes)
    for axis in rows:
        _require(axis.b == 0, f"loop {axis.name} moves results and b: leave it outside")
    reductions = [axis for axis in axes if not axis.c]
    if kind == DOT:
        groups = [axis for axis in reductions if axis.a == axis.b == 1 and axis.extent == Const(GROUP)]
        _require(len(groups) == 1, f"one loop of 4 steps must move a and b by 1: {_moves(reductions)}")
        reductions.remove(groups[0])
    return rows, tuple(reductions)


def _moves(axes: list[ContractionLoop]) -> str:
    return "; ".join(f"{axis.name} moves a, b, c by {axis.a}, {axis.b}, {axis.c}" for axis in axes)
