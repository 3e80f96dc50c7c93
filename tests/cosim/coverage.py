"""What random programs reached of what there is: fields, faults, rules, waits, queues, tokens, windows.

Points come from the tables of the contract, so that a new field, rule or engine is one more that must be
reached. What was reached is read off the simulator's events. Why an instruction started when it did is taken
from what ended in the cycle before: two such things may end together, and then count both.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from tests.cosim.case import Run
from tests.cosim.compare import engine_of_each

from tilewright.isa.config import FIELD_RANGES, IN_FLIGHT, Config
from tilewright.isa.encoding import ProgramTable, decode_table
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.footprint import claim_masks
from tilewright.isa.instruction import ENGINE_OF, INSTRUCTIONS, Instruction, Opcode, Spec, Vector, specs
from tilewright.isa.legality import explain_row
from tilewright.isa.memory import Engine, Memory, Port
from tilewright.isa.operand import OPERANDS
from tilewright.isa.rule import RULES, Rule
from tilewright.isa.sliding import COLUMNS_MAXIMUM, WINDOW_TAPS, chunks_of_row, sliding_chunks, step_of
from tilewright.sim.result import SimResult

Point = tuple[str, str]
"""Axis and what on it."""
Integers = NDArray[np.int64]

_FOUND_LATER = {
    FaultEngine.FETCH: (Cause.ILLEGAL, Cause.BUS, Cause.ADDRESS, Cause.CONFIG),
    FaultEngine.LOAD: (Cause.BUS, Cause.ADDRESS),
    FaultEngine.MATRIX: (Cause.ADDRESS,),
    FaultEngine.VECTOR: (Cause.ADDRESS,),
    FaultEngine.STORE: (Cause.BUS, Cause.ADDRESS),
    FaultEngine.SYSTEM: (Cause.DEADLOCK, Cause.TIMEOUT),
}
"""docs/machine.md, Faults: who finds what."""
_FEW_STEPS = 8
"""Sizes with more choices count as least and more."""


@dataclass
class Coverage:
    """How often each point was reached.

    Members:
        reached: by point.
    """

    reached: Counter[Point] = field(default_factory=Counter)

    def add_config(self, config: Config) -> None:
        """A machine on which programs run."""
        for name, known in FIELD_RANGES.items():
            self.reached["size", _size_point(name, getattr(config, name), known.steps)] += 1

    def add(self, run: Run, result: SimResult, config: Config) -> None:
        """A program and what became of it."""
        table = decode_table(run.code())
        for point in set(_points_of(table, result, config)):
            self.reached[point] += 1

    def missing(self) -> list[Point]:
        """What there is and was never reached."""
        return [point for point in all_points() if not self.reached[point]]

    def lines(self) -> Iterator[str]:
        """A line for each axis: reached of all, and what was not."""
        axes: dict[str, list[Point]] = {}
        for point in all_points():
            axes.setdefault(point[0], []).append(point)
        for axis, points in axes.items():
            missing = [what for _, what in points if not self.reached[axis, what]]
            gaps = f"; never: {', '.join(missing)}" if missing else ""
            yield f"{axis:<12}{len(points) - len(missing):>5} of {len(points)}{gaps}"

    def to_json(self) -> dict[str, dict[str, int]]:
        """The counts by axis and what on it."""
        found: dict[str, dict[str, int]] = {}
        for (axis, what), count in self.reached.items():
            found.setdefault(axis, {})[what] = count
        return found

    def merge(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add what `to_json` gave."""
        for axis, known in counts.items():
            self.reached.update({(axis, what): count for what, count in known.items()})


# --- what there is -----------------------------------------------------------------------------------------


def all_points() -> list[Point]:
    """Every point, axis by axis."""
    return list(dict.fromkeys(_every_point()))


def _every_point() -> Iterator[Point]:
    for kind in INSTRUCTIONS:
        for name, spec in specs(kind).items():
            yield from (("field", f"{kind.__name__}.{name} {what}") for what in _values_of(spec))
    for kind, rows in OPERANDS.items():
        for row in rows:
            for memory in row.memories(kind):
                yield "operand", f"{kind.__name__}.{row.address} {_place(memory)}"
    for engine, causes in _FOUND_LATER.items():
        yield from (("fault", f"{engine.name} {cause.name}") for cause in causes)
    for kind in INSTRUCTIONS:
        for rule in RULES[kind]:
            if not _has_all_codes(kind, rule):
                yield "rule", f"{kind.__name__}: {_rule_name(rule.text)}"
    yield from _points_of_time()
    for step, most in enumerate(COLUMNS_MAXIMUM, 1):
        chunks = {chunks_of_row(columns, step) for columns in range(WINDOW_TAPS, most + 1)}
        yield from (("window", f"step {step}, {count} chunks") for count in sorted(chunks))
    for name, known in FIELD_RANGES.items():
        yield from (("size", _size_point(name, step, known.steps)) for step in known.steps)


def _points_of_time() -> Iterator[Point]:
    for engine in Engine:
        yield "start", f"{engine.label} at once"
        yield "start", f"{engine.label} behind {IN_FLIGHT} in flight"
        yield "queue", f"{engine.label} full"
    for one, other in permutations(Engine, 2):
        yield "start", f"{one.label} with a token of {other.label}"
        yield "tokens", f"{one.label} to {other.label} at capacity"
        if _may_claim(one) & _may_claim(other):
            yield "start", f"{one.label} behind a claim of {other.label}"
        if one < other:
            yield "overlap", f"{one.label} and {other.label}"


def _may_claim(engine: Engine) -> set[tuple[Memory, Port]]:
    """The ports, of any bank, that an engine's instructions claim."""
    return {
        (memory, port)
        for kind, rows in OPERANDS.items()
        if ENGINE_OF[kind.opcode] == engine
        for row in rows
        for memory in row.memories(kind)
        if memory is not None
        for port in row.ports
    }


def _values_of(spec: Spec) -> tuple[str, ...]:
    if spec.values is not None:
        return tuple(item.name.lower() for item in spec.values)
    return ("negative", "zero", "positive") if spec.signed else ("least", "more")


def _place(memory: Memory | None) -> str:
    return "nowhere" if memory is None else memory.label


def _size_point(name: str, value: int, steps: tuple[int, ...]) -> str:
    if len(steps) <= _FEW_STEPS and value in steps:
        return f"{name} {value}"
    return f"{name} {'least' if value == steps[0] else 'more'}"


def _has_all_codes(kind: type[Instruction], rule: Rule) -> bool:
    """Whether it is about a choice of which every code is known: nothing breaks it."""
    spec = specs(kind).get(rule.text.split(" must be one of ")[0])
    return spec is not None and spec.values is not None and len(spec.values) == 1 << spec.bits


def _rule_name(text: str) -> str:
    """A rule's text up to its first value, which tells it from the others of its class."""
    return text.split(": ")[0].split(", not ")[0].replace("{", "").replace("}", "")


# --- what was reached --------------------------------------------------------------------------------------


def _points_of(table: ProgramTable, result: SimResult, config: Config) -> Iterator[Point]:
    yield from _points_of_values(table, result.start >= 0, config)
    yield from _points_of_starts(table, result, config)
    fault = result.fault
    if fault is not None:
        yield "fault", f"{fault.engine.name} {fault.cause.name}"
        if fault.engine == FaultEngine.FETCH and fault.instruction < len(table):
            yield from _broken_rules(table, fault.instruction, config)


def _broken_rules(table: ProgramTable, index: int, config: Config) -> Iterator[Point]:
    kind = next((each for each in INSTRUCTIONS if each.opcode == table.opcode[index]), None)
    if kind is None:
        return
    reasons = explain_row(table, index, config)
    for rule in RULES[kind]:
        parts = rule.text.split("{")[0]
        if any(reason.startswith(parts) for reason in reasons):
            yield "rule", f"{kind.__name__}: {_rule_name(rule.text)}"


def _points_of_values(table: ProgramTable, started: NDArray[np.bool_], config: Config) -> Iterator[Point]:
    for kind in INSTRUCTIONS:
        part = table.classes[kind.opcode]
        # No engine runs a finish: it has no fields either.
        ran = started[part.rows]
        for name, spec in specs(kind).items():
            for what in _reached_values(name, spec, part.fields[name][ran]):
                yield "field", f"{kind.__name__}.{name} {what}"
        for row in OPERANDS.get(kind, ()):
            memories = row.memories(kind)
            codes = part.fields[str(row.memory)][ran] if len(memories) > 1 else np.zeros(ran.sum(), np.int64)
            for code in np.unique(codes):
                memory = memories[code]
                yield "operand", f"{kind.__name__}.{row.address} {_place(memory)}"
    yield from _points_of_windows(table, started, config)


def _reached_values(name: str, spec: Spec, values: Integers) -> Iterable[str]:
    if spec.values is not None:
        return [spec.values(value).name.lower() for value in np.unique(values)]
    if spec.signed:
        signs = {"negative": values < 0, "zero": values == 0, "positive": values > 0}
        return [what for what, where in signs.items() if where.any()]
    # Every loop runs at least once, and a store writes a byte at least.
    more = values > (1 if name == "bytes" or name.startswith("n_") else 0)
    return [what for what, where in {"least": ~more, "more": more}.items() if where.any()]


def _points_of_windows(table: ProgramTable, started: NDArray[np.bool_], config: Config) -> Iterator[Point]:
    part = table.classes[Opcode.VECTOR]
    for place in np.flatnonzero(started[part.rows]):
        vector = Vector(**{name: int(column[place]) for name, column in part.fields.items()})
        chunks = sliding_chunks(vector, config.requant_interval, config.vector_taps)
        if chunks and vector.n_1 > 1:
            yield "window", f"step {step_of(vector)}, {chunks} chunks"


def _points_of_starts(table: ProgramTable, result: SimResult, config: Config) -> Iterator[Point]:
    engines, masks = engine_of_each(table), claim_masks(table, config)
    start, finish, dispatched = result.start, result.finish, result.dispatched
    before = start - 1
    for engine in Engine:
        own = np.flatnonzero((engines == engine) & (start >= 0))
        waits = np.flatnonzero((engines == engine) & (dispatched >= 0))
        if (start[own] == dispatched[own] + 1).any():
            yield "start", f"{engine.label} at once"
        late, early = own[IN_FLIGHT:], own[:-IN_FLIGHT]
        if (finish[early] == before[late]).any():
            yield "start", f"{engine.label} behind {IN_FLIGHT} in flight"
        if _level(dispatched[waits], start[waits][start[waits] >= 0]) >= config.queue_depth:
            yield "queue", f"{engine.label} full"
        for other in Engine:
            if other != engine:
                theirs = np.flatnonzero((engines == other) & (start >= 0))
                yield from _between(engine, other, own, theirs, table, result, masks, config)


def _between(
    engine: Engine,
    other: Engine,
    own: Integers,
    theirs: Integers,
    table: ProgramTable,
    result: SimResult,
    masks: NDArray[np.uint64],
    config: Config,
) -> Iterator[Point]:
    """What an engine has to do with another one."""
    start, finish = result.start, result.finish
    waiting = own[table.wait[own] >> other & 1 == 1]
    giving = theirs[table.signal[theirs] >> engine & 1 == 1]
    pairs = min(len(waiting), len(giving))
    if (finish[giving[:pairs]] + 1 == start[waiting[:pairs]]).any():
        yield "start", f"{engine.label} with a token of {other.label}"
    if _level(start[giving], start[waiting]) >= config.token_capacity:
        yield "tokens", f"{other.label} to {engine.label} at capacity"
    ended = (finish[theirs][:, None] + 1 == start[own]) & (finish[theirs][:, None] >= 0)
    if (ended & (masks[theirs][:, None] & masks[own] != 0)).any():
        yield "start", f"{engine.label} behind a claim of {other.label}"
    if engine < other:
        together = (start[theirs][:, None] <= finish[own]) & (start[own] <= finish[theirs][:, None])
        if together.any():
            yield "overlap", f"{engine.label} and {other.label}"


def _level(more: Integers, less: Integers) -> int:
    """How many there are at most, if one is added at each of `more` and taken at each of `less`."""
    added, taken = np.sort(more), np.sort(less)
    levels = np.arange(1, len(added) + 1) - np.searchsorted(taken, added, side="left")
    return int(levels.max(initial=0))
