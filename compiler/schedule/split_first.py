"""split_first: one loop as two, whose first parts are of another size than the others."""

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
from tilewright.compiler.tir.bound import UNBOUNDED, Domain, upper
from tilewright.compiler.tir.expr import Expr, Var, maximum, minimum
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import For, PrimFunc


@dataclass(frozen=True)
class SplitFirst(Primitive):
    """for i in n → for outer: for inner in size, with size = first while loop `at` is at 0, then factor.

    With at = outer, the first part alone is of size `first`. With a loop around, all parts are while that
    loop is at 0, and the others are of size `factor`: what comes before all else is cut finer, or coarser.
    The last part is smaller where the sizes do not divide: no iteration is guarded.
    """

    loop: str
    factor: int
    first: int
    at: str
    outer: str
    inner: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the two loops; the body runs in the same order.

        Raises:
            ScheduleError: if a size is less than 1, `at` is no loop around, or the loop's extent has no
                known bound.
        """
        if min(self.factor, self.first) < 1:
            raise self.refusal(
                function, f"factor and first must be at least 1, not {self.factor} and {self.first}"
            )
        path = find_loop(self, function, self.loop)
        check_fresh(self, function, self.outer, self.inner)
        loop, domain = path[-1], domain_of(path[:-1])
        assert isinstance(loop, For)
        check_whole(self, function, loop)
        self._check_at(function, domain)
        far = max(self.factor, self.first)
        if self.at == self.outer:
            trips, low = self._alone(loop.extent)
        else:
            far *= max(self._most(function, loop.extent, domain), 1)
            trips, low = self._all(loop.extent, far)
        size = minimum(self._either(self.first, self.factor, far), loop.extent - low)
        body = substitute_stmt(loop.body, {self.loop: low + Var(self.inner)})
        inside = For(Var(self.inner), size, body, loop.kind, loop.prefetch)
        nest = For(Var(self.outer), simplify(trips, domain), inside, loop.kind)
        return simplified(edit(function, {id(loop): nest}))

    def _check_at(self, function: PrimFunc, domain: Domain) -> None:
        if self.at not in (self.outer, *domain):
            known = ", ".join((self.outer, *domain))
            raise self.refusal(
                function,
                f"at must be the new outer loop or one around {self.loop}, not {self.at}: name {known}",
            )

    def _most(self, function: PrimFunc, extent: Expr, domain: Domain) -> int:
        most = upper(extent, domain)
        if most >= UNBOUNDED // 2:
            raise self.refusal(
                function, f"{self.loop} must have an extent with a known upper bound: use split by a factor"
            )
        return most

    def _alone(self, extent: Expr) -> tuple[Expr, Expr]:
        """The number of parts and where each begins, if the first one alone differs."""
        longer, outer = self.first - self.factor, Var(self.outer)
        trips = 1 + (maximum(extent - self.first, 0) + (self.factor - 1)) // self.factor
        if longer <= 0:
            return trips, maximum(self.factor * outer + longer, 0)
        return trips, minimum(self.first * outer, self.factor * outer + longer)

    def _all(self, extent: Expr, far: int) -> tuple[Expr, Expr]:
        """The same, if all parts differ while `at` is at 0."""
        outer = Var(self.outer)
        trips = [(extent + (part - 1)) // part for part in (self.first, self.factor)]
        low = self._either(self.first * outer, self.factor * outer, far)
        # More parts if they are smaller.
        return self._either(trips[0], trips[1], far, rises=self.first > self.factor), low

    def _either(self, first: Expr | int, later: Expr | int, far: int, rises: bool | None = None) -> Expr:
        """`first` while `at` is at 0, else `later`, which is less than `far` away; larger, if it rises."""
        away = far * Var(self.at)
        rises = self.first < self.factor if rises is None else rises
        return minimum(first + away, later) if rises else maximum(first - away, later)
