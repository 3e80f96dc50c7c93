"""A case: programs run one after another on one machine, the memory's parameters, and what goes wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.assembly import disassemble
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import encode_program
from tilewright.isa.instruction import Finish, Instruction, Store
from tilewright.isa.memory import Memory
from tilewright.isa.register import BASE_REGISTERS


@dataclass(frozen=True, kw_only=True)
class Run:
    """One program and how it is run.

    Members:
        program: its instructions.
        patches: (place, bit) pairs flipped in the encoded program.
        latency, outstanding: of the memory.
        cut_bytes: bytes missing at the end of the memory.
        silent_from: first cycle of the memory's silence.
        timeout: cycles of silence that the host allows.
        wrong_config: the program claims to be for another configuration.
        empty: the host says that the program has no instructions.
    """

    program: tuple[Instruction, ...]
    patches: tuple[tuple[int, int], ...] = ()
    latency: int = 16
    outstanding: int = 8
    cut_bytes: int = 0
    silent_from: int | None = None
    timeout: int = 0
    wrong_config: bool = False
    empty: bool = False

    def code(self) -> bytes:
        """The encoded program, patched."""
        if self.empty:
            return b""
        words = bytearray(encode_program(self.program))
        for place, bit in self.patches:
            words[place * INSTRUCTION_BYTES + bit // 8] ^= 1 << bit % 8
        return bytes(words)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Programs for one machine, one after another; the memory on the chip keeps its contents.

    Members:
        config: the machine.
        runs: the programs.
        memory_bytes: bytes behind each base register.
        program_first: whether the program lies before its data, else behind it.
        seed: of the memory's first contents.
    """

    config: Config
    runs: tuple[Run, ...]
    memory_bytes: int
    program_first: bool = False
    seed: int = 0

    def code_bytes(self) -> int:
        """Room for the longest program."""
        return max(len(run.program) for run in self.runs) * INSTRUCTION_BYTES

    def program_address(self) -> int:
        """First byte of the programs."""
        return 0 if self.program_first else BASE_REGISTERS * self.memory_bytes

    def bases(self) -> list[int]:
        """The base registers."""
        first = self.code_bytes() if self.program_first else 0
        return [first + base * self.memory_bytes for base in range(BASE_REGISTERS)]

    def dram(self) -> NDArray[np.uint8]:
        """The memory outside before the first program."""
        size = BASE_REGISTERS * self.memory_bytes + self.code_bytes()
        return np.random.default_rng(self.seed).integers(0, 256, size, dtype=np.uint8)

    def memory_size_bytes(self, run: Run) -> int:
        """Bytes of the memory outside in a run: whole beats of the widest bus, at least one."""
        return max(64, (BASE_REGISTERS * self.memory_bytes + self.code_bytes() - run.cut_bytes) // 64 * 64)

    def text(self) -> str:
        """The case as a person reads it: each program as assembler text under its circumstances."""
        return "\n".join(self._run_text(index, run) for index, run in enumerate(self.runs))

    def _run_text(self, index: int, run: Run) -> str:
        parameters = ", ".join(
            f"{name}={getattr(run, name)}" for name in Run.__dataclass_fields__ if name not in ("program",)
        )
        place = f"memory_bytes={self.memory_bytes}, program_first={self.program_first}, seed={self.seed}"
        config = self.config if index == 0 else None
        return f"# run {index}: {parameters}\n# {place}\n{disassemble(run.program, config)}"


def dump_program(config: Config, memory_bytes: int) -> tuple[Instruction, ...] | None:
    """A program that stores all memories on the chip, None if the regions are too small for them."""
    stores: list[Instruction] = []
    for memory in Memory:
        size = config.vector_bytes(memory)
        if config.vectors(memory) * size > memory_bytes:
            return None
        for bank in range(config.banks(memory)):
            stores.append(_dump_bank(config, memory, bank, size))
    return (*stores, Finish())


def _dump_bank(config: Config, memory: Memory, bank: int, size: int) -> Store:
    depth = config.depth(memory)
    return Store(
        base=memory,
        memory=memory,
        offset=bank * depth * size,
        address=bank * depth,
        n_x=depth,
        stride_x=size,
        bytes=size,
    )


def replaced(case: Case, index: int, program: Sequence[Instruction]) -> Case:
    """The case with another program in run `index`."""
    runs = list(case.runs)
    runs[index] = replace(runs[index], program=tuple(program))
    return replace(case, runs=tuple(runs))
