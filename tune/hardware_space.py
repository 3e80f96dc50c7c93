"""Machines that a search may propose: what each size of a machine may be."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from tilewright.isa.config import FIELD_RANGES, Config, ConfigError
from tilewright.isa.memory import Memory
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.error import TuneError

_LESS, _MORE = 32, 4
"""How much less and more than the base a size may be."""
_TRIES = 100_000
"""Machines drawn until one fits: one in some hundred does."""


@dataclass(frozen=True, kw_only=True)
class HardwareSpace:
    """The machines with one of the choices for each size.

    Members:
        base: the machine that a search begins with; its sizes are those without a choice.
        choices: by name, two or more each, rising.
    """

    base: Config
    choices: Mapping[str, tuple[int, ...]]

    @classmethod
    def around(
        cls,
        base: Config,
        *,
        fixed: Collection[str] = (),
        allowed: Mapping[str, Collection[int]] | None = None,
    ) -> "HardwareSpace":
        """All fields of `Config` that are not fixed: powers of two, and the base's own size.

        Args:
            base: the machine.
            fixed: names of sizes that are those of the base.
            allowed: what a size may be, where not everything that a machine may have.

        Raises:
            TuneError: for a name that no field has.
        """
        names = [field.name for field in fields(Config)]
        unknown = sorted({*fixed, *(allowed or {})} - set(names))
        if unknown:
            raise TuneError(f"sizes must be of {', '.join(names)}, not {', '.join(unknown)}")
        found = {}
        for name in names:
            own: int = getattr(base, name)
            near = [each for each in FIELD_RANGES[name].steps if own <= _LESS * each <= _LESS * _MORE * own]
            values = (allowed or {}).get(name, {own, *near})
            if name not in fixed and len(values) > 1:
                found[name] = tuple(sorted(values))
        return cls(base=base, choices=found)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sizes that vary."""
        return tuple(self.choices)

    @property
    def count(self) -> int:
        """Combinations of choices, among them those that no machine can have."""
        return int(np.prod([len(values) for values in self.choices.values()], dtype=object))

    def config(self, places: Mapping[str, int]) -> Config:
        """The machine of a place among each size's choices.

        Raises:
            ConfigError: if no machine can have such sizes together.
        """
        sizes = {name: self.choices[name][place] for name, place in places.items()}
        return Config(**(asdict(self.base) | sizes))

    def places(self, config: Config) -> dict[str, int]:
        """Where a machine's sizes are among the choices.

        Raises:
            TuneError: if it is not in the space.
        """
        for name, own in asdict(config).items():
            values = self.choices.get(name, (getattr(self.base, name),))
            if own not in values:
                raise TuneError(f"{name} must be one of {', '.join(map(str, values))}, not {own}")
        return {name: values.index(getattr(config, name)) for name, values in self.choices.items()}

    def arrays(self) -> list[Config]:
        """The base with each other array of at least half its products, and memories of as many bytes.

        Sorted by products, the most first: rows and columns trade against each other, which single steps do
        not find.
        """
        found = []
        for rows in self.choices.get("rows", (self.base.rows,)):
            for cols in self.choices.get("cols", (self.base.cols,)):
                depths = {name: getattr(self.base, name) * self.base.cols // cols for name in self._depths}
                try:
                    config = replace(self.base, rows=rows, cols=cols, **depths)
                    self.places(config)
                except (ConfigError, TuneError):
                    continue
                if config != self.base and 2 * config.peak_macs >= self.base.peak_macs:
                    found.append(config)
        return sorted(found, key=lambda config: -config.peak_macs)

    def windowed(self) -> Config | None:
        """The base with a sliding window; None if it has one, or none is to be tried."""
        taps = self.choices.get("vector_taps", (self.base.vector_taps,))[-1]
        return replace(self.base, vector_taps=taps) if taps > self.base.vector_taps else None

    @property
    def _depths(self) -> list[str]:
        """The names of memories' depths that vary."""
        return [name for memory in Memory if (name := f"{memory.label}_vectors") in self.choices]

    def draw(self, rng: np.random.Generator) -> Config:
        """A random machine that there can be.

        Raises:
            TuneError: if none was drawn in many tries.
        """
        for _ in range(_TRIES):
            try:
                return self.config({name: int(rng.integers(len(of))) for name, of in self.choices.items()})
            except ConfigError:
                continue
        raise TuneError(f"no machine was found in {_TRIES:,} tries: fix fewer sizes")


SHARES = ("lut", "ff", "dsp", "bram")
"""What a board has some number of, and a machine takes some share of."""


def shares_of(area: Area, board: Board) -> dict[str, float]:
    """The share of each of `SHARES` that a machine takes of a board; above 1 it does not fit."""
    return {name: getattr(area, name) / getattr(board, name) for name in SHARES}
