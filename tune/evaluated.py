"""Machines that a search looked at, and what they cost."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tilewright.isa.config import Config
from tilewright.tune.area import Area

AS_FAST = 1.005
"""Cycles up to which a network is no slower, of those of another machine: models are not nearer to it."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a machine costs networks.

    Members:
        cycles, moved_bytes: of each network by name: of one sample, and of its bytes on the bus.
    """

    cycles: Mapping[str, int]
    moved_bytes: Mapping[str, int]

    @property
    def latency(self) -> float:
        """The geometric mean of the cycles: a network's share counts, not its size."""
        return math.exp(sum(map(math.log, self.cycles.values())) / len(self.cycles))

    def is_as_fast_as(self, other: "Costs") -> bool:
        """Whether no network needs more cycles than with the other, by `AS_FAST`."""
        return all(self.cycles[name] <= AS_FAST * cycles for name, cycles in other.cycles.items())


class AreaForm(Protocol):
    """Says what machines take."""

    def area(self, config: Config) -> Area:
        """The area of a machine."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A machine that a search looked at.

    Members:
        config, area: the machine, and what it takes.
        costs: of the networks; None if it was refused.
        refusal: why it cannot run them; else empty.
    """

    config: Config
    area: Area
    costs: Costs | None
    refusal: str = ""

    def is_as_fast_as(self, other: "Evaluated") -> bool:
        """Whether both run the networks, and this one no network slower."""
        return self.costs is not None and other.costs is not None and self.costs.is_as_fast_as(other.costs)


Objective = Callable[[Config], Costs]
"""Costs of a machine; raises TilewrightError where a network does not fit it."""
