"""The schedules of a convolution on the host as a space to search."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob, KnobValue
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution_rule import WORDS, ConvolutionRules
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule, Threads
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.register_tile import TILE_BLOCKS, even, rows_at_once

VECTORS_MAXIMUM = 4
"""Of a panel: more leave registers for the sums of one pixel alone."""
UNROLLINGS = (1, 2, 4)
DEPTH_PARTS = (1, 2)
"""Of the steps of a row of the kernel."""
LEAST_DEPTH = 32
"""Steps that are worth loading sums and storing them again."""
NAMES = tuple(field.name for field in fields(ConvolutionSchedule))


def convolution_space(sizes: ConvolutionSizes, features: Features, *, is_shared: bool) -> Space:
    """The schedules of a convolution, about a thousand that fit, the default among them.

    Args:
        sizes: of the convolution.
        features: of the machine.
        is_shared: whether several threads run it.
    """
    rules = ConvolutionRules(sizes, features, is_shared)
    values: dict[str, Sequence[KnobValue]] = {
        name: [str(word) for word in words] for name, words in WORDS.items()
    }
    values |= _numbers(rules)
    knobs = tuple(Knob(name, tuple(values[name])) for name in NAMES)
    known = _Known(rules)
    return Space(knobs, known.fits, known.why_not)


def default_schedule(sizes: ConvolutionSizes, features: Features, *, is_shared: bool) -> ConvolutionSchedule:
    """The default as a point of the space has it: threads share no loop where there is one."""
    default = ConvolutionSchedule.default(sizes, features)
    return default if is_shared else replace(default, threads=Threads.NONE)


def schedule_of(point: Point) -> ConvolutionSchedule:
    """The schedule that a point is.

    Raises:
        SpaceError: if a value is a number and must be a word, or the reverse.
        ValueError: if a word is none of the schedule's.
    """
    words = {name: words(point.word(name)) for name, words in WORDS.items()}
    numbers = {name: point.number(name) for name in NAMES if name not in WORDS}
    return ConvolutionSchedule(**words, **numbers)  # type: ignore[arg-type]


def point_of(schedule: ConvolutionSchedule) -> Point:
    """The inverse of `schedule_of`."""
    values = {name: getattr(schedule, name) for name in NAMES}
    return Point(
        {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}
    )


@dataclass(frozen=True)
class _Known:
    """The rules as spaces ask for them; pickled with them."""

    rules: ConvolutionRules

    def fits(self, columns: Columns) -> NDArray[np.bool_]:
        found = np.ones(len(columns["rows"]), np.bool_)
        for _, breaks in self.rules.broken(columns):
            found &= ~breaks
        return found

    def why_not(self, point: Point) -> str:
        return "; ".join(self.rules.reasons(schedule_of(point)))


def _numbers(rules: ConvolutionRules) -> dict[str, Sequence[KnobValue]]:
    """The values of the knobs of numbers."""
    sizes, vector = rules.sizes, rules.vector
    pixels = rows_at_once(vector, sizes.is_float, rules.features)
    rows = min(pixels, TILE_BLOCKS) if rules.is_tiled else pixels
    return {
        "rows": _even_parts(sizes.result[0], rows),
        "columns": _even_parts(sizes.result[1], pixels),
        "lanes": range(vector, min(VECTORS_MAXIMUM * vector, rules.lanes_maximum) + 1, vector),
        "depth": _depths(sizes),
        "unroll": UNROLLINGS,
    }


def _even_parts(count: int, most: int) -> list[int]:
    """Sizes of about equal parts, each at most `most`."""
    return sorted({even(count, each) for each in range(1, most + 1)})


def _depths(sizes: ConvolutionSizes) -> list[int]:
    """Steps between two visits to the sums: parts of a row of the kernel, a whole row, and all of them."""
    row = sizes.taps[2]
    parts = {row // count for count in DEPTH_PARTS if row % count == 0}
    return sorted({each for each in parts if each >= LEAST_DEPTH} | {prod(sizes.taps)})
