"""Loads and stores as docs/machine.md says them, evaluated in plain Python, cycle by cycle.

Nothing here looks at the gates or at the simulator: addresses, bursts and bytes come from the instructions'
meaning, cycles from the recurrences.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from tilewright.isa import timing
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Load, Store
from tilewright.isa.memory import Memory

NEVER = 1 << 60


@dataclass(frozen=True)
class Job:
    """An instruction that starts in cycle `wanted` or as soon as its engine can take it after that."""

    instruction: Load | Store
    wanted: int


@dataclass(frozen=True)
class Burst:
    """A burst as AXI says it, and whom it is for."""

    address: int
    beats: int
    size: int
    owner: int = 0


@dataclass
class Events:
    """What happened when; faults as (cycle, cause, index), one a cycle."""

    starts: list = field(default_factory=list)
    bursts: list = field(default_factory=list)
    writes: list = field(default_factory=list)
    finishes: list = field(default_factory=list)
    faults: list = field(default_factory=list)


@dataclass(frozen=True)
class World:
    """What surrounds the engines: configuration, base registers and the memory outside."""

    config: Config
    bases: tuple
    latency: int
    outstanding: int
    memory: bytearray


def memory_vectors(world, instruction):
    """First byte of each vector (z, y, x) of the block in the memory outside."""
    origin = world.bases[instruction.base] + instruction.offset
    loops = itertools.product(range(instruction.n_z), range(instruction.n_y), range(instruction.n_x))
    for z, y, x in loops:
        place = z * instruction.stride_z + y * instruction.stride_y + x * instruction.stride_x
        yield (z, y, x), (origin + place) % 2**64


def bursts_of(world, instruction):
    """The bursts of an instruction, in order."""
    config, memory = world.config, Memory(instruction.memory)
    vector, beat = config.vector_bytes(memory), config.transfer_bytes(memory)
    dense = instruction.stride_x == vector
    result = []
    for (_, _, x), address in memory_vectors(world, instruction):
        if dense and x:
            continue
        end = address + vector * (instruction.n_x if dense else 1)
        while address < end:
            stop = min(end, (address // config.burst_bytes + 1) * config.burst_bytes)
            result.append(Burst(address % 2**64, (stop - address) // beat, beat.bit_length() - 1))
            address = stop
    return result


def load_vectors(world, load):
    """Chip address and first byte in memory (None: padding) of each vector of a padded block, in order."""
    there = dict(memory_vectors(world, load))
    rows = load.pad_top + load.n_y + load.pad_bottom
    columns = load.pad_left + load.n_x + load.pad_right
    for z, y, x in itertools.product(range(load.n_z), range(rows), range(columns)):
        chip = load.address + z * load.chip_stride_z + y * load.chip_stride_y + x
        yield chip % 2**20, there.get((z, y - load.pad_top, x - load.pad_left))


def store_vectors(world, store):
    """Chip address and first byte in memory of each vector of a block, in order."""
    for (z, y, x), address in memory_vectors(world, store):
        strides = (store.chip_stride_z, store.chip_stride_y, store.chip_stride_x)
        chip = store.address + sum(i * s for i, s in zip((z, y, x), strides, strict=True))
        yield chip % 2**20, address


def outside(config, instruction, chip):
    """Whether a chip address is not in the bank of the operand."""
    depth = config.depth(Memory(instruction.memory))
    return chip // depth != instruction.address // depth


def read(world, address, count):
    """Bytes of a beat, and whether it is in error."""
    if address >= len(world.memory):
        return bytes(count), True
    return bytes(world.memory[address : address + count]), False


def one_a_cycle(faults):
    """Of the faults in each cycle that of the oldest instruction, of several of it the lowest cause."""
    by_cycle = defaultdict(list)
    for cycle, cause, index in faults:
        by_cycle[cycle].append((index, cause))
    return [(cycle, *reversed(min(found))) for cycle, found in sorted(by_cycle.items())]


class Starts:
    """Start times: `wanted`, the engine's own condition, and the number in flight."""

    def __init__(self, jobs, events):
        self.jobs, self.events = jobs, events
        self.free_from = 0

    def step(self, t):
        """The job that starts at t, if one does."""
        started = len(self.events.starts)
        in_flight = started - sum(finish < t for finish in self.events.finishes)
        if started == len(self.jobs) or in_flight >= IN_FLIGHT:
            return None
        job = self.jobs[started]
        if t < max(job.wanted, self.free_from):
            return None
        self.events.starts.append(t)
        self.free_from = t + 1
        return started


class Requests:
    """The burst requests of one engine."""

    def __init__(self, limit):
        self.waiting = []  # (first cycle, burst, last of its instruction)
        self.grants, self.freed = [], []
        self.limit = limit

    def add(self, start, bursts):
        self.waiting += [(start + timing.DMA_SETUP, burst, burst is bursts[-1]) for burst in bursts]

    def stands(self, t):
        if not self.waiting or t < self.waiting[0][0] or (self.grants and t <= self.grants[-1]):
            return False
        return len(self.grants) - sum(cycle <= t for cycle in self.freed) < self.limit


class LoadReference:
    """Loads, a stream of other reads that compete with them, and the memory outside."""

    def __init__(self, world, jobs, fetches):
        self.world, self.events = world, Events()
        self.starts = Starts(jobs, self.events)
        self.jobs, self.fetches = jobs, list(fetches)
        self.requests = Requests(world.config.outstanding_reads)
        self.register = None  # burst, cycle from which on it is on the bus
        self.last_owner = 0
        self.last_fetch_grant = -1
        self.completions, self.accepted, self.last_beat = [], 0, -1
        self.arrivals = []  # (cycle on the bus, last of its burst) of the loads' beats
        self.actions = self._actions()
        self.next_action = next(self.actions, None)
        self.action_from = 0
        self.cycle = 0

    def run(self):
        """All events of all jobs."""
        faults = []
        self.faults = faults
        while len(self.events.finishes) < len(self.jobs) or self.fetches or self.register:
            self.step(self.cycle)
            self.cycle += 1
        self.events.faults = one_a_cycle(faults)
        return self.events

    def step(self, t):
        started = self.starts.step(t)
        if started is not None:
            bursts = bursts_of(self.world, self.jobs[started].instruction)
            self.requests.add(t, bursts)
            if bursts:
                self.starts.free_from = NEVER
        self._bus(t)
        self._act(t)

    def _bus(self, t):
        """Acceptance of what is on the bus, then a grant if the register is free."""
        if self.register and t >= self.register[1]:
            unfinished = self.accepted - sum(cycle < t for cycle in self.completions)
            if unfinished < self.world.outstanding:
                self._accept(t, self.register[0])
                self.register = None
        if self.register:
            return
        load = self.requests.stands(t)
        fetch = bool(self.fetches) and t >= self.fetches[0][0] and t > self.last_fetch_grant
        if load or fetch:
            self._grant(t, fetch and (not load or self.last_owner == 0))

    def _grant(self, t, to_fetch):
        if to_fetch:
            burst = self.fetches.pop(0)[1]
            self.last_fetch_grant = t
        else:
            _, burst, last = self.requests.waiting.pop(0)
            self.requests.grants.append(t)
            if last:
                self.starts.free_from = t + 1
        self.last_owner = burst.owner
        self.register = (burst, t + 1)
        self.events.bursts.append((t + 1, burst))

    def _accept(self, t, burst):
        self.accepted += 1
        first = max(t + self.world.latency, self.last_beat + 1)
        self.last_beat = first + burst.beats - 1
        self.completions.append(self.last_beat)
        if burst.owner == 0:
            beats = range(burst.beats)
            self.arrivals += [(first + beat, beat == burst.beats - 1) for beat in beats]

    def _actions(self):
        """All actions: (job, chip address, first byte of the beat or None, part, ends vector, ends job)."""
        config = self.world.config
        for place, job in enumerate(self.jobs):
            memory = Memory(job.instruction.memory)
            beat = config.transfer_bytes(memory)
            parts = config.vector_bytes(memory) // beat
            vectors = list(load_vectors(self.world, job.instruction))
            for number, (chip, address) in enumerate(vectors):
                last = number == len(vectors) - 1
                if address is None:
                    yield place, chip, None, 0, True, last
                    continue
                for part in range(parts):
                    ends = part == parts - 1
                    yield place, chip, address + part * beat, part, ends, last and ends

    def _act(self, t):
        action = self.next_action
        if action is None or action[0] >= len(self.events.starts):
            return
        place, chip, address, part, ends, last = action
        if t < max(self.action_from, self.events.starts[place] + timing.GENERATOR_SETUP):
            return
        if address is not None:
            if not self.arrivals or t < self.arrivals[0][0] + timing.LANDING_VISIBLE:
                return
            if self.arrivals.pop(0)[1]:
                self.requests.freed.append(t + timing.LANDING_FREE)
        self._land(t, place, chip, address, part, ends)
        if last:
            self.events.finishes.append(t + timing.LANDING_WRITE)
            self.action_from = t + timing.GENERATOR_SETUP
        self.next_action = next(self.actions, None)

    def _land(self, t, place, chip, address, part, ends):
        load, config = self.jobs[place].instruction, self.world.config
        memory = Memory(load.memory)
        if address is None:
            element = load.pad_value.to_bytes(memory.element_bytes, "little", signed=True)
            self.vector = element * config.cols
        else:
            found, error = read(self.world, address, config.transfer_bytes(memory))
            self.vector = (self.vector if part else b"") + found
            if error:
                self.faults.append((t + timing.LANDING_BUS_FAULT, Cause.BUS, place))
        if not ends:
            return
        if outside(config, load, chip):
            self.faults.append((t + timing.ADDRESS_FAULT, Cause.ADDRESS, place))
        else:
            write = (t + timing.LANDING_WRITE, memory, chip, int.from_bytes(self.vector, "little"))
            self.events.writes.append(write)


class StoreReference:
    """Stores, and the memory outside, which they change.

    `chip` gives the vector at an address of a memory as an integer.
    """

    def __init__(self, world, jobs, chip):
        self.world, self.jobs, self.chip, self.events = world, jobs, chip, Events()
        self.starts = Starts(jobs, self.events)
        self.requests = Requests(world.config.outstanding_writes)
        self.granted = []  # (cycle, burst, last of its instruction)
        self.actions = self._actions()
        self.next_action = next(self.actions, None)
        self.action_from = 0
        self.beat = 0
        self.failed = False
        self.faults = []

    def run(self):
        """All events of all jobs; writes are (cycle on the bus, address, data, strobe, last)."""
        t = 0
        while len(self.events.finishes) < len(self.jobs):
            self.step(t)
            t += 1
        self.events.faults = one_a_cycle(self.faults)
        return self.events

    def step(self, t):
        started = self.starts.step(t)
        if started is not None:
            self.requests.add(t, bursts_of(self.world, self.jobs[started].instruction))
            self.starts.free_from = NEVER
        if self.requests.stands(t):
            _, burst, last = self.requests.waiting.pop(0)
            self.requests.grants.append(t)
            self.events.bursts.append((t + 1, burst))
            self.granted.append((t, burst, last))
            if last:
                self.starts.free_from = t + 1
        self._act(t)

    def _actions(self):
        config = self.world.config
        for place, job in enumerate(self.jobs):
            memory = Memory(job.instruction.memory)
            beat = config.transfer_bytes(memory)
            parts = config.vector_bytes(memory) // beat
            vectors = list(store_vectors(self.world, job.instruction))
            for number, (chip, address) in enumerate(vectors):
                for part in range(parts):
                    last = number == len(vectors) - 1 and part == parts - 1
                    yield place, chip, address + part * beat, part, last

    def _act(self, t):
        action = self.next_action
        if action is None or action[0] >= len(self.events.starts) or not self.granted:
            return
        place, chip, address, part, last = action
        granted, burst, ends_job = self.granted[0]
        first = max(self.action_from, self.events.starts[place] + timing.GENERATOR_SETUP, granted + 2)
        if t < first:
            return
        self.beat += 1
        ends = self.beat == burst.beats
        self._write(t, place, chip, address, part, ends)
        if ends:
            self._answer(t + timing.STORE_BEAT + self.world.latency, place, ends_job)
        if last:
            self.action_from = t + timing.GENERATOR_SETUP
        self.next_action = next(self.actions, None)

    def _write(self, t, place, chip, address, part, ends):
        store, config = self.jobs[place].instruction, self.world.config
        memory = Memory(store.memory)
        count = config.transfer_bytes(memory)
        found, strobe = bytes(count), 0
        if outside(config, store, chip):
            self.faults.append((t + timing.ADDRESS_FAULT, Cause.ADDRESS, place))
        else:
            vector = self.chip(memory, chip).to_bytes(config.vector_bytes(memory), "little")
            found = vector[part * count : (part + 1) * count]
            strobe = (1 << min(max(store.bytes - part * count, 0), count)) - 1
        if address >= len(self.world.memory):
            self.failed = True
        else:
            for lane in range(count):
                if strobe >> lane & 1:
                    self.world.memory[address + lane] = found[lane]
        self.events.writes.append((t + timing.STORE_BEAT, address, found, strobe, ends))

    def _answer(self, t, place, ends_job):
        """The answer of a burst on the bus at t, of the oldest instruction in flight."""
        if self.failed:
            self.faults.append((t + timing.STORE_RESPONSE, Cause.BUS, place))
        self.requests.freed.append(t + timing.STORE_FREE)
        if ends_job:
            self.events.finishes.append(t + timing.STORE_RESPONSE)
        self.granted.pop(0)
        self.beat, self.failed = 0, False
