"""What is kept of a measurement: what was measured, of what, on what, and what it came to; a line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import NoneType
from typing import Any, NoReturn

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.outcome import Kind, Outcome

VERSION = 1
"""Of the form of a line; a record of another is never read as one of this."""
START = b'{"version":'
"""How every line begins, whatever its version."""
UNITS = ("cycles", "seconds")


class VersionError(TuneError):
    """A record of another version.

    Members:
        version: that of the record.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"a record must be of version {VERSION}, not {version}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a cost is a cost of, all but the point: costs under one key can be compared.

    Members:
        structure: what is computed, as its canonical text.
        target: what runs it: `accel`, `cpu`, `rtl`.
        machine: which: the digest of a configuration, or the features of a host.
        environment: what else the cost depends on, such as the latency of the memory.
        unit: of costs: `cycles` or `seconds`.

    Raises:
        TuneError: if the unit is another.
    """

    structure: str
    target: str
    machine: str
    environment: Point = field(default_factory=lambda: Point({}))
    unit: str = "cycles"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise TuneError(f"a unit must be one of {', '.join(UNITS)}, not {self.unit!r}")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measurement.

    Members:
        key: of what.
        point: with which choices.
        outcome: what it came to.

    Raises:
        TuneError: if the time it took is no number.
    """

    key: Key
    point: Point
    outcome: Outcome

    def __post_init__(self) -> None:
        if not isfinite(self.outcome.seconds):
            raise TuneError(f"the time of a measurement must be a number, not {self.outcome.seconds!r}")

    def line(self) -> bytes:
        """The record as JSON in ASCII, with the end of its line."""
        key, outcome = self.key, self.outcome
        fields = {
            "version": VERSION,
            "structure": key.structure,
            "target": key.target,
            "machine": key.machine,
            "environment": dict(key.environment),
            "unit": key.unit,
            "point": dict(self.point),
            "kind": outcome.kind.value,
            "cost": outcome.cost,
            "detail": outcome.detail,
            "seconds": outcome.seconds,
            "worker": outcome.worker,
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"


_FORM: Mapping[str, tuple[type, ...]] = {
    "version": (int,),
    "structure": (str,),
    "target": (str,),
    "machine": (str,),
    "environment": (dict,),
    "unit": (str,),
    "point": (dict,),
    "kind": (str,),
    "cost": (int, float, NoneType),
    "detail": (str,),
    "seconds": (int, float),
    "worker": (str,),
}


def read_fields(line: bytes) -> dict[str, Any]:
    """The fields of a line of this version, whatever they are.

    Raises:
        VersionError: if it is one of another version.
        TuneError: if it is no object: the reason.
    """
    try:
        fields = json.loads(line.decode("ascii"), parse_constant=_no_number)
    except RecursionError:
        raise TuneError("it is nested too deeply") from None
    except ValueError as error:
        raise TuneError(str(error)) from None
    if not isinstance(fields, dict):
        raise TuneError("it is not an object")
    version = fields.get("version")
    if type(version) is int and version != VERSION:
        raise VersionError(version)
    return fields


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def hold_form(fields: Mapping[str, Any], form: Mapping[str, tuple[type, ...]]) -> None:
    """Refuse fields of another form.

    Args:
        fields: of a line.
        form: the types that each must be one of, by name.

    Raises:
        TuneError: with all that is wrong.
    """
    if fields.keys() != form.keys():
        raise TuneError(f"it must have the fields {', '.join(form)}, not {', '.join(fields)}")
    wrong = [name for name, types in form.items() if type(fields[name]) not in types]
    if wrong:
        raise TuneError("; ".join(f"{name} must not be {fields[name]!r}" for name in wrong))


def record_of(fields: Mapping[str, Any]) -> Record:
    """The measurement that the fields of a line tell of.

    Raises:
        TuneError: if they tell of none: the reason.
    """
    hold_form(fields, _FORM)
    key = Key(
        structure=fields["structure"],
        target=fields["target"],
        machine=fields["machine"],
        environment=point_of(fields["environment"]),
        unit=fields["unit"],
    )
    try:
        kind = Kind(fields["kind"])
    except ValueError as error:
        raise TuneError(str(error)) from None
    outcome = Outcome(
        kind=kind,
        cost=fields["cost"],
        detail=fields["detail"],
        seconds=fields["seconds"],
        worker=fields["worker"],
    )
    return Record(key=key, point=point_of(fields["point"]), outcome=outcome)


def point_of(values: object) -> Point:
    """The point of an object of JSON.

    Raises:
        TuneError: if it is none.
    """
    kept = {} if not isinstance(values, dict) else values
    # True counts as 1, and a point with it would equal another.
    if kept is not values or any(type(value) not in (int, str) for value in kept.values()):
        raise TuneError(f"values of knobs must be numbers or words, not {values!r}")
    return Point(kept)
