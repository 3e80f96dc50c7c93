"""The load engine on its bus, exact in bits and cycles against the recurrences of docs/machine.md."""

from random import Random

import pytest

from dma.bench import run_loads, run_loads_on_slave
from dma.draw import CONFIGS, draw_fetches, draw_jobs, draw_load, draw_world
from dma.reference import Burst, Job, LoadReference, World, read
from dma.slave import ReadSlave
from tilewright.isa.config import IN_FLIGHT
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Load
from tilewright.isa.memory import Memory

every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def check_loads(world, jobs, fetches=()):
    """The gates do what the reference does."""
    expected = LoadReference(world, jobs, fetches).run()
    found = run_loads(world, jobs, fetches)
    assert found == expected
    return found


def small_world(config, latency=4, outstanding=32, memory_bytes=1 << 12):
    memory = bytearray(Random(latency).randbytes(memory_bytes))
    return World(config, (0,) * 8, latency, outstanding, memory)


@pytest.mark.slow
@every_config
def test_random_loads_beside_fetch_are_exact(config):
    random = Random(1)
    world = draw_world(random, config)
    jobs = draw_jobs(random, world, draw_load, 9, clean=False)
    check_loads(world, jobs, draw_fetches(random, config, 10))


@pytest.mark.slow
@pytest.mark.parametrize(("latency", "outstanding"), [(1, 1), (200, 32), (37, 3)])
def test_random_loads_are_exact_with_any_memory(latency, outstanding):
    random = Random(latency + outstanding)
    config = random.choice(list(CONFIGS.values()))
    world = small_world(config, latency, outstanding)
    check_loads(world, draw_jobs(random, world, draw_load, 4), draw_fetches(random, config, 4))


def test_padding_alone_needs_no_bus_and_fills_the_engine():
    config = CONFIGS["bus-between"]
    shape = {"n_x": 0, "pad_left": 5, "pad_top": 1, "pad_value": -3, "memory": Memory.ACCUMULATOR}
    jobs = [Job(Load(**shape, address=index), 0) for index in range(2 * IN_FLIGHT)]
    found = check_loads(small_world(config), jobs)
    assert not found.bursts
    # One start a cycle until as many are in flight as may be.
    assert found.starts[:IN_FLIGHT] == list(range(IN_FLIGHT))
    assert found.starts[IN_FLIGHT] == found.finishes[0] + 1


def test_a_burst_a_cycle_is_sustained_whatever_the_loops():
    config = CONFIGS["bus-fits"]
    step = 5 * config.burst_bytes
    strides = {"chip_stride_y": 1, "chip_stride_z": 1}
    loads = [Load(**{f"n_{loop}": 8, f"stride_{loop}": step}, **strides) for loop in "xyz"]
    jobs = [Job(load, 50 * place) for place, load in enumerate(loads)]
    cycles = [cycle for cycle, _ in check_loads(small_world(config, latency=1), jobs).bursts]
    assert cycles == [start + burst for start in cycles[::8] for burst in range(8)]


def test_every_pad_and_vector_outside_its_bank_is_a_fault_and_not_written():
    config = CONFIGS["bus-fits"]
    depth = config.depth(Memory.ACTIVATION)
    load = Load(address=depth - 2, n_x=3, stride_x=config.cols, pad_right=1, pad_value=1)
    found = check_loads(small_world(config), [Job(load, 0)])
    assert len(found.writes) == 2
    assert [cause for _, cause, _ in found.faults] == [Cause.ADDRESS] * 2


def test_every_beat_in_error_is_a_fault_and_written_as_zeros():
    config = CONFIGS["bus-narrow"]
    world = small_world(config)
    last = len(world.memory) - config.cols
    jobs = [Job(Load(offset=last, n_x=2, stride_x=config.cols, address=index), 0) for index in (0, 5)]
    found = check_loads(world, jobs)
    assert [(cause, index) for _, cause, index in found.faults] == [
        (Cause.BUS, index) for index in (0, 0, 1, 1)
    ]
    assert [data for *_, data in found.writes][1] == 0


def test_lanes_follow_the_block_and_not_its_padding():
    config = CONFIGS["bus-wide"]
    pads = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1)
    counts = {"n_z": 2, "n_y": 2, "n_x": 2, "chip_stride_z": 16, "chip_stride_y": 4}
    jobs = []
    for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR):
        beat = config.transfer_bytes(memory)
        strides = {"stride_z": 23 * beat, "stride_y": 9 * beat, "stride_x": 3 * beat}
        jobs.append(Job(Load(memory=memory, offset=5 * beat, **counts, **strides, **pads), 0))
    assert len(check_loads(small_world(config), jobs).writes) == 2 * 32


@pytest.mark.slow
@every_config
def test_bytes_are_right_whenever_the_memory_answers(config):
    random = Random(2)
    world = small_world(config)
    jobs = draw_jobs(random, world, draw_load, 5)
    fetches = draw_fetches(random, config, 6)
    expected = LoadReference(world, jobs, fetches).run()
    found, beats = run_loads_on_slave(world, jobs, fetches, lambda *around: ReadSlave(*around, random, 0.5))
    assert [write[1:] for write in found.writes] == [write[1:] for write in expected.writes]
    assert not found.faults
    assert beats == [beat for _, burst in fetches for beat in beats_of(world, burst)]


def beats_of(world, burst: Burst):
    """What fetch should get for a burst: data, error."""
    width = world.config.bus_bytes
    for beat in range(burst.beats):
        found, error = read(world, burst.address + beat * width, width)
        yield int.from_bytes(found, "little"), int(error)


class LyingSlave(ReadSlave):
    """Says RLAST when it likes."""

    def _answer(self, ctx, owner):
        super()._answer(ctx, owner)
        ctx.set(self.master.rlast, self.random.random() < 0.5)


@pytest.mark.slow
def test_beats_are_counted_whatever_rlast_says():
    config = CONFIGS["bus-narrow"]
    random = Random(3)
    world = small_world(config)
    jobs = draw_jobs(random, world, draw_load, 8)
    expected = LoadReference(world, jobs, ()).run()
    found, _ = run_loads_on_slave(world, jobs, (), lambda *around: LyingSlave(*around, random, 0.5))
    assert [write[1:] for write in found.writes] == [write[1:] for write in expected.writes]
    assert not found.faults
