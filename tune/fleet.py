"""The machines of a cluster, as far as is known: what each offers, and which can be relied on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from tilewright.tune.board import PREFIX


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine, as its scheduler sees it.

    Members:
        offers: resources, by name how much.
        heard_at: when it last gave a sign of life, by the scheduler's clock.
    """

    offers: Mapping[str, float]
    heard_at: float


@dataclass
class Fleet:
    """Machines by address.

    Members:
        machines: those that the scheduler has.
        silent: when one that did not answer had last given a sign of life; with a later one it counts again.
        unfit: why a machine is given nothing.
    """

    machines: Mapping[str, Machine] = field(default_factory=dict)
    silent: dict[str, float] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)

    def fit(self, resource: str) -> dict[str, float]:
        """How much each machine that can be relied on offers of a resource."""
        return {
            address: machine.offers[resource]
            for address, machine in self._offering(resource).items()
            if address not in self.unfit and self.silent.get(address, -inf) < machine.heard_at
        }

    def _offering(self, resource: str) -> dict[str, Machine]:
        # Less than one of it is not enough for a job.
        return {a: machine for a, machine in self.machines.items() if machine.offers.get(resource, 0) >= 1}

    def excludes(self, resource: str) -> bool:
        """Whether some machine that offers a resource cannot be relied on."""
        return len(self.fit(resource)) < len(self._offering(resource))

    def capacity(self, resource: str) -> int:
        """How many jobs may use a resource at a time."""
        offered = sum(map(int, self.fit(resource).values()))
        return min(1, offered) if resource.startswith(PREFIX) else offered

    @property
    def slots(self) -> int:
        """How many jobs may run at a time."""
        names = {name for machine in self.machines.values() for name in machine.offers}
        return sum(self.capacity(name) for name in names)

    def update(self, machines: Mapping[str, Machine]) -> None:
        """Take note of which machines there are; what is known of others is forgotten."""
        self.machines = machines
        self.silent = {address: heard for address, heard in self.silent.items() if address in machines}
        self.unfit = {address: reason for address, reason in self.unfit.items() if address in machines}

    def fall_silent(self, address: str) -> None:
        """Do not rely on a machine until it gives another sign of life."""
        machine = self.machines.get(address)
        if machine is not None:
            self.silent[address] = machine.heard_at

    def why_none(self, resource: str) -> str:
        """Why no machine that offers a resource can be relied on; empty if none offers it."""
        return "; ".join(self.unfit.get(a, f"{a} does not answer") for a in self._offering(resource))
