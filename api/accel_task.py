"""What there is to tune on the accelerator: every distinct layer of a package as a task."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.api.accel_runner import AccelRunner
from tilewright.api.package import Package
from tilewright.api.tunable_layer import TunableLayer
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Positions
from tilewright.compiler.targets.accel.compile import Variants
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import chained_network, lowered_parts
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import Tilings, Tunable
from tilewright.isa.config import Config
from tilewright.tune.record import Key
from tilewright.tune.task import Task

ACCEL, SIM = "accel", "sim"


def key_of(tunable: Tunable, config: Config, latency_cycles: int, device: str = SIM) -> Key:
    """What costs of a layer's schedules are costs of.

    Args:
        tunable: the layer's.
        config: the machine.
        latency_cycles: of its memory.
        device: that measured: "sim" or "rtl".
    """
    return Key(
        structure=tunable.key,
        target=ACCEL if device == SIM else f"{ACCEL}-{device}",
        machine=config.digest().hex(),
        environment=Point({"latency": latency_cycles}),
        unit="cycles",
    )


def program_key(variants: Variants, latency_cycles: int, device: str = SIM) -> Key:
    """What the cycles of a whole program are cycles of: all its layers in their order, of equal sizes each.

    Args:
        variants: the programs of a function.
        latency_cycles: of the memory.
        device: that measured: "sim" or "rtl".
    """
    layers = [lowered.tunable for lowered in variants.lowered.values()]
    text = json.dumps([layer.key for layer in layers])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(key_of(layers[0], variants.config, latency_cycles, device), structure=digest)


def accel_layers(package: Package, latency_cycles: int, device: str = SIM) -> list[TunableLayer]:
    """The distinct layers of a package on the accelerator, and chains of some, the longest first.

    Args:
        package: with programs.
        latency_cycles: of the memory.
        device: that measures: "sim" or "rtl".
    """
    found: dict[str, TunableLayer] = {}
    for name, lowered in _layers(package, latency_cycles):
        key = lowered.tunable.key
        known = found.get(key)
        if known is None:
            found[key] = _tunable_layer(package.config, lowered, name, latency_cycles, device)
        else:
            count = len(known.names)
            task = replace(known.task, weight=known.task.weight * (count + 1) / count)
            found[key] = replace(known, task=task, names=(*known.names, name))
    return sorted(found.values(), key=lambda layer: -layer.task.weight)


def _layers(package: Package, latency_cycles: int) -> Iterator[tuple[str, Lowered]]:
    for part in package.parts.values():
        latency = assumed_latency(latency_cycles)
        network = chained_network(part.integers, package.config, latency_cycles=latency)
        for unit in network.layers:
            for (layer, number), lowered in lowered_parts(network, unit, package.config, latency):
                yield f"{layer} part {number}" if number else layer, lowered


def _tunable_layer(
    config: Config, lowered: Lowered, name: str, latency_cycles: int, device: str
) -> TunableLayer:
    tunable = lowered.tunable
    tilings, default = tunable.tilings(latency_cycles), lowered.default
    key = key_of(tunable, config, latency_cycles, device)
    task = Task(
        key=key.structure,
        target=key.target,
        machine=key.machine,
        environment=(("latency", latency_cycles),),
        space=tilings.space,
        default=default,
        unit=key.unit,
        estimate=tilings.estimate,
        refine=_Refined(tilings),
        features=tilings.features,
        feature_names=tuple(f"{tunable.kind} {name}" for name in tunable.feature_names),
        weight=float(tilings.cycles(default)),
    )
    runner = AccelRunner(lowered=lowered, config=config, latency_cycles=latency_cycles, device=device)
    return TunableLayer(names=(name,), key=key, task=task, runner=runner)


@dataclass(frozen=True)
class _Refined:
    """The event model, of many points one after the other."""

    tilings: Tilings

    def __call__(self, positions: Positions) -> NDArray[np.float64]:
        points = self.tilings.space.points(positions)
        return np.array([self.tilings.cycles(point) for point in points], np.float64)
