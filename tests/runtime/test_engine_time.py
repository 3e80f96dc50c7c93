"""What engines do adds up to the device's counters, and a wait names the engine that it is for."""

from dataclasses import replace

import numpy as np
import pytest

from small_run import assembled_run, network_run
from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.engine_time import Spans, engine_cycles, engine_spans
from tilewright.runtime.sim_device import SimDevice
from tilewright.runtime.trace import timeline_of

TINY = PRESETS["tiny"]
COPY = """
.region 0 256 "in"
.region 1 256 "out"
load base=0 memory=activation n_x=64 stride_x=4 signal=store
store base=1 memory=activation n_x=64 stride_x=4 bytes=4 wait=load
nop runs_on=matrix
finish
"""


@pytest.fixture(scope="module")
def device():
    return SimDevice(TINY)


@pytest.fixture(scope="module")
def copy(device):
    return assembled_run(device, COPY, {0: bytes(256)})


@pytest.fixture(scope="module")
def layers(device):
    return network_run(device)


@pytest.mark.parametrize("sees_reasons", [True, False])
def test_stretches_add_up_to_the_counters_of_any_device(layers, sees_reasons):
    executable, result = layers
    seen = result if sees_reasons else replace(result, tokens_ready=None, engine_ready=None)
    edges = np.array([0, 1, 7, 7, 100, result.cycles])
    for engine, spans in engine_spans(executable, timeline_of(executable, seen)).items():
        found = engine_cycles(spans, edges)
        assert sum(each.busy for each in found) == result.counters[f"{engine.label}_busy"]
        waiting = sum(sum(each.waiting.values()) for each in found)
        assert waiting == result.counters[f"{engine.label}_waiting"]
        assert sum(each.stalled for each in found) == result.counters[f"{engine.label}_stalled"]
        assert [each.cycles for each in found] == [1, 6, 0, 93, result.cycles - 100]
        assert min(each.idle for each in found) >= 0


def test_a_wait_is_for_the_engine_that_gives_the_token(copy):
    executable, result = copy
    spans = engine_spans(executable, timeline_of(executable, result))
    waiting = spans[Engine.STORE].waiting
    assert [waiting[engine].begin.tolist() for engine in Engine] == [
        [int(result.dispatch[1]) + 1],
        [],
        [],
        [],
    ]
    assert waiting[Engine.LOAD].end.tolist() == [int(result.start[1])]
    assert all(not len(each.begin) for each in spans[Engine.MATRIX].waiting.values())


def test_a_wait_for_room_is_for_the_engine_that_takes(device):
    load = "load base=0 memory=activation n_x=64 stride_x=4 signal=store"
    gives = ["nop runs_on=vector signal=store"] * (TINY.token_capacity + 1)
    takes = ["nop runs_on=store wait=load,vector", *["nop runs_on=store wait=vector"] * TINY.token_capacity]
    text = "\n".join(['.region 0 256 "in"', load, *gives, *takes, "finish"])
    assembly = assemble(text)
    executable = Executable.of(assembly.program, TINY, assembly.regions)
    result = device.run(executable, {0: bytes(256)}, check=False)
    waiting = engine_spans(executable, timeline_of(executable, result))[Engine.VECTOR].waiting
    sums = {engine: int((each.end - each.begin).sum()) for engine, each in waiting.items()}
    assert sums[Engine.STORE] == result.counters["vector_waiting"] > 0
    assert sum(sums.values()) == sums[Engine.STORE]


@pytest.mark.parametrize("sees_reasons", [True, False])
def test_a_port_that_is_taken_is_a_stall_on_any_device(device, sees_reasons):
    store = "store base=0 memory=activation n_x=64 stride_x=4 bytes=4"
    text = f'.region 0 256 "out"\n{store}\nmatrix n_x=64 stride_x=1\nfinish'
    assembly = assemble(text)
    executable = Executable.of(assembly.program, TINY, assembly.regions)
    result = device.run(executable, {})
    seen = result if sees_reasons else replace(result, tokens_ready=None, engine_ready=None)
    (found,) = engine_cycles(
        engine_spans(executable, timeline_of(executable, seen))[Engine.MATRIX], np.array([0, result.cycles])
    )
    assert found.stalled == result.counters["matrix_stalled"] > 60
    assert sum(found.waiting.values()) == 0


def test_spans_that_touch_are_one():
    spans = Spans(np.array([0, 3, 5, 9]), np.array([3, 4, 8, 10]))
    assert [each.tolist() for each in spans.joined()] == [[0, 5, 9], [4, 8, 10]]
    edges = np.arange(12)
    assert np.array_equal(spans.within(edges), spans.joined().within(edges))
    empty = Spans(np.array([], np.int64), np.array([], np.int64))
    assert len(empty.joined().begin) == 0
