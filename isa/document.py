"""docs/isa.md, generated from the tables: `python -m tilewright.isa.document > docs/isa.md`."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.encoding import HEADER
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import INSTRUCTIONS, ISA_VERSION, Instruction, Opcode, Spec, layout
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.operand import OPERANDS, PARAMETER_VECTORS, OperandField
from tilewright.isa.register import BASE_ALIGNMENT_BYTES, REGISTERS, WORD_BYTES, Register

_INTRODUCTION = f"""\
# The instruction set

Version {ISA_VERSION}, generated from the tables of `isa/`: change those, then run
`python -m tilewright.isa.document > docs/isa.md`. What instructions do in time, and which are undefined,
is in [machine.md](machine.md).

An instruction is {INSTRUCTION_BYTES} bytes, one little-endian number: bit 0 is the lowest of the first byte.
The header is followed by the fields of the instruction without gaps; every other bit is 0. Positions and
widths are the same for every configuration. Fields with a sign are two's complement."""

_TEXT_FORM = """\
## As text

`tilewright asm` and `tilewright disasm` read and write one instruction a line: its name, then `field=value`
in any order. A field that is left out has its default. Values are decimal or hexadecimal numbers, the names
of a choice, and in `wait` and `signal` engines separated by commas. `#` begins a comment.

```
.config tiny                      # a preset, a TOML file, or every size: rows=4 cols=4 …
.region 0 4096 "input"            # base register, bytes, name
load n_y=4 stride_y=16 chip_stride_y=1 signal=matrix
nop runs_on=matrix wait=load
finish
```"""

_REGISTERS = f"""\
## Host registers

AXI4-Lite, words of {8 * WORD_BYTES} bits. A register of 64 bits is two words, the low one first. Writes to
registers that are only read are ignored. Base registers and the program's address are multiples of
{BASE_ALIGNMENT_BYTES}: their low bits read as 0. A host writes program, digest, bases and timeout, then
`start`; it reads results once `running` is down. A start copies what was written: a write while a program
runs is of the next program.

The output `interrupt` is up from the end of a program, with or without a fault, until the host writes
`acknowledge`, `start` or `reset`; bit 4 of `status` shows it. A host that polls leaves it open."""


def document() -> str:
    """The text of docs/isa.md."""
    parts = [
        _INTRODUCTION,
        *_header(),
        *(part for kind in INSTRUCTIONS for part in _instruction(kind)),
        _TEXT_FORM,
        *_faults(),
        *_registers(),
    ]
    return "\n\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _place(first: int, bits: int) -> str:
    return str(first) if bits == 1 else f"{first}–{first + bits - 1}"


def _coded(values: Iterable[Enum]) -> str:
    return ", ".join(f"{item.value} {item.name.lower()}" for item in values)


# --- instructions ------------------------------------------------------------------------------------------

_HEADER_TEXT = {
    "version": f"{ISA_VERSION}",
    "opcode": _coded(Opcode),
    "wait": f"one bit for each engine that a token is taken from: {_coded(Engine)}",
    "signal": "one bit for each engine that a token is given to",
}


def _header() -> Iterator[str]:
    yield "## Header"
    rows = [(_place(*place), f"`{name}`", _HEADER_TEXT[name]) for name, place in HEADER.items()]
    yield _table(("bits", "field", "value"), rows)


def _instruction(kind: type[Instruction]) -> Iterator[str]:
    name = kind.opcode.name.lower()
    yield f"## {name.capitalize()} (opcode {kind.opcode.value})"
    yield inspect.getdoc(kind) or ""
    rows = [_field_row(kind, field, *place) for field, place in layout(kind).items()]
    if rows:
        yield _table(("bits", "field", "values", "default", "meaning"), rows)
    if kind in OPERANDS:
        yield _table(("operand", "lies in", "ports claimed"), map(_operand_row, OPERANDS[kind]))


def _operand_row(row: OperandField) -> tuple[str, ...]:
    place = row.memory.label if isinstance(row.memory, Memory) else f"what `{row.memory}` names"
    needs = ", ".join(f"{each.name} if `{each.field}` = {each.value:d}" for each in PARAMETER_VECTORS)
    used = f": {needs}" if row.of_parameters else ""
    return f"`{row.address}`", place + used, " and ".join(port.name.lower() for port in row.ports)


def _field_row(kind: type[Instruction], name: str, first: int, spec: Spec) -> tuple[str, ...]:
    default = getattr(kind, name)
    shown = default if spec.values is None else spec.values(default).name.lower()
    return _place(first, spec.bits), f"`{name}`", _range(spec), str(shown), spec.text


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPELT_OUT = 1 << 12
"""Ends of a range are written as numbers below it, above as powers of two."""


def _range(spec: Spec) -> str:
    """The values of a field: their names, or their ends."""
    if spec.values is not None:
        return _coded(spec.values)
    if spec.maximum < _SPELT_OUT:
        return f"{spec.minimum} … {spec.maximum}".replace("-", "−")
    power = "2" + str(spec.bits - spec.signed).translate(_SUPERSCRIPTS)
    return f"{f'−{power}' if spec.signed else 0} … {power} − 1"


# --- faults and registers ----------------------------------------------------------------------------------


def _faults() -> Iterator[str]:
    yield "## Fault codes"
    yield _table(
        ("code", "cause", "meaning"), [(str(cause.value), cause.name, cause.text) for cause in Cause]
    )
    yield f"Engines in fault records: {_coded(FaultEngine)}."


def _registers() -> Iterator[str]:
    yield _REGISTERS
    yield _table(("offset", "register", "bits", "host", "meaning"), map(_register_row, REGISTERS.values()))


def _register_row(row: Register) -> tuple[str, ...]:
    return f"0x{row.offset:03x}", f"`{row.name}`", str(row.bits), row.access.value, row.text


if __name__ == "__main__":
    print(document(), end="")
