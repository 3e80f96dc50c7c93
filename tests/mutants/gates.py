"""Mistakes in the gates: most fall to the test of their unit, those between units to random programs."""

from tests.mutants.mutant import Mutant, suite

_ADDRESS = suite("hw/test_address.py")
_BURST = suite("hw/test_burst.py::test_bursts_are_those_of_the_block_at_any_rhythm")
_LOAD = suite("hw/test_load.py")
_STORE = suite("hw/test_store.py")
_WAITING = suite(
    "hw/test_store.py::test_bytes_and_rules_are_right_whenever_the_memory_accepts[bus-fits-WaitingSlave]"
)
_MATRIX = suite("hw/test_matrix.py")
_VECTOR = suite("hw/test_vector.py")
_REQUANTISE = suite("hw/test_requantise.py")
_READS = suite("hw/test_read_channel.py")

_ARITHMETIC = (
    Mutant(
        name="requantise-shift-amount",
        file="hw/requantise.py",
        old="LEFT = X_BITS - 2",
        new="LEFT = X_BITS - 3",
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
        old="(outside | rounded[X_BITS - 1])",
        new="(outside | rounded[X_BITS])",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-saturates-below-in-the-wrong-place",
        file="hw/requantise.py",
        old="Mux(low, X_MINIMUM, rounded)",
        new="Mux(low, X_MINIMUM + 2, rounded)",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-longer-shift-leaves-one-inside",
        file="hw/requantise.py",
        old="beyond | (longer & window[LEFT + 1])",
        new="beyond",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-multiplier-without-its-first-bit",
        file="hw/requantise.py",
        old="multiplier.eq(scale[:MULTIPLIER_BITS])",
        new="multiplier.eq(scale[: MULTIPLIER_BITS - 1])",
        check=_REQUANTISE,
    ),
    Mutant(
        name="requantise-sees-no-overflow",
        file="hw/requantise.py",
        old="m.d.sync += outside.eq(saturates | (above",
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
        old="m.d.sync += [remaining.eq(anew[0]), last.eq(anew[1])]",
        new="m.d.sync += [remaining.eq(anew[0]), last.eq(0)]",
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

MUTANTS = (*_ARITHMETIC, *_COMPUTE, *_TRANSFER)
