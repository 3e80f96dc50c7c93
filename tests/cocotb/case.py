"""Programs with the memory they start with, and the bytes that they must leave there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from examples.matmul import Product

from tilewright.isa.assembly import assemble
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Instruction
from tilewright.isa.memory import Memory
from tilewright.isa.random_program import fill_program, random_program
from tilewright.isa.register import BASE_REGISTERS
from tilewright.isa.semantics import apply
from tilewright.isa.state import Dram, State
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.runtime.loader import Image, load

REGION_BYTES = 1024
"""Behind each base register of a random program."""


@dataclass(frozen=True)
class Case:
    """A program and the bytes behind its base registers."""

    executable: Executable
    regions: Mapping[int, bytes]

    @property
    def config(self) -> Config:
        """The machine that it is for."""
        return self.executable.config

    def image(self) -> Image:
        """The memory before the program."""
        return load(self.executable, self.regions, self.config)

    def expected(self, state: State) -> bytes:
        """The memory after the program on a chip that holds `state`, which then is what it leaves there."""
        image = self.image()
        apply(self.executable.program(), state, Dram(image.dram, image.bases))
        return image.dram.tobytes()


def fill_case(rng: np.random.Generator, config: Config) -> Case:
    """A program that fills all of the chip: whatever ran before it makes no difference after it."""
    vectors = max(config.depth(memory) for memory in Memory)
    program = fill_program(rng, config, memory_bytes=REGION_BYTES, vectors=vectors)
    return _with_random_regions(rng, config, program)


def random_case(rng: np.random.Generator, config: Config, instructions: int) -> Case:
    """A random program of so many instructions on random bytes."""
    program = random_program(rng, config, instructions=instructions, memory_bytes=REGION_BYTES)
    return _with_random_regions(rng, config, program)


def product_case(rng: np.random.Generator, config: Config) -> tuple[Case, bytes]:
    """A tiled matrix product that needs nothing on the chip, and the bytes of the product, by numpy."""
    cols = config.cols
    product = Product(config, m=2 * cols, k=cols, n=2 * cols)
    a = rng.integers(-128, 128, (product.m, product.k), dtype=np.int8)
    b = rng.integers(-128, 128, (product.k, product.n), dtype=np.int8)
    bias = rng.integers(-(1 << 12), 1 << 12, product.n, dtype=np.int32)
    # Scales that bring most sums into int8.
    real = rng.uniform(0.5, 1.5, product.n) * 0.007 / np.sqrt(product.k)
    scale = pack_scale(*np.transpose([quantise_multiplier(value) for value in real]))
    assembly = assemble(product.text())
    executable = Executable.of(assembly.program, config, assembly.regions)
    regions = {0: a.tobytes(), 1: product.pack_weights(b), 2: product.pack_parameters(bias, scale)}
    return Case(executable, regions), product.expected(a, b, bias, scale).tobytes()


def _with_random_regions(rng: np.random.Generator, config: Config, program: Sequence[Instruction]) -> Case:
    return Case(
        Executable.of(program, config), {base: rng.bytes(REGION_BYTES) for base in range(BASE_REGISTERS)}
    )
