"""The store engine on its bus, exact in bits and cycles against the recurrences of docs/machine.md."""

from dataclasses import replace
from random import Random

import pytest

from dma.bench import run_stores
from dma.draw import CONFIGS, draw_jobs, draw_store, draw_world
from dma.reference import StoreReference
from tilewright.isa.memory import Memory


def chip_contents(config, seed):
    """A function that gives the vector at an address of a memory."""
    random = Random(seed)
    vectors = {
        memory: [random.getrandbits(8 * config.vector_bytes(memory)) for _ in range(config.vectors(memory))]
        for memory in Memory
    }
    return lambda memory, address: vectors[memory][address]


def on_lanes(config, beats):
    """The reference's beats as they are on the bus: (cycle, data on strobed lanes, strobe, last)."""
    for cycle, address, found, strobe, last in beats:
        lane = address % config.bus_bytes
        yield cycle, masked(int.from_bytes(found, "little"), strobe) << 8 * lane, strobe << lane, last


def masked(word, strobe):
    return sum(word & 0xFF << 8 * lane for lane in range(strobe.bit_length()) if strobe >> lane & 1)


def check_stores(world, jobs, chip):
    """The gates do what the reference does, and leave the same memory."""
    expected_world = replace(world, memory=bytearray(world.memory))
    expected = StoreReference(expected_world, jobs, chip).run()
    found = run_stores(world, jobs, chip)
    expected.writes = list(on_lanes(world.config, expected.writes))
    found.writes = [(t, masked(word, strobe), strobe, last) for t, word, strobe, last in found.writes]
    assert found == expected
    assert world.memory == expected_world.memory
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random_stores_are_exact(config, seed):
    random = Random(seed)
    world = draw_world(random, config)
    jobs = draw_jobs(random, world, draw_store, 10, clean=seed % 2 == 0)
    check_stores(world, jobs, chip_contents(config, seed))
