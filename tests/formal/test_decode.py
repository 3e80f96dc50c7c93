"""Over all words the decoder refuses exactly what the machine's page calls undefined."""

from types import ModuleType

import pytest
from amaranth import C, Cat, Mux, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import decode
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.instruction import (
    ENGINE_OF,
    HEADER_BITS,
    INSTRUCTIONS,
    ISA_VERSION,
    Destination,
    Finish,
    Instruction,
    Load,
    Matrix,
    Nop,
    Opcode,
    ReduceMode,
    SourceB,
    Store,
    Vector,
    VectorOp,
    layout,
    memory_of,
)
from tilewright.isa.memory import Memory, Port
from tilewright.isa.operand import OPERANDS, OperandField

_Fields = dict[str, Value]


def _any(*terms: Value | int) -> Value:
    return Cat(Value.cast(term).any() for term in terms).any()


def decode_bench(unit: ModuleType, config: Config) -> ProofBench:
    """One cycle, any word. Addresses are numbers here and banks quotients; in the decoder they are bits."""
    bench = ProofBench()
    dut = unit.Decoder(config)
    bench.add("dut", dut)
    word, opcode = dut.word, dut.word[4:8]
    known = _any(*(opcode == code for code in Opcode))
    bench.claim("an unknown opcode is refused", dut.illegal, when=~known)
    bench.claim("another version is refused", dut.illegal, when=word[:4] != ISA_VERSION)
    last = (opcode == Opcode.FINISH) == dut.last
    bench.claim("finish is the last instruction, and the last is finish", dut.illegal, when=~last)
    for kind in INSTRUCTIONS:
        _claim_kind(bench, config, dut, kind, when=opcode == kind.opcode)
    bench.reach("a legal word whose operands lie in their memories", ~dut.illegal & ~dut.outside & ~dut.last)
    return bench


def _claim_kind(
    bench: ProofBench, config: Config, dut: decode.Decoder, kind: type[Instruction], *, when: Value
) -> None:
    name, fields, word = kind.__name__.lower(), _fields(dut.word, kind), dut.word
    end = max([HEADER_BITS, *(first + row.bits for first, row in layout(kind).values())])
    bad = [word[:4] != ISA_VERSION, (kind is Finish) != dut.last, word[end:] != 0]
    bad += [
        _any(*(fields[field] == code for code in range(1 << row.bits) if code not in [*row.values]))
        for field, (_, row) in layout(kind).items()
        if row.values is not None
    ]
    engine = fields["runs_on"] if kind is Nop else C(ENGINE_OF.get(kind.opcode, 0), 2)
    tokens = word[8:12] | word[12:16]
    bad.append(tokens != 0 if kind is Finish else (tokens >> engine)[0])
    bad += list(_ILLEGAL[kind](config, fields)) if kind in _ILLEGAL else []
    bench.claim(f"{name}: what is undefined is refused, nothing else", dut.illegal == _any(*bad), when=when)
    legal = when & ~dut.illegal
    outside = [used & (row_address >= limit) for used, row_address, limit in _extents(config, kind, fields)]
    bench.claim(
        f"{name}: an operand that begins beyond its memory is found",
        dut.outside == _any(*outside),
        when=legal,
    )
    claims = _claims(config, kind, fields)
    bench.claim(
        f"{name}: the ports that it uses are claimed, no others",
        dut.claims == claims,
        when=legal & ~dut.outside,
    )
    kinds = (dut.finish == (kind is Finish)) & (dut.nop == (kind is Nop))
    bench.claim(f"{name}: it is told what it is", kinds & (dut.engine == engine), when=legal)
    header = (dut.wait == word[8:12]) & (dut.signal == word[12:16])
    bench.claim(f"{name}: its tokens are those of the header", header, when=legal)
    bench.reach(f"{name}: a legal one", legal)


def _fields(word: Value, kind: type[Instruction]) -> _Fields:
    bits = {name: word[first : first + row.bits] for name, (first, row) in layout(kind).items()}
    return {
        name: value.as_signed() if layout(kind)[name][1].signed else value for name, value in bits.items()
    }


# --- docs/machine.md, Undefined instructions, line by line -----------------------------------------------


def _transfers(config: Config, fields: _Fields) -> list[Value]:
    """load, store: offset or a memory stride that is no multiple of the transfer."""
    return [
        (fields["memory"] == memory) & (fields[name].as_unsigned() % config.transfer_bytes(memory) != 0)
        for memory in Memory
        for name in ("offset", "stride_z", "stride_y", "stride_x")
    ]


def _load(config: Config, fields: _Fields) -> list[Value]:
    sums = (
        fields["n_z"],
        fields["pad_top"] + fields["n_y"] + fields["pad_bottom"],
        fields["pad_left"] + fields["n_x"] + fields["pad_right"],
    )
    return [*(number == 0 for number in sums), *_transfers(config, fields)]


def _store(config: Config, fields: _Fields) -> list[Value]:
    bytes_, memory = fields["bytes"], fields["memory"]
    above = [(memory == code) & (bytes_ > config.vector_bytes(code)) for code in Memory]
    return [*_counts(fields), bytes_ == 0, *above, *_transfers(config, fields)]


def _counts(fields: _Fields) -> list[Value]:
    return [value == 0 for name, value in fields.items() if name.startswith("n_")]


def _matrix(config: Config, fields: _Fields) -> list[Value]:
    return _counts(fields)


def _vector(config: Config, fields: _Fields) -> list[Value]:
    """Banks go on counting beyond a memory, so that an address there shares the bank of none in it."""
    f = fields
    places = {
        name: _place(config, f, name, source)
        for name, source in (("a", "a_from"), ("b", "b_from"), ("destination", "to"))
    }

    def share(one: str, other: str) -> Value:
        return _any(
            *(
                used & places[other][memory][0] & (bank == places[other][memory][1])
                for memory, (used, bank) in places[one].items()
                if memory in places[other]
            )
        )

    def in_place(source: str) -> Value:
        strides = [f[f"destination_stride_{loop}"] == f[f"{source}_stride_{loop}"] for loop in range(2)]
        return Cat(f["destination"] == f[source], *strides, f["n_2"] == 1, f["n_3"] == 1).all()

    return [
        *_counts(f),
        (f["op"] == VectorOp.PASS) & (f["b_from"] != SourceB.CONSTANT),
        (f["reduce"] == ReduceMode.NONE) & (f["n_2"] * f["n_3"] != 1),
        share("a", "b"),
        share("destination", "a") & ~in_place("a"),
        share("destination", "b") & ~in_place("b"),
        (f["lookup"] != 0) & (f["to"] == Destination.TABLE),
    ]


def _place(config: Config, fields: _Fields, address: str, source: str) -> dict[Memory, tuple[Value, Value]]:
    """By memory: whether the operand lies there, and the number of its bank."""
    names = layout(Vector)[source][1].values
    assert names is not None
    found = {memory_of(place): fields[source] == place for place in names}
    return {
        memory: (used, fields[address] // config.depth(memory))
        for memory, used in found.items()
        if memory is not None
    }


_ILLEGAL = {Load: _load, Store: _store, Matrix: _matrix, Vector: _vector}


# --- operands: docs/machine.md, Start, Claims ------------------------------------------------------------


def _operands(config: Config, kind: type[Instruction], fields: _Fields):
    """Of each operand and memory: is it there, its first vector, the ports it claims."""
    for row in OPERANDS.get(kind, ()):
        address = fields[row.address] // config.slices if row.in_slices else fields[row.address]
        for memory, used in _memories(kind, row, fields):
            yield memory, used, address, row


def _memories(kind: type[Instruction], row: OperandField, fields: _Fields):
    if row.of_parameters:
        yield (
            Memory.PARAMETER,
            _any(fields["bias"], fields["requantise"], fields["op"] == VectorOp.MULTIPLY_ADD),
        )
    elif isinstance(row.memory, Memory):
        yield row.memory, C(1)
    else:
        names = layout(kind)[row.memory][1].values
        assert names is not None
        for item in names:
            if item.name in Memory.__members__:
                yield Memory[item.name], fields[row.memory] == item


def _extents(config: Config, kind: type[Instruction], fields: _Fields):
    for memory, used, address, _ in _operands(config, kind, fields):
        yield used, address, config.vectors(memory)


_PORTS = {
    Load: {"address": (Port.WRITE,)},
    Store: {"address": (Port.READ,)},
    Matrix: {"activation": (Port.READ,), "weight": (Port.READ,), "accumulator": (Port.READ, Port.WRITE)},
    Vector: {"a": (Port.READ,), "b": (Port.READ,), "parameter": (Port.READ,), "destination": (Port.WRITE,)},
}
"""Of the machine's page, not of the table from which the gates take them."""


def _claims(config: Config, kind: type[Instruction], fields: _Fields) -> Value:
    mask: Value | int = C(0, config.port_count)
    for memory, used, address, row in _operands(config, kind, fields):
        for bank in range(config.banks(memory)):
            inside = used & (address // config.depth(memory) == bank)
            for port in _PORTS[kind][row.address]:
                mask = mask | Mux(inside, 1 << config.port_index(memory, bank, port), 0)
    return mask


def _decoder(name: str, *bugs: SeededBug) -> Proof:
    return Proof(
        name=f"decoder of {name}",
        unit=decode,
        bench=lambda unit: decode_bench(unit, PRESETS[name]),
        method=Method.ANY_STATE,
        cycles=1,
        reach_cycles=1,
        bugs=bugs,
    )


PROOFS = (
    _decoder(
        "tiny",
        SeededBug(
            name="a plane of padding alone has no rows",
            old='("pad_top", "n_y", "pad_bottom")',
            new='("n_y", "pad_bottom")',
            cycles=1,
        ),
        SeededBug(
            name="bits behind the fields may be set",
            old="bad_header | self.word[end:].any() | tokens | illegal",
            new="bad_header | tokens | illegal",
            cycles=1,
        ),
        SeededBug(
            name="b may be overwritten",
            old="    for source in SOURCES:",
            new="    for source in SOURCES[:1]:",
            cycles=1,
        ),
    ),
    _decoder(
        "large-128",
        SeededBug(
            name="claims of a matrix instruction leave the accumulator's write port",
            old="for port in row.ports:",
            new="for port in row.ports[:1]:",
            cycles=1,
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_every_undefined_word_is_refused_and_no_other(proof: Proof) -> None:
    check(proof)
