"""Slack of machines: sizes that can be a step smaller, one after the other, while no network is slower."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tilewright.isa.config import Config, ConfigError
from tilewright.tune.budget import Board
from tilewright.tune.evaluated import AreaForm, Evaluated
from tilewright.tune.hardware_space import HardwareSpace, shares_of

Saving = tuple[float, int]
"""Shares of the board's look-up tables and block RAMs together, and bytes on the chip."""


@dataclass(frozen=True, kw_only=True)
class Slack:
    """Walks from a machine to one that has nothing to spare.

    Each step makes that size smaller which saves most. A size that made a network slower once is not made
    smaller again on the walk: less of everything else makes no room for it. The walk is read from what is
    known, so that a search that was resumed goes on with it.

    Members:
        space: of machines.
        area: the form of the board's family.
        board: of which machines take shares.
    """

    space: HardwareSpace
    area: AreaForm
    board: Board

    def next(
        self,
        root: Evaluated,
        known: Mapping[Config, Evaluated],
        *,
        start: Config | None = None,
        kept: Collection[str] = (),
    ) -> Config | None:
        """The machine to look at next; None at the walk's end.

        Args:
            root: nothing on the walk is slower than it.
            known: what was looked at.
            start: where the walk begins; None: at the root.
            kept: names of sizes that stay.
        """
        at, spent = start or root.config, frozenset(kept)
        while steps := dict(self._steps(at, spent)):
            name = max(steps, key=lambda name: self._saving(at, steps[name]))
            found = known.get(steps[name])
            if found is None:
                return steps[name]
            if found.is_as_fast_as(root):
                at = found.config
            else:
                spent |= {name}
        return None

    def _steps(self, at: Config, spent: frozenset[str]) -> Iterator[tuple[str, Config]]:
        """Sizes, and the machine with a step less of it, of those that save anything."""
        places = self.space.places(at)
        for name, place in places.items():
            if name in spent or not place:
                continue
            try:
                config = self.space.config(places | {name: place - 1})
            except ConfigError:
                continue
            if self._saving(at, config) > (0.0, 0) and not list(
                self.board.lacks(config, self.area.area(config))
            ):
                yield name, config

    def _saving(self, before: Config, after: Config) -> Saving:
        shares, smaller = (shares_of(self.area.area(each), self.board) for each in (before, after))
        saved = sum(shares[name] - smaller[name] for name in ("lut", "bram"))
        return saved, before.chip_bytes - after.chip_bytes
