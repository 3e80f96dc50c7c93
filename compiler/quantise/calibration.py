"""The ranges of a network's values, from data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.graph.interpreter import check_inputs, run
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.quantise.error import QuantiseError

_CHUNK_BYTES = 1 << 28
"""Of all values of a network, for the samples that are computed at once."""


@dataclass(frozen=True)
class Range:
    """The least and the greatest value seen."""

    low: float
    high: float

    def joined(self, other: "Range") -> "Range":
        """The range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


def measure_ranges(graph: Graph, calibration: Mapping[str, Array]) -> dict[str, Range]:
    """The range of each value that depends on the inputs.

    Raises:
        GraphError: if the data are not inputs of this graph.
        QuantiseError: if a value is infinite or NaN, or an input is 0 everywhere.
    """
    samples = check_inputs(graph, calibration)
    zero = ", ".join(repr(name) for name, array in calibration.items() if not array.any())
    if zero:
        raise QuantiseError(f"calibration data must be typical inputs, and {zero} is 0 in all samples")
    step = max(1, _CHUNK_BYTES // (4 * sum(tensor.size for tensor in graph.types.values())))
    ranges: dict[str, Range] = {}
    for start in range(0, samples, step):
        part = {name: array[start : start + step] for name, array in calibration.items()}
        for name, array in run(graph, part, keep=True).items():
            seen = _range(name, array)
            ranges[name] = seen.joined(ranges[name]) if name in ranges else seen
    return ranges


def _range(name: str, array: Array) -> Range:
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise QuantiseError(
            f"{name!r} must stay finite on the calibration data, not reach from {low} to {high}"
        )
    return Range(low, high)
