"""Mistakes on the way from loops to a program of the accelerator."""

from tests.mutants.mutant import Mutant, suite

_ACCEL = "compiler/targets/accel"
_OPERATOR = suite(f"{_ACCEL}/test_operator.py")
_ENUMERATE = suite(f"{_ACCEL}/test_enumerate.py")
_ALLOCATION = suite(f"{_ACCEL}/test_allocation.py")
_TOKENS = suite(f"{_ACCEL}/test_token.py")
_BUILD = suite(f"{_ACCEL}/test_build.py")
_PROGRAM = suite(f"{_ACCEL}/test_program.py")
_LEGALISE = suite(f"{_ACCEL}/test_legalise.py")
_MATMUL = suite("compiler/quantise/test_matmul.py")
_ATTENTION = suite("compiler/network/test_attention.py")
_COMPILE = suite(f"{_ACCEL}/test_compile.py")
_EVENT_MODEL = suite(f"{_ACCEL}/test_event_model.py")
_WINDOW_MODEL = suite(f"{_ACCEL}/test_window_model.py")
_SCHEDULE_TEXT = suite(f"{_ACCEL}/test_layer_schedule.py")

_MOVE = suite("compiler/quantise/test_move.py")

_VIEWS = (
    Mutant(
        name="view-of-the-first-block",
        file=f"{_ACCEL}/view.py",
        old="value: MemoryView(equation.result, start // config.cols)",
        new="value: MemoryView(equation.result, 0)",
        check=_MOVE,
    ),
    Mutant(
        name="view-of-a-view-from-its-start",
        file=f"{_ACCEL}/address_plan.py",
        old="inside += view.block * _block_bytes(contents, self._config)",
        new="inside = view.block * _block_bytes(contents, self._config)",
        check=_MOVE,
    ),
    Mutant(
        name="view-in-two-places",
        file=f"{_ACCEL}/view.py",
        old="if value in self._parts or self._is_handed_back(value)",
        new="if self._is_handed_back(value)",
        check=_MOVE,
    ),
    Mutant(
        name="view-that-lives-from-its-last-part",
        file=f"{_ACCEL}/address_plan.py",
        old="spans.get(whole, (index, index))[0], index",
        new="index, index",
        check=_MOVE,
    ),
    Mutant(
        name="gather-by-weights-in-order",
        file=f"{_ACCEL}/legalise.py",
        old="wide[:, list(channels)] = weight.array",
        new="wide[:, sorted(channels)] = weight.array",
        check=_MOVE,
    ),
    Mutant(
        name="gather-of-a-gather-in-the-other-order",
        file=f"{_ACCEL}/legalise.py",
        old="channels = (*before.operator.channels, NOWHERE)\n",
        new="channels = (*sorted(before.operator.channels), NOWHERE)\n",
        check=_MOVE,
    ),
    Mutant(
        name="groups-that-end-too-early",
        file=f"{_ACCEL}/operator/qconv2d.py",
        old="blocks((to + 1) * inputs // groups, config)",
        new="blocks(max(1, to * inputs // groups), config)",
        check=_OPERATOR,
    ),
    Mutant(
        name="groups-of-the-first-residual",
        file=f"{_ACCEL}/operator/qconv2d.py",
        old='{"residual": first}',
        new='{"residual": 0}',
        check=_OPERATOR,
    ),
)

_TASKS = (
    Mutant(
        name="tail-not-looked-at",
        file=f"{_ACCEL}/tensorise.py",
        old="np.minimum(extent, 2)",
        new="np.minimum(extent, 1)",
        check=suite(f"{_ACCEL}/test_tensorise.py"),
    ),
    Mutant(
        name="fill-of-a-changed-buffer",
        file=f"{_ACCEL}/enumerate.py",
        old="if writes and writes == _writes(body, buffer) else",
        new="if writes else",
        check=_ENUMERATE,
    ),
    Mutant(
        name="fill-from-written-memory",
        file=f"{_ACCEL}/enumerate.py",
        old="source.scope is MemoryScope.GLOBAL and source.name not in self._written",
        new="source.scope is MemoryScope.GLOBAL",
        check=_ENUMERATE,
    ),
    Mutant(
        name="fill-that-was-replaced",
        file=f"{_ACCEL}/buffer_slot.py",
        old="            del self._by_contents[slot.contents]\n",
        new="            pass\n",
        check=_ENUMERATE,
    ),
    Mutant(
        name="slot-used-last",
        file=f"{_ACCEL}/buffer_slot.py",
        old="next(iter(self._free.values()))",
        new="next(reversed(self._free.values()))",
        check=_ENUMERATE,
    ),
    Mutant(
        name="slot-in-use",
        file=f"{_ACCEL}/buffer_slot.py",
        old="        if not slot.users:\n            del self._free[id(slot)]\n",
        new="        self._free.move_to_end(id(slot))\n",
        check=_ENUMERATE,
    ),
    Mutant(
        name="threads-one-after-the-other",
        file=f"{_ACCEL}/step.py",
        old="np.lexsort((stream.owner, turn, inner.which[stream.owner]))",
        new="np.lexsort((turn, stream.owner))",
        check=_ENUMERATE,
    ),
    Mutant(
        name="address-of-a-live-instance",
        file=f"{_ACCEL}/allocation.py",
        old="if last >= live_range.first:",
        new="if last > live_range.first:",
        check=_ALLOCATION,
    ),
    Mutant(
        name="address-round-the-end",
        file=f"{_ACCEL}/allocation.py",
        old="    return addresses if at <= end else None",
        new="    return addresses if at <= end or end < depth else None",
        check=_ALLOCATION,
    ),
    Mutant(
        name="address-of-groups-that-meet",
        file=f"{_ACCEL}/live_range.py",
        old="use.first > end",
        new="use.first >= end",
        check=_ALLOCATION,
    ),
    Mutant(
        name="bank-of-two-operands",
        file=f"{_ACCEL}/live_range.py",
        old="if buffers[0].scope == buffers[1].scope:",
        new="if buffers[0].scope == buffers[1].scope and buffers[0] != buffers[1]:",
        check=_ALLOCATION,
    ),
    Mutant(
        name="bank-with-room-to-spare",
        file=f"{_ACCEL}/bank.py",
        old="room[bank] < vectors:",
        new="room[bank] <= vectors:",
        check=_ALLOCATION,
    ),
    Mutant(
        name="token-write-after-read",
        file=f"{_ACCEL}/access_log.py",
        old="other != engine and (its or write)",
        new="other != engine and its",
        check=_TOKENS,
    ),
    Mutant(
        name="token-for-what-is-far-back",
        file=f"{_ACCEL}/access_log.py",
        old="np.flatnonzero((lows <= high) & (highs >= low))",
        new="np.flatnonzero((lows < high) & (highs > low))",
        check=_TOKENS,
    ),
    Mutant(
        name="token-for-what-is-known",
        file=f"{_ACCEL}/token.py",
        old="starts[other][engine] < needs[engine]",
        new="starts[other][engine] <= needs[engine]",
        check=_TOKENS,
    ),
    Mutant(
        name="token-that-says-too-much",
        file=f"{_ACCEL}/token.py",
        old="max(clock[producer], signalled)",
        new="max(clock[producer], signalled + 1)",
        check=_TOKENS,
    ),
    Mutant(
        name="token-capacity",
        file=f"{_ACCEL}/token.py",
        old="> self._capacity:",
        new="> self._capacity + 1:",
        check=_TOKENS,
    ),
    Mutant(
        name="token-merged-too-early",
        file=f"{_ACCEL}/token.py",
        old="        tokens[k].producer = removed.producer\n",
        new="        self.signal[tokens[k].producer] |= 1 << consumer\n"
        "        self.signal[removed.producer] &= ~(1 << consumer)\n",
        check=_TOKENS,
    ),
    Mutant(
        name="tensors-that-meet",
        file="compiler/targets/memory_plan.py",
        old="self.first <= other.last and",
        new="self.first < other.last and",
        check=_PROGRAM,
    ),
    Mutant(
        name="matmul-lanes-of-heads-interleaved",
        file=f"{_ACCEL}/product.py",
        old="return padded.reshape(-1, config.cols, heads).transpose(0, 2, 1).reshape(-1)",
        new="return padded.reshape(-1)",
        check=_MATMUL,
    ),
    Mutant(
        name="matmul-garbage-in-lanes",
        file=f"{_ACCEL}/product.py",
        old="is_padded = columns == inputs or _has_zero_rows(b, w) or _has_zero_lanes(b, x)",
        new="is_padded = True",
        check=_MATMUL,
    ),
    Mutant(
        name="matmul-rows-of-w-not-padded",
        file=f"{_ACCEL}/product.py",
        old="columns = -(-inputs // config.cols) * config.cols",
        new="columns = inputs",
        check=_MATMUL,
    ),
    Mutant(
        name="attention-pads-dropped-without-a-transposition",
        file=f"{_ACCEL}/network.py",
        old="any(isinstance(each.operator, Transpose | Pad) for each in passed)",
        new="any(isinstance(each.operator, Transpose) for each in passed)",
        check=_ATTENTION,
    ),
    Mutant(
        name="attention-heads-of-keys-not-padded-apart",
        file=f"{_ACCEL}/product.py",
        old="np.pad(weight.array.reshape(heads, size, inputs), ((0, 0), (0, missing), (0, 0)))",
        new="np.pad(weight.array.reshape(heads, size, inputs), ((0, 0), (missing, 0), (0, 0)))",
        check=_ATTENTION,
    ),
    Mutant(
        name="attention-fine-sums-before-coarse-ones",
        file=f"{_ACCEL}/operator/qmatmul.py",
        old="scaled = requantise(sums[o, y, 2 * x + 1, c], parameters[o, FACTOR + 1, c])",
        new="scaled = requantise(sums[o, y, 2 * x, c], parameters[o, FACTOR + 1, c])",
        check=_ATTENTION,
    ),
    Mutant(
        name="matmul-one-group-for-all",
        file=f"{_ACCEL}/operator/qmatmul.py",
        old="lambda o, g, i, s, r, c: w[o, g, i, s, r, c]",
        new="lambda o, g, i, s, r, c: w[o, 0, i, s, r, c]",
        check=_MATMUL,
    ),
    Mutant(
        name="patches-of-columns-before-rows",
        file=f"{_ACCEL}/space_to_depth.py",
        old="found[:, :, y, x, down, right] = weight[:, :, row, column]",
        new="found[:, :, x % height.patch, y % width.patch, down, right] = weight[:, :, row, column]",
        check=suite("compiler/targets/accel/test_space_to_depth.py"),
    ),
    Mutant(
        name="patches-begin-one-later",
        file=f"{_ACCEL}/space_to_depth.py",
        old="return -self.pads[0] // self.patch",
        new="return -(self.pads[0] // self.patch)",
        check=suite("compiler/targets/accel/test_space_to_depth.py"),
    ),
    Mutant(
        name="patches-of-what-another-reads",
        file=f"{_ACCEL}/space_to_depth.py",
        old="if len(function.consumers.get(value, ())) != 1 or value in function.results:",
        new="if value in function.results:",
        check=suite("compiler/targets/accel/test_space_to_depth.py"),
    ),
    Mutant(
        name="tensor-of-a-later-reader",
        file=f"{_ACCEL}/address_plan.py",
        old="spans[whole] = spans.get(whole, (index, index))[0], index",
        new="spans.setdefault(whole, (place, place))",
        check=_COMPILE,
    ),
    Mutant(
        name="offset-between-bursts",
        file=f"{_ACCEL}/address_plan.py",
        old="offset + size + -size % self._config.burst_bytes",
        new="offset + size",
        check=_COMPILE,
    ),
    Mutant(
        name="part-without-its-origin",
        file=f"{_ACCEL}/compile.py",
        old="(0, *lowered.origin, 0)",
        new="(0, 0, 0, 0)",
        check=_COMPILE,
    ),
    Mutant(
        name="pooling-of-padded-sums",
        file=f"{_ACCEL}/legalise.py",
        old="any(operator.pool.pads) or too_large",
        new="too_large",
        check=_LEGALISE,
    ),
    Mutant(
        name="pooling-of-a-residual",
        file=f"{_ACCEL}/legalise.py",
        old=" or operator.residual",
        new="",
        check=_LEGALISE,
    ),
    Mutant(
        name="output-without-its-zero-point",
        file=f"{_ACCEL}/network.py",
        old="int(dequantise.zero_point)",
        new="0",
        check=_COMPILE,
    ),
    Mutant(
        name="output-read-from-the-start",
        file="runtime/layout.py",
        old="size, binding.offset)",
        new="size)",
        check=suite("runtime/test_layout.py"),
    ),
)

_SCHEDULES = (
    Mutant(
        name="schedule-rows-between",
        file=f"{_ACCEL}/operator/padding.py",
        old="y * step_y - before[0]",
        new="y + step_y - 1 - before[0]",
        check=_OPERATOR,
    ),
    Mutant(
        name="schedule-a-depth-too-large",
        file=f"{_ACCEL}/cost/candidate.py",
        old="tile_sizes.slots(Memory.ACCUMULATOR, tile_sizes.accumulator_vectors), most",
        new="tile_sizes.slots(Memory.ACCUMULATOR, tile_sizes.accumulator_vectors) + 1, most",
        check=suite(f"{_ACCEL}/test_tiling.py"),
    ),
    Mutant(
        name="schedule-threads-without-room",
        file=f"{_ACCEL}/cost/candidate.py",
        old="np.minimum(depths.accumulators, depths.results) >= threads",
        new="np.minimum(depths.accumulators, depths.results) > threads // 2",
        check=suite(f"{_ACCEL}/test_tiling.py"),
    ),
    Mutant(
        name="schedule-outer-tiles-inside-of-tiles",
        file=f"{_ACCEL}/operator/schedule.py",
        old='Reorder((*tiling.order, "oo", "oi",',
        new='Reorder(("yo", "xo", "og", "oo", "oi",',
        check=_EVENT_MODEL,
    ),
    Mutant(
        name="thread-that-never-yields",
        file=f"{_ACCEL}/step.py",
        old="        if self.yields:\n",
        new="        if False:\n",
        check=_ENUMERATE,
    ),
    Mutant(
        name="event-model-a-depth-too-large",
        file=f"{_ACCEL}/cost/engines.py",
        old="if len(self.ready) < self.size:",
        new="if len(self.ready) <= self.size:",
        check=_EVENT_MODEL,
    ),
    Mutant(
        name="padding-must-name-a-buffer",
        file=f"{_ACCEL}/program.py",
        old="if number < 0 and opcode is Opcode.LOAD:",
        new="if False:",
        check=_BUILD,
    ),
    Mutant(
        name="event-model-without-the-fetch",
        file=f"{_ACCEL}/cost/engines.py",
        old="busy += self._fetch * self._fetch_behind(begin, busy)",
        new="busy += 0",
        check=_EVENT_MODEL,
    ),
    Mutant(
        name="event-model-the-loops-of-tiles-exchanged",
        file=f"{_ACCEL}/cost/loop_order.py",
        old="tiles[at[ROW_LOOP] + at[COLUMN_LOOP]]",
        new="tiles[at[ROW_LOOP]]",
        check=_EVENT_MODEL,
    ),
    Mutant(
        name="window-model-without-parameters",
        file=f"{_ACCEL}/cost/window_bound.py",
        old="            last_work=vector_occupancy(windows.parameter_vectors,",
        new="            last_work=vector_occupancy(0 * windows.parameter_vectors,",
        check=_WINDOW_MODEL,
    ),
    Mutant(
        name="window-space-uneven-rows-of-reductions-in-lanes",
        file=f"{_ACCEL}/cost/window_space.py",
        old="if self.windows.keeps_accumulators and self.windows.reduced == 1:",
        new="if True:",
        check=suite(f"{_ACCEL}/test_tunable.py"),
    ),
    Mutant(
        name="window-model-padding-for-nothing",
        file=f"{_ACCEL}/cost/window.py",
        old="if self.source is None:",
        new="if True:",
        check=_WINDOW_MODEL,
    ),
    Mutant(
        name="window-model-results-that-leave-at-once",
        file=f"{_ACCEL}/cost/window_model.py",
        old="self._results.finish(number, self._end)",
        new="self._results.finish(number, ready)",
        check=_WINDOW_MODEL,
    ),
    Mutant(
        name="schedules-line-of-a-section",
        file=f"{_ACCEL}/layer_schedule.py",
        old='[""] * (number + 1)',
        new='[""]',
        check=_SCHEDULE_TEXT,
    ),
    Mutant(
        name="schedules-that-are-left",
        file=f"{_ACCEL}/compile.py",
        old="        if unsupported:",
        new="        if not unsupported:",
        check=_SCHEDULE_TEXT,
    ),
    Mutant(
        name="program-of-any-length",
        file=f"{_ACCEL}/compile.py",
        old="self._count + len(template.table)",
        new="self._count",
        check=_COMPILE,
    ),
)

_TEMPLATES = (
    Mutant(
        name="template-of-another-schedule",
        file=f"{_ACCEL}/compile.py",
        old="key = (lowered.function, schedule, result, origin)",
        new="key = (lowered.function, (), result, origin)",
        check=_COMPILE,
    ),
)

MUTANTS = (*_VIEWS, *_TASKS, *_SCHEDULES, *_TEMPLATES)
