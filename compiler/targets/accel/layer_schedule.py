"""Schedules of the layers of a network: the default ones, and all of them as text.

A section a layer, a line a primitive; empty lines and what follows a # are skipped:

    layer "conv1"
        split loop=tile_y factor=7 outer=yo inner=yi
        …
    layer "pool" part 1
        …

A layer that runs in parts, one after the other, has a section for each part; the first is part 0.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.schedule import Primitive, ScheduleError, parse_schedule, print_schedule
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.chain import Prices, lower_chain, with_chains
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.legalise import legalise
from tilewright.compiler.targets.accel.network import AccelNetwork, Unit, network_of
from tilewright.compiler.targets.accel.operator.lower import lower
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.isa.config import Config

_HEADER = re.compile(r'layer\s+("(?:[^"\\]|\\.)*")(?:\s+part\s+([0-9]{1,9}))?\s*(?:#.*)?')


class LayerPart(NamedTuple):
    """The key of a schedule: a layer's name, and the number of a part of it."""

    layer: str
    number: int = 0

    def __str__(self) -> str:
        name = f"layer {json.dumps(self.layer, ensure_ascii=False)}"
        return f"{name} part {self.number}" if self.number else name


Schedules = Mapping[LayerPart, tuple[Primitive, ...]]
Points = Mapping[LayerPart, Point]
NO_POINTS: Points = MappingProxyType({})
"""All layers have their default."""


def default_schedules(
    named: NamedFunction,
    config: Config,
    points: Points = NO_POINTS,
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
    given: Schedules | None = None,
) -> dict[LayerPart, tuple[Primitive, ...]]:
    """The schedule that each layer has if none is given, in their order.

    Args:
        named: quantised, as `compile_function` takes it.
        config: the machine.
        points: of layers that do not have their default.
        latency_cycles: of the memory for which defaults are chosen.
        given: schedules that layers have; they decide which layers are chains.

    Raises:
        NetworkError: if the machine cannot do all of it.
        TilingError: if a layer does not fit.
    """
    network = chained_network(named, config, given, latency_cycles)
    return {
        part: lowered.tunable.schedule(points.get(part, lowered.default))
        for unit in network.layers
        for part, lowered in lowered_parts(network, unit, config, latency_cycles)
    }


def legal_network(named: NamedFunction, config: Config) -> AccelNetwork:
    """The network of a quantised function, for one sample, in operators that are one unit of the machine.

    Raises:
        IrError: if the function is unsound.
        NetworkError: if the machine cannot do all of it.
    """
    verify(named.function)
    return legal_sample(named.one_sample(), config)


def legal_sample(alone: NamedFunction, config: Config) -> AccelNetwork:
    """The same of a sound function that is for one sample already.

    Raises:
        NetworkError: if the machine cannot do all of it.
    """
    return network_of(alone.with_function(legalise(alone.function, config)), config)


def chained_network(
    named: NamedFunction,
    config: Config,
    schedules: Schedules | None = None,
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
) -> AccelNetwork:
    """The same, whose layers are chains where that is faster; those with schedules are what these name.

    Raises:
        IrError: if the function is unsound.
        NetworkError: if the machine cannot do all of it.
    """
    network = legal_network(named, config)
    return with_chains(network, config, {part.layer for part in schedules or {}}, Prices(latency_cycles))


def lowered_parts(
    network: AccelNetwork, unit: Unit, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> Iterator[tuple[LayerPart, Lowered]]:
    """The parts of a layer, lowered, with their default schedules for a memory of some latency."""
    if unit.before:
        chain = lower_chain(unit, network.constants_of(unit), config)
        yield LayerPart(unit.name), replace(chain, latency_cycles=latency_cycles)
        return
    constants = network.constants_of(unit)
    for number, lowered in enumerate(lower(unit.operator, unit.types, constants, config)):
        yield LayerPart(unit.name, number), replace(lowered, latency_cycles=latency_cycles)


# --- text --------------------------------------------------------------------------------------------------


def print_schedules(schedules: Schedules) -> str:
    """The schedules as text, in their order."""
    sections = (f"{part}\n{_indented(print_schedule(schedule))}" for part, schedule in schedules.items())
    return "\n".join(sections)


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def parse_schedules(text: str) -> dict[LayerPart, tuple[Primitive, ...]]:
    """The schedules that `print_schedules` printed, or a part of them.

    Raises:
        ScheduleError: naming the line that says nothing, or a layer that comes twice.
    """
    sections: dict[LayerPart, list[str]] = {}
    lines: list[str] | None = None
    for number, line in enumerate(text.splitlines()):
        header = _HEADER.fullmatch(line.strip())
        if header is not None:
            part = LayerPart(_name(header[1], number + 1), int(header[2] or 0))
            if part in sections:
                raise ScheduleError(f"line {number + 1}: {part} must have one section: it has one before")
            # Empty lines, so that errors name the line of the file.
            lines = sections[part] = [""] * (number + 1)
        elif lines is not None:
            lines.append(line)
        elif line.partition("#")[0].strip():
            raise ScheduleError(
                f'line {number + 1} must begin a section: layer "NAME", not {line.strip()[:60]!r}'
            )
    return {part: parse_schedule("\n".join(lines)) for part, lines in sections.items()}


def _name(text: str, line: int) -> str:
    """The name of a layer in quotes.

    Raises:
        ScheduleError: if it is no JSON text.
    """
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise ScheduleError(f"line {line}: a name must be JSON text, not {text[:60]} ({error})") from None
