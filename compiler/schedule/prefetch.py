"""prefetch: a cache asked for what later iterations read."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import edit, find_loop, readers
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.stmt import Allocate, For, PrefetchHint, PrimFunc
from tilewright.compiler.tir.walk import statements


@dataclass(frozen=True)
class Prefetch(Primitive):
    """Iteration i of a loop asks for what iteration i + distance reads of a buffer; a hint, not a copy."""

    buffer: str
    loop: str
    distance: int

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose loop carries the hint.

        Raises:
            ScheduleError: if distance is less than 1, or the loop does not read the buffer, allocated
                outside of it.
        """
        loop = find_loop(self, function, self.loop)[-1]
        assert isinstance(loop, For)
        inside = {stmt.buffer.name for stmt in statements(loop) if isinstance(stmt, Allocate)}
        if self.distance < 1 or self.buffer in inside or not readers(loop, self.buffer):
            raise self.refusal(
                function,
                f"the distance must be at least 1, not {self.distance}, and {self.loop} read "
                f"{self.buffer}, allocated outside of it: use cache_read for a copy in the loop",
            )
        hint = PrefetchHint(self.buffer, self.distance)
        return edit(function, {id(loop): replace(loop, prefetch=(*loop.prefetch, hint))})
