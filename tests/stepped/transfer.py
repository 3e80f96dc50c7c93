"""The second opinion, part two: fetch, load and store, cycle by cycle."""

from collections import deque

from tests.stepped.bus import Burst

from tilewright.isa import timing
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.memory import Memory


def bursts_of(config, bases, instruction):
    """Every burst of a load or store in order, spelt out beat by beat."""
    memory = Memory(instruction.memory)
    vector_bytes, unit = config.vector_bytes(memory), config.transfer_bytes(memory)
    for z in range(instruction.n_z):
        for y in range(instruction.n_y):
            first = bases[instruction.base] + instruction.offset
            first += z * instruction.stride_z + y * instruction.stride_y
            if instruction.stride_x == vector_bytes:
                runs = [(first, instruction.n_x * vector_bytes)] if instruction.n_x else []
            else:
                runs = [(first + x * instruction.stride_x, vector_bytes) for x in range(instruction.n_x)]
            for address, length in runs:
                yield from cut(config, address, length, unit)


def cut(config, address, length, unit):
    """A run cut at the boundaries."""
    beats, start = 0, address
    for offset in range(0, length, unit):
        beats += 1
        after = address + offset + unit
        if after % config.burst_bytes == 0 or offset + unit == length:
            yield Burst(start % (1 << 64), beats, unit)
            beats, start = 0, after


def outside(config, memory, first, address):
    depth = config.depth(memory)
    return address % (1 << 20) // depth != first // depth


class Fetch:
    """Requests, buffer, check, dispatch."""

    def __init__(self, config, machine):
        self.config, self.m = config, machine
        self.requested = self.dispatched = 0
        self.waiting_grant = None
        self.beats = []
        self.buffer = deque()
        self.head_since = None
        self.open_until = []
        self.outstanding = 0
        self.faulted = False
        self.finish_dispatched = False

    def request(self, t, halted):
        """The burst that stands in cycle t."""
        total = len(self.m.program)
        if t < 1 or halted or self.requested == total:
            return None
        address = self.m.program_address + self.requested * INSTRUCTION_BYTES
        count = 0
        while self.requested + count < total:
            count += 1
            if (address + count * INSTRUCTION_BYTES) % self.config.burst_bytes == 0:
                break
        if self.requested - self.dispatched + count > self.config.fetch_buffer_instructions:
            return None
        return Burst(address, count * INSTRUCTION_BYTES // self.config.bus_bytes, self.config.bus_bytes)

    def granted(self, burst):
        self.requested += burst.beats * burst.beat_bytes // INSTRUCTION_BYTES
        self.outstanding += burst.beats

    def take_beat(self, t, fails):
        """A beat on the bus in cycle t."""
        self.beats.append(fails)
        self.open_until.append(t + 2)
        if len(self.beats) * self.config.bus_bytes == INSTRUCTION_BYTES:
            self.buffer.append((t + timing.FETCH_VISIBLE, any(self.beats)))
            self.beats = []

    def idle(self, t):
        arrived = [cycle for cycle in self.open_until if cycle <= t]
        return self.outstanding == len(arrived)

    def check(self, t):
        """The cause (0: fine) of the instruction that is checked by now, or None."""
        if self.head_since is None and self.buffer and self.buffer[0][0] <= t:
            self.head_since = t
        if self.faulted or self.head_since is None or t < self.head_since + timing.DISPATCH_CHECK:
            return None
        return 2 if self.buffer[0][1] else self.m.causes[self.dispatched]

    def pop(self):
        self.buffer.popleft()
        self.head_since = None
        self.dispatched += 1


class Load:
    """Requests on one side, the landing on the other."""

    def __init__(self, config, machine):
        self.config, self.m = config, machine
        self.bursts = deque()
        self.request_from = 0
        self.granted_count = self.freed_count = 0
        self.pending = deque()
        self.landing = deque()
        self.action_from = 0

    def ready(self, t):
        return not self.bursts

    def start(self, t, index, load):
        self.bursts = deque(bursts_of(self.config, self.m.bases, load))
        self.request_from = t + timing.DMA_SETUP
        self.pending.append((t + timing.GENERATOR_SETUP, index, load, self.actions(load)))

    def actions(self, load):
        """(chip address, comes from memory, completes its vector) of each action."""
        memory = Memory(load.memory)
        beats = self.config.vector_bytes(memory) // self.config.transfer_bytes(memory)
        result = deque()
        for z in range(load.n_z):
            for y in range(-load.pad_top, load.n_y + load.pad_bottom):
                for x in range(-load.pad_left, load.n_x + load.pad_right):
                    address = load.address + z * load.chip_stride_z
                    address += (y + load.pad_top) * load.chip_stride_y + x + load.pad_left
                    if 0 <= y < load.n_y and 0 <= x < load.n_x:
                        result.extend((address, True, beat == beats - 1) for beat in range(beats))
                    else:
                        result.append((address, False, True))
        return result

    def request(self, t):
        if not self.bursts or t < self.request_from:
            return None
        if self.granted_count - self.freed_count >= self.config.outstanding_reads:
            return None
        return self.bursts[0]

    def granted(self, t):
        self.bursts.popleft()
        self.granted_count += 1
        self.request_from = t + 1

    def take_beat(self, t, fails, last):
        self.landing.append((t + timing.LANDING_VISIBLE, fails, last))

    def step(self, t):
        """One cycle of the landing."""
        if not self.pending:
            return
        first, index, load, actions = self.pending[0]
        if t < max(first, self.action_from):
            return
        address, real, completes = actions[0]
        if real:
            if not self.landing or self.landing[0][0] > t:
                return
            _, fails, last = self.landing.popleft()
            if fails:
                self.m.fault(t + timing.LANDING_BUS_FAULT, "LOAD", index, 2)
            if last:
                self.m.at(t + timing.LANDING_FREE, self.free)
        actions.popleft()
        if completes and outside(self.config, Memory(load.memory), load.address, address):
            self.m.fault(t + timing.ADDRESS_FAULT, "LOAD", index, 3)
        if not actions:
            self.pending.popleft()
            self.action_from = t + timing.GENERATOR_SETUP
            self.m.at(t + timing.LANDING_WRITE, lambda: self.m.finish("LOAD", index))

    def free(self):
        self.freed_count += 1


class Store:
    """Addresses on one side, the beats of the chip's vectors on the other."""

    def __init__(self, config, machine, bus):
        self.config, self.m, self.bus = config, machine, bus
        self.bursts = deque()
        self.request_from = 0
        self.granted_count = self.freed_count = 0
        self.pending = deque()
        self.action_from = 0
        self.taken_beats = 0

    def ready(self, t):
        return not self.bursts

    def start(self, t, index, store):
        self.bursts = deque(bursts_of(self.config, self.m.bases, store))
        for burst in self.bursts:
            burst.owner, burst.final = index, burst is self.bursts[-1]
        self.request_from = t + timing.DMA_SETUP
        self.pending.append(
            (t + timing.GENERATOR_SETUP, index, store, self.actions(store), deque(self.bursts))
        )

    def actions(self, store):
        memory = Memory(store.memory)
        beats = self.config.vector_bytes(memory) // self.config.transfer_bytes(memory)
        return deque(
            store.address + z * store.chip_stride_z + y * store.chip_stride_y + x * store.chip_stride_x
            for z in range(store.n_z)
            for y in range(store.n_y)
            for x in range(store.n_x)
            for _ in range(beats)
        )

    def step(self, t):
        self.bus.accept(t)
        self._grant(t)
        self._act(t)
        answered = self.bus.step(t)
        if answered is not None:
            self.m.at(t + timing.STORE_FREE, self.free)
            if answered.failed:
                self.m.fault(t + timing.STORE_RESPONSE, "STORE", answered.owner, 2)
            if answered.final:
                self.m.at(t + timing.STORE_RESPONSE, lambda: self.m.finish("STORE", answered.owner))

    def _grant(self, t):
        room = self.granted_count - self.freed_count < self.config.outstanding_writes
        if self.bursts and t >= self.request_from and room and self.bus.register is None:
            self.bus.register = self.bursts.popleft()
            self.bus.register.granted_at = t
            self.granted_count += 1
            self.request_from = t + 1

    def _act(self, t):
        if not self.pending:
            return
        first, index, store, actions, bursts = self.pending[0]
        burst = bursts[0]
        if t < max(first, self.action_from) or burst.granted_at < 0 or t < burst.granted_at + 2:
            return
        if self.taken_beats - self.bus.beats_taken == timing.STORE_BEATS:
            return
        self.taken_beats += 1
        place = getattr(burst, "taken", 0)
        burst.taken = place + 1
        if outside(self.config, Memory(store.memory), store.address, actions.popleft()):
            self.m.fault(t + timing.ADDRESS_FAULT, "STORE", index, 3)
        fails = burst.beat_fails(place, self.m.memory.size_bytes)
        self.bus.put_beat(t + timing.STORE_BEAT, burst, fails, place == burst.beats - 1)
        if place == burst.beats - 1:
            bursts.popleft()
        if not actions:
            self.pending.popleft()
            self.action_from = t + timing.GENERATOR_SETUP

    def free(self):
        self.freed_count += 1
