"""Random legal programs and configurations, by which gates and simulator are held against each other.

A program is defined everywhere, stays inside its banks and regions, has no race, no deadlock and no token
left over. Its meaning is random. How it is made differs from program to program (`Taste`): which engines
work, how long instructions take, how much they get in each other's way.
"""

import random

import numpy as np

from tilewright.isa.config import FIELD_RANGES, Config
from tilewright.isa.instruction import Destination, Finish, Instruction, Load, Matrix, Nop, Store, Vector
from tilewright.isa.memory import Memory
from tilewright.isa.random_instruction import random_instructions
from tilewright.isa.random_token import Weaver
from tilewright.isa.random_value import Taste
from tilewright.isa.register import BASE_REGISTERS
from tilewright.numerics.table import ENTRIES

_ARRAYS = ((4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_LARGE_ARRAYS = ((4, 128), (16, 32), (32, 32), (32, 32), (32, 64), (64, 64), (128, 128), *_ARRAYS)
_BURSTS_BYTES = (64, 64, 128, 256, 512, 1024)
_LONG_BURSTS_BYTES = (64, 512, 1024, 2048, 2048, 4096, 4096)
_FEW = (1, 1, 2, 3, 4, 8)
_CROWDS, _OF_A_CROWD = 0.1, 40
"""Share of programs that are short instructions of one engine, mostly; how much more often these come."""


def random_config(rng: np.random.Generator, *, large_share: float = 0) -> Config:
    """A machine; every size that shapes time is drawn, extremes such as queues of one included.

    Args:
        rng: the source of chance.
        large_share: part of the machines that have large arrays, long bursts and many banks, 0 to 1; the
            others are small. The gates of a large one take minutes to compile.
    """
    r = _chance(rng)
    large = large_share > 0 and r.random() < large_share
    rows, cols = r.choice(_LARGE_ARRAYS if large else _ARRAYS)
    bus_bytes = r.choice((16, 32, 64) if large else (8, 8, 16, 32, 64))
    bursts = _LONG_BURSTS_BYTES if large else _BURSTS_BYTES
    return Config(
        rows=rows,
        cols=cols,
        activation_banks=r.choice((4, 16) if large else (2, 4, 8)),
        activation_vectors=r.choice((16, 32, 64, 256)),
        weight_banks=r.choice((1, 1, 2, 4)),
        weight_vectors=r.choice([depth for depth in (16, 32, 64, 256) if depth >= rows]),
        accumulator_banks=r.choice((2, 8) if large else (2, 2, 4)),
        accumulator_vectors=r.choice((16, 32, 64)),
        parameter_banks=r.choice((1, 4) if large else (1, 1, 2)),
        parameter_vectors=r.choice((16, 32, 64)),
        bus_bytes=bus_bytes,
        burst_bytes=r.choice([size for size in bursts if size <= 256 * min(bus_bytes, cols)]),
        outstanding_reads=_often_few(r, "outstanding_reads"),
        outstanding_writes=_often_few(r, "outstanding_writes"),
        queue_depth=_often_few(r, "queue_depth"),
        token_capacity=_often_few(r, "token_capacity"),
        requant_interval=r.choice((1, 2, 4)),
        vector_taps=r.choice(FIELD_RANGES["vector_taps"].steps),
    )


def _often_few(r: random.Random, name: str) -> int:
    """A size that shows most where it is small."""
    return r.choice(_FEW) if r.random() < 0.8 else r.choice(FIELD_RANGES[name].steps)


def random_program(
    rng: np.random.Generator, config: Config, *, instructions: int, memory_bytes: int
) -> list[Instruction]:
    """A legal program.

    Args:
        rng: the source of chance; the program is a function of its state and the other arguments.
        config: the machine.
        instructions: length of the program, its finish included; at least 1.
        memory_bytes: bytes behind each base register, at least a vector of accumulators. The memories behind
            different base registers must not overlap, nor contain the program.

    Raises:
        ValueError: if the length or the memory is too small.
    """
    if instructions < 1:
        raise ValueError(f"instructions must be at least 1, the finish, not {instructions}")
    if memory_bytes < config.vector_bytes(Memory.ACCUMULATOR):
        least = config.vector_bytes(Memory.ACCUMULATOR)
        raise ValueError(
            f"memory_bytes must be at least {least}, a vector of accumulators, not {memory_bytes}"
        )
    r = _chance(rng)
    taste = _taste(r, config, memory_bytes)
    weaver = Weaver(r, config, extra=r.choice((0, 0.1, 0.5)))
    while len(weaver) < instructions - 1:
        for instruction in random_instructions(r, _warm_up(taste) if len(weaver) < 3 else taste):
            if len(weaver) < instructions - 1:
                weaver.add(instruction)
    return [*weaver.program(), Finish()]


def fill_program(
    rng: np.random.Generator, config: Config, *, memory_bytes: int, vectors: int = 32
) -> list[Instruction]:
    """A legal program that fills the chip, so that what runs after it works on data and not on zeros.

    Args:
        rng: chooses the memory that is read.
        config: the machine.
        memory_bytes: bytes behind each base register, as in `random_program`; their contents fill the chip.
        vectors: filled at the start of each bank, where random operands lie most often.
    """
    r = _chance(rng)
    weaver = Weaver(r, config, extra=0)
    for memory in Memory:
        for bank in range(config.banks(memory)):
            weaver.add(_fill(r, config, memory, bank, vectors, memory_bytes))
    entries = min(vectors, config.depth(Memory.ACTIVATION))
    weaver.add(Vector(to=Destination.TABLE, n_0=-(-ENTRIES // entries), n_1=entries, a_stride_1=1))
    return [*weaver.program(), Finish()]


def _fill(
    r: random.Random, config: Config, memory: Memory, bank: int, vectors: int, memory_bytes: int
) -> Load:
    """A load of the first vectors of a bank; they overlap in memory if that is small."""
    count, unit = min(vectors, config.depth(memory)), config.transfer_bytes(memory)
    last = memory_bytes // unit * unit - config.vector_bytes(memory)
    stride = min(config.vector_bytes(memory), last // count // unit * unit)
    return Load(
        base=r.randrange(BASE_REGISTERS),
        offset=r.randrange(0, last - stride * (count - 1) + 1, unit),
        memory=memory,
        address=bank * config.depth(memory),
        n_x=count,
        stride_x=stride,
    )


def _chance(rng: np.random.Generator) -> random.Random:
    """A quicker source of single draws, seeded by `rng`."""
    return random.Random(int(rng.integers(1 << 62)))


def _taste(r: random.Random, config: Config, memory_bytes: int) -> Taste:
    kinds: tuple[type[Instruction], ...] = (Load, Store, Matrix, Vector, Nop)
    weights = {kind: r.choice((0.2, 1, 1, 3)) / (6 if kind is Nop else 1) for kind in kinds}
    is_crowd = r.random() < _CROWDS
    if is_crowd:
        weights[r.choice(kinds[:-1])] = _OF_A_CROWD
    return Taste(
        config=config,
        memory_bytes=memory_bytes,
        budget=1 if is_crowd else r.choice((4, 16, 40, 100)),
        hot=r.choice((0.0, 0.3, 0.6, 1.0)),
        bases=tuple(r.sample(range(BASE_REGISTERS), r.choice((1, 2, BASE_REGISTERS)))),
        weights=weights,
    )


def _warm_up(taste: Taste) -> Taste:
    """Mostly loads, so that a program works on data."""
    return Taste(
        config=taste.config,
        memory_bytes=taste.memory_bytes,
        budget=max(taste.budget, 40),
        hot=1.0,
        bases=taste.bases,
        weights=dict(taste.weights) | {Load: 8},
    )
