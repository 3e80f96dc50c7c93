"""What is kept of a whole program: points of its layers with which it is faster than by their defaults."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.record import VERSION, Key, hold_form, point_of

MOST_LAYERS = 1 << 16
"""No program has as many layers."""


@dataclass(frozen=True, kw_only=True)
class ProgramRecord:
    """A program by some points of its layers, measured as a whole.

    Members:
        key: of what; its structure is that of the program.
        points: by the number of a layer in the program, of those that do not have their default.
        default_cycles: of the program by defaults.
        cycles: with these points.
        trials: programs that were measured until then, those of earlier runs included.

    Raises:
        TuneError: with all that is wrong.
    """

    key: Key
    points: Mapping[int, Point]
    default_cycles: int
    cycles: int
    trials: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.key.unit != "cycles":
            problems.append(f"the unit of a program must be cycles, not {self.key.unit}")
        if not 0 < self.cycles <= self.default_cycles:
            problems.append(
                f"cycles must be from 1 to {self.default_cycles}, the default's, not {self.cycles}"
            )
        if self.trials < 0:
            problems.append(f"trials must be at least 0, not {self.trials}")
        problems += [
            f"layers must be from 0 to {MOST_LAYERS - 1}, not {n}"
            for n in self.points
            if not 0 <= n < MOST_LAYERS
        ]
        if problems:
            raise TuneError("; ".join(problems))

    def line(self) -> bytes:
        """The record as JSON in ASCII, with the end of its line."""
        fields = {
            "version": VERSION,
            "program": self.key.structure,
            "target": self.key.target,
            "machine": self.key.machine,
            "environment": dict(self.key.environment),
            "points": {str(number): dict(point) for number, point in self.points.items()},
            "default_cycles": self.default_cycles,
            "cycles": self.cycles,
            "trials": self.trials,
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"


_FORM: Mapping[str, tuple[type, ...]] = {
    "version": (int,),
    "program": (str,),
    "target": (str,),
    "machine": (str,),
    "environment": (dict,),
    "points": (dict,),
    "default_cycles": (int,),
    "cycles": (int,),
    "trials": (int,),
}


def program_record_of(fields: Mapping[str, Any]) -> ProgramRecord:
    """The program that the fields of a line tell of.

    Raises:
        TuneError: if they tell of none: the reason.
    """
    hold_form(fields, _FORM)
    key = Key(
        structure=fields["program"],
        target=fields["target"],
        machine=fields["machine"],
        environment=point_of(fields["environment"]),
    )
    return ProgramRecord(
        key=key,
        points={_number(name): point_of(values) for name, values in fields["points"].items()},
        default_cycles=fields["default_cycles"],
        cycles=fields["cycles"],
        trials=fields["trials"],
    )


def _number(name: str) -> int:
    """The number of a layer, spelt in one way alone: else two names could be one."""
    if not (
        name.isascii() and name.isdigit() and len(name) <= len(str(MOST_LAYERS)) and str(int(name)) == name
    ):
        raise TuneError(f"a layer must be named by its number, not {name!r}")
    return int(name)
