import json

import pytest

from tilewright.fpga.report import CellUse, parse_report, source_name


def step(kind, delay, start, end):
    return {
        "type": kind,
        "delay": delay,
        "from": {"cell": start, "loc": [1, 2], "port": "Q"},
        "to": {"cell": end, "loc": [1, 3], "port": "D"},
    }


def recorded():
    """A report as the router writes it, shortened."""
    slow = [
        step("clk-to-q", 0.5, "unit.a_TRELLIS_FF_Q", "unit.a_TRELLIS_FF_Q"),
        step("routing", 1.5, "unit.a_TRELLIS_FF_Q", "unit.sum_LUT4_Z_COMB"),
        step("logic", 0.25, "unit.sum_LUT4_Z_COMB", "unit.sum_LUT4_Z_COMB"),
        step("routing", 1.0, "unit.sum_LUT4_Z_COMB", "unit.b_TRELLIS_FF_Q"),
        step("setup", 0.25, "unit.b_TRELLIS_FF_Q", "unit.b_TRELLIS_FF_Q"),
    ]
    pin = [
        step("source", 0.0, "rst$tr_io", "rst$tr_io"),
        step("routing", 9.0, "rst$tr_io", "unit.b_TRELLIS_FF_Q"),
    ]
    return {
        "critical_paths": [
            {"from": "<async>", "to": "posedge $glbnet$clk", "path": pin},
            {"from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": slow},
        ],
        "fmax": {"$glbnet$clk": {"achieved": 285.7, "constraint": 100.0}},
        "utilization": {
            "DP16KD": {"available": 208, "used": 3},
            "MULT18X18D": {"available": 156, "used": 78},
            "TRELLIS_COMB": {"available": 83640, "used": 2000},
            "TRELLIS_FF": {"available": 83640, "used": 1000},
        },
    }


def test_clock_and_cells_are_read():
    report = parse_report(recorded())
    assert (report.achieved_mhz, report.target_mhz) == (285.7, 100.0)
    assert report.uses["DSP"] == CellUse(used=78, available=156)
    assert set(report.uses) == {"LUT4", "FF", "DSP", "EBR"}


def test_the_critical_path_is_that_between_registers():
    path = parse_report(recorded()).path
    assert path.delay_ns == pytest.approx(3.5)
    assert path.spent_ns("routing") == pytest.approx(2.5)
    assert path.steps[0].name == "a (FF)"


def test_the_table_says_it_in_words():
    lines = parse_report(recorded()).table().splitlines()
    assert lines[0] == "clock    285.7 MHz (target 100.0 MHz)"
    assert "DSP          78 of    156 (50 %)" in lines
    assert "critical 3.50 ns, of which wires 2.50 ns, through 1 cells of logic" in lines
    assert lines[-1] == "   0.25 ns  arrives at b (FF)"


def test_the_report_is_plain_values():
    assert json.loads(json.dumps(parse_report(recorded()).to_json()))["uses"]["EBR"]["used"] == 3


def test_several_clocks_are_refused():
    raw = recorded()
    raw["fmax"]["other"] = {"achieved": 1.0, "constraint": 1.0}
    with pytest.raises(ValueError, match="exactly one clock"):
        parse_report(raw)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("unit.matrix.array.row_3.sum_5_TRELLIS_FF_Q_4", "matrix.array.row_3.sum_5 (FF)"),
        ("unit.vector.a_LUT4_Z_D_CCU2C_S0_COMB", "vector.a (carry)"),
        ("serial_in$tr_io", "serial_in$tr_io"),
    ],
)
def test_cells_are_named_as_in_the_source(cell, name):
    assert source_name(cell) == name
