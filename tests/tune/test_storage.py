import dataclasses
import re
from collections import Counter

import pytest
from amaranth.back import rtlil

from tilewright.hw.top import Machine
from tilewright.isa.config import PRESETS
from tilewright.tune.storage import storage_cells, storages


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{}, {"bus_bytes": 16, "burst_bytes": 256, "weight_banks": 2, "queue_depth": 6}]
)
def test_the_gates_have_these_memories(change):
    """Of queues, the gates have more bits in a word than their engines read."""
    config = dataclasses.replace(PRESETS["tiny"], **change)
    text = rtlil.convert(Machine(config), name="machine", emit_src=False)
    there = Counter(
        (int(size), int(width)) for width, size in re.findall(r"memory width (\d+) size (\d+)", text)
    )
    asked = Counter()
    for storage in storages(config):
        if not storage.label.endswith("queue"):
            asked[(storage.depth, storage.width)] += storage.count
    assert not asked - there
    # What is left out would not fill a block RAM.
    assert all(depth <= config.queue_depth or depth <= 8 for depth, _ in there - asked)


def test_a_memory_of_tables_has_its_register_outside():
    cells = storage_cells(PRESETS["tiny"], "xc7")
    # Accumulators, parameters, tables and landing: their words are in look-up tables.
    assert cells.counts["ff"] == 3 * 128 + 4 * 8 + 65


def test_what_is_deeper_than_a_cell_needs_multiplexers():
    assert storage_cells(PRESETS["tiny"], "xc7").selected_bits == 4 * 24
    assert storage_cells(PRESETS["tiny"], "ecp5").selected_bits == 0
