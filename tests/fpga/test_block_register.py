import pytest

from tilewright.fpga.block_register import Packed, pack_registers
from tilewright.fpga.netlist import Netlist

CLOCK = 2


def register(data, output, **changes):
    """A register as synthesis writes it: without enable and reset."""
    wires = {"CLK": [CLOCK], "DI": [data], "LSR": ["0"], "Q": [output]}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"} | changes,
        "port_directions": dict.fromkeys(wires, "input") | {"Q": "output"},
        "connections": wires,
    }


def block(kind, outputs, wires):
    return {
        "type": kind,
        "parameters": {},
        "port_directions": {port: "output" if port in outputs else "input" for port in wires},
        "connections": wires,
    }


def multiplication(**changes):
    """Factors in registers (nets 10, 11), a product of two bits (20, 21) in registers (30, 31)."""
    wires = {"A0": [10], "A1": ["0"], "B0": [11], "P0": [20], "P1": [21], "P2": [22], "SIGNEDA": ["0"]}
    return {
        "a": register(5, 10, **changes),
        "b": register(6, 11),
        "multiplier": block("MULT18X18D", ("P0", "P1", "P2"), wires),
        "p0": register(20, 30),
        "p1": register(21, 31),
        "reader": block("LUT4", ("Z",), {"A": [30], "B": [31], "Z": [40]}),
    }


def netlist(cells):
    module = {"ports": {"clk": {"bits": [CLOCK]}, "out": {"bits": [40]}}, "cells": cells}
    return Netlist({"modules": {"top": module}}, "top")


def test_all_registers_of_a_product_go_into_its_block():
    result = netlist(multiplication())
    assert pack_registers(result) == Packed(multiplier_inputs=1, multiplier_outputs=1, memory_outputs=0)
    assert set(result.cells) == {"multiplier", "reader"}
    cell = result.cells["multiplier"]
    assert cell["parameters"] == {
        "REG_INPUTA_CLK": "CLK0",
        "REG_INPUTB_CLK": "CLK0",
        "REG_OUTPUT_CLK": "CLK0",
    }
    wires = cell["connections"]
    assert [wires[port][0] for port in ("A0", "A1", "B0", "P0", "P1", "P2")] == [5, "0", 6, 30, 31, 22]
    assert [wires[port][0] for port in ("CLK0", "CE0", "RST0")] == [CLOCK, "1", "0"]


def test_a_factor_that_others_read_keeps_its_register():
    cells = multiplication() | {"next": register(10, 12)}
    result = netlist(cells | {"last": block("LUT4", ("Z",), {"A": [12], "Z": [41]})})
    assert pack_registers(result).multiplier_inputs == 1
    assert "a" in result.cells
    assert "b" not in result.cells


@pytest.mark.parametrize("changes", [{"CEMUX": "CE"}, {"CLKMUX": "INV"}, {"REGSET": "SET"}])
def test_a_factor_in_a_register_of_another_kind_leaves_both_where_they_are(changes):
    result = netlist(multiplication(**changes))
    assert pack_registers(result) == Packed(multiplier_inputs=0, multiplier_outputs=1, memory_outputs=0)
    assert {"a", "b"} <= set(result.cells)


def test_a_product_that_is_read_twice_keeps_its_registers():
    cells = multiplication() | {"other": block("LUT4", ("Z",), {"A": [20], "Z": [42]})}
    result = netlist(cells)
    assert pack_registers(result).multiplier_outputs == 0
    assert {"p0", "p1"} <= set(result.cells)


def memory(clock=CLOCK):
    wires = {"CLKB": [clock], "DOB0": [20], "DOB1": [21], "DOA0": [25]}
    return {
        "memory": block("DP16KD", ("DOA0", "DOB0", "DOB1"), wires),
        "d0": register(20, 30),
        "reader": block("LUT4", ("Z",), {"A": [30], "Z": [40]}),
    }


def test_the_output_register_of_a_memory_goes_into_its_block():
    result = netlist(memory())
    assert pack_registers(result).memory_outputs == 1
    cell = result.cells["memory"]
    assert cell["parameters"] == {"REGMODE_B": "OUTREG"}
    assert cell["connections"]["DOB0"] == [30]
    assert cell["connections"]["OCEB"] == ["1"]


def enabled(data, output, enable):
    cell = register(data, output, CEMUX="CE")
    cell["connections"]["CE"] = [enable]
    cell["port_directions"]["CE"] = "input"
    return cell


def test_the_enable_of_an_output_register_becomes_that_of_the_block():
    result = netlist(memory() | {"d0": enabled(20, 30, 7), "d1": enabled(21, 31, 7)})
    assert pack_registers(result).memory_outputs == 1
    assert set(result.cells) == {"memory", "reader"}
    assert result.cells["memory"]["connections"]["OCEB"] == [7]


@pytest.mark.parametrize("other", [enabled(21, 31, 8), register(21, 31), register(21, 31, CEMUX="INV")])
def test_output_registers_with_different_enables_stay_outside(other):
    result = netlist(memory() | {"d0": enabled(20, 30, 7), "d1": other})
    assert pack_registers(result).memory_outputs == 0
    assert {"d0", "d1"} <= set(result.cells)


def test_a_product_whose_registers_have_an_enable_keeps_them():
    result = netlist(multiplication() | {"p0": enabled(20, 30, 7), "p1": enabled(21, 31, 7)})
    assert pack_registers(result).multiplier_outputs == 0
    assert {"p0", "p1"} <= set(result.cells)


def test_a_register_of_another_clock_stays_outside():
    assert pack_registers(netlist(memory(clock=3))).memory_outputs == 0
