"""The register map in other languages, read by tools that know nothing of the table."""

import shutil
import subprocess

import pytest
from systemrdl import RDLCompiler

from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import ALIGNED, MAGIC, REGISTERS, Control, RegisterAccess, Status
from tilewright.isa.register_map import c_header, rows, systemrdl


@pytest.fixture(scope="module")
def registers(tmp_path_factory):
    """The nodes that a compiler of SystemRDL makes of the map, by name."""
    path = tmp_path_factory.mktemp("map") / "tilewright.rdl"
    path.write_text(systemrdl())
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return {node.inst_name: node for node in compiler.elaborate().top.registers()}


def fields(node):
    return {field.inst_name: (field.low, field.high) for field in node.fields()}


def test_systemrdl_has_every_register_where_it_is(registers):
    found = {name: (node.absolute_address, node.get_property("regwidth")) for name, node in registers.items()}
    assert found == {name: (row.offset, row.bits) for name, row in REGISTERS.items()}


def test_systemrdl_says_what_a_host_may_write(registers):
    for name, row in REGISTERS.items():
        writeable = {field.is_sw_writable for field in registers[name].fields()}
        assert writeable == {row.access is RegisterAccess.WRITE}, name


@pytest.mark.parametrize(("name", "flags"), [("control", Control), ("status", Status)])
def test_systemrdl_has_every_flag(registers, name, flags):
    places = {flag.name.lower(): flag.value.bit_length() - 1 for flag in flags}
    assert fields(registers[name]) == {flag: (place, place) for flag, place in places.items()}


def test_systemrdl_leaves_out_the_bits_that_alignment_fixes(registers):
    for name, row in REGISTERS.items():
        if row.access is RegisterAccess.WRITE and name != "control":
            assert fields(registers[name]) == {"value": (6 if name in ALIGNED else 0, row.bits - 1)}


def test_systemrdl_has_the_codes_of_faults_and_the_constants(registers):
    for field, kind in zip(registers["fault"].fields(), (Cause, FaultEngine), strict=True):
        codes = {member.name: member.value for member in field.get_property("encode")}
        assert codes == {member.name: member.value for member in kind}
    constants = {name: registers[name].fields()[0] for name in ("magic", "isa_version")}
    values = {name: field.get_property("reset") for name, field in constants.items()}
    assert values == {"magic": MAGIC, "isa_version": ISA_VERSION}


@pytest.mark.parametrize(("language", "keyword"), [("c", "_Static_assert"), ("c++", "static_assert")])
def test_the_header_compiles_and_means_the_table(tmp_path, language, keyword):
    compiler = shutil.which("c++" if language == "c++" else "cc")
    if compiler is None:
        pytest.skip(f"needs a compiler of {language}")
    facts = {"MAGIC_VALUE": MAGIC, "ISA_VERSION_VALUE": ISA_VERSION}
    facts |= {f"{name.upper()}_OFFSET": row.offset for name, row in REGISTERS.items()}
    facts |= {f"{name.upper()}_BITS": row.bits for name, row in REGISTERS.items()}
    facts |= {f"CONTROL_{flag.name}": flag.value for flag in Control}
    facts |= {f"STATUS_{flag.name}": flag.value for flag in Status}
    facts |= {f"FAULT_CAUSE_{member.name}": member.value for member in Cause}
    facts |= {f"FAULT_ENGINE_{member.name}": member.value for member in FaultEngine}
    facts |= {"FAULT_CAUSE(0x0502u)": Cause.BUS, "FAULT_ENGINE(0x0502u)": FaultEngine.SYSTEM}
    (tmp_path / "registers.h").write_text(c_header())
    lines = [f'{keyword}(TILEWRIGHT_{name} == {int(value)}, "{name}");' for name, value in facts.items()]
    # Twice, as headers are.
    source = "\n".join(['#include "registers.h"', '#include "registers.h"', *lines, ""])
    command = [compiler, "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-"]
    subprocess.run(command, input=source, text=True, check=True, cwd=tmp_path)


def test_the_rows_are_the_table():
    assert [(int(offset, 16), name) for offset, name, *_ in rows()] == [
        (row.offset, name) for name, row in REGISTERS.items()
    ]
