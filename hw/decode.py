"""What an instruction word says, and whether the machine may run it."""

from collections.abc import Callable

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.interface import INDEX_BITS
from tilewright.isa.config import Config
from tilewright.isa.instruction import (
    HEADER_BITS,
    INSTRUCTION_BITS,
    INSTRUCTIONS,
    ISA_VERSION,
    Destination,
    Finish,
    Instruction,
    Load,
    Matrix,
    Nop,
    Opcode,
    Reduce,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
    layout,
)
from tilewright.isa.memory import Engine, Memory, Port

RECORD_BITS = INSTRUCTION_BITS - HEADER_BITS
TOKEN_BITS = len(Engine)


def dealt_layout(config: Config) -> data.StructLayout:
    """An instruction as fetch deals it: what the scoreboard decides by, and its fields."""
    return data.StructLayout(
        {
            "nop": 1,
            "wait": TOKEN_BITS,
            "signal": TOKEN_BITS,
            "claims": config.port_count,
            "index": INDEX_BITS,
            "fields": RECORD_BITS,
        }
    )


class Decoder(wiring.Component):
    """Reads one instruction word (docs/machine.md, "Undefined instructions").

    Latency: none; it is combinational, and fetch registers what it says.

    Members:
        word: In. The instruction.
        last: In. It is the program's last.
        illegal: Out. It is undefined.
        outside: Out. The first address of an operand lies beyond its memory (meaningless if illegal).
        finish: Out. It is a finish.
        engine: Out. The engine that runs it, if not a finish.
        nop, wait, signal, claims: Out. What the scoreboard decides by.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "word": In(INSTRUCTION_BITS),
                "last": In(1),
                "illegal": Out(1),
                "outside": Out(1),
                "finish": Out(1),
                "engine": Out(2),
                "nop": Out(1),
                "wait": Out(TOKEN_BITS),
                "signal": Out(TOKEN_BITS),
                "claims": Out(config.port_count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        opcode = self.word[4:8]
        m.d.comb += [self.wait.eq(self.word[8:12]), self.signal.eq(self.word[12:16])]
        bad_header = (self.word[:4] != ISA_VERSION) | ((opcode == Opcode.FINISH) != self.last)
        own_token = Signal()
        m.d.comb += own_token.eq((self.wait | self.signal).bit_select(self.engine, 1))
        with m.Switch(opcode):
            for kind in INSTRUCTIONS:
                with m.Case(kind.opcode):
                    self._elaborate_kind(m, kind, bad_header, own_token)
            with m.Default():
                m.d.comb += self.illegal.eq(1)
        return m

    def _elaborate_kind(
        self, m: Module, kind: type[Instruction], bad_header: Value, own_token: Value
    ) -> None:
        fields = {
            name: self.word[first : first + row.bits].as_signed()
            if row.signed
            else self.word[first : first + row.bits]
            for name, (first, row) in layout(kind).items()
        }
        end = HEADER_BITS + sum(row.bits for _, row in layout(kind).values())
        illegal, outside, claims = _RULES[kind](self.config, fields)
        tokens = (self.wait | self.signal).any() if kind is Finish else own_token
        m.d.comb += self.illegal.eq(bad_header | self.word[end:].any() | tokens | illegal)
        m.d.comb += [self.outside.eq(outside), self.claims.eq(claims)]
        m.d.comb += [self.finish.eq(kind is Finish), self.nop.eq(kind is Nop)]
        m.d.comb += self.engine.eq(fields["runs_on"] if kind is Nop else _ENGINE.get(kind, 0))


_ENGINE = {Load: Engine.LOAD, Store: Engine.STORE, Matrix: Engine.MATRIX, Vector: Engine.VECTOR}

_Fields = dict[str, Value]
_Verdict = tuple[Value, Value, Value]


def _any(terms: list[Value]) -> Value:
    return Cat(*(Value.cast(term).any() for term in terms)).any()


def _bank(config: Config, memory: Memory, address: Value) -> Value:
    """All address bits above a bank's: equal for addresses of one bank."""
    return address[exact_log2(config.depth(memory)) :]


def _outside(config: Config, memory: Memory, address: Value) -> Value:
    return address[exact_log2(config.vectors(memory)) :].any()


def _claim(config: Config, memory: Memory, port: Port, address: Value, enable: Value | int = 1) -> Value:
    """The claim mask with this port of the address's bank, if enabled."""
    bits: list[Value] = [Const(0, 1)] * config.port_count
    bank = _bank(config, memory, address)
    for index in range(config.banks(memory)):
        bits[config.port_index(memory, index, port)] = (bank == index) & Value.cast(enable).any()
    return Cat(*bits)


def _no_rule(config: Config, fields: _Fields) -> _Verdict:
    return Const(0, 1), Const(0, 1), Const(0, 1)


def _block(config: Config, fields: _Fields, port: Port) -> _Verdict:
    """What load and store have in common: alignment, the chip address, the claim."""
    illegal, outside, claims = Const(0, 1), Const(0, 1), Const(0, 1)
    for memory in Memory:
        here = fields["memory"] == memory
        low = exact_log2(config.transfer_bytes(memory))
        odd = _any([fields[name][:low] for name in ("offset", "stride_z", "stride_y", "stride_x")])
        illegal |= here & odd
        outside |= here & _outside(config, memory, fields["address"])
        claims |= _claim(config, memory, port, fields["address"], here)
    return illegal, outside, claims


def _load(config: Config, fields: _Fields) -> _Verdict:
    illegal, outside, claims = _block(config, fields, Port.WRITE)
    for names in (("n_z",), ("pad_top", "n_y", "pad_bottom"), ("pad_left", "n_x", "pad_right")):
        illegal |= ~_any([fields[name] for name in names])
    return illegal, outside, claims


def _store(config: Config, fields: _Fields) -> _Verdict:
    illegal, outside, claims = _block(config, fields, Port.READ)
    illegal |= _any([fields[name] == 0 for name in ("n_z", "n_y", "n_x", "bytes")])
    for memory in Memory:
        illegal |= (fields["memory"] == memory) & (fields["bytes"] > config.vector_bytes(memory))
    return illegal, outside, claims


def _matrix(config: Config, fields: _Fields) -> _Verdict:
    illegal = _any([fields[name] == 0 for name in ("n_y", "n_x", "n_ci", "n_ky", "n_kx")])
    operands = {
        Memory.ACTIVATION: fields["activation"][exact_log2(config.slices) :],
        Memory.WEIGHT: fields["weight"],
        Memory.ACCUMULATOR: fields["accumulator"],
    }
    outside = _any([_outside(config, memory, address) for memory, address in operands.items()])
    claims = Const(0, 1)
    for memory, address in operands.items():
        claims |= _claim(config, memory, Port.READ, address)
    claims |= _claim(config, Memory.ACCUMULATOR, Port.WRITE, fields["accumulator"])
    return illegal, outside, claims


def _vector(config: Config, fields: _Fields) -> _Verdict:
    operands = _vector_operands(fields)
    parameters = _any([fields["bias"], fields["requantise"], fields["op"] == VectorOp.MULTIPLY_ADD])
    outside = parameters & _outside(config, Memory.PARAMETER, fields["parameter"])
    claims = _claim(config, Memory.PARAMETER, Port.READ, fields["parameter"], parameters)
    for name, memory, used in operands:
        port = Port.WRITE if name == "destination" else Port.READ
        outside |= used & _outside(config, memory, fields[name])
        claims |= _claim(config, memory, port, fields[name], used)
    return _vector_illegal(fields) | _shared_banks(config, fields, operands), outside, claims


def _vector_operands(fields: _Fields) -> list[tuple[str, Memory, Value]]:
    """Operand field, memory, whether the operand lies there."""
    return [
        ("destination", Memory.ACTIVATION, fields["to"] == Destination.ACTIVATION),
        ("destination", Memory.ACCUMULATOR, fields["to"] == Destination.ACCUMULATOR),
        ("a", Memory.ACTIVATION, fields["a_from"] == SourceA.ACTIVATION),
        ("a", Memory.ACCUMULATOR, fields["a_from"] == SourceA.ACCUMULATOR),
        ("b", Memory.ACTIVATION, fields["b_from"] == SourceB.ACTIVATION),
        ("b", Memory.ACCUMULATOR, fields["b_from"] == SourceB.ACCUMULATOR),
        ("b", Memory.PARAMETER, fields["b_from"] == SourceB.PARAMETER),
    ]


def _folds(fields: _Fields) -> Value:
    return (fields["n_2"] != 1) | (fields["n_3"] != 1)


def _vector_illegal(fields: _Fields) -> Value:
    return _any(
        [
            *(fields[name] == 0 for name in ("n_0", "n_1", "n_2", "n_3")),
            fields["op"] > max(VectorOp),
            fields["to"] > max(Destination),
            (fields["op"] == VectorOp.PASS) & (fields["b_from"] != SourceB.CONSTANT),
            (fields["reduce"] == Reduce.NONE) & _folds(fields),
            fields["lookup"] & (fields["to"] == Destination.TABLE),
        ]
    )


def _shared_banks(config: Config, fields: _Fields, operands: list[tuple[str, Memory, Value]]) -> Value:
    """a and b in one bank, or a destination in a source's bank without being that source's block."""
    illegal = Const(0, 1)
    for position, (name, memory, used) in enumerate(operands):
        for other, other_memory, other_used in operands[position + 1 :]:
            if name == other or memory != other_memory:
                continue
            same = _bank(config, memory, fields[name]) == _bank(config, memory, fields[other])
            allowed = _in_place(fields, other) if name == "destination" else Const(0, 1)
            illegal |= used & other_used & same & ~allowed
    return illegal


def _in_place(fields: _Fields, source: str) -> Value:
    return (
        (fields["destination"] == fields[source])
        & (fields["destination_stride_0"] == fields[f"{source}_stride_0"])
        & (fields["destination_stride_1"] == fields[f"{source}_stride_1"])
        & ~_folds(fields)
    )


_RULES: dict[type[Instruction], Callable[[Config, _Fields], _Verdict]] = {
    Load: _load,
    Store: _store,
    Matrix: _matrix,
    Vector: _vector,
    Nop: _no_rule,
    Finish: _no_rule,
}
