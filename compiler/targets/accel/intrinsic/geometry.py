"""From the accesses of a loop nest to numeric loops: what depends only on extents and shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled, compiled_sum, split
from tilewright.compiler.targets.accel.intrinsic.axis import StridedLoop
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.nest import Loop, check_rectangular
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Expr
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Instruction, InstructionError, specs


class Key(NamedTuple):
    """The key of a pattern.

    Members:
        extents: of the loops.
        shapes: of the buffers accessed.
    """

    extents: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


class AffineAccess:
    """Where a loop nest accesses a buffer: each index as strides over the loops and a base."""

    def __init__(self, load: BufferLoad, loops: tuple[Loop, ...]) -> None:
        self.buffer: Buffer = load.buffer
        names = [loop.name for loop in loops]
        self._indices = [self._split(index, names) for index in load.indices]

    def _split(self, index: Expr, names: Sequence[str]) -> tuple[tuple[int, ...], Affine]:
        parts = split(Affine.of(index), names)
        if parts is None:
            text = f"an index of buffer {self.buffer.name!r} is not affine in the loops {', '.join(names)}"
            raise MismatchError(f"{text}: split them, or leave them outside", MatchProgress.ACCESS)
        return parts

    def flattened(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Affine]:
        """Strides over the loops and base in elements of the dense buffer of that shape."""
        steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        strides = [0] * (len(self._indices[0][0]) if self._indices else 0)
        base = Affine((), 0)
        for (own, rest), step in zip(self._indices, steps, strict=True):
            strides = [total + step * stride for total, stride in zip(strides, own, strict=True)]
            base += rest.scaled(step)
        return tuple(strides), base


@dataclass(frozen=True)
class Pattern:
    """An instruction but for its addresses, for one set of extents and shapes.

    Members:
        kind: its class.
        fields: those that are the same wherever it stands.
        bases: where each access begins, in elements.
    """

    kind: type[Instruction]
    fields: Mapping[str, int]
    bases: Sequence[Number] = ()

    @cached_property
    def values(self) -> list[int]:
        """All fields, in the order of the ISA; addresses are 0.

        Raises:
            MismatchError: if one does not fit.
        """
        made = instruction_of(self.kind, self.fields)
        return [int(getattr(made, name)) for name in specs(self.kind)]


def instruction_of(kind: type[Instruction], fields: Mapping[str, int]) -> Instruction:
    """The instruction with these fields.

    Raises:
        MismatchError: if one does not fit.
    """
    try:
        return kind(**fields)
    except InstructionError as error:
        raise MismatchError(str(error), MatchProgress.LIMITS) from error


class Geometry:
    """The loops and accesses of one loop nest.

    Raises:
        MismatchError: if the loops are not rectangular, or an index is not affine in them.
    """

    def __init__(self, loops: tuple[Loop, ...], loads: Sequence[BufferLoad]) -> None:
        check_rectangular(loops)
        self.loops = loops
        self.accesses = [AffineAccess(load, loops) for load in loads]
        self._extents = [compiled(loop.extent) for loop in loops]
        self._shapes = [[compiled(extent) for extent in load.buffer.shape] for load in loads]

    def extents(self, rows: Iterations) -> list[IntArray]:
        """Of the loops."""
        return [extent(rows) for extent in self._extents]

    def columns(self, rows: Iterations) -> list[IntArray]:
        """What a key is made of: extents, then shapes."""
        return [*self.extents(rows), *(extent(rows) for shape in self._shapes for extent in shape)]

    def key(self, numbers: Sequence[int]) -> tuple[Key, Sequence[int]]:
        """The key that begins a row of columns, and what stands behind it."""
        count = len(self._extents)
        extents, rest = tuple(numbers[:count]), numbers[count:]
        shapes = []
        for shape in self._shapes:
            shapes.append(tuple(rest[: len(shape)]))
            rest = rest[len(shape) :]
        return Key(extents, tuple(shapes)), rest

    def axes(
        self, key: Key, further: Sequence[tuple[int, ...]] = ()
    ) -> tuple[list[StridedLoop], list[Number]]:
        """The loops with the strides of the accesses and of `further` columns, and the accesses' bases."""
        extents, shapes = key
        flat = [access.flattened(shape) for access, shape in zip(self.accesses, shapes, strict=True)]
        columns = [strides for strides, _ in flat] + list(further)
        rows = zip(*columns, strict=True) if extents else ()
        axes = [StridedLoop(extent, tuple(row)) for extent, row in zip(extents, rows, strict=True)]
        return axes, [compiled_sum(base) for _, base in flat]
