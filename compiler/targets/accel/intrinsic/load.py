"""The load intrinsic: chip[…] = global[…], a constant outside of the feature map, or everywhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled_sum, split
from tilewright.compiler.targets.accel.intrinsic.axis import (
    ABSENT,
    StridedLoop,
    all_in_units,
    fitted,
    in_units,
    merged,
    without,
)
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Pattern
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Loop, Nest
from tilewright.compiler.targets.accel.intrinsic.transfer import (
    CHIP,
    OUTSIDE,
    all_in_bytes,
    in_bytes,
    memory_of,
)
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, Const, Expr, Select
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Instruction, Load, specs

_SPECS = specs(Load)
_PAD = _SPECS["pad_top"].maximum
_CONDITIONS = OUTSIDE + 1
"""First column of strides that is a condition's."""

State = tuple[int | None, ...] | None
"""For each condition its base, or None where it holds for the whole tile. None alone: nothing is inside."""


class Condition(NamedTuple):
    """base + Σ stride · variable ≥ 0."""

    strides: tuple[int, ...]
    base: Number


class InsideRange(NamedTuple):
    """The steps of a loop that are inside of the feature map: from `first` up to but not including `end`."""

    first: int
    end: int


class LoadIntrinsic(Intrinsic):
    """x is the loop that goes from vector to vector on the chip, y the one that the padding shortens."""

    name: ClassVar[str] = "load"
    kind: ClassVar[type[Instruction]] = Load

    def __init__(self, nest: Nest, limits: Limits) -> None:
        super().__init__(nest, limits)
        statement = nest.only
        conditions, source, self._pad = _parts(statement.store.value)
        chip = statement.store.buffer
        loads = [BufferLoad(chip, statement.store.indices), *([] if source is None else [source])]
        self.memory = None if source is None else source.buffer
        self.operands = {"address": chip}
        self._memory = memory_of(*(load.buffer for load in loads))
        self._limits = limits
        self._geometry = Geometry(statement.loops, loads)
        self._conditions = [_condition(item, statement.loops) for item in conditions]

    def _addresses(self, pattern: Pattern, rows: Iterations) -> Mapping[str, IntArray]:
        chip, *outside = [base(rows) for base in pattern.bases]
        found = {"address": all_in_units(chip, self._limits.cols, "the first element on the chip")}
        if outside:
            what = "the first byte loaded from"
            found["offset"] = all_in_bytes(outside[0], self._memory, self._limits, what)
        return found

    def _columns(self, rows: Iterations) -> list[IntArray]:
        return [*self._geometry.columns(rows), *self._cuts(rows)]

    def _cuts(self, rows: Iterations) -> Iterator[IntArray]:
        """Whether something is inside; then of each condition whether it cuts the tile, and its base."""
        inside, cuts, extents = np.array(self.memory is not None), [], self._geometry.extents(rows)
        for strides, number in self._conditions:
            base = low = high = number(rows)
            for stride, extent in zip(strides, extents, strict=True):
                reach = stride * (extent - 1)
                low, high = low + np.minimum(reach, 0), high + np.maximum(reach, 0)
            inside = inside & (high >= 0)
            cuts.append((low < 0, base))
        yield inside.astype(np.int64)
        for cut, base in cuts:
            cut = cut & inside
            yield cut.astype(np.int64)
            yield base * cut

    def _state(self, numbers: Sequence[int]) -> State:
        """What these columns say."""
        inside, *cuts = numbers
        if not inside:
            return None
        return tuple(base if cut else None for cut, base in zip(cuts[::2], cuts[1::2], strict=True))

    def _pattern(self, numbers: Sequence[int]) -> Pattern:
        key, rest = self._geometry.key(numbers)
        state = self._state(rest)
        active = [index for index, base in enumerate(state or ()) if base is not None]
        axes, bases = self._geometry.axes(key, [self._conditions[index].strides for index in active])
        moved = len(self._geometry.accesses)
        axes = without(axes, (1,) * moved + (0,) * len(active), self._limits.cols)
        if state is None:
            # Nothing is read.
            return self._outside(axes, bases[:1])
        loops = merged(axes)
        cuts = [base for base in state if base is not None]
        clips = [_clip(loops, _CONDITIONS + index, base) for index, base in enumerate(cuts)]
        sides = {axis: _common([clip for cut, clip in clips if cut is axis], axis) for axis, _ in clips}
        if any(side.end <= side.first for side in sides.values()):
            return self._outside(axes, bases)
        x, y, z = self._roles(loops, list(sides))
        return self._inside((x, y, z), sides, bases)

    def _inside(
        self, roles: Sequence[StridedLoop], sides: dict[StridedLoop, InsideRange], bases: list[Number]
    ) -> Pattern:
        fields = {"memory": int(self._memory), "pad_value": self._pad}
        start = 0
        for name, axis, pads in zip("xyz", roles, (("left", "right"), ("top", "bottom"), ()), strict=True):
            first, end = sides.get(axis, InsideRange(0, axis.extent))
            fields[f"n_{name}"] = end - first
            if axis.extent > 1:
                start += first * axis.strides[OUTSIDE]
                fields |= self._strides(name, axis)
            if pads:
                fields |= {f"pad_{side}": n for side, n in zip(pads, (first, axis.extent - end), strict=True)}
        chip, outside = bases
        return Pattern(Load, fields, (chip, lambda rows: outside(rows) + start))

    def _strides(self, name: str, axis: StridedLoop) -> dict[str, int]:
        fields = {f"stride_{name}": self._bytes(axis.strides[OUTSIDE], f"the stride of {name}")}
        if name != "x":
            fields[f"chip_stride_{name}"] = self._on_chip(name, axis)
        return fields

    def _on_chip(self, name: str, axis: StridedLoop) -> int:
        return in_units(axis.strides[CHIP], self._limits.cols, f"the stride of {name} on the chip")

    def _outside(self, axes: list[StridedLoop], bases: list[Number]) -> Pattern:
        """A tile of padding only: rows that are all above or below of nothing."""
        loops = merged([StridedLoop(axis.extent, (axis.strides[CHIP],)) for axis in axes])
        x, y, z = self._roles(loops, [])
        top = min(y.extent, _PAD)
        fields = {"n_x": x.extent, "n_y": 0, "n_z": z.extent, "pad_top": top, "pad_bottom": y.extent - top}
        for name, axis in (("y", y), ("z", z)):
            if axis.extent > 1:
                fields[f"chip_stride_{name}"] = self._on_chip(name, axis)
        return Pattern(Load, {"memory": int(self._memory), "pad_value": self._pad, **fields}, bases)

    def _roles(
        self, loops: list[StridedLoop], cut: list[StridedLoop]
    ) -> tuple[StridedLoop, StridedLoop, StridedLoop]:
        """x, y and z: x dense on the chip, y cut if one but x is, z the rest."""
        inner = [axis for axis in loops if axis.strides[CHIP] == self._limits.cols][:1]
        others = [axis for axis in loops if axis not in inner]
        others.sort(key=lambda axis: (axis not in cut, abs(axis.strides[CHIP])))
        if any(axis in cut for axis in others[1:]):
            text = "the border cuts two loops that are no rows of vectors on the chip: leave one outside"
            raise MismatchError(text, MatchProgress.LOOPS)
        maxima = [_SPECS[f"n_{name}"].maximum for name in "xyz"]
        x, y, z = fitted([*(inner or [ABSENT]), *others], maxima, "over vectors")
        if any(axis not in (x, y) for axis in cut):
            text = f"a loop cut by the border must be at most {maxima[1]} long, not {cut[0].extent}"
            raise MismatchError(text, MatchProgress.LIMITS)
        return x, y, z

    def _bytes(self, elements: int, what: str) -> int:
        return in_bytes(elements, self._memory, self._limits, what)


def _clip(loops: list[StridedLoop], column: int, base: int) -> tuple[StridedLoop, InsideRange]:
    """The loop that a condition cuts, and what it leaves of it."""
    cut = [axis for axis in loops if axis.strides[column]]
    if len(cut) != 1:
        text = f"a condition cuts {len(cut)} loops at once: leave all but one of them outside"
        raise MismatchError(text, MatchProgress.LOOPS)
    (axis,) = cut
    stride = axis.strides[column]
    if stride > 0:
        return axis, InsideRange(max(0, -(base // stride)), axis.extent)
    return axis, InsideRange(0, min(axis.extent, base // -stride + 1))


def _common(clips: Sequence[InsideRange], axis: StridedLoop) -> InsideRange:
    return InsideRange(max(clip.first for clip in clips), min(clip.end for clip in clips))


# --- the value ---------------------------------------------------------------------------------------------


def _parts(value: Expr) -> tuple[list[Affine], BufferLoad | None, int]:
    """The conditions (each a sum that must not be negative), the element inside, and the constant outside."""
    match value:
        case BufferLoad():
            return [], value, 0
        case Const():
            return [], None, _pad(value)
        case Select(condition=condition, then=BufferLoad() as source, otherwise=Const() as constant):
            return _sums(condition), source, _pad(constant)
    text = "an element, a constant, or select(inside, element, constant) is expected"
    raise MismatchError(text, MatchProgress.EXPRESSION)


def _pad(constant: Const) -> int:
    spec, value = _SPECS["pad_value"], constant.value
    if isinstance(value, int) and spec.minimum <= value <= spec.maximum:
        return value
    raise MismatchError(
        f"padding must be from {spec.minimum} to {spec.maximum}, not {value}", MatchProgress.LIMITS
    )


def _sums(condition: Expr) -> list[Affine]:
    match condition:
        case Const(value=value) if value:
            return []
        case Binary(op=BinaryOp.AND, a=a, b=b):
            return _sums(a) + _sums(b)
        case Binary(op=BinaryOp.LE, a=a, b=b):
            return [Affine.of(b) - Affine.of(a)]
        case Binary(op=BinaryOp.LT, a=a, b=b):
            return [Affine.of(b) - Affine.of(a) + Affine((), -1)]
    raise MismatchError("inside must be comparisons < and <= that all hold", MatchProgress.EXPRESSION)


def _condition(total: Affine, loops: Sequence[Loop]) -> Condition:
    parts = split(total, [loop.name for loop in loops])
    if parts is None:
        raise MismatchError("the border is not affine in the loops", MatchProgress.ACCESS)
    strides, rest = parts
    return Condition(strides, compiled_sum(rest))
