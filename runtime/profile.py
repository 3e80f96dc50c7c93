"""Where the cycles of a compiled model go, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.encoding import decode_table
from tilewright.isa.instruction import Opcode
from tilewright.isa.model import Layer, Model
from tilewright.runtime.device import DeviceResult

Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """What one layer took.

    Members:
        layer: of the model.
        begin, end: cycles of its first start and its last finish; layers overlap.
        cycles: by which it moved the end of all layers so far: together with those of the others the whole
            sample, from cycle 0 to the last finish.
        utilization: its products of what the array could do from the start of its first matrix instruction
            to the finish of its last, or of its vector instructions if it has no other; 0 without any.
            Above 1 where the program leaves out products that the network asks for and nothing uses, such
            as those in rows that a pooling drops.
    """

    layer: Layer
    begin: int
    end: int
    cycles: int
    utilization: float


def profile_layers(model: Model, result: DeviceResult) -> tuple[LayerProfile, ...]:
    """The profile of each layer with instructions that ran, from a run without a fault."""
    profiles: list[LayerProfile] = []
    classes = decode_table(model.executable.code).classes
    computing = [classes[opcode].rows for opcode in (Opcode.MATRIX, Opcode.VECTOR)]
    latest = 0
    for layer in model.layers:
        places = np.arange(layer.first, layer.first + layer.count)
        span = _span(result, places)
        if span is None:
            continue
        begin, end = span
        cycles = max(0, end + 1 - latest)
        latest += cycles
        spans = [_span(result, _within(rows, layer)) for rows in computing]
        utilization = _utilization(model, layer, spans[0] or spans[1])
        profiles.append(
            LayerProfile(layer=layer, begin=begin, end=end, cycles=cycles, utilization=utilization)
        )
    return tuple(profiles)


def costliest(profiles: Sequence[LayerProfile]) -> LayerProfile | None:
    """The layer that added the most cycles; None if there is no layer."""
    return max(profiles, key=lambda profile: profile.cycles, default=None)


def _within(places: Places, layer: Layer) -> Places:
    """Those of ascending places that are instructions of a layer."""
    begin, end = np.searchsorted(places, (layer.first, layer.first + layer.count))
    return places[begin:end]


def _span(result: DeviceResult, places: Places) -> tuple[int, int] | None:
    """The first start and the last finish of instructions; None if none of them ran."""
    ran = places[result.finish[places] >= 0]
    return (int(result.start[ran].min()), int(result.finish[ran].max())) if len(ran) else None


def _utilization(model: Model, layer: Layer, span: tuple[int, int] | None) -> float:
    if span is None:
        return 0.0
    begin, end = span
    return layer.macs / ((end + 1 - begin) * model.config.peak_macs)
