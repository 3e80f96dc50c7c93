"""Instructions as bytes: 512-bit little-endian words, one at a time or a whole program as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.instruction import (
    HEADER_BITS,
    INSTRUCTION_BITS,
    INSTRUCTIONS,
    ISA_VERSION,
    Instruction,
    InstructionError,
    Opcode,
    Spec,
    layout,
)

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_Words = NDArray[np.uint64]

HEADER: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"version": (0, 4), "opcode": (4, 4), "wait": (8, 4), "signal": (12, 4)}
)
"""First bit and width of each field of the header, which all instructions share."""

KINDS: Mapping[Opcode, type[Instruction]] = MappingProxyType({kind.opcode: kind for kind in INSTRUCTIONS})
"""The class of each opcode."""

_SHOWN_PROBLEMS = 8
_WORD_BITS = 64
_WORDS = INSTRUCTION_BITS // _WORD_BITS


@dataclass(frozen=True)
class ClassTable:
    """The instructions of one class in a program.

    Members:
        rows: int64[k], their places in the program, ascending.
        fields: each field's values, int64[k], sign-extended; choices may hold values that have no name.
    """

    rows: IntArray
    fields: Mapping[str, IntArray]


@dataclass(frozen=True)
class ProgramTable:
    """A program of n words as arrays; any bytes have one.

    Members:
        version, opcode, wait, signal: int64[n], the header as it stands.
        stray: bool[n], whether a bit is set that no field of a known opcode owns.
        classes: for each opcode the instructions that carry it, whatever else is wrong with them.
    """

    version: IntArray
    opcode: IntArray
    wait: IntArray
    signal: IntArray
    stray: BoolArray
    classes: Mapping[Opcode, ClassTable]

    def __len__(self) -> int:
        return len(self.opcode)


def encode(instruction: Instruction) -> bytes:
    """The 64 bytes of an instruction."""
    values = {
        "version": ISA_VERSION,
        "opcode": instruction.opcode,
        "wait": instruction.wait,
        "signal": instruction.signal,
    }
    word = sum(values[name] << position for name, (position, _) in HEADER.items())
    for name, (position, spec) in _layout(instruction.opcode).items():
        word |= (getattr(instruction, name) & _ones(spec.bits)) << position
    return int(word).to_bytes(INSTRUCTION_BYTES, "little")


def encode_program(program: Sequence[Instruction]) -> bytes:
    """The bytes of a program, instruction after instruction."""
    return b"".join(encode(instruction) for instruction in program)


def encode_table(table: ProgramTable) -> bytes:
    """The bytes of a program of known instructions, given as arrays.

    Raises:
        InstructionError: naming the first instruction of a class with a value that does not fit its field.
    """
    words = np.zeros((len(table), _WORDS), np.uint64)
    for name, (position, width) in HEADER.items():
        _insert(words, np.arange(len(table)), getattr(table, name), position, width)
    for opcode, part in table.classes.items():
        for name, (position, spec) in _layout(opcode).items():
            _require_fitting(part, opcode, name, spec)
            _insert(words, part.rows, part.fields[name], position, spec.bits)
    return words.astype("<u8").tobytes()


class EncodedProgram(Sequence[Instruction]):
    """The instructions of a program, each decoded when it is asked for."""

    def __init__(self, code: bytes) -> None:
        _require_whole(code)
        self._code = code

    def __len__(self) -> int:
        return len(self._code) // INSTRUCTION_BYTES

    @overload
    def __getitem__(self, index: int) -> Instruction: ...

    @overload
    def __getitem__(self, index: slice) -> list[Instruction]: ...

    def __getitem__(self, index: int | slice) -> Instruction | list[Instruction]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        first = range(len(self))[index] * INSTRUCTION_BYTES
        return decode(self._code[first : first + INSTRUCTION_BYTES])


def decode(word: bytes) -> Instruction:
    """The instruction that 64 bytes hold.

    Raises:
        InstructionError: with everything that is wrong: length, version, opcode, stray bits, choices, masks.
    """
    if len(word) != INSTRUCTION_BYTES:
        raise InstructionError(f"an instruction must be {INSTRUCTION_BYTES} bytes, not {len(word)}")
    bits = int.from_bytes(word, "little")
    header = {name: bits >> position & _ones(width) for name, (position, width) in HEADER.items()}
    problems = list(_header_problems(header, bits))
    instruction = None
    try:
        instruction = _build(header, bits)
    except InstructionError as error:
        problems.append(str(error))
    if problems or instruction is None:
        raise InstructionError("; ".join(problems))
    return instruction


def decode_program(code: bytes) -> list[Instruction]:
    """The instructions of a program.

    Raises:
        InstructionError: with the first instructions that have no meaning, each by its place.
    """
    _require_whole(code)
    program, problems = [], []
    for index in range(len(code) // INSTRUCTION_BYTES):
        try:
            program.append(decode(code[index * INSTRUCTION_BYTES : (index + 1) * INSTRUCTION_BYTES]))
        except InstructionError as error:
            problems.append(f"instruction {index}: {error}")
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        rest = [f"and {more} more instructions"] if more > 0 else []
        raise InstructionError("; ".join(problems[:_SHOWN_PROBLEMS] + rest))
    return program


def decode_table(code: bytes) -> ProgramTable:
    """A program as arrays, whatever its bytes are; no Python loop over its instructions.

    Raises:
        InstructionError: if the length is no multiple of an instruction's.
    """
    _require_whole(code)
    words = np.frombuffer(code, dtype="<u8").astype(np.uint64, copy=False).reshape(-1, _WORDS)
    header = {name: _extract(words, position, width) for name, (position, width) in HEADER.items()}
    classes = {opcode: _class_table(words, header["opcode"], opcode) for opcode in Opcode}
    stray = np.any(words & ~_owned_masks()[header["opcode"]], axis=1)
    return ProgramTable(**header, stray=stray, classes=MappingProxyType(classes))


# --- one word ----------------------------------------------------------------------------------------------


@cache
def _layout(opcode: Opcode) -> Mapping[str, tuple[int, Spec]]:
    return MappingProxyType(layout(KINDS[opcode]))


def _ones(bits: int) -> int:
    return (1 << bits) - 1


def _header_problems(header: Mapping[str, int], bits: int) -> Iterator[str]:
    if header["version"] != ISA_VERSION:
        yield f"version must be {ISA_VERSION}, not {header['version']}"
    if header["opcode"] not in KINDS:
        known = ", ".join(f"{opcode.value} ({opcode.name.lower()})" for opcode in Opcode)
        yield f"opcode must be one of {known}, not {header['opcode']}"
    elif stray := bits & ~_owned_bits(Opcode(header["opcode"])):
        places = ", ".join(str(place) for place in range(INSTRUCTION_BITS) if stray >> place & 1)
        yield f"bits that no field owns must be 0, not 1: {places}"


def _build(header: Mapping[str, int], bits: int) -> Instruction | None:
    """The instruction of a known opcode; None for others."""
    if header["opcode"] not in KINDS:
        return None
    opcode = Opcode(header["opcode"])
    values = {
        name: _signed(bits >> position & _ones(spec.bits), spec)
        for name, (position, spec) in _layout(opcode).items()
    }
    return KINDS[opcode](wait=header["wait"], signal=header["signal"], **values)


def _signed(value: int, spec: Spec) -> int:
    return value - (1 << spec.bits) if value > spec.maximum else value


@cache
def _owned_bits(opcode: Opcode) -> int:
    """The bits that the header or a field of the opcode owns."""
    spans = [(position, spec.bits) for position, spec in _layout(opcode).values()]
    return sum(_ones(width) << position for position, width in [(0, HEADER_BITS), *spans])


# --- all words ---------------------------------------------------------------------------------------------


def _require_whole(code: bytes) -> None:
    if len(code) % INSTRUCTION_BYTES:
        raise InstructionError(
            f"a program must be a multiple of {INSTRUCTION_BYTES} bytes, not {len(code)}: it was cut short"
        )


def _extract(words: _Words, position: int, width: int, signed: bool = False) -> IntArray:
    """Bits position … position + width - 1 of each row of uint64[n, 8], as int64[n]."""
    column, shift = divmod(position, _WORD_BITS)
    value = words[:, column] >> np.uint64(shift)
    if shift + width > _WORD_BITS:
        value = value | words[:, column + 1] << np.uint64(_WORD_BITS - shift)
    field = (value & np.uint64(_ones(width))).astype(np.int64)
    sign = 1 << (width - 1) if signed else 0
    return (field ^ sign) - sign


def _insert(words: _Words, rows: IntArray, values: IntArray, position: int, width: int) -> None:
    """Put values into bits position … position + width - 1, which are 0, of some rows of uint64[n, 8]."""
    column, shift = divmod(position, _WORD_BITS)
    field = values.astype(np.uint64) & np.uint64(_ones(width))
    words[rows, column] |= field << np.uint64(shift)
    if shift + width > _WORD_BITS:
        words[rows, column + 1] |= field >> np.uint64(_WORD_BITS - shift)


def _require_fitting(part: ClassTable, opcode: Opcode, name: str, spec: Spec) -> None:
    column = part.fields[name]
    bad = np.flatnonzero((column < spec.minimum) | (column > spec.maximum))
    if bad.size:
        # Its error has every reason.
        KINDS[opcode](**{each: int(values[bad[0]]) for each, values in part.fields.items()})


def _class_table(words: _Words, opcodes: IntArray, opcode: Opcode) -> ClassTable:
    rows = np.flatnonzero(opcodes == opcode).astype(np.int64)
    own = words[rows]
    columns = {
        name: _extract(own, position, spec.bits, spec.signed)
        for name, (position, spec) in _layout(opcode).items()
    }
    return ClassTable(rows, MappingProxyType(columns))


@cache
def _owned_masks() -> _Words:
    """uint64[16, 8]: the owned bits of each opcode; an unknown opcode owns all of them."""
    masks = [_ones(INSTRUCTION_BITS)] * (1 << HEADER["opcode"][1])
    for opcode in Opcode:
        masks[opcode] = _owned_bits(opcode)
    packed = b"".join(mask.to_bytes(INSTRUCTION_BYTES, "little") for mask in masks)
    return np.frombuffer(packed, dtype="<u8").astype(np.uint64).reshape(-1, _WORDS)
