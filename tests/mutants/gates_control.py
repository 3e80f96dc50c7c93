"""Mistakes in the gates that fetch, decode, order and stop instructions."""

from tests.mutants.mutant import Fuzz, Mutant, suite

_LOAD = suite("hw/test_load.py")
_SILENCE = suite("cosim/test_silence.py::test_a_store_goes_on_as_far_as_there_is_room_for_its_beats[1]")
_DECODE = suite("hw/test_decode.py")
_MONITOR = suite("hw/test_bus_monitor.py")
_SCOREBOARD = suite("hw/test_scoreboard.py")
_FETCH = suite("hw/test_fetch.py")
_TINY = Fuzz("tiny")

_CONTROL = (
    Mutant(
        name="claims-of-a-matrix",
        file="hw/decode.py",
        old="for port in row.ports:",
        new="for port in row.ports[:1]:",
        check=_DECODE,
    ),
    Mutant(
        name="in-place-stride",
        file="hw/decode.py",
        old="for mine, its in rule.equal]",
        new="for mine, its in rule.equal[:2]]",
        check=_DECODE,
    ),
    Mutant(
        name="beats-not-counted",
        file="hw/load.py",
        old="last = position == lengths.head.beats_minus_1",
        new="last = position >= lengths.head.beats_minus_1 >> 1",
        check=_LOAD,
    ),
    Mutant(
        name="program-follows-the-host",
        file="hw/registers.py",
        old="with m.If(self.capture):",
        new="with m.If(self.capture | self.running):",
        check=suite("runtime/test_rtl_machine.py"),
    ),
    Mutant(
        name="interrupt-not-acknowledged",
        file="hw/top.py",
        old="with m.Elif(registers.acknowledge):",
        new="with m.Elif(0):",
        check=suite("hw/test_top.py"),
    ),
    Mutant(
        name="interrupt-survives-a-start",
        file="hw/top.py",
        old="        with m.If(clear):\n            m.d.sync += self.interrupt.eq(0)",
        new="        with m.If(0):\n            m.d.sync += self.interrupt.eq(0)",
        check=suite("hw/test_top.py"),
    ),
    Mutant(
        name="signals-of-no-bits",
        file="hw/verilog.py",
        old='return _NO_BITS.sub("", text)',
        new="return text",
        check=suite("hw/test_top.py"),
    ),
    Mutant(
        name="timeout-counter",
        file="hw/bus_monitor.py",
        old="m.d.sync += silence.eq(silence + 1)",
        new="m.d.sync += silence.eq(silence + self.timeout[0])",
        check=_MONITOR,
    ),
    Mutant(
        name="token-give",
        file="hw/scoreboard.py",
        old="self.available.eq(self.give | (tokens > 1)",
        new="self.available.eq((tokens > 1)",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="token-take",
        file="hw/scoreboard.py",
        old="((tokens == 1) & ~self.take)",
        new="(tokens == 1)",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="token-promise",
        file="hw/scoreboard.py",
        old="filled = (promised == self.capacity) | (self.promise & (promised == self.capacity - 1))",
        new="filled = promised == self.capacity",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="token-room",
        file="hw/scoreboard.py",
        old="self.room.eq(self.take | ~filled)",
        new="self.room.eq(~filled)",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="start-priority",
        file="hw/scoreboard.py",
        old="for engine in START_PRIORITY:",
        new="for engine in reversed(START_PRIORITY):",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="nop-waits-for-its-engine",
        file="hw/scoreboard.py",
        old="Mux(head.nop, ~flight.some, room & ~taken)",
        new="Mux(head.nop, 1, room & ~taken)",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="in-flight-limit",
        file="hw/scoreboard.py",
        old="full.eq((rest == IN_FLIGHT) | (more & (rest == IN_FLIGHT - 1)))",
        new="full.eq(rest == IN_FLIGHT)",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="vector-reads-own-writes",
        file="hw/scoreboard.py",
        old="taken |= self._reads_own_writes(head, flight)",
        new="pass",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="nop-gives-its-tokens",
        file="hw/scoreboard.py",
        old="self.start[engine] & head.nop, head.signal, 0",
        new="self.run[engine], head.signal, 0",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="ports-held-at-the-finish",
        file="hw/scoreboard.py",
        old="some.eq(more | (rest != 0))",
        new="some.eq(more | (number != 0))",
        check=_SCOREBOARD,
    ),
    Mutant(
        name="bytes-of-a-burst",
        file="hw/counter.py",
        old="(accepted.beats_minus_1 + 1) << accepted.size",
        new="accepted.beats_minus_1 << accepted.size",
        check=suite("hw/test_counter.py"),
    ),
    Mutant(
        name="fetch-room",
        file="hw/fetch.py",
        old="(reserved + count <= capacity)",
        new="(reserved + count < capacity)",
        check=_FETCH,
    ),
    Mutant(
        name="fault-priority",
        file="hw/fault.py",
        old="for code in reversed(FaultEngine):",
        new="for code in FaultEngine:",
        check=suite("hw/test_fault.py"),
    ),
    Mutant(
        name="fetch-cause-priority",
        file="hw/fetch.py",
        old="Mux(word.error, Cause.BUS, cause)",
        new="Mux(cause != 0, cause, Mux(word.error, Cause.BUS, 0))",
        check=_FETCH,
    ),
    Mutant(
        name="deadlock-while-fetching",
        file="hw/core.py",
        old="& ~starting & fetch.stuck & fetch.idle",
        new="& ~starting & fetch.stuck",
        check=Fuzz("4x8-everything-one"),
    ),
    Mutant(
        name="counter-classes",
        file="hw/counter.py",
        old="idle_head = self.heading[engine] & ~self.occupied[engine]",
        new="idle_head = self.heading[engine]",
        check=suite("hw/test_counter.py"),
    ),
    Mutant(
        name="register-read",
        file="hw/registers.py",
        old="return value[word * WORD_BITS : (word + 1) * WORD_BITS]",
        new="return value[:WORD_BITS]",
        check=suite("hw/test_registers.py"),
    ),
    Mutant(
        name="end-of-the-program",
        file="hw/core.py",
        old="finished = self._fetch.drained & ~queued & ~in_flight.any()",
        new="finished = self._fetch.drained & ~queued",
        check=_TINY,
    ),
    Mutant(
        name="end-after-a-fault",
        file="hw/core.py",
        old="self.end.eq(self.running & ~in_flight.any() & self._fetch.idle)",
        new="self.end.eq(self.running & ~in_flight.any())",
        check=_TINY,
    ),
    Mutant(
        name="timeout-after-another-fault",
        file="hw/core.py",
        old="with m.If(self.running & expired):",
        new="with m.If(self.running & expired & ~faults.halted):",
        check=_SILENCE,
    ),
    Mutant(
        name="dispatch-check-delay",
        file="hw/fetch.py",
        old="(self._state == FetchState.HEAD) & self._reader.valid & ~self.halted",
        new="(self._state == FetchState.HEAD) & self._reader.valid & ~self.halted & ~self.beat.valid",
        check=_FETCH,
    ),
)

MUTANTS = (*_CONTROL,)
