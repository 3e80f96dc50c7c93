"""The store engine on its bus, exact in bits and cycles against the recurrences of docs/machine.md."""

from dataclasses import replace
from random import Random

import pytest

from dma.bench import run_stores, run_stores_on_slave
from dma.draw import CONFIGS, draw_jobs, draw_store, draw_world
from dma.reference import Job, StoreReference, World
from dma.slave import WaitingSlave, WriteSlave
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Store
from tilewright.isa.memory import Memory

every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


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


@pytest.mark.slow
@every_config
def test_random_stores_are_exact(config):
    random = Random(1)
    world = draw_world(random, config)
    jobs = draw_jobs(random, world, draw_store, 8, clean=False)
    check_stores(world, jobs, chip_contents(config, 1))


def small_world(config, latency=4):
    return World(config, (0,) * 8, latency, 32, bytearray(1 << 12))


def test_a_burst_a_cycle_is_sustained_whatever_the_loops():
    config = CONFIGS["bus-fits"]
    step = 5 * config.burst_bytes
    names = ("n_{}", "stride_{}", "chip_stride_{}")
    blocks = [dict(zip([name.format(loop) for name in names], (8, step, 1), strict=True)) for loop in "xyz"]
    jobs = [Job(Store(**block), 50 * place) for place, block in enumerate(blocks)]
    found = check_stores(small_world(config), jobs, chip_contents(config, 2))
    cycles = [cycle for cycle, _ in found.bursts]
    assert cycles == [start + burst for start in cycles[::8] for burst in range(8)]


def test_only_the_first_bytes_of_each_vector_are_strobed():
    config = CONFIGS["bus-narrow"]
    jobs = [
        Job(Store(n_x=2, stride_x=config.cols, offset=64 * count, bytes=count), 0)
        for count in (1, 7, 8, 9, 16)
    ]
    found = check_stores(small_world(config), jobs, chip_contents(config, 3))
    strobes = [strobe.bit_count() for _, _, strobe, _ in found.writes]
    assert strobes == [1, 0] * 2 + [7, 0] * 2 + [8, 0] * 2 + [8, 1] * 2 + [8, 8] * 2


def test_every_beat_of_a_vector_outside_its_bank_is_a_fault_and_not_strobed():
    config = CONFIGS["bus-narrow"]
    depth = config.depth(Memory.ACTIVATION)
    store = Store(address=depth - 1, n_x=2, stride_x=config.cols, bytes=config.cols)
    found = check_stores(small_world(config), [Job(store, 0)], chip_contents(config, 4))
    assert [strobe for _, _, strobe, _ in found.writes] == [0xFF, 0xFF, 0, 0]
    assert [(cause, index) for _, cause, index in found.faults] == [(Cause.ADDRESS, 0)] * 2


def test_an_answer_in_error_is_a_fault_of_the_oldest_instruction():
    config = CONFIGS["bus-narrow"]
    beyond = 1 << 12
    jobs = [Job(Store(n_x=4, stride_x=16, offset=offset, bytes=16), 0) for offset in (0, beyond - 32, beyond)]
    found = check_stores(small_world(config), jobs, chip_contents(config, 5))
    assert [(cause, index) for _, cause, index in found.faults] == [(Cause.BUS, 1), (Cause.BUS, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("slave", [WriteSlave, WaitingSlave])
@every_config
def test_bytes_and_rules_are_right_whenever_the_memory_accepts(config, slave):
    random = Random(2)
    world = small_world(config)
    jobs = draw_jobs(random, world, draw_store, 5)
    chip = chip_contents(config, 6)
    expected_world = replace(world, memory=bytearray(world.memory))
    StoreReference(expected_world, jobs, chip).run()
    found = run_stores_on_slave(world, jobs, chip, lambda *around: slave(*around, random, 0.5))
    assert world.memory == expected_world.memory
    assert not found.faults
