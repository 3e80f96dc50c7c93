"""Measures schedules of the host's convolutions on this machine: right answers, and seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.api.timer import median_seconds
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.quantised.convolution import ConvolutionGeometry
from tilewright.compiler.ops.quantised.requantised import finish
from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import convolution_space, schedule_of
from tilewright.compiler.targets.cpu.operator.layer import float_layer, integer_layer
from tilewright.compiler.targets.cpu.operator.layout import aligned, aligned_empty, starts, weight_panels
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.tune.outcome import Kind, Outcome

Array = NDArray[Any]
LIMIT_SECONDS = 0.2
"""To time a point."""
KEPT_CASES = 4
"""Data of convolutions that a process keeps."""
TOLERANCE = 1e-5
"""Of float32, as a share of the sum of all products without their signs."""


@dataclass(frozen=True, kw_only=True)
class HostRunner:
    """Compiles a convolution by a point, compares its answer with the operator's, and times it.

    float32 ends with a bias, int8 with bias, requantisation and clamp. What is compiled is not kept.

    Members:
        sizes: of the convolution.
        is_shared: whether all processors of this machine run it; else one does.
        limit_seconds: to time a point, beside compiling and checking it.
    """

    sizes: ConvolutionSizes
    is_shared: bool
    limit_seconds: float = LIMIT_SECONDS

    def __call__(self, point: Point) -> Outcome:
        """The outcome of a point; its cost is the median of seconds."""
        begin = time.perf_counter()
        kind, cost, detail = self._measured(point)
        return Outcome(kind=kind, cost=cost, detail=detail, seconds=time.perf_counter() - begin)

    def _measured(self, point: Point) -> tuple[Kind, float | None, str]:
        try:
            if (why := self._refused(point)) is not None:
                return Kind.REFUSED, None, why
            call, result = self.prepared(schedule_of(point))
        except TilewrightError as error:
            return Kind.REFUSED, None, str(error).partition("\n")[0]
        call()
        if not is_right(self.sizes, result):
            return Kind.WRONG, None, "the answer must be that of the operator, and is another"
        return Kind.OK, median_seconds(call, self.limit_seconds, is_shared=self.is_shared), ""

    def _refused(self, point: Point) -> str | None:
        features = Features.of(HostMachine.host())
        try:
            return convolution_space(self.sizes, features, is_shared=self.is_shared).refuse(point)
        except SpaceError as error:
            return str(error)

    def prepared(self, schedule: ConvolutionSchedule | None) -> tuple[Callable[[], None], Array]:
        """A call of the convolution, and where its answer will be.

        Args:
            schedule: of its loops; None for the default.

        Raises:
            TilewrightError: if it cannot be compiled.
        """
        sizes, case, features = self.sizes, case_of(self.sizes), Features.of(HostMachine.host())
        chosen = ConvolutionSchedule.default(sizes, features) if schedule is None else schedule
        layer = float_layer if sizes.is_float else integer_layer
        function = layer("layer", sizes, features, schedule=schedule)
        kernel = compile_function(function, contract=True, parallel=self.is_shared, keep=False)
        weights = [weight_panels(case.weight, sizes, chosen.lanes)]
        if not sizes.is_float:
            weights.append(starts(case.weight, chosen.lanes))
        result = aligned_empty((*sizes.result, sizes.outputs), sizes.dtype.numpy)
        scales = [] if sizes.is_float else [case.scale]
        return kernel.prepared(case.x, *weights, case.bias, *scales, result), result


@dataclass(frozen=True)
class Case:
    """Data of a convolution, and its answer.

    Members:
        x: [height, width · channels].
        weight: [outputs, channels, *kernel].
        bias, scale: [outputs]; floats have no scale that counts.
        answer: [height, width, outputs].
        allowed: how far a float may be from the answer.
    """

    x: Array
    weight: Array
    bias: Array
    scale: Array
    answer: Array
    allowed: float


@lru_cache(KEPT_CASES)
def case_of(sizes: ConvolutionSizes) -> Case:
    """The same random numbers in every process."""
    rng = np.random.default_rng(0)
    shapes = (sizes.height, sizes.width, sizes.channels), (sizes.outputs, sizes.channels, *sizes.kernel)
    if sizes.is_float:
        x, weight = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        bias = rng.normal(size=sizes.outputs).astype(np.float32)
    else:
        x, weight = (rng.integers(-128, 128, shape, np.int8) for shape in shapes)
        bias = rng.integers(-999, 999, sizes.outputs, np.int32)
    # Few answers are clamped.
    step = 1.0 / (64.0 * sizes.steps**0.5 * sizes.group)
    scale = np.full(sizes.outputs, pack_scale(*quantise_multiplier(step)), np.int32)
    answer = _answer(sizes, x.transpose(2, 0, 1)[None], weight, bias[:, None, None], scale[:, None, None])
    allowed = TOLERANCE * sizes.steps * float(np.abs(x).max()) * float(np.abs(weight).max())
    return Case(aligned(x.reshape(sizes.height, -1)), weight, bias, scale, answer, allowed)


def _answer(sizes: ConvolutionSizes, x: Array, weight: Array, bias: Array, scale: Array) -> Array:
    """What the operators mean."""
    if sizes.is_float:
        (total,) = Conv(sizes.strides, sizes.pads, sizes.dilations).run(x, weight)
        result = total + bias
    else:
        geometry = ConvolutionGeometry(sizes.strides, sizes.pads, sizes.dilations, 1)
        total = geometry.run(x, weight, int(sizes.zero_point))
        result = finish(total, bias, scale, 0, -128, 127)
    return np.ascontiguousarray(result[0].transpose(1, 2, 0))


def is_right(sizes: ConvolutionSizes, result: Array) -> bool:
    """Whether a result is the answer: int8 to the bit, floats nearly."""
    case = case_of(sizes)
    if sizes.is_float:
        return bool(np.allclose(result, case.answer, rtol=0, atol=case.allowed))
    return bool(np.array_equal(result, case.answer))
