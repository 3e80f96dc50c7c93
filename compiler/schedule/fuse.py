"""fuse: two loops as one."""

from dataclasses import dataclass

from tilewright.compiler.schedule.loop_nest import (
    check_fresh,
    check_whole,
    edit,
    find_loop,
    simplified,
    substitute_stmt,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.expr import Var
from tilewright.compiler.tir.stmt import For, LoopKind, PrefetchHint, PrimFunc
from tilewright.compiler.tir.walk import constant


@dataclass(frozen=True)
class Fuse(Primitive):
    """for outer in m: for inner in n → for name in m · n, with outer = name // n and inner = name % n."""

    outer: str
    inner: str
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with one loop for the two; the body runs in the same order.

        Raises:
            ScheduleError: if `inner` is not directly inside of `outer`, or its extent is not a constant
                from 1.
        """
        outer = find_loop(self, function, self.outer)[-1]
        inner = find_loop(self, function, self.inner)[-1]
        assert isinstance(outer, For)
        assert isinstance(inner, For)
        check_fresh(self, function, self.name)
        if outer.body is not inner:
            raise self.refusal(
                function, f"{self.inner} must be directly inside of {self.outer}: reorder first"
            )
        for loop in (outer, inner):
            check_whole(self, function, loop)
        count = constant(inner.extent)
        if count is None or count < 1:
            raise self.refusal(
                function,
                f"the extent of {self.inner} must be constant, at least 1: fuse first, or split by a factor "
                "that divides",
            )
        fused = Var(self.name)
        body = substitute_stmt(inner.body, {self.outer: fused // count, self.inner: fused % count})
        kind = outer.kind if outer.kind is inner.kind else LoopKind.SERIAL
        hints = (PrefetchHint(hint.buffer, hint.distance * count) for hint in outer.prefetch)
        merged = For(fused, outer.extent * count, body, kind, (*inner.prefetch, *hints))
        return simplified(edit(function, {id(outer): merged}))
