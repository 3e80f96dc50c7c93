"""A trace that Perfetto's schema reads back is the timeline: every instruction once, to the cycle."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

import network
from tilewright.isa.assembly import format_instruction
from tilewright.isa.encoding import decode_table
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.isa.random_program import random_config, random_program
from tilewright.isa.region import Region
from tilewright.runtime.perfetto import Band, perfetto_trace
from tilewright.runtime.sim_device import SimDevice
from tilewright.runtime.token_flow import token_flows
from tilewright.runtime.trace import timeline_of
from tilewright.runtime.trace_file import trace_file
from tilewright.sim.trace import Reason, instruction_traces

Event = schema.TrackEvent


class Slice(NamedTuple):
    """What a viewer draws: where, what, from and to, and the tokens that leave it and come to it."""

    track: tuple[str, ...]
    name: str
    begin: int
    end: int
    notes: dict
    gives: tuple[int, ...]
    takes: tuple[int, ...]


class Read:
    """A trace as a viewer reads it: names are resolved, ends close the last slice that is open on a track."""

    def __init__(self, data):
        self.names, self.annotations, self.tracks = {}, {}, {}
        self.slices, self.counters = [], defaultdict(list)
        self._open = defaultdict(list)
        last = 0
        for packet in schema.Trace.FromString(data).packet:
            assert packet.trusted_packet_sequence_id == 1
            self._learn(packet)
            if packet.HasField("track_event"):
                assert packet.timestamp >= last
                last = packet.timestamp
                assert packet.sequence_flags == schema.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
                self._event(packet.timestamp, packet.track_event)
        assert not any(self._open.values())

    def _learn(self, packet):
        self.names |= {each.iid: each.name for each in packet.interned_data.event_names}
        self.annotations |= {each.iid: each.name for each in packet.interned_data.debug_annotation_names}
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            assert track.uuid not in self.tracks
            above = self.tracks[track.parent_uuid] if track.HasField("parent_uuid") else ()
            self.tracks[track.uuid] = (*above, track.name)

    def _event(self, cycle, event):
        track = self.tracks[event.track_uuid]
        if event.type == Event.TYPE_COUNTER:
            self.counters[track].append((cycle, event.counter_value))
        elif event.type == Event.TYPE_SLICE_BEGIN:
            # Slices that overlap would be drawn inside of each other, and end in the wrong order.
            assert not self._open[event.track_uuid]
            self._open[event.track_uuid].append((cycle, event))
        else:
            begin, opened = self._open[event.track_uuid].pop()
            notes = {
                self.annotations[each.name_iid]: each.string_value or each.uint_value
                for each in opened.debug_annotations
            }
            tokens = (tuple(opened.flow_ids), tuple(opened.terminating_flow_ids))
            self.slices.append(Slice(track, self.names[opened.name_iid], begin, cycle, notes, *tokens))

    def on(self, *names):
        return [each for each in self.slices if each.track[1:] == names]


def ran(seed):
    """A random program that runs to its end."""
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=80, memory_bytes=4096)
    executable = Executable.of(program, config, tuple(Region(base, 4096, f"r{base}") for base in range(8)))
    return executable, SimDevice(config).run(executable, dict.fromkeys(range(8), bytes(4096)), check=False)


@pytest.fixture(scope="module")
def layers():
    model = network.make_runnable()
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    regions = {CONSTANTS: model.constants, INPUTS: bytes(sizes[INPUTS])}
    return model.executable, SimDevice(model.config).run(model.executable, regions)


def assert_is_timeline(read, executable, result):
    """Every instruction that ran is there once, on its engine, with text, from its start to its finish."""
    timeline = timeline_of(executable, result)
    found = {each.notes["instruction"]: each for engine in Engine for each in read.on(engine.label, "run")}
    assert len(found) == sum(len(read.on(engine.label, "run")) for engine in Engine)
    started = np.flatnonzero((timeline.start >= 0) & (timeline.engine >= 0)).tolist()
    assert sorted(found) == started
    program = executable.program()
    for place, each in found.items():
        assert (each.begin, each.end) == (timeline.start[place], timeline.finish[place] + 1)
        assert each.track[1] == Engine(timeline.engine[place]).label
        assert each.notes["text"] == format_instruction(program[place])
        assert each.notes["text"].startswith(each.name)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_program_reads_back_exactly(seed):
    executable, result = ran(seed)
    assert_is_timeline(Read(perfetto_trace([(executable, result)])), executable, result)


def test_a_model_reads_back_exactly(layers):
    assert_is_timeline(Read(perfetto_trace([layers])), *layers)


def test_queues_and_waits_are_those_of_the_simulator(layers):
    read = Read(perfetto_trace([layers]))
    names = {Reason.ENGINE: "waits for its engine", Reason.PORT: "waits for a port"}
    wanted = {(engine.label, kind): [] for engine in Engine for kind in ("queue", "wait")}
    for trace in instruction_traces(timeline_of(*layers)):
        if trace.start < 0:
            continue
        for wait in trace.waits:
            kind = "queue" if wait.reason is Reason.QUEUE else "wait"
            wanted[trace.engine.label, kind].append((wait.begin, wait.end, names.get(wait.reason)))
    for track, spans in wanted.items():
        found = read.on(*track)
        assert sorted((each.begin, each.end) for each in found) == sorted(span[:2] for span in spans)
        reasons = Counter(each.name for each in found if each.name in names.values())
        assert reasons == Counter(name for _, _, name in spans if name)
    assert {each.name for each in read.on("matrix", "wait")} >= {"waits for load"}


def test_tokens_lead_from_the_giver_to_the_taker(layers):
    executable, result = layers
    slices = Read(perfetto_trace([layers, layers])).slices
    gives = {token: each for each in slices for token in each.gives}
    takes = {token: each for each in slices for token in each.takes}
    assert len(gives) == sum(len(each.gives) for each in slices)
    assert gives.keys() == takes.keys()
    pairs = {(gives[token].notes["instruction"], takes[token].notes["instruction"]) for token in gives}
    flows = token_flows(decode_table(executable.code), timeline_of(executable, result).engine).values()
    once = {pair for flow in flows for pair in zip(flow.giver.tolist(), flow.taker.tolist(), strict=True)}
    count = len(result.start)
    assert pairs == once | {(giver + count, taker + count) for giver, taker in once}
    assert all(gives[token].end <= takes[token].begin for token in gives)


def test_programs_follow_each_other(layers):
    _, result = layers
    once, twice = (Read(perfetto_trace([layers] * count)) for count in (1, 2))
    spans = [(each.track, each.name, each.begin, each.end) for each in once.slices]
    later = [(track, name, begin + result.cycles, end + result.cycles) for track, name, begin, end in spans]
    found = [(each.track, each.name, each.begin, each.end) for each in twice.slices]
    assert Counter(found) == Counter(spans + later)


def test_bytes_are_those_of_the_counters(layers):
    _, result = layers
    counters = Read(perfetto_trace([layers, layers])).counters
    assert set(counters) == {("accelerator", "bytes of loads"), ("accelerator", "bytes of stores")}
    for name in ("load", "store"):
        values = counters["accelerator", f"bytes of {name}s"]
        assert values[0] == (0, 0)
        assert [value for _, value in values] == sorted(value for _, value in values)
        assert values[-1][1] == 2 * result.counters[f"{name}_bytes"]


def test_layers_have_a_track(layers):
    bands = [Band("first", 0, 10), Band("second", 10, 90)]
    found = Read(perfetto_trace([layers], bands)).on("layers")
    assert [(each.name, each.begin, each.end) for each in found] == bands


def test_a_device_that_sees_no_reasons_gives_the_same_but_for_stalls(layers):
    executable, result = layers
    blind = replace(result, tokens_ready=None, engine_ready=None)
    one, other = (Read(perfetto_trace([(executable, each)])) for each in (result, blind))
    tokens = [f"waits for {engine.label}" for engine in Engine]
    for each in (one, other):
        each.kept = [found for found in each.slices if found.track[-1] != "wait" or found.name in tokens]
    assert one.kept == other.kept
    stalls = [
        sum(each.end - each.begin for each in read.slices if each not in read.kept) for read in (one, other)
    ]
    assert stalls[0] == stalls[1]


def test_the_name_of_a_file_decides(layers):
    assert Read(trace_file("a.pftrace", [layers])).slices
    assert trace_file("a.json", [layers]).startswith(b'{"displayTimeUnit"')
