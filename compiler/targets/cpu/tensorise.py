"""tensorise: a nest becomes a micro-kernel of the host."""

from dataclasses import dataclass

from tilewright.compiler.schedule.loop_nest import domain_of, edit, find_loop
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.targets.cpu.product import product_of
from tilewright.compiler.tir.bound import upper
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.stmt import IntrinsicStmt, PrimFunc


@dataclass(frozen=True)
class Tensorise(Primitive):
    """The nest of a loop is one micro-kernel, `dot` or `fma` (`targets/cpu/product.py`), on any host.

    Its results stay in registers over all folds of the nest. The nest itself stays what it means.
    """

    loop: str
    intrinsic: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """As said above.

        Raises:
            MismatchError: if the nest is another one.
        """
        path = find_loop(self, function, self.loop)
        domain = domain_of(path[:-1])

        def strides(buffer: Buffer) -> tuple[int, ...]:
            return buffer.strides(tuple(upper(extent, domain) for extent in buffer.shape))

        product_of(self.intrinsic, path[-1], domain, strides)
        return edit(function, {id(path[-1]): IntrinsicStmt(self.intrinsic, path[-1])})
