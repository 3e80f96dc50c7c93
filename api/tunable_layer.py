"""One structure to tune, whatever runs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.tune.measure import Runner
from tilewright.tune.record import Key
from tilewright.tune.task import Task


@dataclass(frozen=True, kw_only=True)
class TunableLayer:
    """A structure that layers of a package share.

    Members:
        names: of these layers, as the model has them; one that runs in parts has the part's number behind.
        key: under which its costs are kept.
        task: its space, with the time of all these layers by the default schedule as weight.
        runner: measures a point of it.
        resource: what a worker must have to measure it: `sim`, `cpu`.
    """

    names: tuple[str, ...]
    key: Key
    task: Task
    runner: Runner
    resource: str = "sim"

    @property
    def name(self) -> str:
        """The first layer, and how many there are."""
        count = len(self.names)
        return self.names[0] + (f" × {count}" if count > 1 else "")

    def has_name(self, names: Sequence[str]) -> bool:
        """Whether a layer of it has one of these names."""
        return not set(names).isdisjoint(self.names)
