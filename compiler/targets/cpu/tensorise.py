"""tensorise: a loop nest becomes a micro-kernel of the host."""

from dataclasses import dataclass

from tilewright.compiler.schedule.loop_nest import domain_of, edit, find_loop
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.targets.cpu.contraction import contraction_of
from tilewright.compiler.tir.bound import upper
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.stmt import IntrinsicStmt, PrimFunc


@dataclass(frozen=True)
class Tensorise(Primitive):
    """The loop nest of a loop is a micro-kernel, `dot` or `fma` (`targets/cpu/contraction.py`), on any host.

    Results stay in registers over all reduction loops. The loop nest stays as the meaning of the intrinsic.
    """

    loop: str
    intrinsic: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function in which the loop nest is an intrinsic.

        Raises:
            MicroKernelMismatchError: if the loop nest is another one.
        """
        path = find_loop(self, function, self.loop)
        domain = domain_of(path[:-1])

        def strides(buffer: Buffer) -> tuple[int, ...]:
            return buffer.strides(tuple(upper(extent, domain) for extent in buffer.shape))

        contraction_of(self.intrinsic, path[-1], domain, strides)
        return edit(function, {id(path[-1]): IntrinsicStmt(self.intrinsic, path[-1])})
