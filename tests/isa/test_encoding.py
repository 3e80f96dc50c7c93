import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruction_strategy import instructions
from tilewright.isa.encoding import (
    HEADER,
    KINDS,
    decode,
    decode_program,
    decode_table,
    encode,
    encode_program,
)
from tilewright.isa.instruction import (
    HEADER_BITS,
    INSTRUCTION_BITS,
    INSTRUCTIONS,
    Finish,
    InstructionError,
    Load,
    Opcode,
    Vector,
    layout,
    specs,
)


def altered(word: bytes, position: int, width: int, value: int) -> bytes:
    bits = int.from_bytes(word, "little") & ~((1 << width) - 1 << position)
    return (bits | value << position).to_bytes(len(word), "little")


def test_the_header_fills_its_bits_and_every_class_fits():
    assert sum(width for _, width in HEADER.values()) == HEADER_BITS
    assert [position for position, _ in HEADER.values()] == [0, 4, 8, 12]
    for kind in INSTRUCTIONS:
        assert HEADER_BITS + sum(spec.bits for spec in specs(kind).values()) <= INSTRUCTION_BITS


def test_the_first_bits_are_version_and_opcode():
    assert encode(Finish())[:3] == bytes([0x62, 0x00, 0x00])
    assert encode(Load(base=5, offset=1 << 47))[:2] == bytes([0x12, 0x00])


@given(instructions())
def test_an_instruction_survives_its_bytes(instruction):
    assert decode(encode(instruction)) == instruction


@given(st.lists(instructions(), max_size=12))
def test_a_program_and_its_table_agree(program):
    code = encode_program(program)
    assert decode_program(code) == program
    table = decode_table(code)
    assert len(table) == len(program)
    assert not table.stray.any()
    assert table.wait.tolist() == [instruction.wait for instruction in program]
    assert table.signal.tolist() == [instruction.signal for instruction in program]
    for opcode, part in table.classes.items():
        members = [i for i, instruction in enumerate(program) if instruction.opcode == opcode]
        assert part.rows.tolist() == members
        for name, column in part.fields.items():
            assert column.dtype == np.int64
            assert column.tolist() == [getattr(program[i], name) for i in members]


@given(st.lists(st.binary(min_size=64, max_size=64), max_size=5))
def test_any_bytes_have_a_table(words):
    table = decode_table(b"".join(words))
    for index, word in enumerate(words):
        bits = int.from_bytes(word, "little")
        assert table.opcode[index] == bits >> 4 & 15
        assert sum(index in part.rows for part in table.classes.values()) == (bits >> 4 & 15 in KINDS)


@given(instructions(), st.integers(0, INSTRUCTION_BITS - 1))
def test_a_bit_that_no_field_owns_is_stray_in_both_decoders(instruction, place):
    owned = {place for position, width in HEADER.values() for place in range(position, position + width)}
    for position, spec in layout(type(instruction)).values():
        owned |= set(range(position, position + spec.bits))
    if place in owned:
        return
    word = altered(encode(instruction), place, 1, 1)
    assert decode_table(word).stray.tolist() == [True]
    with pytest.raises(InstructionError, match=f"bits that no field owns must be 0, not 1: {place}$"):
        decode(word)


def test_everything_wrong_with_a_word_is_said_at_once():
    position, spec = layout(Vector)["op"]
    word = altered(encode(Vector()), position, spec.bits, 31)
    word = altered(word, *HEADER["version"], 7)
    word = altered(word, *HEADER["wait"], 0b0100)
    word = altered(word, 511, 1, 1)
    with pytest.raises(InstructionError) as error:
        decode(word)
    for part in ("version must be 2, not 7", "no field owns", "op must be one of", "wait must be a mask"):
        assert part in str(error.value)


@pytest.mark.parametrize("opcode", sorted(set(range(16)) - set(Opcode)))
def test_an_unknown_opcode_is_refused_by_its_number(opcode):
    word = altered(encode(Finish()), *HEADER["opcode"], opcode)
    with pytest.raises(InstructionError, match=rf"opcode must be one of 1 \(load\).* not {opcode}"):
        decode(word)


def test_a_program_names_its_wrong_instructions():
    code = encode(Finish()) + bytes(64 * 20)
    with pytest.raises(InstructionError, match=r"^instruction 1: .*; and 12 more instructions$"):
        decode_program(code)


@pytest.mark.parametrize("read", [decode_program, decode_table])
def test_a_program_cut_short_is_refused(read):
    with pytest.raises(InstructionError, match="multiple of 64 bytes, not 65"):
        read(bytes(65))
    with pytest.raises(InstructionError, match="must be 64 bytes, not 3"):
        decode(bytes(3))
