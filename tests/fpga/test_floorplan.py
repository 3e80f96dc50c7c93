import re
from itertools import pairwise

import pytest

from tilewright.fpga.floorplan import place_products, sites
from tilewright.fpga.netlist import Netlist

ELEMENT = "unit.matrix.array.row_{}.product_{}_TRELLIS_FF_Q_DI_MULT18X18D_P0"
GROUP = "unit.vector$103.requantiser.group_{}.product_0_TRELLIS_FF_Q_DI_MULT18X18D_P21"


def array(rows, cols, groups=0, kind="MULT18X18D"):
    names = [ELEMENT.format(row, col) for row in range(rows) for col in range(cols)]
    names += [GROUP.format(group) for group in range(groups)]
    empty = {"port_directions": {}, "connections": {}}
    cells = {name: {"type": kind} | empty for name in reversed(names)}
    return Netlist({"modules": {"top": {"ports": {}, "cells": cells}}}, "top")


def place_of(netlist, name):
    found = re.fullmatch(r"X(\d+)/Y(\d+)/MULT18_(\d)", netlist.cells[name]["attributes"]["BEL"])
    return tuple(int(number) for number in found.groups())


def test_there_are_156_sites_in_three_rows():
    assert len(set(sites())) == len(sites()) == 156
    assert {site.y for site in sites()} == {10, 34, 58}


@pytest.mark.parametrize(("rows", "cols", "groups"), [(4, 4, 1), (8, 8, 8), (8, 16, 16), (8, 16, 4)])
def test_columns_lie_from_left_to_right_and_rows_from_top_to_bottom(rows, cols, groups):
    netlist = array(rows, cols, groups)
    assert place_products(netlist) == len(netlist.cells)
    assert len({place_of(netlist, name) for name in netlist.cells}) == len(netlist.cells)
    for col in range(cols):
        heights = [place_of(netlist, ELEMENT.format(row, col))[1] for row in range(rows)]
        assert heights == sorted(heights)
    for row in range(rows):
        middles = [place_of(netlist, ELEMENT.format(row, col))[0] for col in range(cols)]
        assert all(right > left - 9 for left, right in pairwise(middles))


def test_a_lane_is_requantised_below_its_column():
    netlist = array(8, 16, 16)
    place_products(netlist)
    for lane in range(16):
        x, y, _ = place_of(netlist, GROUP.format(lane))
        last_x, last_y, _ = place_of(netlist, ELEMENT.format(7, lane))
        assert y == last_y
        assert abs(x - last_x) <= 9


@pytest.mark.parametrize(
    "netlist",
    [array(0, 0, 4), array(16, 16), array(4, 4, kind="DP16KD")],
    ids=["no array", "too many", "none"],
)
def test_what_has_no_order_is_left_to_the_placer(netlist):
    assert place_products(netlist) == 0
    assert not any("attributes" in cell for cell in netlist.cells.values())
