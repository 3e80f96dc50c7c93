import random
from itertools import count

import pytest

from tilewright.fpga.netlist import Netlist
from tilewright.fpga.sign_extension import align_factors

FIRST_READER = 1000


def multiplication(a_bits, b_bits, *, signed="1", ports=()):
    """Factors of so many bits, filled up with their sign; every bit of the product has a reader."""
    nets = count(10)
    wires = {"SIGNEDA": [signed], "SIGNEDB": [signed]}
    for factor, bits in (("A", a_bits), ("B", b_bits)):
        own = [next(nets) for _ in range(bits)]
        wires |= {f"{factor}{k}": [own[min(k, bits - 1)]] for k in range(18)}
    wires |= {f"P{k}": [next(nets)] for k in range(36)}
    directions = {port: "output" if port[0] == "P" else "input" for port in wires}
    cells = {"product": {"type": "MULT18X18D", "port_directions": directions, "connections": wires}}
    for k in range(36):
        reader = {"A": list(wires[f"P{k}"]), "Z": [FIRST_READER + k]}
        directions = {"A": "input", "Z": "output"}
        cells[f"reader_{k}"] = {"type": "LUT4", "port_directions": directions, "connections": reader}
    module = {"ports": {"out": {"bits": list(ports)}}, "cells": cells}
    return Netlist({"modules": {"top": module}}, "top")


def factor_nets(netlist, factor):
    wires = netlist.cells["product"]["connections"]
    return [wires[f"{factor}{k}"][0] for k in range(18)]


def signed_value(bits):
    return sum(bit << k for k, bit in enumerate(bits)) - (bits[-1] << len(bits))


def product_read(netlist, values):
    """What the readers see, as a number, if the nets of the factors have these values."""
    a, b = (signed_value([values[net] for net in factor_nets(netlist, factor)]) for factor in "AB")
    wires = netlist.cells["product"]["connections"]
    driven = {wires[f"P{k}"][0]: a * b >> k & 1 for k in range(36)}
    return signed_value([driven[netlist.cells[f"reader_{k}"]["connections"]["A"][0]] for k in range(36)])


@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 8), (17, 18), (18, 5), (2, 2), (1, 1)])
def test_the_readers_of_a_product_see_the_same_number(a_bits, b_bits):
    before, after = multiplication(a_bits, b_bits), multiplication(a_bits, b_bits)
    align_factors(after)
    generator = random.Random(1)
    extremes = [[0] * (bits - 1) + [1] for bits in (a_bits, b_bits)]
    for trial in range(50):
        drawn = [[generator.getrandbits(1) for _ in range(bits)] for bits in (a_bits, b_bits)]
        a, b = extremes if trial == 0 else drawn
        own = {factor: list(dict.fromkeys(factor_nets(before, factor))) for factor in "AB"}
        values = {"0": 0} | dict(zip(own["A"], a, strict=True)) | dict(zip(own["B"], b, strict=True))
        assert (
            product_read(after, values) == product_read(before, values) == signed_value(a) * signed_value(b)
        )


def test_no_wire_goes_to_a_copy_of_a_sign():
    netlist = multiplication(8, 8)
    assert align_factors(netlist) == 20
    for factor in "AB":
        nets = factor_nets(netlist, factor)
        assert nets[:10] == ["0"] * 10
        assert len(set(nets[10:])) == 8
    assert all(netlist.drivers[net].cell == "product" for net in netlist.readers if 26 <= int(net) < 26 + 16)


@pytest.mark.parametrize("changes", [{"signed": "0"}, {"ports": [61]}])
def test_unsigned_factors_and_products_that_leave_the_design_stay(changes):
    netlist = multiplication(8, 8, **changes)
    wires = {port: list(bits) for port, bits in netlist.cells["product"]["connections"].items()}
    assert align_factors(netlist) == 0
    assert netlist.cells["product"]["connections"] == wires
