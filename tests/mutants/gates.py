"""Mistakes in the gates: most fall to the test of their unit, those between units to random programs."""

from tests.mutants.mutant import Fuzz, Mutant, suite

_ADDRESS = suite("hw/test_address.py")
_BURST = suite("hw/test_burst.py::test_bursts_are_those_of_the_block_at_any_rhythm")
_LOAD = suite("hw/test_load.py")
_STORE = suite("hw/test_store.py")
_WAITING = suite(
    "hw/test_store.py::test_bytes_and_rules_are_right_whenever_the_memory_accepts[bus-fits-WaitingSlave]"
)
_SILENCE = suite("cosim/test_silence.py::test_a_store_goes_on_as_far_as_there_is_room_for_its_beats[1]")
_MATRIX = suite("hw/test_matrix.py")
_VECTOR = suite("hw/test_vector.py")
_REQUANTISE = suite("hw/test_requantise.py")
_DECODE = suite("hw/test_decode.py")
_READS = suite("hw/test_read_channel.py")
_MONITOR = suite("hw/test_bus_monitor.py")
_SCOREBOARD = suite("hw/test_scoreboard.py")
_FETCH = suite("hw/test_fetch.py")
_TINY = Fuzz("tiny")

_ARITHMETIC = (
    Mutant(
        name="requantise-shift-amount",
        file="hw/requantise.py",
        old="\nLEFT = 16\n",
        new="\nLEFT = 15\n",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-rounding",
        file="hw/requantise.py",
        old="half = product[PRODUCT_SHIFT - 1]",
        new="half = product[PRODUCT_SHIFT - 1] & product[PRODUCT_SHIFT]",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-saturates-late",
        file="hw/requantise.py",
        old="(floor >= X_LIMIT))",
        new="(floor > X_LIMIT))",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-sees-no-overflow",
        file="hw/requantise.py",
        old="m.d.sync += outside.eq(beyond | (above",
        new="m.d.sync += outside.eq((above",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-shift-unsigned",
        file="hw/requantise.py",
        old="self.t[SHIFT_POSITION : SHIFT_POSITION + SHIFT_BITS].as_signed()",
        new="self.t[SHIFT_POSITION : SHIFT_POSITION + SHIFT_BITS]",
        check=_REQUANTISE,
    ),
    Mutant(
        name="lane-saturation-bound",
        file="hw/vector_lane.py",
        old="limit = Cat((~sign).replicate(bits - 1), sign)",
        new="limit = Cat(1, (~sign).replicate(bits - 2), sign)",
        check=_VECTOR,
    ),
    Mutant(
        name="nibble-sign",
        file="hw/vector_lane.py",
        old="below - rows[3] if nibble.shape().signed",
        new="below + rows[3] if nibble.shape().signed",
        check=_VECTOR,
    ),
    Mutant(
        name="product-sign",
        file="hw/array.py",
        old="product.eq(operand * factor)",
        new="product.eq(operand.as_unsigned() * factor)",
        check=suite("hw/test_array.py"),
    ),
    Mutant(
        name="reduction-reset",
        file="hw/vector_lane.py",
        old="with m.If(control.first):",
        new="with m.If(control.first & (control.reduce == ReduceMode.ADD)):",
        check=_VECTOR,
    ),
    Mutant(
        name="reduction-minimum",
        file="hw/vector_lane.py",
        old="less == (control.reduce == ReduceMode.MAXIMUM)",
        new="less",
        check=_VECTOR,
    ),
    Mutant(
        name="bias-enable",
        file="hw/vector_lane.py",
        old="Mux(control.add_bias, bias, 0)",
        new="bias",
        check=_VECTOR,
    ),
    Mutant(
        name="bias-saturation",
        file="hw/vector_lane.py",
        old="t.eq(saturated(reduction + Mux(control.add_bias, bias, 0), LANE_BITS))",
        new="t.eq(reduction + Mux(control.add_bias, bias, 0))",
        check=_VECTOR,
    ),
    Mutant(
        name="clamp-bounds-crossed",
        file="hw/lane_table.py",
        old="(self.y > control.hi) | (control.lo > control.hi)",
        new="self.y > control.hi",
        check=_VECTOR,
    ),
    Mutant(
        name="table-address",
        file="hw/lane_table.py",
        old="element ^ (1 << (ELEMENT_BITS - 1))",
        new="element",
        check=_VECTOR,
    ),
)

_COMPUTE = (
    Mutant(
        name="loop-restart",
        file="hw/address.py",
        old="m.d.sync += [remaining.eq(count), last.eq(single)]",
        new="m.d.sync += [remaining.eq(count), last.eq(0)]",
        check=_ADDRESS,
    ),
    Mutant(
        name="bank-range-check",
        file="hw/request.py",
        old="inside.eq(bank == home)",
        new="inside.eq(bank[:1] == home[:1])",
        check=_ADDRESS,
    ),
    Mutant(
        name="preload-period",
        file="hw/matrix.py",
        old="(row == self.config.rows - 2)",
        new="(row == self.config.rows - 1)",
        check=_MATRIX,
    ),
    Mutant(
        name="weight-swap-timing",
        file="hw/matrix.py",
        old='delay(m, first, RETURN_DELAY - 1, name="swap")',
        new='delay(m, first, RETURN_DELAY, name="swap")',
        check=_MATRIX,
    ),
    Mutant(
        name="accumulate-flag",
        file="hw/matrix.py",
        old="self.stream.adds.eq(~self.first_tile | self.instruction.accumulate)",
        new="self.stream.adds.eq(self.instruction.accumulate)",
        check=_MATRIX,
    ),
    Mutant(
        name="accumulator-settles",
        file="hw/matrix.py",
        old="for age in range(1, ACCUMULATOR_DISTANCE - 2):",
        new="for age in range(1, ACCUMULATOR_DISTANCE - 3):",
        check=_MATRIX,
    ),
    Mutant(
        name="accumulator-bank",
        file="hw/accumulate.py",
        old="write.bank.eq(place.bank)",
        new="write.bank.eq(0)",
        check=_MATRIX,
    ),
    Mutant(
        name="activation-slice",
        file="hw/matrix.py",
        old='part = delay(m, activations.slice, RETURN_DELAY - 1, name="slice", reset_less=True)',
        new='part = delay(m, activations.slice, RETURN_DELAY, name="slice", reset_less=True)',
        check=_MATRIX,
    ),
    Mutant(
        name="bank-of-the-data",
        file="hw/request.py",
        old="hits = bank_hits(m, self.request, banks=len(self.data), cycles=READ_LATENCY)",
        new="hits = bank_hits(m, self.request, banks=len(self.data), cycles=READ_LATENCY - 1)",
        check=_MATRIX,
    ),
    Mutant(
        name="deskew-length",
        file="hw/array.py",
        old="delay(m, total, self.cols - 1 - col,",
        new="delay(m, total, max(self.cols - 2 - col, 0),",
        check=suite("hw/test_array.py"),
    ),
    Mutant(
        name="parameter-order",
        file="hw/vector_issue.py",
        old="Cat(item.bias, item.scale).eq(slots.parameter)",
        new="Cat(item.scale, item.bias).eq(slots.parameter)",
        check=_VECTOR,
    ),
    Mutant(
        name="requantiser-rest",
        file="hw/vector_issue.py",
        old="m.d.sync += left.eq(slots)",
        new="m.d.sync += left.eq(slots - 1)",
        check=_VECTOR,
    ),
)

_TRANSFER = (
    Mutant(
        name="burst-boundary",
        file="hw/burst.py",
        old="fits = ~long & (length[:BEATS_BITS] <= full ^ low)",
        new="fits = ~long & (length[:BEATS_BITS] <= full)",
        check=_BURST,
    ),
    Mutant(
        name="beats-of-a-tail",
        file="hw/burst.py",
        old="Mux(final, tail, full)",
        new="full",
        check=_BURST,
    ),
    Mutant(
        name="one-run-of-dense-rows",
        file="hw/burst.py",
        old="Mux(self._dense, 1, taken.n_x)",
        new="taken.n_x",
        check=_BURST,
    ),
    Mutant(
        name="load-lane",
        file="hw/load.py",
        old="beat >> (action.lane << lane_bits_log2)",
        new="beat",
        check=_LOAD,
    ),
    Mutant(
        name="landing-order",
        file="hw/landing.py",
        old="place.eq(Mux(place == self.depth - 1, 0, place + 1))",
        new="place.eq(Mux(place == self.depth - 2, 0, place + 1))",
        check=suite("hw/test_landing.py"),
    ),
    Mutant(
        name="pad-sign",
        file="hw/load.py",
        old="pad[-1].replicate(8)",
        new="Const(0, 8)",
        check=_LOAD,
    ),
    Mutant(
        name="outstanding-reads",
        file="hw/load.py",
        old="room.eq(room - granted + self._elaborate_landed(m, granted))",
        new="room.eq(room - granted + (self._elaborate_landed(m, granted) | self._landing.taken.valid))",
        check=_LOAD,
    ),
    Mutant(
        name="outstanding-writes",
        file="hw/store.py",
        old="request.ready.eq(free & (room != 0))",
        new="request.ready.eq(free)",
        check=_STORE,
    ),
    Mutant(
        name="store-waits-for-its-address",
        file="hw/store.py",
        old="self._lengths.push.eq(shown)",
        new="self._lengths.push.eq(self.awvalid & self.awready)",
        check=_WAITING,
    ),
    Mutant(
        name="store-strobe",
        file="hw/store_data.py",
        old="Cat(place < tail for place",
        new="Cat(place <= tail for place",
        check=_STORE,
    ),
    Mutant(
        name="strobe-outside-the-bank",
        file="hw/store_data.py",
        old="whole.eq(~self.outside & (asked.part < parts))",
        new="whole.eq(asked.part < parts)",
        check=_STORE,
    ),
    Mutant(
        name="write-last",
        file="hw/store.py",
        old="self._data.last.eq(last)",
        new="self._data.last.eq(position == 0)",
        check=_STORE,
    ),
    Mutant(
        name="store-fault-owner",
        file="hw/store.py",
        old="Mux(bus_fault, indices.head.index, index)",
        new="index",
        check=_STORE,
    ),
    Mutant(
        name="read-alternation",
        file="hw/read_channel.py",
        old="fetch_next.eq(~fetch_wins)",
        new="fetch_next.eq(1)",
        check=_READS,
    ),
    Mutant(
        name="read-owner",
        file="hw/read_channel.py",
        old="beat.valid.eq(self.rvalid & (self.rid == owner))",
        new="beat.valid.eq(self.rvalid)",
        check=_READS,
    ),
)

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
        check=Fuzz("4x8-everything-one", 90),
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

MUTANTS = (*_ARITHMETIC, *_COMPUTE, *_TRANSFER, *_CONTROL)
"""Units first, quickest first."""
