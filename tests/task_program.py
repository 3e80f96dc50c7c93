"""Scheduled loop programs for tests of the accelerator's passes, written by hand as schedules leave them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    ElementFunction,
    Expr,
    ExprLike,
    Select,
    Var,
    as_expr,
    both,
    minimum,
)
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    Iter,
    IterKind,
    LoopKind,
    PrimFunc,
    Seq,
    Stmt,
)

_fresh = count()


def fresh(name: str) -> str:
    return f"{name}_{next(_fresh)}"


def buffer(
    name: str, shape: Sequence[ExprLike], scope: MemoryScope = MemoryScope.GLOBAL, depth: int = 1
) -> Buffer:
    """Of the type that the scope holds; a global one is int8."""
    wide = scope in (MemoryScope.ACCUMULATOR, MemoryScope.PARAMETER, MemoryScope.LANE)
    dtype = DType.INT32 if wide else DType.INT8
    return Buffer(name, tuple(as_expr(extent) for extent in shape), dtype, scope, depth)


def wide(name: str, shape: Sequence[ExprLike]) -> Buffer:
    """A global buffer of int32."""
    return Buffer(name, tuple(as_expr(extent) for extent in shape), DType.INT32)


def at(source: Buffer, *indices: ExprLike) -> BufferLoad:
    return BufferLoad(source, tuple(as_expr(index) for index in indices))


def as_int32(value: Expr) -> Expr:
    return Cast(DType.INT32, value)


def int32(value: int) -> Const:
    return Const(value, DType.INT32)


def int8(value: int) -> Const:
    return Const(value, DType.INT8)


def nest(extents: Sequence[ExprLike], body: Callable[..., Stmt], kind: LoopKind = LoopKind.SERIAL) -> Stmt:
    """Loops of these extents around what `body` makes of their variables."""
    variables = [Var(fresh("i")) for _ in extents]
    stmt = body(*variables)
    for var, extent in zip(reversed(variables), reversed(extents), strict=True):
        stmt = For(var, as_expr(extent), stmt, kind)
    return stmt


def assign(target: BufferLoad, value: Expr) -> Block:
    return Block(fresh("block"), (), BufferStore(target.buffer, target.indices, value))


def accumulate(
    target: BufferLoad, item: Expr, reduced: Sequence[ExprLike], init: int = 0, op=BinaryOp.ADD
) -> Block:
    """target = op(target, item), from `init` on where all of `reduced` are 0."""
    iters = tuple(Iter(Var(fresh("r")), IterKind.REDUCE, as_expr(value)) for value in reduced)
    start = BufferStore(target.buffer, target.indices, Const(init, target.dtype))
    body = BufferStore(target.buffer, target.indices, Binary(op, target, item))
    return Block(fresh("block"), iters, body, start)


def copy(target: Buffer, extents: Sequence[ExprLike], source: Callable[..., Expr]) -> Stmt:
    """All of a buffer from elements that `source` names by the indices."""
    return nest(extents, lambda *index: assign(at(target, *index), source(*index)))


def scaled(t: Expr, parameters: Buffer, first: Sequence[ExprLike], lane: Expr, zero_point: int = 3) -> Expr:
    """int8 of t with bias, requantised, clamped; the parameters are at `first` and behind."""
    *outer, vector = [as_expr(index) for index in first]
    bias, scale = (at(parameters, *outer, vector + step, lane) for step in range(2))
    y = ElementCall(
        ElementFunction.REQUANTISE,
        (ElementCall(ElementFunction.SATURATING_ADD, (t, bias), DType.INT32), scale),
        DType.INT32,
    )
    low = Binary(BinaryOp.MAX, y + zero_point, int32(-100))
    return Cast(DType.INT8, Binary(BinaryOp.MIN, low, int32(101)))


def allocated(buffers: Sequence[Buffer], *body: Stmt) -> Stmt:
    stmt: Stmt = Seq(tuple(body)) if len(body) > 1 else body[0]
    for item in reversed(buffers):
        stmt = Allocate(item, stmt)
    return stmt


@dataclass(frozen=True)
class Conv:
    """A convolution over one batch, tiled over results with tails; `threads` tiles of rows at a time."""

    rows: int = 4
    cols: int = 4
    in_blocks: int = 2
    out_blocks: int = 2
    height: int = 6
    width: int = 5
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    dilation: int = 1
    pad: int = 1
    tile: tuple[int, int] = (2, 3)
    depth: int = 2
    threads: int = 1
    zero_point: int = -7

    def size(self, length: int, kernel: int) -> int:
        return (length + 2 * self.pad - self.dilation * (kernel - 1) - 1) // self.stride + 1

    def reach(self, length: ExprLike, kernel: int) -> Expr:
        """Rows or columns of the input that results need."""
        return (as_expr(length) - 1) * self.stride + (kernel - 1) * self.dilation + 1

    @property
    def slices(self) -> int:
        return self.cols // self.rows

    def program(self) -> PrimFunc:
        (kh, kw), c = self.kernel, self.cols
        out_shape = (self.out_blocks, self.size(self.height, kh), self.size(self.width, kw), c)
        self_in = (self.in_blocks, self.height, self.width, c)
        x, y = buffer("x", self_in), buffer("y", out_shape)
        k = self.in_blocks * self.slices
        w = buffer("w", (self.out_blocks, kh, kw, k, self.rows, c))
        p = wide("p", (self.out_blocks, 2, c))

        def tile(ob: Var, yo: Expr, xo: Var) -> Stmt:
            return self._tile((x, w, p, y), ob, yo, xo)

        return PrimFunc("conv", (x, w, p, y), 1, self._loops(out_shape, tile))

    def _loops(self, out_shape: Sequence[int], tile: Callable[[Var, Expr, Var], Stmt]) -> Stmt:
        rows, columns = (-(-size // step) for size, step in zip(out_shape[1:3], self.tile, strict=True))
        if self.threads == 1:
            return nest([self.out_blocks, rows, columns], tile)
        assert rows % self.threads == 0

        def threaded(ob: Var, group: Var) -> Stmt:
            inner = lambda t: nest([columns], lambda xo: tile(ob, group * self.threads + t, xo))  # noqa: E731
            return nest([self.threads], inner, LoopKind.VIRTUAL_THREAD)

        return nest([self.out_blocks, rows // self.threads], threaded)

    def _tile(self, buffers: Sequence[Buffer], ob: Var, yo: Expr, xo: Var) -> Stmt:
        x, w, p, y = buffers
        (kh, kw), (rows, columns), c = self.kernel, self.tile, self.cols
        th = minimum(rows, y.shape[1] - yo * rows)
        tw = minimum(columns, y.shape[2] - xo * columns)
        names = {name: fresh(name) for name in ("sums", "input", "weights", "params", "result")}
        sums = buffer(names["sums"], (th, tw, c), MemoryScope.ACCUMULATOR, self.depth)
        halo = (1, self.reach(th, kh), self.reach(tw, kw), c)
        xa = buffer(names["input"], halo, MemoryScope.ACTIVATION, self.depth)
        wa = buffer(names["weights"], (kh, kw, self.slices, self.rows, c), MemoryScope.WEIGHT, 2 * self.depth)
        pa = buffer(names["params"], (2, c), MemoryScope.PARAMETER, self.depth)
        oa = buffer(names["result"], (th, tw, c), MemoryScope.ACTIVATION, self.depth)
        y0, x0 = yo * (rows * self.stride) - self.pad, xo * (columns * self.stride) - self.pad

        def inside(kb: Expr, iy: Expr, ix: Expr, lane: Expr) -> Expr:
            row, column = iy + y0, ix + x0
            borders = both([row >= 0, row < self.height, column >= 0, column < self.width])
            return Select(borders, at(x, kb, row, column, lane), int8(self.zero_point))

        def step(kb: Var) -> Stmt:
            fill = copy(xa, halo, lambda z, iy, ix, lane: inside(kb + z, iy, ix, lane))
            weights = copy(
                wa, wa.shape, lambda ky, kx, s, r, lane: at(w, ob, ky, kx, kb * self.slices + s, r, lane)
            )
            product = nest(
                [th, tw, kh, kw, self.slices, self.rows, c], lambda *v: self._product(kb, *v, sums, xa, wa)
            )
            return allocated([xa, wa], fill, weights, product)

        params = copy(pa, pa.shape, lambda v, lane: at(p, ob, v, lane))
        finish = nest(
            [th, tw, c],
            lambda i, j, lane: assign(at(oa, i, j, lane), scaled(at(sums, i, j, lane), pa, (0,), lane)),
        )
        out = nest(
            [th, tw, c],
            lambda i, j, lane: assign(at(y, ob, yo * rows + i, xo * columns + j, lane), at(oa, i, j, lane)),
        )
        reduce = nest([self.in_blocks], step)
        return allocated([sums], reduce, allocated([pa, oa], params, finish, out))

    def _product(self, kb, i, j, ky, kx, s, r, lane, sums: Buffer, xa: Buffer, wa: Buffer) -> Stmt:
        row, column = i * self.stride + ky * self.dilation, j * self.stride + kx * self.dilation
        item = as_int32(at(xa, 0, row, column, s * self.rows + r)) * as_int32(at(wa, ky, kx, s, r, lane))
        return accumulate(at(sums, i, j, lane), item, [ky, kx, kb * self.slices + s, r])
