"""The store intrinsic: global[…] = chip[…]."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tilewright.compiler.targets.accel.intrinsic.axis import (
    StridedLoop,
    all_in_units,
    fitted,
    in_units,
    merged,
)
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Key, Pattern
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest
from tilewright.compiler.targets.accel.intrinsic.transfer import (
    CHIP,
    OUTSIDE,
    all_in_bytes,
    in_bytes,
    memory_of,
)
from tilewright.compiler.tir.expr import BufferLoad
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Instruction, Store, specs

_SPECS = specs(Store)


class StoreIntrinsic(Intrinsic):
    """x is the loop that moves least in memory, so that dense rows are long bursts; then y, then z.

    The loop over the lanes may end before the vector does: the rest is not written.
    """

    name: ClassVar[str] = "store"
    kind: ClassVar[type[Instruction]] = Store

    def __init__(self, nest: Nest, limits: Limits) -> None:
        super().__init__(nest, limits)
        statement = nest.only
        source = statement.store.value
        if not isinstance(source, BufferLoad):
            raise MismatchError("elements must be stored as they are", MatchProgress.EXPRESSION)
        self.memory = statement.store.buffer
        self.operands = {"address": source.buffer}
        self._memory = memory_of(source.buffer, self.memory)
        self._limits = limits
        self._geometry = Geometry(statement.loops, (source, BufferLoad(self.memory, statement.store.indices)))

    def _addresses(self, pattern: Pattern, rows: Iterations) -> Mapping[str, IntArray]:
        chip, outside = [base(rows) for base in pattern.bases]
        return {
            "offset": all_in_bytes(outside, self._memory, self._limits, "the first byte stored to"),
            "address": all_in_units(chip, self._limits.cols, "the first element"),
        }

    def _pattern(self, numbers: Sequence[int]) -> Pattern:
        key, _ = self._geometry.key(numbers)
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
        if not along or key.shapes[CHIP][-1] != cols:
            text = (
                f"a loop over up to {cols} lanes (stride 1 on the chip and in memory) of vectors is missing"
            )
            raise MismatchError(text, MatchProgress.LANES)
        return along[0].extent, [axis for axis in axes if axis is not along[0]]

    def _bytes(self, elements: int, what: str) -> int:
        return in_bytes(elements, self._memory, self._limits, what)
