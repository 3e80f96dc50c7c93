"""Where the cycles of a compiled model go, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.isa.model import Layer, Model
from tilewright.runtime.device import DeviceResult


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """What one layer took.

    Members:
        layer: of the model.
        begin, end: cycles of its first start and its last finish; layers overlap.
        cycles: by which it moved the end of all layers so far: together with those of the others the whole
            sample, from cycle 0 to the last finish.
        utilization: its products of what the array could do in `cycles`; a layer that mostly ran beside the
            one before may be above 1.
    """

    layer: Layer
    begin: int
    end: int
    cycles: int
    utilization: float


def profile_layers(model: Model, result: DeviceResult) -> tuple[LayerProfile, ...]:
    """The profile of each layer with instructions that ran, from a run without a fault."""
    profiles: list[LayerProfile] = []
    latest = 0
    for layer in model.layers:
        span = slice(layer.first, layer.first + layer.count)
        finishes = result.finish[span][result.finish[span] >= 0]
        if not len(finishes):
            continue
        begin, end = int(result.start[span][result.start[span] >= 0].min()), int(finishes.max())
        cycles = max(0, end + 1 - latest)
        latest += cycles
        possible = cycles * model.config.peak_macs
        utilization = layer.macs / possible if possible else 0.0
        profiles.append(
            LayerProfile(layer=layer, begin=begin, end=end, cycles=cycles, utilization=utilization)
        )
    return tuple(profiles)


def costliest(profiles: Sequence[LayerProfile]) -> LayerProfile | None:
    """The layer that added the most cycles; None if there is no layer."""
    return max(profiles, key=lambda profile: profile.cycles, default=None)
