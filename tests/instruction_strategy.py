"""Any encodable instruction, for hypothesis; legal or not.

All fields come from one number: drawn one by one by hypothesis, an instruction takes milliseconds.
"""

import random
from dataclasses import replace

from hypothesis import strategies as st

from tilewright.isa.instruction import INSTRUCTIONS, Instruction, specs
from tilewright.isa.memory import Engine
from tilewright.isa.random_value import anything

_ALL_ENGINES = (1 << len(Engine)) - 1


def instructions(
    kinds: tuple[type[Instruction], ...] = INSTRUCTIONS,
) -> st.SearchStrategy[Instruction]:
    """An instruction of one of `kinds` that its class accepts, the ends of its fields more often."""
    return st.builds(any_instruction, st.sampled_from(kinds), st.integers(0, (1 << 64) - 1))


def any_instruction(kind: type[Instruction], seed: int) -> Instruction:
    """An instruction of a class, made of a number."""
    r = random.Random(seed)
    bare = kind(**{name: anything(r, spec) for name, spec in specs(kind).items()})
    allowed = 0 if bare.engine is None else _ALL_ENGINES & ~(1 << bare.engine)
    wait, signal = (r.getrandbits(len(Engine)) & allowed for _ in range(2))
    return replace(bare, wait=wait, signal=signal)
