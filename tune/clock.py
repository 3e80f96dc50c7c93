"""How fast a machine runs: a form fitted to routed ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import log2

import numpy as np

from tilewright.isa.config import Config
from tilewright.tune.regression import Regression, Sample, Spread, leave_one_out
from tilewright.tune.sample import routed

TERMS = ("machine", "lanes, log2")
"""What the period grows with: the fixed part, and the reach of what goes to all lanes."""
FEWEST = 4
"""Routed machines with which the second term is fitted too: fewer would say nothing of its error."""
NS_AT_1_MHZ = 1e3


def terms(config: Config) -> tuple[float, ...]:
    """The values of TERMS."""
    return (1.0, log2(config.cols))


@dataclass(frozen=True, kw_only=True)
class ClockModel:
    """The clock of machines on the ECP5 at speed grade 6, by their routed datapaths and machines.

    Members:
        regression: of the period in ns.
        leave_one_out: errors of the clock of each routed machine by a fit to the others.
    """

    regression: Regression
    leave_one_out: Spread

    @classmethod
    @cache
    def fitted(cls) -> "ClockModel":
        """The model by the machines that come along; made once."""
        return cls.fit()

    @classmethod
    def fit(cls) -> "ClockModel":
        """The model: of both terms, or of the first alone if fewer than FEWEST were routed."""
        sample = _sample()
        used = len(TERMS) if len(sample.measured) >= FEWEST else 1
        chosen = Sample(values=sample.values[:, :used], known=sample.known, measured=sample.measured)
        periods = leave_one_out(TERMS[:used], chosen)
        return cls(
            regression=Regression.fitted(TERMS[:used], chosen),
            # Errors of periods become those of clocks.
            leave_one_out=Spread.of(1 / (1 + periods) - 1),
        )

    def mhz(self, config: Config) -> float:
        """The clock of a machine in MHz."""
        values = terms(config)[: len(self.regression.terms)]
        return NS_AT_1_MHZ / float(np.dot(values, self.regression.weights))

    def __str__(self) -> str:
        fixed = len(self.regression.terms) < len(TERMS)
        form = " + ".join(
            f"{weight:.2f} × {term}"
            for term, weight in zip(self.regression.terms, self.regression.weights, strict=True)
        )
        few = f"; fewer than {FEWEST} are routed: the same for all" if fixed else ""
        return f"period {form} ns, leave-one-out error {self.leave_one_out}{few}"


def _sample() -> Sample:
    machines = routed()
    return Sample(
        values=np.array([terms(machine.config) for machine in machines]),
        known=np.zeros(len(machines)),
        measured=np.array([NS_AT_1_MHZ / machine.mhz for machine in machines]),
    )


def report() -> Iterator[str]:
    """Lines of a table: each routed machine, its clock by the model, and the error of the model."""
    model = ClockModel.fitted()
    yield f"{'routed':<16}{'part':<10}{'MHz':>6}{'model':>7}{'error':>8}"
    for machine in routed():
        said = model.mhz(machine.config)
        error = 100 * (said / machine.mhz - 1)
        yield f"{machine.name:<16}{machine.part:<10}{machine.mhz:6.1f}{said:7.1f}{error:+7.1f}%"
    yield f"  {model}"
