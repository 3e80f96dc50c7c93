"""Products of two int8 activations as matrices, group by group, each packed as micro-kernels read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, Parallel, Primitive, Reorder, Split, Vectorise, apply
from tilewright.compiler.targets.cpu.contraction import DOT, GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.padded_feature_map import SIGN
from tilewright.compiler.targets.cpu.operator.register_tile import even, panel_lanes, rows_at_once
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.te import Tensor, cast, compute, lower, placeholder, reduce_axis, select, sum_of
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc


@dataclass(frozen=True)
class ActivationProduct:
    """x [groups, pixels, depth] · w [groups, columns, outputs], of whose columns the first `depth` count.

    Members:
        groups, pixels, depth, columns, outputs: sizes.
        features: of the machine.
    """

    groups: int
    pixels: int
    depth: int
    columns: int
    outputs: int
    features: Features

    @property
    def lanes(self) -> int:
        """Of a panel."""
        return panel_lanes(self.outputs, False, self.features)

    @property
    def panels(self) -> int:
        return -(-self.outputs // self.lanes)

    @property
    def steps(self) -> int:
        """Of the reduction."""
        return -(-self.depth // GROUP)

    def function(self, inputs: Sequence[Tensor], finish: Callable[..., Expr], parts: int = 1) -> PrimFunc:
        """The scheduled loops: x, w and what `finish` reads -> int8 [groups, pixels / parts, outputs].

        Args:
            inputs: what `finish` reads.
            finish: from the sums of a pixel of the result, one of each part, to its element.
            parts: neighbouring pixels that become one.
        """
        x = placeholder((self.groups, self.pixels, self.depth), DType.INT8, "x")
        w = placeholder((self.groups, self.columns, self.outputs), DType.INT8, "w")
        sums = self._sums(self._rows(x), self._panels(w), self._starts(w))
        shape = (self.groups, self.pixels // parts, self.outputs)

        def element(g: Expr, p: Expr, o: Expr) -> Expr:
            pixels = [p] if parts == 1 else [p * parts + part for part in range(parts)]
            return finish(*(sums[g, o // self.lanes, pixel, o % self.lanes] for pixel in pixels))

        return apply(lower("products", [x, w, *inputs], [compute(shape, element, "result")]), self._order())

    def _rows(self, x: Tensor) -> Tensor:
        """x with 128 more, in the type that micro-kernels multiply; behind it what is multiplied with 0."""
        dtype = DType.INT16 if self.features.pairs_shorts else DType.UINT8

        def element(g: Expr, p: Expr, i: Expr) -> Expr:
            own = cast(x[g, p, i], DType.INT32) + SIGN
            return cast(own if self.depth % GROUP == 0 else select(i < self.depth, own, 0), dtype)

        return compute((self.groups, self.pixels, self.steps * GROUP), element, "rows")

    def _panels(self, w: Tensor) -> Tensor:
        def element(g: Expr, p: Expr, k: Expr, q: Expr, n: Expr) -> Expr:
            return self._weight(w, g, k * GROUP + q, p * self.lanes + n)

        turned = compute((self.groups, self.panels, self.steps, GROUP, self.lanes), element, "turned")
        shape = (self.groups, self.panels, self.steps, self.lanes, GROUP)
        return compute(shape, lambda g, p, k, n, q: turned[g, p, k, q, n], "panels")

    def _weight(self, w: Tensor, g: Expr, i: Expr, o: Expr) -> Expr:
        """An element, or 0 where there is none."""
        value = w[g, i, o]
        if self.depth % GROUP:
            value = select(i < self.depth, value, 0)
        return select(o < self.outputs, value, 0) if self.outputs % self.lanes else value

    def _starts(self, w: Tensor) -> Tensor:
        """What takes the 128 out of the sums again."""
        i = reduce_axis(self.depth, "i")

        def total(g: Expr, p: Expr, n: Expr) -> Expr:
            o = p * self.lanes + n
            value = w[g, i, o]
            if self.outputs % self.lanes:
                value = select(o < self.outputs, value, 0)
            return sum_of(cast(value, DType.INT32) * -SIGN, i)

        return compute((self.groups, self.panels, self.lanes), total, "starts")

    def _sums(self, rows: Tensor, panels: Tensor, starts: Tensor) -> Tensor:
        k, q = reduce_axis(self.steps, "k"), reduce_axis(GROUP, "q")

        def total(g: Expr, p: Expr, m: Expr, n: Expr) -> Expr:
            product = cast(rows[g, m, k * GROUP + q], DType.INT32) * cast(panels[g, p, k, n, q], DType.INT32)
            return sum_of(product, (k, q), init=starts[g, p, n])

        return compute((self.groups, self.panels, self.pixels, self.lanes), total, "sums")

    def _order(self) -> list[Primitive]:
        """A group at a time, which threads share; what is packed for it stays near."""
        most = rows_at_once(self.lanes, False, self.features)
        stages = ("sums", "starts", "panels", "turned", "rows")
        return [
            Split("result_o", self.lanes, "panel", "lane"),
            Vectorise("lane"),
            *(ComputeAt(stage, "result_g") for stage in stages),
            Vectorise("rows_i"),
            Vectorise("turned_n"),
            Reorder(("panels_k", "panels_q", "panels_n")),
            Vectorise("panels_n"),
            Reorder(("starts_i", "starts_n")),
            Vectorise("starts_n"),
            Split("sums_m", even(self.pixels, most), "sums_tile", "sums_row"),
            Reorder(("sums_p", "sums_tile", "sums_row", "sums_k", "sums_n", "sums_q")),
            Tensorise("sums_row", DOT),
            Parallel("result_g"),
        ]
