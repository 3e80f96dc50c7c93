"""What a machine takes of an FPGA: closed forms, and forms fitted to synthesised machines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from tilewright.isa.config import Config
from tilewright.isa.memory import Memory
from tilewright.tune.regression import Numbers, Regression, Sample, Spread, leave_one_out
from tilewright.tune.sample import FAMILIES, Synthesised, synthesised
from tilewright.tune.storage import storage_cells


@dataclass(frozen=True, kw_only=True)
class Area:
    """What a machine takes.

    Members:
        lut: look-up tables, for logic and for memories; LUT6 of the 7 series, LUT4 of the ECP5 with carries.
        ff: registers outside of multipliers and memories.
        dsp: multipliers, DSP48 or MULT18X18D.
        bram: block RAMs: RAMB36 (a RAMB18 is half of one) or DP16KD.
    """

    lut: int
    ff: int
    dsp: int
    bram: float


BLOCK_SHARE = {"ramb18": 0.5, "ramb36": 1.0, "dp16kd": 1.0}
"""What a block RAM counts in `Area.bram`."""


def multipliers(config: Config) -> int:
    """Multipliers of a machine: one for each product of the array, and those that requantise. Exact."""
    return config.rows * config.cols + config.cols // config.requant_interval


def block_rams(config: Config, family: str) -> dict[str, int]:
    """Block RAMs of a machine by name. Exact."""
    counts = storage_cells(config, family).counts
    return {name: counts[name] for name in BLOCK_SHARE if counts[name]}


def block_ram_sum(config: Config, family: str) -> float:
    """The same in the unit of `Area.bram`."""
    return sum(BLOCK_SHARE[name] * count for name, count in block_rams(config, family).items())


PORT_BITS = 24
"""A port of a bank, with its counters of claims, weighs as much as the ways of that many bits of data."""


def bank_ways(config: Config) -> int:
    """Data bits of all banks, each with its ways from all writers and to all readers; and their ports."""
    bits = sum(8 * config.banks(memory) * config.vector_bytes(memory) for memory in Memory)
    return bits + PORT_BITS * config.port_count


@dataclass(frozen=True, kw_only=True)
class Term:
    """What a count of cells grows with.

    Members:
        name: in words.
        of: its value for a machine.
    """

    name: str
    of: Callable[[Config], float]


def _windows(config: Config) -> float:
    """Lanes with a sliding window."""
    return config.cols if config.vector_taps > 1 else 0


SERIES_7 = (
    Term(name="machine", of=lambda config: 1.0),
    # With what serves a column of the array.
    Term(name="lanes", of=lambda config: config.cols),
    Term(name="products", of=lambda config: config.rows * config.cols),
    # Turns that lanes wait for their multiplier.
    Term(name="waiting", of=lambda config: config.cols * (config.requant_interval - 1)),
    Term(name="bank ways", of=bank_ways),
    Term(name="bus bytes", of=lambda config: config.bus_bytes),
    # A window's products, and the memory of its chunks.
    Term(name="windows", of=_windows),
)
TERMS: Mapping[tuple[str, str], tuple[Term, ...]] = MappingProxyType(
    {
        ("xc7", "lut"): SERIES_7,
        ("xc7", "ff"): SERIES_7,
        # The same gates in smaller tables; sums of the array are carries outside of the multipliers.
        ("ecp5", "lut"): (
            Term(name="tables of the 7 series", of=lambda config: _rest("lut", config)),
            Term(name="products", of=lambda config: config.rows * config.cols),
            Term(name="windows", of=_windows),
        ),
        # No tables are shift registers, and what registers of a multiplier hold is counted beside it.
        ("ecp5", "ff"): (
            Term(name="registers of the 7 series", of=lambda config: _rest("ff", config)),
            Term(name="lanes", of=lambda config: config.cols),
            Term(name="products", of=lambda config: config.rows * config.cols),
        ),
    }
)
"""What is weighed, by family and count. Fewer machines were synthesised for the ECP5: it has fewer terms."""


def _rest(name: str, config: Config) -> float:
    """The fitted part of a count on the 7 series."""
    model = AreaModel.fitted("xc7")
    return float((model.lut if name == "lut" else model.ff).rest([config])[0])


MULTIPLEXERS = {"xc7": 3, "ecp5": 1}
"""Bits of two-to-one multiplexers that a look-up table holds: LUT6 and LUT4."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A count of cells: the closed form of the memories, and a fitted sum beside it.

    Members:
        family, name: what is counted: `lut` or `ff`.
        regression: the fitted part.
        leave_one_out: errors about each machine of the fit by a fit to the others.
        held_out: errors about the machines that no fit has seen.
    """

    family: str
    name: str
    regression: Regression
    leave_one_out: Spread
    held_out: Spread

    @classmethod
    def fitted(cls, family: str, name: str) -> "Form":
        """The form by the machines that are not held out."""
        machines = synthesised(family)
        held_out = np.array([machine.held_out for machine in machines])
        configs = [machine.config for machine in machines]
        sample = Sample(
            values=_values(family, name, configs),
            known=_known(family, name, configs),
            measured=np.array([getattr(machine, name) for machine in machines], dtype=float),
        )
        words = tuple(term.name for term in TERMS[family, name])
        regression = Regression.fitted(words, sample[~held_out])
        return cls(
            family=family,
            name=name,
            regression=regression,
            leave_one_out=Spread.of(leave_one_out(words, sample[~held_out])),
            held_out=Spread.of(regression.errors(sample[held_out])),
        )

    def rest(self, configs: Sequence[Config]) -> Numbers:
        """The fitted part (machines,)."""
        return self.regression.sums(_values(self.family, self.name, configs))

    def counts(self, configs: Sequence[Config]) -> Numbers:
        """The cells (machines,)."""
        return self.rest(configs) + _known(self.family, self.name, configs)

    def __str__(self) -> str:
        return f"leave-one-out error {self.leave_one_out}; held out {self.held_out}"


@dataclass(frozen=True, kw_only=True)
class AreaModel:
    """The area of machines on one family.

    Members:
        family: `xc7` or `ecp5`.
        lut, ff: how they are counted, and how wrong that is; multipliers and block RAMs are exact.
    """

    family: str
    lut: Form
    ff: Form

    @classmethod
    @cache
    def fitted(cls, family: str) -> "AreaModel":
        """The model of a family, by the machines that are not held out.

        Raises:
            TuneError: for an unknown family.
        """
        return cls(family=family, lut=Form.fitted(family, "lut"), ff=Form.fitted(family, "ff"))

    def areas(self, configs: Sequence[Config]) -> list[Area]:
        """The areas of several machines."""
        luts, ffs = (np.rint(form.counts(configs)).astype(int).tolist() for form in (self.lut, self.ff))
        return [
            Area(lut=lut, ff=ff, dsp=multipliers(config), bram=block_ram_sum(config, self.family))
            for config, lut, ff in zip(configs, luts, ffs, strict=True)
        ]

    def area(self, config: Config) -> Area:
        """The area of a machine."""
        return self.areas([config])[0]


def _values(family: str, name: str, configs: Sequence[Config]) -> Numbers:
    chosen = TERMS[family, name]
    rows = [[term.of(config) for term in chosen] for config in configs]
    return np.array(rows, dtype=float).reshape(-1, len(chosen))


def _known(family: str, name: str, configs: Sequence[Config]) -> Numbers:
    """The cells (machines,) that memories become: nothing is fitted there."""
    return np.array([_memory_cells(name, config, family) for config in configs], dtype=float)


def _memory_cells(name: str, config: Config, family: str) -> float:
    cells = storage_cells(config, family)
    return cells.counts[name] + (cells.selected_bits / MULTIPLEXERS[family] if name == "lut" else 0)


def report(families: Sequence[str] = FAMILIES) -> Iterator[str]:
    """Lines of a table: each machine as measured and by the model, and the errors of the model."""
    for family in families:
        model = AreaModel.fitted(family)
        yield f"{family:<15}{'lut':>9}{'model':>8}{'error':>8}{'ff':>9}{'model':>8}{'error':>8}"
        yield from (_line(machine, model.area(machine.config)) for machine in synthesised(family))
        yield from (f"  {form.name} {form}" for form in (model.lut, model.ff))


def _line(machine: Synthesised, area: Area) -> str:
    pairs = ((machine.lut, area.lut), (machine.ff, area.ff))
    figures = "".join(f"{seen:9}{said:8}{100 * (said / seen - 1):+7.1f}%" for seen, said in pairs)
    return f"{machine.name:<15}{figures}{'  held out' if machine.held_out else ''}"
