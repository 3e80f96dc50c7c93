"""The store intrinsic: global[…] = chip[…]."""

from typing import ClassVar

from tilewright.compiler.targets.accel.intrinsic.affine import Env
from tilewright.compiler.targets.accel.intrinsic.axis import StridedLoop, fitted, in_units, merged
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Key, Pattern, Shapes
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest
from tilewright.compiler.targets.accel.intrinsic.transfer import CHIP, OUTSIDE, in_bytes, memory_of
from tilewright.compiler.tir.expr import BufferLoad
from tilewright.isa.instruction import Instruction, Store, specs

_SPECS = specs(Store)
_ADDRESSES = ("offset", "address")


class StoreIntrinsic(Intrinsic):
    """x is the loop that moves least in memory, so that dense rows are long bursts; then y, then z.

    The loop over the lanes may end before the vector does: the rest is not written.
    """

    name: ClassVar[str] = "store"

    def __init__(self, nest: Nest, limits: Limits) -> None:
        statement = nest.only
        source = statement.store.value
        if not isinstance(source, BufferLoad):
            raise MismatchError("elements must be stored as they are", MatchProgress.EXPRESSION)
        self.memory = statement.store.buffer
        self.operands = {"address": source.buffer}
        self._memory = memory_of(source.buffer, self.memory)
        self._limits = limits
        self._geometry = Geometry(statement.loops, (source, BufferLoad(self.memory, statement.store.indices)))
        self._patterns: dict[Key, Pattern] = {}

    def instruction(self, env: Env, shapes: Shapes) -> Instruction:
        """The instruction with these outer variables."""
        key = self._geometry.key(env, shapes)
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = self._pattern(key)
        chip, outside = [base(env) for base in pattern.bases]
        offset = self._bytes(outside, "the first byte stored to")
        return pattern.instruction(
            _ADDRESSES, (offset, in_units(chip, self._limits.cols, "the first element"))
        )

    def _pattern(self, key: Key) -> Pattern:
        axes, bases = self._geometry.axes(key)
        lanes, rest = self._lanes(axes, key)
        loops = sorted(merged(rest), key=lambda axis: abs(axis.strides[OUTSIDE]))
        names = ("x", "y", "z")
        loops = fitted(loops, [_SPECS[f"n_{name}"].maximum for name in names], "over vectors")
        fields = {"memory": int(self._memory), "bytes": lanes * self._memory.element_bytes}
        for name, axis in zip(names, loops, strict=True):
            fields[f"n_{name}"] = axis.extent
            if axis.extent > 1:
                fields[f"stride_{name}"] = self._bytes(axis.strides[OUTSIDE], f"the stride of {name}")
                vectors = in_units(axis.strides[CHIP], self._limits.cols, f"the stride of {name} on the chip")
                fields[f"chip_stride_{name}"] = vectors
        return Pattern(Store, fields, bases)

    def _lanes(self, axes: list[StridedLoop], key: Key) -> tuple[int, list[StridedLoop]]:
        """How many lanes are stored, and the loops over vectors."""
        cols = self._limits.cols
        along = [axis for axis in axes if axis.strides == (1, 1) and axis.extent <= cols]
        if not along or key[1][CHIP][-1] != cols:
            text = (
                f"a loop over up to {cols} lanes (stride 1 on the chip and in memory) of vectors is missing"
            )
            raise MismatchError(text, MatchProgress.LANES)
        return along[0].extent, [axis for axis in axes if axis is not along[0]]

    def _bytes(self, elements: int, what: str) -> int:
        return in_bytes(elements, self._memory, self._limits, what)
