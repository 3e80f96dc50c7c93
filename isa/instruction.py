"""The instruction set: one table from which encoder, assembler, decoder layout, documents and tests derive.

An instruction is 512 bits: a 16-bit header, then the fields of its class in the order written here, from bit
16 up; every other bit is zero. Widths are constants of the ISA, whatever the configuration.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Engine, Memory

ISA_VERSION = 2
INSTRUCTION_BITS = 512
HEADER_BITS = 16


class InstructionError(TilewrightError):
    """An instruction that has no encoding, with every reason at once."""


class Opcode(IntEnum):
    """What an instruction does; 0 is undefined so that cleared memory is no program."""

    LOAD = 1
    STORE = 2
    MATRIX = 3
    VECTOR = 4
    NOP = 5
    FINISH = 6


class VectorOp(IntEnum):
    """The operation of a vector item, on int32 lanes modulo 2**32."""

    PASS = 0
    ADD = 1
    SUBTRACT = 2
    MAXIMUM = 3
    MINIMUM = 4
    MULTIPLY = 5
    MULTIPLY_ADD = 6


class ReduceMode(IntEnum):
    """How a vector instruction reduces its two inner loops to one item."""

    NONE = 0
    ADD = 1
    MAXIMUM = 2
    MINIMUM = 3


class Destination(IntEnum):
    """Where a vector instruction writes: int8 vectors, int32 vectors, or the lanes' look-up tables."""

    ACTIVATION = 0
    TABLE = 1
    ACCUMULATOR = 2


class SourceA(IntEnum):
    """Where the first operand of a vector instruction lies."""

    ACTIVATION = 0
    ACCUMULATOR = 1


class SourceB(IntEnum):
    """Where the second operand of a vector instruction lies; a constant is the immediate in every lane."""

    ACTIVATION = 0
    CONSTANT = 1
    ACCUMULATOR = 2
    PARAMETER = 3


def memory_of(place: Destination | SourceA | SourceB) -> Memory | None:
    """The memory that a source or destination of a vector instruction names; None for a constant or table."""
    return Memory.__members__.get(place.name)


@dataclass(frozen=True)
class Spec:
    """One row of the table: a field's width, sign, named values and meaning."""

    bits: int
    signed: bool
    values: type[IntEnum] | None
    text: str

    @cached_property
    def minimum(self) -> int:
        """Smallest encodable value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @cached_property
    def maximum(self) -> int:
        """Largest encodable value."""
        return (1 << (self.bits - self.signed)) - 1


def _unsigned(bits: int, text: str, default: int = 0) -> Any:
    return field(default=default, metadata={"spec": Spec(bits, False, None, text)})


def _signed(bits: int, text: str, default: int = 0) -> Any:
    return field(default=default, metadata={"spec": Spec(bits, True, None, text)})


def _choice(bits: int, values: type[IntEnum], text: str, default: int = 0) -> Any:
    return field(default=default, metadata={"spec": Spec(bits, False, values, text)})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What every instruction has: the engines it waits for and signals, as masks of `1 << Engine`.

    Raises:
        InstructionError: if a value does not fit its field.
    """

    opcode: ClassVar[Opcode]

    wait: int = 0
    signal: int = 0

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise InstructionError(f"{self.opcode.name.lower()}: " + "; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name, spec in specs(type(self)).items():
            value = getattr(self, name)
            if not spec.minimum <= value <= spec.maximum:
                yield f"{name} must be from {spec.minimum} to {spec.maximum}, not {value!r}"
            elif spec.values and value not in [item.value for item in spec.values]:
                known = ", ".join(f"{item.value} ({item.name.lower()})" for item in spec.values)
                yield f"{name} must be one of {known}, not {value!r}"
        for name in ("wait", "signal"):
            mask, allowed = getattr(self, name), self._token_mask()
            if mask & ~allowed:
                yield f"{name} must be a mask within {allowed:#06b} (other engines only), not {mask:#06b}"

    def _token_mask(self) -> int:
        return 0 if self.engine is None else (1 << len(Engine)) - 1 & ~(1 << self.engine)

    @property
    def engine(self) -> Engine | None:
        """The engine that runs it; None for what fetch does itself."""
        return ENGINE_OF.get(self.opcode)


# fmt: off  (the table reads by columns)
@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Bring n_z x n_y x n_x vectors on chip, each plane padded on four sides.

    Vector (z, y, x) of the padded block, 0 <= y < pad_top + n_y + pad_bottom and
    0 <= x < pad_left + n_x + pad_right, goes to chip vector
    address + z * chip_stride_z + y * chip_stride_y + x.
    """

    opcode: ClassVar[Opcode] = Opcode.LOAD

    base: int = _unsigned(3, "base register that the offset is added to")
    offset: int = _unsigned(48, "bytes from the base register to vector (0, 0, 0)")
    memory: int = _choice(2, Memory, "memory on the chip")
    address: int = _unsigned(20, "first vector on the chip")
    n_z: int = _unsigned(12, "planes", 1)
    n_y: int = _unsigned(12, "rows of a plane in memory; 0: padding only", 1)
    n_x: int = _unsigned(16, "vectors of a row in memory; 0: padding only", 1)
    stride_z: int = _signed(32, "bytes from plane to plane in memory")
    stride_y: int = _signed(32, "bytes from row to row in memory")
    stride_x: int = _signed(24, "bytes from vector to vector in memory")
    chip_stride_z: int = _signed(20, "vectors from plane to plane on the chip")
    chip_stride_y: int = _signed(20, "vectors from row to row on the chip")
    pad_top: int = _unsigned(8, "rows of padding before the first")
    pad_bottom: int = _unsigned(8, "rows of padding after the last")
    pad_left: int = _unsigned(8, "vectors of padding before each row")
    pad_right: int = _unsigned(8, "vectors of padding after each row")
    pad_value: int = _signed(8, "value of every padding element, sign-extended in int32 memories")


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Write n_z x n_y x n_x vectors to memory, the first `bytes` bytes of each."""

    opcode: ClassVar[Opcode] = Opcode.STORE

    base: int = _unsigned(3, "base register that the offset is added to")
    offset: int = _unsigned(48, "bytes from the base register to vector (0, 0, 0)")
    memory: int = _choice(2, Memory, "memory on the chip")
    address: int = _unsigned(20, "first vector on the chip")
    n_z: int = _unsigned(12, "planes", 1)
    n_y: int = _unsigned(12, "rows of a plane", 1)
    n_x: int = _unsigned(16, "vectors of a row", 1)
    stride_z: int = _signed(32, "bytes from plane to plane in memory")
    stride_y: int = _signed(32, "bytes from row to row in memory")
    stride_x: int = _signed(24, "bytes from vector to vector in memory")
    chip_stride_z: int = _signed(20, "vectors from plane to plane on the chip")
    chip_stride_y: int = _signed(20, "vectors from row to row on the chip")
    chip_stride_x: int = _signed(20, "vectors from vector to vector on the chip", 1)
    bytes: int = _unsigned(10, "bytes of each vector that are written, from its first", 1)


@dataclass(frozen=True, kw_only=True)
class Matrix(Instruction):
    """Multiply n_y * n_x activation slices by n_ky * n_kx * n_ci weight tiles, summing over the tiles.

    Slice (y, x) of tile (ky, kx, ci) lies at activation + y * stride_y + x * stride_x + ky * stride_ky
    + kx * stride_kx + ci * stride_ci. Tiles are dense from `weight`, `rows` vectors each, ci innermost;
    results are dense from `accumulator`, x innermost.
    """

    opcode: ClassVar[Opcode] = Opcode.MATRIX

    activation: int = _unsigned(25, "first slice of `rows` activations (cols / rows slices a vector)")
    weight: int = _unsigned(20, "first vector of the first weight tile")
    accumulator: int = _unsigned(20, "first result vector")
    n_y: int = _unsigned(12, "outer loop over results", 1)
    n_x: int = _unsigned(12, "inner loop over results", 1)
    n_ci: int = _unsigned(12, "innermost loop over tiles", 1)
    n_ky: int = _unsigned(8, "outermost loop over tiles", 1)
    n_kx: int = _unsigned(8, "middle loop over tiles", 1)
    stride_y: int = _signed(25, "slices a step of y")
    stride_x: int = _signed(25, "slices a step of x")
    stride_ci: int = _signed(25, "slices a step of ci")
    stride_ky: int = _signed(25, "slices a step of ky")
    stride_kx: int = _signed(25, "slices a step of kx")
    accumulate: int = _unsigned(1, "1: the first tile adds to the accumulators; 0: it overwrites them")


@dataclass(frozen=True, kw_only=True)
class Vector(Instruction):
    """Combine two operands item by item over n_0 * n_1 * n_2 * n_3, optionally reducing n_2 * n_3 to one.

    Each result then takes bias, requantisation, clamp and look-up as the flags say, and goes to
    destination + i_0 * destination_stride_0 + i_1 * destination_stride_1 (a table: entry
    (i_0 * n_1 + i_1) mod 256). The parameter vectors lie one after the other from `parameter`: bias, scale,
    factor, those that are used.
    """

    opcode: ClassVar[Opcode] = Opcode.VECTOR

    op: int = _choice(5, VectorOp, "what an item computes")
    to: int = _choice(2, Destination, "where results go")
    a_from: int = _choice(1, SourceA, "where a lies")
    b_from: int = _choice(2, SourceB, "where b lies", SourceB.CONSTANT)
    reduce: int = _choice(2, ReduceMode, "how the two inner loops are reduced")
    destination: int = _unsigned(20, "first vector of the results")
    a: int = _unsigned(20, "first vector of a")
    b: int = _unsigned(20, "first vector of b")
    parameter: int = _unsigned(20, "first parameter vector")
    n_0: int = _unsigned(12, "outermost loop", 1)
    n_1: int = _unsigned(12, "second loop", 1)
    n_2: int = _unsigned(8, "third loop: reduced", 1)
    n_3: int = _unsigned(8, "innermost loop: reduced", 1)
    destination_stride_0: int = _signed(20, "vectors a step of the outermost loop")
    destination_stride_1: int = _signed(20, "vectors a step of the second loop")
    a_stride_0: int = _signed(20, "vectors a step of the outermost loop")
    a_stride_1: int = _signed(20, "vectors a step of the second loop")
    a_stride_2: int = _signed(20, "vectors a step of the third loop")
    a_stride_3: int = _signed(20, "vectors a step of the innermost loop")
    b_stride_0: int = _signed(20, "vectors a step of the outermost loop")
    b_stride_1: int = _signed(20, "vectors a step of the second loop")
    b_stride_2: int = _signed(20, "vectors a step of the third loop")
    b_stride_3: int = _signed(20, "vectors a step of the innermost loop")
    immediate: int = _signed(32, "b, where b is a constant")
    zero_point: int = _signed(8, "added after requantisation")
    lo: int = _signed(8, "lower clamp of int8 results", -128)
    hi: int = _signed(8, "upper clamp of int8 results", 127)
    bias: int = _unsigned(1, "1: add the bias vector, saturating")
    requantise: int = _unsigned(1, "1: scale by the scale vector (multiplier and shift of each lane)")
    lookup: int = _unsigned(1, "1: replace each int8 result by its entry in the lane's table")


@dataclass(frozen=True, kw_only=True)
class Nop(Instruction):
    """Do nothing but take and give tokens; starts when its engine has nothing in flight."""

    opcode: ClassVar[Opcode] = Opcode.NOP

    runs_on: int = _choice(2, Engine, "engine whose queue it goes through")

    @property
    def engine(self) -> Engine:
        """The engine named by the instruction."""
        return Engine(self.runs_on)


@dataclass(frozen=True, kw_only=True)
class Finish(Instruction):
    """End the program when all engines and the bus are idle; the last instruction, and only the last."""

    opcode: ClassVar[Opcode] = Opcode.FINISH


# fmt: on
INSTRUCTIONS: tuple[type[Instruction], ...] = (Load, Store, Matrix, Vector, Nop, Finish)

ENGINE_OF: Mapping[Opcode, Engine] = MappingProxyType(
    {
        Opcode.LOAD: Engine.LOAD,
        Opcode.STORE: Engine.STORE,
        Opcode.MATRIX: Engine.MATRIX,
        Opcode.VECTOR: Engine.VECTOR,
    }
)
"""Who runs the instructions of a class; a nop names its engine, and finish has none."""


_SPECS: Mapping[type[Instruction], Mapping[str, Spec]] = {
    kind: MappingProxyType(
        {item.name: item.metadata["spec"] for item in fields(kind) if "spec" in item.metadata}
    )
    for kind in INSTRUCTIONS
}


def specs(kind: type[Instruction]) -> Mapping[str, Spec]:
    """The rows of an instruction's table in encoding order, without the header."""
    return _SPECS[kind]


def layout(kind: type[Instruction]) -> dict[str, tuple[int, Spec]]:
    """First bit and row of each field of an instruction."""
    position, result = HEADER_BITS, {}
    for name, spec in specs(kind).items():
        result[name] = (position, spec)
        position += spec.bits
    return result
