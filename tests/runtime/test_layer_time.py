"""Layers have the cycles of engines and the bytes that the device counted, and say what bounds them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import network
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.encoding import encode_program
from tilewright.isa.instruction import Opcode
from tilewright.isa.memory import Engine
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.isa.random_program import random_config, random_program
from tilewright.runtime.engine_time import EngineCycles
from tilewright.runtime.layer_time import layer_times, transferred_bytes
from tilewright.runtime.profile import profile_layers
from tilewright.runtime.sim_device import SimDevice
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel


@pytest.fixture(scope="module")
def program():
    model = network.make_runnable()
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    regions = {CONSTANTS: model.constants, INPUTS: bytes(sizes[INPUTS])}
    result = SimDevice(model.config).run(model.executable, regions)
    return model.executable, result, profile_layers(model, result)


@pytest.fixture(scope="module")
def layers(program):
    return layer_times([program])


def test_engines_of_layers_add_up_to_the_counters(program, layers):
    _, result, profiles = program
    tail = result.cycles - sum(profile.cycles for profile in profiles)
    assert tail <= 3
    for engine in Engine:
        found = [layer.engines[engine] for layer in layers]
        assert sum(each.busy for each in found) == result.counters[f"{engine.label}_busy"]
        waiting = sum(sum(each.waiting.values()) for each in found)
        assert waiting == result.counters[f"{engine.label}_waiting"]


def test_bytes_of_layers_add_up_to_the_counters(program, layers):
    _, result, _ = program
    loaded = sum(layer.moved.read - layer.moved.instructions for layer in layers)
    assert loaded == result.counters["load_bytes"]
    assert sum(layer.moved.results for layer in layers) == result.counters["store_bytes"]
    # The program's end is no layer's.
    fetched = sum(layer.moved.instructions for layer in layers)
    assert fetched == result.counters["fetch_bytes"] - INSTRUCTION_BYTES


def test_bytes_are_told_apart_by_what_they_are(layers):
    for layer, (inputs, outputs), weights in zip(
        layers, pairwise(network.CHANNELS), network.WEIGHTS, strict=True
    ):
        packed, parameters = weights.packed()
        blocks = [-(-channels // 4) for channels in (inputs, outputs)]
        assert (layer.moved.weights, layer.moved.parameters) == (len(packed), len(parameters))
        assert layer.moved.activations == blocks[0] * network.PIXELS * 4
        assert layer.moved.results == blocks[1] * network.PIXELS * 4


@pytest.mark.parametrize("seed", range(12))
def test_transfers_of_random_programs_move_what_was_counted(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=60, memory_bytes=4096)
    memory = MemoryModel(size_bytes=4096)
    result = Simulator(config).time(
        encode_program(program), dram=np.zeros(4096, np.uint8), memory=memory, check=False
    )
    assert result.fault is None
    for opcode, name in ((Opcode.LOAD, "load_bytes"), (Opcode.STORE, "store_bytes")):
        rows, size_bytes = transferred_bytes(result.table, config, opcode)
        assert size_bytes.sum() == result.counters[name]
        assert set(result.table.opcode[rows].tolist()) <= {opcode}


def test_windows_follow_each_other_over_all_programs(program, layers):
    twice = layer_times([program, program])
    cycles = program[1].cycles
    first, second = twice[: len(layers)], twice[len(layers) :]
    assert [layer.window for layer in first] == [layer.window for layer in layers]
    assert first[0].window[0] == 0
    assert [one.window[1] for one in first[:-1]] == [other.window[0] for other in first[1:]]
    for one, other in zip(first, second, strict=True):
        assert other.window == tuple(cycles + edge for edge in one.window)
        assert (other.engines, other.moved, other.first) == (one.engines, one.moved, cycles)


NOTHING = dict.fromkeys(Engine, 0)


def engines(**given):
    found = {engine: EngineCycles(100, 0, NOTHING, 0) for engine in Engine}
    return found | {Engine[name.upper()]: counts for name, counts in given.items()}


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"load": EngineCycles(100, 75, NOTHING, 0)}, "load"),
        (
            {"load": EngineCycles(100, 96, NOTHING, 0), "store": EngineCycles(100, 94, NOTHING, 0)},
            "load and store",
        ),
        ({"load": EngineCycles(100, 96, NOTHING, 0), "store": EngineCycles(100, 90, NOTHING, 0)}, "load"),
        (
            {"matrix": EngineCycles(100, 60, {**NOTHING, Engine.LOAD: 30}, 5)},
            "matrix waits for load",
        ),
        (
            {"vector": EngineCycles(100, 60, {**NOTHING, Engine.MATRIX: 10}, 20)},
            "vector is stalled by a port",
        ),
        ({"store": EngineCycles(100, 60, {**NOTHING, Engine.MATRIX: 10}, 10)}, "store has no instruction"),
    ],
)
def test_a_layer_says_what_bounds_it(layers, given, bound):
    assert replace(layers[0], engines=engines(**given)).bound == bound


def test_a_layer_without_cycles_of_its_own_is_hidden(layers):
    hidden = replace(layers[0], profile=replace(layers[0].profile, cycles=0))
    assert hidden.bound == "hidden behind other layers"
