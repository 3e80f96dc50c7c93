"""What machines cost networks that are quantised once: by the models, by the simulator, and in gates."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from tilewright.api.device import machine_of
from tilewright.api.error import PackageError
from tilewright.api.package import Package
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.chain import with_chains
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import (
    LayerPart,
    chained_network,
    legal_sample,
    lowered_parts,
)
from tilewright.compiler.targets.accel.network import Unit
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import Tunable
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config
from tilewright.isa.model import CONSTANTS, INPUTS, Model
from tilewright.runtime.device import Environment
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice
from tilewright.tune.evaluated import Costs

_REMEMBERED = 50_000
"""Layers on machines whose costs are kept: a few hundred bytes each."""
_SEED = 7


class LayerCost(NamedTuple):
    """A part of a layer, or a chain of some, on a machine, by the models.

    Members:
        part: its name.
        operator: what it computes.
        lowered: its loops, and their schedules.
        point: the default schedule.
        cycles: by the event model.
        occupancy: the work of each engine.
    """

    part: LayerPart
    operator: str
    lowered: Lowered
    point: Point
    cycles: int
    occupancy: Occupancy


class Confirmation(NamedTuple):
    """A network in the gates beside the simulator.

    Members:
        network: its name.
        cycles: in the gates.
        is_equal: whether the simulator has the same cycles and bytes.
    """

    network: str
    cycles: int
    is_equal: bool


class _Cost(NamedTuple):
    cycles: int
    moved_bytes: int


class HardwareCost:
    """Costs of machines for networks; called with a machine, those by the models.

    Members:
        latency_cycles: of the memory.

    Args:
        packages: by name, each with programs: what was quantised for one machine is the same on all.
        latency_cycles: of the memory.

    Raises:
        PackageError: if one has nothing on the accelerator.
    """

    def __init__(self, packages: Mapping[str, Package], latency_cycles: int) -> None:
        idle = [name for name, package in packages.items() if not package.parts]
        if idle or not packages:
            raise PackageError(
                f"networks must have layers on the accelerator, which {', '.join(idle)} has not"
                if idle
                else "there must be a network, not none"
            )
        self.latency_cycles = latency_cycles
        self._functions = {
            name: [_one_sample(part.integers) for part in package.parts.values()]
            for name, package in packages.items()
        }
        self._known: OrderedDict[tuple[str, Config], _Cost | str] = OrderedDict()

    @property
    def networks(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._functions)

    # --- by the models -------------------------------------------------------------------------------------

    def __call__(self, config: Config) -> Costs:
        """Costs by the closed form's best tilings under the event model: quick, and a little too high.

        Layers are chains where that is faster, as the compiler has it.

        Raises:
            TilewrightError: if a network does not fit the machine.
        """
        found = {
            name: [self._cost(tunable) for tunable in self.tunables(name, config)] for name in self.networks
        }
        return Costs(
            cycles={name: sum(each.cycles for each in costs) for name, costs in found.items()},
            moved_bytes={name: sum(each.moved_bytes for each in costs) for name, costs in found.items()},
        )

    def tunables(self, network: str, config: Config) -> list[Tunable]:
        """The schedules of each layer and chain of a network, with chains by the models.

        Raises:
            TilewrightError: if it does not fit the machine.
        """
        found = []
        for function in self._functions[network]:
            legal = legal_sample(function, config)
            chained = with_chains(legal, config, (), lambda tunable: self._cost(tunable).cycles)
            for unit in chained.layers:
                found += [lowered.tunable for _, lowered in lowered_parts(chained, unit, config)]
        return found

    def layers(self, network: str, config: Config) -> list[LayerCost]:
        """The layers and chains of a network by their default schedules, in their order.

        Raises:
            TilewrightError: if it does not fit the machine.
        """
        return [
            _layer_cost(unit, part, lowered, self.latency_cycles)
            for function in self._functions[network]
            for unit, part, lowered in self._compiled(function, config)
        ]

    def _compiled(self, function: NamedFunction, config: Config) -> Iterator[tuple[Unit, LayerPart, Lowered]]:
        """The parts of layers and chains as the compiler has them."""
        latency = assumed_latency(self.latency_cycles)
        chained = chained_network(function, config, latency_cycles=latency)
        for unit in chained.layers:
            for part, lowered in lowered_parts(chained, unit, config, latency):
                yield unit, part, lowered

    def _cost(self, tunable: Tunable) -> _Cost:
        """Of a layer, found once.

        Raises:
            TilingError: if it does not fit.
        """
        key = tunable.key, tunable.machine
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._found(tunable)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        if isinstance(found, str):
            raise TilingError(found)
        return found

    def _found(self, tunable: Tunable) -> _Cost | str:
        try:
            point, cycles = tunable.likely(self.latency_cycles)
        except TilingError as error:
            # A chain that does not fit is asked for again and again.
            return str(error)
        return _Cost(cycles, tunable.tilings(self.latency_cycles).occupancy(point).moved_bytes)

    # --- by the simulator, and in gates --------------------------------------------------------------------

    def measured(self, config: Config) -> Costs:
        """Costs by the simulator, of the whole programs with their default schedules.

        Raises:
            TilewrightError: if a network does not fit the machine.
        """
        found = {name: [self._timed(model) for model in self._models(name, config)] for name in self.networks}
        return Costs(
            cycles={name: sum(each.cycles for each in costs) for name, costs in found.items()},
            moved_bytes={name: sum(each.moved_bytes for each in costs) for name, costs in found.items()},
        )

    def confirmed(self, config: Config, network: str) -> Confirmation:
        """One sample of random bytes in the gates and in the simulator: minutes.

        Raises:
            PackageError: if there is no Verilator or no compiler for its programs.
        """
        if find_toolchain() is None:
            raise PackageError(
                "to confirm a machine in gates takes Verilator and a C++ compiler: "
                "tilewright doctor --for rtl says what is missing"
            )
        cycles, is_equal, environment = 0, True, self._environment
        gates, simulator = machine_of("rtl", config), machine_of("sim", config)
        for model in self._models(network, config):
            regions = _regions(model)
            ours, theirs = (
                each.run(model.executable, regions, environment, check=False) for each in (gates, simulator)
            )
            cycles += ours.cycles
            is_equal &= ours.cycles == theirs.cycles and dict(ours.regions) == dict(theirs.regions)
        return Confirmation(network, cycles, is_equal)

    @property
    def _environment(self) -> Environment:
        return Environment(latency=self.latency_cycles)

    def _models(self, network: str, config: Config) -> Iterator[Model]:
        latency = assumed_latency(self.latency_cycles)
        for function in self._functions[network]:
            yield compile_function(function, config, latency_cycles=latency)

    def _timed(self, model: Model) -> _Cost:
        """Time alone: no data changes it."""
        result = SimDevice(model.config).time(model.executable, _regions(model), self._environment)
        if result.fault is not None:
            raise PackageError(f"a program must run to its end, not to fault {result.fault.cause.name}")
        return _Cost(result.cycles, sum(result.bytes.values()))


def _layer_cost(unit: Unit, part: LayerPart, lowered: Lowered, latency_cycles: int) -> LayerCost:
    tilings, point = lowered.tunable.tilings(latency_cycles), lowered.default
    return LayerCost(
        part=part,
        operator=unit.operator_name,
        lowered=lowered,
        point=point,
        cycles=tilings.cycles(point),
        occupancy=tilings.occupancy(point),
    )


def _one_sample(named: NamedFunction) -> NamedFunction:
    verify(named.function)
    return named.one_sample()


def _regions(model: Model) -> dict[int, bytes]:
    """The constants, and random inputs."""
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    given = np.random.default_rng(_SEED).integers(0, 256, sizes[INPUTS], np.uint8).tobytes()
    return {INPUTS: given} | ({CONSTANTS: model.constants} if model.constants else {})
