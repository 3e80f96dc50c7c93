"""What there is to tune on the accelerator: every distinct layer of a package as a task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.api.accel_runner import AccelRunner
from tilewright.api.package import Package
from tilewright.compiler.ir.function import Value
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Positions
from tilewright.compiler.targets.accel.layer_schedule import LayerPart, legal_network, lowered_parts
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import Tilings, Tunable
from tilewright.isa.config import Config
from tilewright.tune.record import Key
from tilewright.tune.task import Task

ACCEL = "accel"


@dataclass(frozen=True, kw_only=True)
class TunableLayer:
    """A structure that layers of a package share.

    Members:
        task: its space, with the cycles of all these layers by the default schedule as weight.
        runner: measures a point of it.
        layers: which ones: the kernel's first result, and the layer's part.
    """

    task: Task
    runner: AccelRunner
    layers: tuple[tuple[Value, LayerPart], ...]

    @property
    def name(self) -> str:
        """The first layer, and how many others there are."""
        first, count = self.layers[0][1], len(self.layers)
        return f"{first.layer}{f'.{first.number}' if first.number else ''}" + (
            f" × {count}" if count > 1 else ""
        )

    def has_name(self, names: Sequence[str]) -> bool:
        """Whether a layer of it has one of these names."""
        return any(part.layer in names for _, part in self.layers)


def key_of(tunable: Tunable, config: Config, latency_cycles: int) -> Key:
    """What costs of a layer's schedules are costs of."""
    environment = Point({"latency": latency_cycles})
    return Key(
        structure=tunable.key,
        target=ACCEL,
        machine=config.digest().hex(),
        environment=environment,
        unit="cycles",
    )


def tunable_layers(package: Package, latency_cycles: int, device: str = "sim") -> list[TunableLayer]:
    """The distinct layers of a package on the accelerator, the longest first.

    Args:
        package: with programs.
        latency_cycles: of the memory.
        device: that measures: "sim" or "rtl".
    """
    found: dict[str, TunableLayer] = {}
    for value, part, lowered in _layers(package):
        key = lowered.tunable.key
        if key in found:
            known = found[key]
            task = replace(known.task, weight=known.task.weight * (1 + 1 / len(known.layers)))
            found[key] = replace(known, task=task, layers=(*known.layers, (value, part)))
        else:
            found[key] = _tunable_layer(package.config, lowered, (value, part), latency_cycles, device)
    return sorted(found.values(), key=lambda layer: -layer.task.weight)


def _layers(package: Package) -> Iterator[tuple[Value, LayerPart, Lowered]]:
    for value, part in package.parts.items():
        network = legal_network(part.integers, package.config)
        for unit in network.layers:
            for name, lowered in lowered_parts(network, unit, package.config):
                yield value, name, lowered


def _tunable_layer(
    config: Config, lowered: Lowered, layer: tuple[Value, LayerPart], latency_cycles: int, device: str
) -> TunableLayer:
    tunable = lowered.tunable
    # The default is what is compiled without tuning, whatever the latency.
    tilings, default = tunable.tilings(latency_cycles), lowered.default
    key = key_of(tunable, config, latency_cycles)
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
    return TunableLayer(task=task, runner=runner, layers=(layer,))


@dataclass(frozen=True)
class _Refined:
    """The event model, of many points one after the other."""

    tilings: Tilings

    def __call__(self, positions: Positions) -> NDArray[np.float64]:
        points = self.tilings.space.points(positions)
        return np.array([self.tilings.cycles(point) for point in points], np.float64)
