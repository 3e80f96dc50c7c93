"""What an instruction word says, and whether the machine may run it."""

from collections.abc import Callable, Iterator

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.interface import INDEX_BITS
from tilewright.isa.config import Config
from tilewright.isa.instruction import (
    ENGINE_OF,
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
    ReduceMode,
    SourceB,
    Store,
    Vector,
    VectorOp,
    layout,
)
from tilewright.isa.memory import Engine, Memory, Port
from tilewright.isa.operand import DESTINATION, OPERANDS, SOURCES, OperandField, in_place, parameters_used

RECORD_BITS = INSTRUCTION_BITS - HEADER_BITS
TOKEN_BITS = len(Engine)


def dispatched_layout(config: Config) -> data.StructLayout:
    """An instruction as fetch dispatches it: what the scoreboard decides by, and its fields."""
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
        m.d.comb += self.engine.eq(fields["runs_on"] if kind is Nop else ENGINE_OF.get(kind.opcode, 0))


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


def _unaligned(config: Config, fields: _Fields) -> Value:
    """Of load and store: an address in memory that is no multiple of a transfer."""
    illegal = Const(0, 1)
    for memory in Memory:
        here = fields["memory"] == memory
        low = exact_log2(config.transfer_bytes(memory))
        odd = _any([fields[name][:low] for name in ("offset", "stride_z", "stride_y", "stride_x")])
        illegal |= here & odd
    return illegal


def _load(config: Config, fields: _Fields) -> _Verdict:
    illegal = _unaligned(config, fields)
    for names in (("n_z",), ("pad_top", "n_y", "pad_bottom"), ("pad_left", "n_x", "pad_right")):
        illegal |= ~_any([fields[name] for name in names])
    return illegal, *_operand_verdict(config, Load, fields)


def _store(config: Config, fields: _Fields) -> _Verdict:
    illegal = _unaligned(config, fields)
    illegal |= _any([fields[name] == 0 for name in ("n_z", "n_y", "n_x", "bytes")])
    for memory in Memory:
        illegal |= (fields["memory"] == memory) & (fields["bytes"] > config.vector_bytes(memory))
    return illegal, *_operand_verdict(config, Store, fields)


def _matrix(config: Config, fields: _Fields) -> _Verdict:
    illegal = _any([fields[name] == 0 for name in ("n_y", "n_x", "n_ci", "n_ky", "n_kx")])
    return illegal, *_operand_verdict(config, Matrix, fields)


def _vector(config: Config, fields: _Fields) -> _Verdict:
    return _vector_illegal(fields) | _shared_banks(config, fields), *_operand_verdict(config, Vector, fields)


def _operand_verdict(config: Config, kind: type[Instruction], fields: _Fields) -> tuple[Value, Value]:
    """Whether an operand's first address is outside of its memory, and the claims of all operands."""
    outside, claims = Const(0, 1), Const(0, 1)
    for row in OPERANDS[kind]:
        address = fields[row.address][exact_log2(config.slices) if row.in_slices else 0 :]
        for memory, used in _places(kind, row, fields):
            outside |= used & _outside(config, memory, address)
            for port in row.ports:
                claims |= _claim(config, memory, port, address, used)
    return outside, claims


def _places(kind: type[Instruction], row: OperandField, fields: _Fields) -> Iterator[tuple[Memory, Value]]:
    """The memories in which an operand can lie, and whether it lies there."""
    for code, memory in enumerate(row.memories(kind)):
        if memory is None:
            continue
        if row.of_parameters:
            yield memory, _any(list(parameters_used(fields.__getitem__)))
        elif isinstance(row.memory, Memory):
            yield memory, Const(1, 1)
        else:
            yield memory, fields[row.memory] == code


def _vector_illegal(fields: _Fields) -> Value:
    reduced = [count for count, _ in SOURCES[0].loops[len(DESTINATION.loops) :]]
    return _any(
        [
            *(fields[count] == 0 for count, _ in SOURCES[0].loops),
            fields["op"] > max(VectorOp),
            fields["to"] > max(Destination),
            (fields["op"] == VectorOp.PASS) & (fields["b_from"] != SourceB.CONSTANT),
            (fields["reduce"] == ReduceMode.NONE) & _any([fields[count] != 1 for count in reduced]),
            fields["lookup"] & (fields["to"] == Destination.TABLE),
        ]
    )


def _shared_banks(config: Config, fields: _Fields) -> Value:
    """a and b in one bank, or a destination in a source's bank without being that source's block."""
    illegal = _share_bank(config, fields, *SOURCES)
    for source in SOURCES:
        illegal |= _share_bank(config, fields, DESTINATION, source) & ~_in_place(fields, source)
    return illegal


def _share_bank(config: Config, fields: _Fields, one: OperandField, other: OperandField) -> Value:
    shared = Const(0, 1)
    others = dict(_places(Vector, other, fields))
    for memory, used in _places(Vector, one, fields):
        if memory in others:
            banks = [_bank(config, memory, fields[row.address]) for row in (one, other)]
            shared |= used & others[memory] & (banks[0] == banks[1])
    return shared


def _in_place(fields: _Fields, source: OperandField) -> Value:
    rule = in_place(source)
    equal = [fields[mine] == fields[its] for mine, its in rule.equal]
    return Cat(*equal, *(fields[count] == 1 for count in rule.single)).all()


_RULES: dict[type[Instruction], Callable[[Config, _Fields], _Verdict]] = {
    Load: _load,
    Store: _store,
    Matrix: _matrix,
    Vector: _vector,
    Nop: _no_rule,
    Finish: _no_rule,
}
