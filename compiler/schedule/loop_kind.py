"""unroll, vectorise, parallel, virtual_thread: how the iterations of a loop run."""

from dataclasses import dataclass, replace
from typing import ClassVar

from tilewright.compiler.schedule.loop_nest import (
    edit,
    find_free_loop,
    find_loop,
    in_order_over,
    reduces_over,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.stmt import For, LoopKind, PrimFunc
from tilewright.compiler.tir.walk import blocks


@dataclass(frozen=True)
class _Kind(Primitive):
    loop: str
    kind: ClassVar[LoopKind]
    in_order: ClassVar[bool] = False
    """Whether the iterations still run one after the other, so that a reduction may be among them."""

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose loop is of this kind; a loop that a block reduces over must stay in order."""
        loop = self._loop(function)
        for block in blocks(loop):
            if not self.in_order and in_order_over(block, self.loop):
                raise self.refusal(
                    function,
                    f"{self.loop} must not run in order ({block.name} does, over it): "
                    "name one of its other loops",
                )
            if not self.in_order and reduces_over(block, self.loop):
                raise self.refusal(
                    function,
                    f"{self.loop} must not reduce ({block.name} does, over it): name one of its other loops",
                )
        return edit(function, {id(loop): replace(loop, kind=self.kind)})

    def _loop(self, function: PrimFunc) -> For:
        if not self.in_order:
            return find_free_loop(self, function, self.loop)
        loop = find_loop(self, function, self.loop)[-1]
        assert isinstance(loop, For)
        return loop


@dataclass(frozen=True)
class Unroll(_Kind):
    """The body once for each iteration."""

    kind = LoopKind.UNROLL
    in_order = True


@dataclass(frozen=True)
class Vectorise(_Kind):
    """All iterations at once, one a lane."""

    kind = LoopKind.VECTORISE


@dataclass(frozen=True)
class Parallel(_Kind):
    """Iterations on several processors."""

    kind = LoopKind.PARALLEL


@dataclass(frozen=True)
class VirtualThread(_Kind):
    """Iterations interleaved: each has buffers of its own, so that one computes while another loads."""

    kind = LoopKind.VIRTUAL_THREAD
