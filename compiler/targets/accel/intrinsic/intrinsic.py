"""The interface of intrinsics: a loop nest matched once, an instruction for each iteration of outer loops."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Pattern, instruction_of
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations, distinct
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Instruction, specs


class Intrinsic(ABC):
    """A loop nest that is one instruction.

    Members:
        name: of the intrinsic.
        nest: the loop nest.
        kind: the class of its instruction.
        operands: the chip buffers, by the field that names each one's address.
        memory: the global buffer of a load or store.

    Raises:
        MismatchError: from the constructor, if the loop nest is not this intrinsic's, whatever the numbers.
    """

    name: ClassVar[str]
    nest: Nest
    kind: ClassVar[type[Instruction]]
    operands: Mapping[str, Buffer]
    memory: Buffer | None = None
    _geometry: Geometry

    @abstractmethod
    def __init__(self, nest: Nest, limits: Limits) -> None:
        """Match the loop nest."""
        self.nest = nest
        self._patterns: dict[tuple[int, ...], Pattern] = {}

    def instructions(self, rows: Iterations) -> IntArray:
        """The instructions of these iterations, addresses relative to the first of each buffer.

        Returns:
            int64[rows.count, fields], the fields in the order of the ISA.

        Raises:
            MismatchError: if one of them is not one instruction.
        """
        columns = specs(self.kind)
        if not rows.count:
            return np.zeros((0, len(columns)), np.int64)
        keys, which = distinct(self._columns(rows), rows.count)
        patterns = [self._pattern_of(key) for key in keys]
        found = np.array([pattern.values for pattern in patterns])[which]
        places = {name: place for place, name in enumerate(columns)}
        for number, pattern in enumerate(patterns):
            own = np.flatnonzero(which == number)
            here = rows if len(own) == rows.count else rows.taken(own)
            for name, values in self._addresses(pattern, here).items():
                found[own, places[name]] = values
        self._check(found)
        return found

    def _pattern_of(self, numbers: tuple[int, ...]) -> Pattern:
        if numbers not in self._patterns:
            self._patterns[numbers] = self._pattern(numbers)
        return self._patterns[numbers]

    def _check(self, found: IntArray) -> None:
        """Refuse fields that do not fit: those of patterns do."""
        kinds = specs(self.kind)
        low, high = (np.array([getattr(spec, end) for spec in kinds.values()]) for end in _ENDS)
        wrong = ((found < low) | (found > high)).any(axis=1)
        if wrong.any():
            instruction_of(self.kind, dict(zip(kinds, found[np.argmax(wrong)].tolist(), strict=True)))

    def _columns(self, rows: Iterations) -> list[IntArray]:
        """What decides the pattern of an iteration."""
        return self._geometry.columns(rows)

    @abstractmethod
    def _pattern(self, numbers: Sequence[int]) -> Pattern:
        """The pattern of a row of these columns."""

    @abstractmethod
    def _addresses(self, pattern: Pattern, rows: Iterations) -> Mapping[str, IntArray]:
        """The fields that differ from one iteration of a pattern to the next."""


_ENDS = ("minimum", "maximum")
