"""hw.verilog: the file says what every port is for, and a strict linter finds nothing that is not listed."""

import os
import re
import subprocess
from dataclasses import replace

import pytest

from tilewright.hw.verilog import TOP_NAME, emit
from tilewright.isa.config import FIELD_RANGES, PRESETS
from tilewright.runtime.rtl_toolchain import find_toolchain

TINY = PRESETS["tiny"]
ALLOWED = {
    "DECLFILENAME": "the file has the name that the user gives it",
    "UNUSEDSIGNAL": "members of layouts that a unit does not need, under their own names",
    "PROCASSINIT": "registers with a first value, which FPGAs load",
    "CASEINCOMPLETE": "a default is assigned before",
    "WIDTHEXPAND": "the writer of Verilog leaves extensions to the language",
    "WIDTHTRUNC": "a condition of several bits is true if one is 1",
    "CMPCONST": "a comparison that holds for all values of a small counter",
    "VARHIDDEN": "a signal with the name of an instance elsewhere",
    "SYMRSVDWORD": "`interrupt` is no word of Verilog",
}
"""Classes of warnings of Verilator, and why the text is right."""


@pytest.fixture(scope="module")
def text():
    return emit(TINY, trace=True)


def test_every_port_has_its_line_at_the_beginning(text):
    header, _, rest = text.partition(f"module {TOP_NAME}(")
    ports = {name.strip() for name in rest.partition(")")[0].split(",")}
    lines = dict(re.findall(r"^// (\w+) +(?:input|output) +\d+  (.+)$", header, re.MULTILINE))
    assert set(lines) == ports
    assert "whose burst" in lines["m_axi_arid"]
    assert re.search(r"^// m_axi_rdata +input +64  what was read$", header, re.MULTILINE)


def test_ports_belong_to_interfaces(text):
    lines = text.splitlines()
    place = next(n for n, line in enumerate(lines) if re.match(r"  input clk;", line))
    assert "xilinx.com:signal:clock:1.0 clk CLK" in lines[place - 1]
    assert "ASSOCIATED_BUSIF s_axi:m_axi" in lines[place - 1]
    found = re.findall(r"aximm:1.0 (\w+) (\w+)\" \*\)\n  (?:input|output) (?:\[\S+ )?(\w+);", text)
    assert {f"{bus}_{pin.lower()}" for bus, pin, _ in found} == {port for *_, port in found}
    assert len(found) == text.count("aximm:1.0") > 50


def test_no_signal_has_no_bits(text):
    assert "[-1:0]" not in text


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="no Verilator: see `tilewright doctor`")
@pytest.mark.parametrize("vector_taps", FIELD_RANGES["vector_taps"].steps)
def test_a_strict_linter_finds_nothing_that_is_not_listed(vector_taps, tmp_path):
    toolchain, path = find_toolchain(), tmp_path / "machine.v"
    path.write_text(emit(replace(TINY, vector_taps=vector_taps), trace=True))
    command = [str(toolchain.verilator), "--lint-only", "-Wall", "--top-module", TOP_NAME, str(path)]
    environment = dict(os.environ, VERILATOR_ROOT=str(toolchain.root))
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stderr
    classes = set(re.findall(r"^%Warning-(\w+)", found, re.MULTILINE))
    assert classes <= set(ALLOWED), f"not listed: {sorted(classes - set(ALLOWED))}"
    assert "UNUSEDSIGNAL" in classes, "the linter has looked"
