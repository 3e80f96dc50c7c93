"""Poolings of integers on the vector engine."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.layout import blocks, packed_parameters
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import window_schedule
from tilewright.compiler.targets.accel.operator.tunable import TunableWindows
from tilewright.compiler.targets.accel.operator.window import WindowNest
from tilewright.isa.config import Config

_LOWEST = -128
"""Padding that no maximum takes."""


def lower_qmax_pool2d(
    operator: QMaxPool2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a maximum pooling."""
    out = operator.infer(*types)[0].numbers
    before = operator.window.pads[:2]
    sizes = _sizes(operator.window, types[0], out[2:], before, config, 0)
    nest = WindowNest(
        sizes=sizes,
        height=types[0].numbers[2],
        width=types[0].numbers[3],
        before=before,
        fill=_LOWEST,
        zero_point=0,
        lo=operator.lo,
        hi=operator.hi,
    )
    tunable = TunableWindows(windows=sizes, config=config, loops="maximum", primitives=window_schedule)
    build = partial(nest.maximum, "max_pool", config.cols)
    return [Lowered(build=build, tunable=tunable, tensors={"x": 0})]


def lower_qaverage_pool2d(
    operator: QAveragePool2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of an average pooling: a part for each rectangle of windows with equally many pixels."""
    counts = operator.window.counts(*types[0].numbers[2:])
    return [
        _average(operator, types[0], origin, counts[origin], size, config)
        for origin, size in rectangles(counts)
    ]


def rectangles(counts: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(origin, size) of rectangles that cover `counts` and in which it has one value.

    A count is a product of rows and columns inside, so that equal neighbouring rows and columns make them.
    """
    rows = _runs([counts[y].tobytes() for y in range(counts.shape[0])])
    columns = _runs([counts[:, x].tobytes() for x in range(counts.shape[1])])
    for y, height in rows:
        for x, width in columns:
            yield (y, x), (height, width)


def _runs(keys: list[bytes]) -> list[tuple[int, int]]:
    """First index and length of each run of equal keys."""
    starts = [k for k in range(len(keys)) if k == 0 or keys[k] != keys[k - 1]]
    return [(start, end - start) for start, end in zip(starts, [*starts[1:], len(keys)], strict=True)]


def _average(
    operator: QAveragePool2d,
    x: TensorType,
    origin: tuple[int, int],
    count: int,
    size: tuple[int, int],
    config: Config,
) -> Lowered:
    window = operator.window
    before = (
        window.pads[0] - origin[0] * window.strides[0],
        window.pads[1] - origin[1] * window.strides[1],
    )
    sizes = _sizes(window, x, size, before, config, 2)
    nest = WindowNest(
        sizes=sizes,
        height=x.numbers[2],
        width=x.numbers[3],
        before=before,
        fill=operator.input_zero_point,
        zero_point=operator.zero_point,
        lo=operator.lo,
        hi=operator.hi,
    )
    scale = dict(operator.scales)[int(count)]
    rows = [np.full(x.numbers[1], value, np.int32) for value in (operator.bias, scale)]
    return Lowered(
        build=partial(nest.average, "average_pool", config.cols),
        tunable=TunableWindows(
            windows=sizes,
            config=config,
            loops="average",
            primitives=partial(window_schedule, parameters=True),
        ),
        tensors={"x": 0},
        pack=partial(packed_parameters, rows, config),
        origin=origin,
    )


def _sizes(
    window: Window,
    x: TensorType,
    size: tuple[int, ...],
    before: tuple[int, int],
    config: Config,
    parameter_vectors: int,
) -> Windows:
    _, channels, *source = x.numbers
    return Windows(
        blocks=blocks(channels, config),
        height=size[0],
        width=size[1],
        kernel=window.kernel,
        strides=window.strides,
        parameter_vectors=parameter_vectors,
        source=(source[0], source[1]),
        before=before,
    )
