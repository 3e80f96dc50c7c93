"""The host's registers for other tools: a C header for drivers, SystemRDL for register tools."""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, IntFlag

from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import (
    ALIGNED,
    BASE_ALIGNMENT_BYTES,
    BASE_REGISTERS,
    FAULT_FIELD_BITS,
    MAGIC,
    REGISTERS,
    SPACE_BYTES,
    WORD_BYTES,
    Control,
    Register,
    RegisterAccess,
    Status,
)

_FLAGS: dict[str, type[IntFlag]] = {"control": Control, "status": Status}
_FAULT_FIELDS: dict[str, tuple[int, type[IntEnum]]] = {
    "cause": (0, Cause),
    "engine": (FAULT_FIELD_BITS, FaultEngine),
}
_CONSTANTS = {"magic": MAGIC, "isa_version": ISA_VERSION}
_INDENT = "    "


def rows() -> Iterator[tuple[str, ...]]:
    """Offset, name, bits, access and text of each register."""
    for row in REGISTERS.values():
        yield f"{row.offset:#05x}", row.name, str(row.bits), row.access.value, row.text


# --- C -----------------------------------------------------------------------------------------------------


def c_header() -> str:
    """A header of macros and enumerations, for C and C++."""
    lines = [
        f"/* Host registers of Tilewright machines, version {ISA_VERSION} of the instruction set.",
        f" * Offsets in bytes, words of {8 * WORD_BYTES} bits, little-endian;",
        " * of a register of 64 bits the low word comes first. */",
        "#ifndef TILEWRIGHT_REGISTERS_H",
        "#define TILEWRIGHT_REGISTERS_H",
        "",
        _macro("MAGIC_VALUE", f"{MAGIC:#010x}u"),
        _macro("ISA_VERSION_VALUE", f"{ISA_VERSION}u"),
        _macro("SPACE_BYTES", f"{SPACE_BYTES}u"),
        _macro("BASE_REGISTERS", f"{BASE_REGISTERS}u"),
        _macro("BASE_ALIGNMENT_BYTES", f"{BASE_ALIGNMENT_BYTES}u"),
        "",
    ]
    for row in REGISTERS.values():
        lines += [f"/* {row.text} */", *_c_register(row)]
    for name, (first, kind) in _FAULT_FIELDS.items():
        lines += ["", *_c_field(name, first), *_c_enumeration(name, kind)]
    return "\n".join([*lines, "", "#endif", ""])


def _macro(name: str, value: str) -> str:
    return f"#define TILEWRIGHT_{name} {value}"


def _c_register(row: Register) -> Iterator[str]:
    name = row.name.upper()
    yield _macro(f"{name}_OFFSET", f"{row.offset:#05x}u")
    yield _macro(f"{name}_BITS", f"{row.bits}u")
    for flag in _FLAGS.get(row.name, ()):
        yield _macro(f"{name}_{flag.name}", f"{flag.value:#x}u")


def _c_field(name: str, first: int) -> Iterator[str]:
    mask = (1 << FAULT_FIELD_BITS) - 1
    yield _macro(f"FAULT_{name.upper()}(word)", f"(((word) >> {first}) & {mask:#x}u)")


def _c_enumeration(name: str, kind: type[IntEnum]) -> Iterator[str]:
    yield f"enum tilewright_fault_{name} {{"
    for member in kind:
        comment = f" /* {member.text} */" if isinstance(member, Cause) else ""
        yield f"{_INDENT}TILEWRIGHT_FAULT_{name.upper()}_{member.name} = {member.value},{comment}"
    yield "};"


# --- SystemRDL ---------------------------------------------------------------------------------------------


def systemrdl() -> str:
    """An address map in SystemRDL 2.0."""
    body = (line for row in REGISTERS.values() for line in _rdl_register(row))
    return "\n".join(
        [
            f"// Host registers of Tilewright machines, version {ISA_VERSION} of the instruction set.",
            *(line for name, (_, kind) in _FAULT_FIELDS.items() for line in _rdl_enumeration(name, kind)),
            "addrmap tilewright {",
            *_indented(
                [
                    'name = "Host registers of a Tilewright machine";',
                    "littleendian;",
                    f"default accesswidth = {8 * WORD_BYTES};",
                    *body,
                ]
            ),
            "};",
            "",
        ]
    )


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (_INDENT + line for line in lines)


def _rdl_register(row: Register) -> Iterator[str]:
    yield "reg {"
    yield from _indented([f"regwidth = {row.bits};", f"desc = {_quoted(row.text)};", *_rdl_fields(row)])
    yield f"}} {row.name} @ {row.offset:#05x};"


def _rdl_fields(row: Register) -> Iterator[str]:
    """One field of it, or one for each flag, or the two of a fault."""
    is_read_only = row.access is RegisterAccess.READ
    shown = "sw = r; hw = w;"
    if row.name in _FLAGS:
        access, reset = (shown, "") if is_read_only else ("sw = w; hw = r; singlepulse;", " = 0")
        for flag in _FLAGS[row.name]:
            bit = flag.value.bit_length() - 1
            yield f"field {{ {access} }} {(flag.name or '').lower()}[{bit}:{bit}]{reset};"
    elif row.name == "fault":
        for name, (first, _) in _FAULT_FIELDS.items():
            place = f"{first + FAULT_FIELD_BITS - 1}:{first}"
            yield f"field {{ {shown} encode = fault_{name}; }} {name}[{place}];"
    elif row.name in _CONSTANTS:
        yield f"field {{ sw = r; hw = na; }} value[{row.bits - 1}:0] = {_CONSTANTS[row.name]:#x};"
    elif is_read_only:
        yield f"field {{ {shown} }} value[{row.bits - 1}:0];"
    else:
        low = (BASE_ALIGNMENT_BYTES - 1).bit_length() if row.name in ALIGNED else 0
        yield f"field {{ sw = rw; hw = r; }} value[{row.bits - 1}:{low}] = 0;"


def _rdl_enumeration(name: str, kind: type[IntEnum]) -> Sequence[str]:
    width = FAULT_FIELD_BITS
    members = (f"{_INDENT}{member.name} = {width}'d{member.value};" for member in kind)
    return [f"enum fault_{name} {{", *members, "};"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
