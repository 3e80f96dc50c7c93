"""split: one loop as two, by the size of the parts or by their number."""

from dataclasses import dataclass

from tilewright.compiler.schedule.loop_nest import (
    check_fresh,
    check_whole,
    domain_of,
    edit,
    find_loop,
    simplified,
    substitute_stmt,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.bound import upper
from tilewright.compiler.tir.expr import Const, Expr, Var, minimum
from tilewright.compiler.tir.simplify import is_zero, simplify
from tilewright.compiler.tir.stmt import For, PrimFunc
from tilewright.compiler.tir.walk import constant


@dataclass(frozen=True)
class Split(Primitive):
    """for i in n → for outer in ceil(n / factor): for inner in min(factor, n − factor · outer).

    The last tile is smaller where the factor does not divide: no iteration is guarded.
    """

    loop: str
    factor: int
    outer: str
    inner: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the two loops; the body runs in the same order.

        Raises:
            ScheduleError: if there is no such loop, a name is taken, or the factor is less than 1.
        """
        if self.factor < 1:
            raise self.refusal(function, f"the factor must be at least 1, not {self.factor}")
        path = find_loop(self, function, self.loop)
        check_fresh(self, function, self.outer, self.inner)
        loop = path[-1]
        assert isinstance(loop, For)
        check_whole(self, function, loop)
        outer, inner = Var(self.outer), Var(self.inner)
        body = substitute_stmt(loop.body, {self.loop: self.factor * outer + inner})
        trips, size = self._extents(loop.extent, domain_of(path[:-1]))
        nest = For(outer, trips, For(inner, size, body, loop.kind, loop.prefetch), loop.kind)
        return simplified(edit(function, {id(loop): nest}))

    def _extents(self, extent: Expr, domain: dict[str, Expr]) -> tuple[Expr, Expr]:
        trips = simplify((extent + (self.factor - 1)) // self.factor, domain)
        if upper(extent, domain) <= self.factor:
            return Const(1), extent
        if is_zero(extent % self.factor, domain):
            return trips, Const(self.factor)
        return trips, minimum(self.factor, extent - self.factor * Var(self.outer))


@dataclass(frozen=True)
class SplitParts(Primitive):
    """for i in n → for outer in parts: for inner in ceil(n / parts); as split by this factor.

    The last part is smaller, and there are fewer parts, where that many do not fit.
    """

    loop: str
    parts: int
    outer: str
    inner: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the two loops; the body runs in the same order.

        Raises:
            ScheduleError: if the loop's extent is not constant, or parts is less than 1.
        """
        loop = find_loop(self, function, self.loop)[-1]
        assert isinstance(loop, For)
        extent = constant(loop.extent)
        if extent is None or self.parts < 1:
            raise self.refusal(
                function,
                f"{self.loop} must have a constant extent and parts be at least 1, not {self.parts}: "
                "use split by a factor",
            )
        return Split(self.loop, max(1, -(-extent // self.parts)), self.outer, self.inner).apply(function)
