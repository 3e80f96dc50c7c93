"""The accesses of a program as arrays are the footprints of its instructions."""

import numpy as np
import pytest

from tilewright.isa.access_table import access_table
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.footprint import footprint
from tilewright.isa.random_program import random_config, random_program


@pytest.mark.parametrize("seed", range(40))
def test_accesses_are_the_footprints_in_their_order(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=60, memory_bytes=4096)
    found = access_table(decode_table(encode_program(program)), config)
    expected = [
        (row, access) for row, instruction in enumerate(program) for access in footprint(instruction, config)
    ]
    assert found.row.tolist() == [row for row, _ in expected]
    for number, (_, access) in enumerate(expected):
        made = found.access(number)
        assert (int(found.low[number]), int(found.high[number])) == access.bounds == made.bounds
        assert (made.memory, made.bank, made.write) == (access.memory, access.bank, access.write)
        assert np.array_equal(made.addresses(), access.addresses())


def test_an_access_is_made_once():
    rng = np.random.default_rng(0)
    config = random_config(rng)
    program = random_program(rng, config, instructions=20, memory_bytes=4096)
    found = access_table(decode_table(encode_program(program)), config)
    assert found.access(3) is found.access(3)
