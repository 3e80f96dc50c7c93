"""Random cases: legal programs, and programs with every kind of fault at a random point."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tests.cosim.case import Case, Run

from tilewright.isa.address import ADDRESS_BITS
from tilewright.isa.config import Config
from tilewright.isa.encoding import HEADER, ProgramTable, decode_table, encode_program
from tilewright.isa.fault import Cause
from tilewright.isa.footprint import Access, footprint
from tilewright.isa.instruction import Finish, Instruction, Load, Matrix, Store, Vector, layout, specs
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import fill_program, random_program
from tilewright.isa.rule import RULES, Rule, derive

FAULT_SHARE = 0.3
"""Part of the runs in which something goes wrong."""

FILLED_SHARE = 0.7
"""Part of the cases that begin with a program that fills the chip."""
FILLED_VECTORS = 16
"""Vectors that it fills in each bank."""

_LENGTHS = (2, 4, 8, 12, 20, 30, 50)
_LONG_SHARE = 0.15
"""Part of the programs that are longer than what fetch holds."""
_TRIES = 20


def random_case(rng: np.random.Generator, config: Config) -> Case:
    """One to three programs for a machine."""
    memory_bytes = int(rng.choice([2048, 4096, 16384]))
    count = int(rng.choice([1, 1, 2, 3]))
    runs = tuple(random_run(rng, config, memory_bytes) for _ in range(count))
    if rng.random() < FILLED_SHARE:
        # Else nearly every operand is zero, and a wrong address shows nothing.
        fill = fill_program(rng, config, memory_bytes=memory_bytes, vectors=FILLED_VECTORS)
        runs = (Run(program=tuple(fill)), *runs)
    return Case(
        config=config,
        runs=runs,
        memory_bytes=memory_bytes,
        program_first=bool(rng.integers(2)),
        seed=int(rng.integers(1 << 30)),
    )


def random_run(rng: np.random.Generator, config: Config, memory_bytes: int) -> Run:
    """A legal program in a random memory, or one with a fault."""
    length = int(rng.choice(_LENGTHS))
    if rng.random() < _LONG_SHARE:
        length += config.fetch_buffer_instructions
    program = random_program(rng, config, instructions=length, memory_bytes=memory_bytes)
    run = Run(
        program=tuple(program),
        latency=int(rng.choice([1, 2, 3, 5, 16, 40, 100, int(rng.integers(1, 201))])),
        outstanding=int(rng.choice([1, 2, 4, 8, int(rng.integers(1, 33))])),
    )
    if rng.random() < FAULT_SHARE:
        return FAULTS[int(rng.integers(len(FAULTS)))](rng, config, run)
    return run


# --- faults -----------------------------------------------------------------------------------------------


def undefined(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """An instruction with a flipped bit that makes it undefined, or its first address lie outside."""
    for _ in range(_TRIES):
        place = int(rng.integers(len(run.program)))
        bit = int(rng.integers(512 if rng.integers(2) else 16))
        patched = replace(run, patches=((place, bit),))
        if dispatch_faults(decode_table(patched.code()), config)[place]:
            return patched
    return run


def broken_rule(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """An instruction that breaks a rule of its class, whichever comes up, by one or two of its fields."""
    place = int(rng.integers(len(run.program)))
    kind = type(run.program[place])
    rules = RULES[kind]
    rule = rules[int(rng.integers(len(rules)))] if rules else None
    for _ in range(_TRIES if rule else 0):
        patched = replace(run, patches=_patches(rng, run, place, rule))
        part = decode_table(patched.code())
        if dispatch_faults(part, config)[place] and _breaks(rule, kind, part, place, config):
            return patched
    return run


def _patches(rng: np.random.Generator, run: Run, place: int, rule: Rule) -> tuple[tuple[int, int], ...]:
    """Bits that give fields that a rule names other values: ends, neighbours, another field's, anything."""
    item = run.program[place]
    fields = {name: (first, spec.bits) for name, (first, spec) in layout(type(item)).items()}
    fields |= {name: HEADER[name] for name in ("wait", "signal")}
    named = [name for name in fields if name in re.findall(r"\w+", rule.text)]
    result: list[tuple[int, int]] = []
    for name in rng.permutation(named)[: int(rng.integers(1, len(named) + 1))]:
        first, bits = fields[str(name)]
        own, other = (getattr(item, str(each)) for each in (name, rng.choice(named)))
        values = [0, 1, (1 << bits) - 1, own + 1, other, int(rng.integers(1 << bits))]
        value = values[int(rng.integers(len(values)))]
        result += [(place, first + bit) for bit in range(bits) if (own ^ value) >> bit & 1]
    return tuple(result)


def _breaks(rule: Rule, kind: type[Instruction], table: ProgramTable, place: int, config: Config) -> bool:
    part = table.classes[kind.opcode]
    here = {"wait": table.wait[part.rows], "signal": table.signal[part.rows], **part.fields}
    return bool(rule.broken({**here, **derive(kind, part.fields, config)})[part.rows == place].any())


def outside(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """An instruction whose later addresses leave the bank, without touching what others use."""
    places = [at for at, item in enumerate(run.program) if isinstance(item, (Load, Store, Matrix, Vector))]
    for _ in range(_TRIES if places else 0):
        place = int(rng.choice(places))
        changed = _stretched(rng, run.program[place])
        program = (*run.program[:place], changed, *run.program[place + 1 :])
        defined = not dispatch_faults(decode_table(encode_program(program)), config).any()
        if defined and _adds_no_race(run.program, place, changed, config):
            return replace(run, program=program)
    return run


def _adds_no_race(program: tuple[Instruction, ...], place: int, changed: Instruction, config: Config) -> bool:
    """Whether it touches only what it did before, or banks that no other engine touches."""
    if isinstance(changed, Vector) and _may_be_in_place(changed, config):
        return False
    before = _touched(footprint(program[place], config), config)
    others = {
        (access.memory, access.bank)
        for item in program
        if item.engine != changed.engine
        for access in footprint(item, config)
    }
    for bank, addresses in _touched(footprint(changed, config), config).items():
        if bank[:2] in others and not addresses <= before.get(bank, set()):
            return False
    return True


def _may_be_in_place(item: Vector, config: Config) -> bool:
    """Whether it reads and writes one bank: then an address visited twice has no defined meaning."""
    banks = [(access.memory, access.bank) for access in footprint(item, config)]
    return len(set(banks)) < len(banks)


def _touched(accesses: tuple[Access, ...], config: Config) -> dict[tuple[Memory | None, int, bool], set[int]]:
    """For each bank and direction the addresses in the bank, as the machine computes them."""
    result: dict[tuple[Memory | None, int, bool], set[int]] = {}
    for access in accesses:
        addresses = access.addresses()
        if access.memory is not None:
            addresses = addresses % (1 << ADDRESS_BITS)
            addresses = addresses[addresses // config.depth(access.memory) == access.bank]
        result.setdefault((access.memory, access.bank, access.write), set()).update(addresses.tolist())
    return result


_STRETCHED = {
    Load: ("chip_stride_z", "chip_stride_y", "pad_right", "pad_bottom"),
    Store: ("chip_stride_z", "chip_stride_y", "chip_stride_x"),
    Matrix: ("stride_y", "stride_x", "stride_ci", "stride_ky", "stride_kx", "n_x", "n_ci"),
    Vector: ("a_stride_0", "a_stride_1", "b_stride_1", "destination_stride_1", "n_1", "a_stride_3"),
}


def _stretched(rng: np.random.Generator, instruction: Instruction) -> Instruction:
    """The instruction with one field so much larger (or more negative) that an address leaves its bank."""
    name = str(rng.choice(_STRETCHED[type(instruction)]))
    row = specs(type(instruction))[name]
    if row.signed:
        value = int(rng.choice([-300, -40, 17, 40, 300, row.minimum, row.maximum]))
    else:
        value = min(row.maximum, getattr(instruction, name) + int(rng.integers(20, 300)))
    return replace(instruction, **{name: value})


def short_memory(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A memory that ends before the data or the program does."""
    return replace(run, cut_bytes=int(rng.integers(1, 300)) * 64)


def deadlock(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """An instruction that waits for a token nobody gives."""
    places = [at for at, item in enumerate(run.program) if item.engine is not None]
    if not places:
        return run
    place = int(rng.choice(places))
    item = run.program[place]
    others = [engine for engine in Engine if engine != item.engine]
    wait = item.wait | 1 << int(rng.choice(others))
    return replace(run, program=(*run.program[:place], replace(item, wait=wait), *run.program[place + 1 :]))


def lost_token(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """An instruction that keeps its tokens for itself."""
    places = [at for at, item in enumerate(run.program) if item.signal]
    if not places:
        return run
    place = int(rng.choice(places))
    item = replace(run.program[place], signal=0)
    return replace(run, program=(*run.program[:place], item, *run.program[place + 1 :]))


def wrong_config(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A program for another machine."""
    return replace(run, wrong_config=True, empty=bool(rng.integers(4) == 0))


def empty(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A program without instructions."""
    return replace(run, empty=True)


def silence(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A memory that falls silent, and a host with a time-out."""
    return replace(run, silent_from=int(rng.integers(0, 3000)), timeout=int(rng.integers(420, 900)))


def long_timeout(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A host whose time-out is long enough."""
    return replace(run, timeout=int(rng.integers(420, 900)))


def misplaced_finish(rng: np.random.Generator, config: Config, run: Run) -> Run:
    """A program that ends in its middle, or never."""
    place = int(rng.integers(len(run.program)))
    if place == len(run.program) - 1:
        return replace(run, program=run.program[:-1]) if place else run
    return replace(run, program=(*run.program[:place], Finish(), *run.program[place + 1 :]))


Fault = Callable[[np.random.Generator, Config, Run], Run]

FAULTS: tuple[Fault, ...] = (
    undefined,
    broken_rule,
    broken_rule,
    outside,
    outside,
    short_memory,
    short_memory,
    deadlock,
    lost_token,
    wrong_config,
    empty,
    silence,
    long_timeout,
    misplaced_finish,
)

EXPECTED_CAUSES = frozenset(Cause) - {Cause.NONE}
"""What a long enough run of cases must have seen."""
