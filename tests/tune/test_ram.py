import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.tune.ram import ram_use, tables_use

MEASURED = {
    # By yosys 0.70, of single memories; a cell is 4 tables on the 7 series, 6 with its port on the ECP5.
    "xc7": {
        (4, 1): ("ff", 4),
        (8, 2): ("lut", 4 * 1),
        (16, 17): ("lut", 4 * 3),
        (64, 65): ("lut", 4 * 22),
        (64, 512): ("lut", 4 * 171),
        (128, 1): ("lut", 4 * 1),
        (128, 17): ("lut", 4 * 12),
        (192, 1): ("lut", 4 * 3),
        (256, 8): ("lut", 4 * 12),
        (128, 32): ("ramb18", 1),
        (256, 65): ("ramb36", 1),
        (512, 129): ("ramb36", 2),
        (512, 512): ("ramb18", 15),
        (2048, 128): ("ramb18", 15),
        (2048, 32): ("ramb36", 2),
        (8192, 17): ("ramb36", 4),
        (32768, 8): ("ramb36", 8),
    },
    "ecp5": {
        (8, 1): ("lut", 6 * 1),
        (16, 129): ("lut", 6 * 33),
        (64, 17): ("lut", 6 * 20),
        (128, 8): ("lut", 6 * 16),
        (64, 32): ("dp16kd", 1),
        (192, 8): ("dp16kd", 1),
        (256, 129): ("dp16kd", 4),
        (512, 512): ("dp16kd", 15),
        (2048, 65): ("dp16kd", 8),
        (8192, 17): ("dp16kd", 8),
        (32768, 2): ("dp16kd", 4),
    },
}
CASES = [(family, shape, cells) for family, found in MEASURED.items() for shape, cells in found.items()]


@pytest.mark.parametrize(("family", "shape", "cells"), CASES)
def test_a_memory_becomes_what_the_synthesiser_made_of_it(family, shape, cells):
    use = ram_use(family, depth=shape[0], width=shape[1])
    assert (use.name, use.count) == cells


@pytest.mark.parametrize("family", MEASURED)
def test_a_few_bits_are_registers(family):
    use = ram_use(family, depth=2, width=1)
    assert (use.name, use.count) == ("ff", 2)


@given(
    family=st.sampled_from(sorted(MEASURED)),
    depth=st.integers(1, 1 << 16),
    width=st.integers(1, 600),
)
def test_cells_hold_all_bits(family, depth, width):
    bits = {"lut": 64, "ff": 1, "ramb18": 18 << 10, "ramb36": 36 << 10, "dp16kd": 18 << 10}
    use = ram_use(family, depth=depth, width=width)
    assert use.count * bits[use.name] >= depth * width
    assert 0 <= use.selected_bits < depth * width


@given(family=st.sampled_from(sorted(MEASURED)), depth=st.integers(1, 512), width=st.integers(1, 600))
def test_what_is_read_at_once_is_never_in_block_ram(family, depth, width):
    assert tables_use(family, depth=depth, width=width).name in {"lut", "ff"}
