"""The interface of intrinsics: a loop nest matched once, an instruction for each set of outer variables."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from tilewright.compiler.targets.accel.intrinsic.affine import Env
from tilewright.compiler.targets.accel.intrinsic.geometry import Shapes
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.instruction import Instruction


class Intrinsic(ABC):
    """A loop nest that is one instruction.

    Members:
        name: of the intrinsic.
        operands: the chip buffers, by the field that names each one's address.
        memory: the global buffer of a load or store.

    Raises:
        MismatchError: from the constructor, if the loop nest is not this intrinsic's, whatever the numbers.
    """

    name: ClassVar[str]
    operands: Mapping[str, Buffer]
    memory: Buffer | None = None

    @abstractmethod
    def __init__(self, nest: Nest, limits: Limits) -> None:
        """Match the loop nest."""

    @abstractmethod
    def instruction(self, env: Env, shapes: Shapes) -> Instruction:
        """The instruction with these outer variables, addresses relative to the first of each buffer.

        Args:
            env: values of the variables of the loops around.
            shapes: extents of every buffer used, global ones included.

        Raises:
            MismatchError: if it is not one instruction with these numbers.
        """
