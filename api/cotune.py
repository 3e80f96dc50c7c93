"""Machines tuned with the schedules of networks: the front of a search, measured by the simulator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tilewright.api.hardware_cost import HardwareCost, LayerCost
from tilewright.isa.config import Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Engine
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.evaluated import Costs, Evaluated
from tilewright.tune.front import front_places, hypervolume, values_of

Told = Callable[[int, int], object]
"""Is told how many machines are measured, and of how many."""


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A machine that no other one beats in everything.

    Members:
        config, area: the machine, and what it takes by the model.
        costs: by the simulator; else by the models.
        is_measured: whether by the simulator.
    """

    config: Config
    area: Area
    costs: Costs
    is_measured: bool

    def report(self, base: Config) -> dict[str, Any]:
        """As JSON has it: figures, and the sizes that are not those of the base."""
        own, other = asdict(self.config), asdict(base)
        return {
            "cycles": dict(self.costs.cycles),
            "moved_bytes": dict(self.costs.moved_bytes),
            **asdict(self.area),
            "chip_bytes": self.config.chip_bytes,
            "measured": self.is_measured,
            "changed": {name: size for name, size in own.items() if size != other[name]},
            "config": own,
        }


def spread_of_front(machines: Sequence[Evaluated], board: Board, count: int) -> list[Evaluated]:
    """The first machine, and of the front those that together dominate most, one after the other.

    Args:
        machines: that a search looked at; the first is the one that it began with.
        board: of which they take shares.
        count: of machines at most.
    """
    base = machines[0]
    if base.costs is None:
        raise TilewrightError(f"the machine to begin with must run the networks: {base.refusal}")
    values = values_of(machines, board, base.costs.latency)
    left, taken = [place for place in front_places(values) if place], [0]
    while left and len(taken) < count:
        # The fastest one is what is asked for first: a point beyond the reference adds no volume.
        best = max(left, key=lambda place: (hypervolume(values[[*taken, place]]), -values[place][0]))
        taken.append(best)
        left.remove(best)
    return [machines[place] for place in taken]


def measured_front(
    cost: HardwareCost, machines: Sequence[Evaluated], board: Board, told: Told
) -> list[FrontPoint]:
    """Those of some machines that are still on the front by the simulator; by latency.

    What is measured is kept where the user interrupts, and the others are left out; without any, all are by
    the models.
    """
    found: list[Evaluated] = []
    is_measured = True
    try:
        for number, machine in enumerate(machines):
            told(number, len(machines))
            found.append(
                Evaluated(config=machine.config, area=machine.area, costs=cost.measured(machine.config))
            )
    except KeyboardInterrupt:
        is_measured = bool(found)
        found = found or list(machines)
    return front_points(found, board, is_measured)


def front_points(machines: Sequence[Evaluated], board: Board, is_measured: bool = False) -> list[FrontPoint]:
    """The front of machines, by latency."""
    fastest = min((each.costs.latency for each in machines if each.costs), default=1.0)
    places = front_places(values_of(machines, board, fastest))
    return [
        FrontPoint(config=each.config, area=each.area, costs=each.costs, is_measured=is_measured)
        for each in (machines[place] for place in places)
        if each.costs is not None
    ]


def layer_rows(layers: Sequence[LayerCost]) -> list[Mapping[str, Any]]:
    """Layers as a page and JSON have them: cycles, the work of each engine, and which of them bounds it."""
    return [
        {
            "layer": str(each.part).removeprefix("layer "),
            "operator": each.operator,
            "cycles": each.cycles,
            **{engine.label: each.occupancy.cycles(engine) for engine in Engine},
            "bound": each.occupancy.bound.label,
            "moved_bytes": each.occupancy.moved_bytes,
        }
        for each in layers
    ]
