"""A second opinion on time: the machine of docs/machine.md stepped cycle by cycle, slow and plain.

It shares nothing with the event core but the constants of `isa.timing`: queues are queues, tokens are
counters, claims are sets, and every beat, pad and item is looked at in its cycle.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from tests.stepped.bus import FETCH, LOAD, Monitor, ReadBus, WriteBus
from tests.stepped.compute import Matrix, Vector
from tests.stepped.transfer import Fetch, Load, Store

from tilewright.isa.config import IN_FLIGHT
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import Destination, Finish, Nop, SourceA, SourceB
from tilewright.isa.instruction import Load as LoadInstruction
from tilewright.isa.instruction import Matrix as MatrixInstruction
from tilewright.isa.instruction import Store as StoreInstruction
from tilewright.isa.memory import Memory

ENGINES = ("LOAD", "MATRIX", "VECTOR", "STORE")
PRIORITY = ("MATRIX", "VECTOR", "STORE", "LOAD")


class NeverEndsError(Exception):
    """The program was still running after all the cycles that a test grants."""


@dataclass
class Outcome:
    """What there is to compare; cycles by instruction, None where it never happened."""

    end: int
    fault: tuple | None
    dispatched: dict
    start: dict
    finish: dict
    counters: dict
    moved: dict


@dataclass
class Engine:
    """An engine's queue and what it has in flight."""

    queue: deque = field(default_factory=deque)
    in_flight: deque = field(default_factory=deque)
    counters: dict = field(default_factory=lambda: {"busy": 0, "waiting": 0, "stalled": 0})


class SteppedMachine:
    """One program on one machine; see `run`."""

    def __init__(
        self, config, program, causes, *, memory, bases, program_address=0, timeout=0, mismatch=False
    ):
        self.config, self.program, self.causes = config, program, list(causes)
        self.memory, self.program_address, self.mismatch = memory, program_address, mismatch
        self.bases = [*bases, *[0] * (8 - len(bases))]
        self.monitor = Monitor(timeout)
        self.reads, self.writes = ReadBus(memory, self.monitor), WriteBus(memory, self.monitor)
        self.fetch = Fetch(config, self)
        self.units = {
            "LOAD": Load(config, self),
            "MATRIX": Matrix(config, self),
            "VECTOR": Vector(config, self),
            "STORE": Store(config, self, self.writes),
        }
        self.engines = {name: Engine() for name in ENGINES}
        self.available, self.promised = defaultdict(int), defaultdict(int)
        self.due, self.faults_due = defaultdict(list), defaultdict(list)
        self.fault_record = None
        self.timed_out = None
        self.dispatched, self.started, self.finished = {}, {}, {}

    # --- what units call ---------------------------------------------------------------------------------

    def at(self, cycle, action):
        """Do something at a cycle, before anything else of it."""
        self.due[cycle].append(action)

    def fault(self, cycle, engine, index, cause):
        self.faults_due[cycle].append((int(FaultEngine[engine]), index, int(cause)))

    def finish(self, name, index):
        if self.timed_out is not None and name in ("LOAD", "STORE"):
            return
        assert self.engines[name].in_flight[0] == index, "engines finish in order"
        self.finished[index] = self.t
        self.finishing.append((name, index))

    # --- one cycle ---------------------------------------------------------------------------------------

    def run(self, limit=200_000):
        """Step until the end of the program."""
        for self.t in range(limit):
            if self.step(self.t):
                return self.outcome()
        raise NeverEndsError(f"still running after {limit} cycles")

    def step(self, t):
        halted = self.fault_record is not None
        self.finishing = []
        over = self.is_over(t)
        for action in self.due.pop(t, []):
            action()
        requests = {FETCH: self.fetch.request(t, halted), LOAD: self.units["LOAD"].request(t)}
        stuck = self.is_stuck(t, requests)
        pending = self.reads.pending() or self.writes.pending()
        if self.monitor.fires() and self.timed_out is None:
            self.timed_out_now = True
            self.fault(t, "SYSTEM", self.fetch.dispatched, Cause.TIMEOUT)
        else:
            self.timed_out_now = False
        dispatched = self.dispatch(t, halted)
        # A vector instruction may start in the cycle in which its predecessor's last item issues.
        self.units["VECTOR"].step(t)
        started = self.starts(t, halted)
        self.step_bus(t, requests)
        for name in ("MATRIX", "LOAD", "STORE"):
            self.units[name].step(t)
        if stuck and not dispatched and not started:
            self.fault(t, "SYSTEM", self.fetch.dispatched, Cause.DEADLOCK)
        self.count(started)
        self.end_of_cycle(t, dispatched, started, pending)
        return over

    def step_bus(self, t, requests):
        granted = self.reads.step(t, requests)
        if granted == FETCH:
            self.fetch.granted(requests[FETCH])
        elif granted == LOAD:
            self.units["LOAD"].granted(t)
        if self.reads.beat is not None:
            who, _, fails, last = self.reads.beat
            if who == FETCH:
                self.fetch.take_beat(t, fails)
            else:
                self.units["LOAD"].take_beat(t, fails, last)

    def dispatch(self, t, halted):
        """The instruction dispatched in this cycle, if any; its queue has it at the end of the cycle."""
        if t == 0 and (not self.program or self.mismatch):
            self.fault(0, "FETCH", 0, Cause.CONFIG if self.program else Cause.ILLEGAL)
            return None
        cause = None if halted else self.fetch.check(t)
        if cause is None:
            return None
        index = self.fetch.dispatched
        if cause:
            self.fault(t, "FETCH", index, cause)
            self.fetch.faulted = True
            return None
        instruction = self.program[index]
        if isinstance(instruction, Finish):
            return (index, None)
        name = instruction.engine.name
        if len(self.engines[name].queue) >= self.config.queue_depth:
            return None
        return (index, name)

    def is_over(self, t):
        """Whether this is the last cycle, from what was before it."""
        running = [name for name in ENGINES if self.engines[name].in_flight]
        if self.timed_out is not None:
            return not {"MATRIX", "VECTOR"} & set(running)
        if self.fault_record is not None:
            cycle, _, _, cause = self.fault_record
            if t == cycle:
                return False
            return cause == Cause.DEADLOCK or (not running and self.fetch.idle(t))
        queued = any(engine.queue for engine in self.engines.values())
        return self.fetch.finish_dispatched and not running and not queued

    def is_stuck(self, t, requests):
        """Deadlock, but for what starts or is dispatched in this cycle."""
        if any(engine.in_flight for engine in self.engines.values()):
            return False
        if not any(engine.queue for engine in self.engines.values()):
            return False
        stuck = self.fetch.finish_dispatched
        cause = self.fetch.check(t)
        if cause == 0 and not isinstance(self.program[self.fetch.dispatched], Finish):
            queue = self.engines[self.program[self.fetch.dispatched].engine.name].queue
            stuck = stuck or len(queue) >= self.config.queue_depth
        return stuck and requests[FETCH] is None and self.fetch.idle(t)

    # --- starts ------------------------------------------------------------------------------------------

    def starts(self, t, halted):
        """Engines whose heads start, with the claims of this cycle in their order."""
        started = []
        self.tokens_ready = {name: self.has_tokens(name) for name in ENGINES if self.engines[name].queue}
        if halted:
            return started
        for name in PRIORITY:
            if self.tokens_ready.get(name) and self.can_take(t, name) and self.ports_free(name, started):
                started.append(name)
        for name in started:
            index = self.engines[name].queue[0]
            self.started[index] = t
            if isinstance(self.program[index], Nop):
                self.finished[index] = t
            else:
                self.units[name].start(t, index, self.program[index])
        return started

    def has_tokens(self, name):
        instruction = self.program[self.engines[name].queue[0]]
        waits = all(self.available[other, name] > 0 for other in named(instruction.wait))
        return waits and all(
            self.promised[name, other] < self.config.token_capacity for other in named(instruction.signal)
        )

    def can_take(self, t, name):
        engine = self.engines[name]
        if isinstance(self.program[engine.queue[0]], Nop):
            return not engine.in_flight
        return len(engine.in_flight) < IN_FLIGHT and self.units[name].ready(t)

    def ports_free(self, name, started):
        ports = self.claims(self.engines[name].queue[0])
        for other in ENGINES:
            if other != name:
                held = set().union(*(self.claims(index) for index in self.engines[other].in_flight))
                if other in started:
                    held |= self.claims(self.engines[other].queue[0])
                if held & ports:
                    return False
        if name == "VECTOR":
            own = set().union(*(self.claims(index) for index in self.engines[name].in_flight))
            return not any((memory, bank, "write") in own for memory, bank, kind in ports if kind == "read")
        return True

    def claims(self, index):
        """(memory, bank, read or write) of an instruction."""
        i = self.program[index]
        if isinstance(i, Nop):
            return set()
        if isinstance(i, LoadInstruction | StoreInstruction):
            kind = "write" if isinstance(i, LoadInstruction) else "read"
            return {(Memory(i.memory), i.address // self.config.depth(Memory(i.memory)), kind)}
        if isinstance(i, MatrixInstruction):
            slices = self.config.cols // self.config.rows
            accumulator = i.accumulator // self.config.depth(Memory.ACCUMULATOR)
            return {
                (Memory.ACTIVATION, i.activation // slices // self.config.depth(Memory.ACTIVATION), "read"),
                (Memory.WEIGHT, i.weight // self.config.depth(Memory.WEIGHT), "read"),
                (Memory.ACCUMULATOR, accumulator, "read"),
                (Memory.ACCUMULATOR, accumulator, "write"),
            }
        return self.vector_claims(i)

    def vector_claims(self, i):
        places = [(Memory[SourceA(i.a_from).name], i.a, "read")]
        if i.b_from != SourceB.CONSTANT:
            places.append((Memory[SourceB(i.b_from).name], i.b, "read"))
        if self.units["VECTOR"].parameters(i):
            places.append((Memory.PARAMETER, i.parameter, "read"))
        if i.to != Destination.TABLE:
            places.append((Memory[Destination(i.to).name], i.destination, "write"))
        return {(memory, address // self.config.depth(memory), kind) for memory, address, kind in places}

    # --- the end of a cycle ------------------------------------------------------------------------------

    def count(self, started):
        for name in ENGINES:
            engine = self.engines[name]
            if engine.in_flight or name in started:
                engine.counters["busy"] += 1
            elif engine.queue:
                engine.counters["stalled" if self.tokens_ready[name] else "waiting"] += 1

    def end_of_cycle(self, t, dispatched, started, pending):
        """All registers take over."""
        for name in started:
            engine = self.engines[name]
            index = engine.queue.popleft()
            self.move_tokens(name, self.program[index])
            if not isinstance(self.program[index], Nop):
                engine.in_flight.append(index)
        for name, index in self.finishing:
            assert self.engines[name].in_flight.popleft() == index
            for other in named(self.program[index].signal):
                self.available[name, other] += 1
        if dispatched is not None:
            self.take_dispatched(t, *dispatched)
        for found in self.faults_due.pop(t, []):
            record = (t, *found)
            if self.fault_record is None or record < self.fault_record:
                self.fault_record = record
        if self.timed_out_now:
            self.timed_out = t
        # What the address registers took over in this cycle is on the bus in the next one.
        self.monitor.end_of_cycle(pending)

    def take_dispatched(self, t, index, name):
        self.dispatched[index] = t
        self.fetch.pop()
        if name is None:
            self.fetch.finish_dispatched = True
        else:
            self.engines[name].queue.append(index)

    def move_tokens(self, name, instruction):
        for other in named(instruction.wait):
            self.available[other, name] -= 1
            self.promised[other, name] -= 1
        for other in named(instruction.signal):
            self.promised[name, other] += 1
            if isinstance(instruction, Nop):
                self.available[name, other] += 1

    def outcome(self):
        counters = {name: dict(engine.counters) for name, engine in self.engines.items()}
        return Outcome(
            self.t,
            self.fault_record,
            self.dispatched,
            self.started,
            self.finished,
            counters,
            dict(self.monitor.moved),
        )


def named(mask):
    """The engines in a wait or signal mask."""
    return [name for place, name in enumerate(ENGINES) if mask >> place & 1]
