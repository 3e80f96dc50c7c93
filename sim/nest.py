"""Where a nest of loops first leaves the bank of its operand, without a look at each address."""

from typing import Any

from tilewright.sim.compiled import compiled, constant
from tilewright.sim.record import NEVER

ZERO, ONE = constant(0), constant(1)
Loops = tuple[int, int, int, int, int]
"""One value for each of five loops, the outermost first; unused ones are (count 1, stride 0)."""


@compiled
def first_outside(first: int, counts: Loops, strides: Loops, low: int, high: int) -> int:
    """Place of the first address outside of low … high - 1, counted in the order of the loops; or NEVER.

    Addresses are taken as they are, not modulo the address space. That finds the same place: one that wraps
    around has left the bank before, because no stride reaches over all the others.
    """
    below, above = 0, 0
    for axis in range(5):
        extent = (counts[axis] - 1) * strides[axis]
        below += min(extent, 0)
        above += max(extent, 0)
    if first + below >= low and first + above < high:
        return NEVER
    place = 0
    for axis in range(5):
        extent = (counts[axis] - 1) * strides[axis]
        below -= min(extent, 0)
        above -= max(extent, 0)
        step = _first_step(first + below, first + above, strides[axis], low, high)
        place = place * counts[axis] + step
        first += step * strides[axis]
    return place


@compiled
def _first_step(lowest: int, highest: int, stride: int, low: int, high: int) -> int:
    """How often lowest … highest moves by `stride` until it is no longer within low … high - 1."""
    if lowest < low or highest >= high:
        return 0
    if stride > 0:
        return -((highest - high) // stride)
    return (lowest - low) // -stride + 1


@compiled
def bank_span(state: Any, memory: int, address: int, unit: int, space: int) -> tuple[int, int]:
    """First and last + 1 address of the bank in which `address` lies, in units of 1 / `unit` vectors.

    A bank that fills the whole address space of `space` addresses is never left.
    """
    depth = state.depth[memory] * unit
    if depth == space:
        return -NEVER, NEVER
    first = address // depth * depth
    return first, first + depth
