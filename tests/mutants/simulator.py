"""Mistakes in the simulator and in the constants of time that it shares with the contract."""

from tests.mutants.mutant import Mutant, Suite, suite

_TIMELINE = suite("sim/test_timeline.py")
_DATA = suite("sim/test_executor.py")


def _constant(name: str, cycles: int, wrong: int, check: Suite) -> Mutant:
    """A constant of time that is off by one; the gates have it in their registers."""
    label = name.lower().replace("_", "-")
    old, new = f"\n{name} = {cycles}\n", f"\n{name} = {wrong}\n"
    return Mutant(name=f"time-{label}", file="isa/timing.py", old=old, new=new, check=check)


_CONSTANTS = (
    _constant("FETCH_VISIBLE", 2, 3, suite("hw/test_fetch.py")),
    _constant("DISPATCH_CHECK", 2, 1, suite("hw/test_fetch.py")),
    _constant("DMA_SETUP", 3, 2, suite("hw/test_load.py")),
    _constant("GENERATOR_SETUP", 2, 3, suite("hw/test_load.py")),
    _constant("LANDING_VISIBLE", 2, 3, suite("hw/test_load.py")),
    _constant("LANDING_FREE", 3, 4, suite("hw/test_load.py")),
    _constant("LANDING_WRITE", 4, 3, suite("hw/test_load.py")),
    _constant("LANDING_BUS_FAULT", 2, 1, suite("hw/test_load.py")),
    _constant("STORE_RESPONSE", 1, 2, suite("hw/test_store.py")),
    _constant("STORE_FREE", 2, 3, suite("hw/test_store.py")),
    _constant("MATRIX_PIPELINE", 7, 8, suite("hw/test_matrix.py")),
    _constant("MATRIX_ACCUMULATOR_FAULT", 4, 5, suite("hw/test_matrix.py")),
    _constant("ADDRESS_FAULT", 1, 2, suite("hw/test_matrix.py")),
    Mutant(
        name="time-fetch-idle",
        file="isa/timing.py",
        old="return last_beat + 2",
        new="return last_beat + 3",
        check=suite("hw/test_fetch.py"),
    ),
)

_EVENTS = (
    Mutant(
        name="sim-token-visible",
        file="sim/scoreboard.py",
        old="_given(m, pair, state.taken[pair]) + 1)",
        new="_given(m, pair, state.taken[pair]))",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-token-room",
        file="sim/scoreboard.py",
        old="state.promised[pair] - state.token_capacity) + 1)",
        new="state.promised[pair] - state.token_capacity - 1) + 1)",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-window-first-result",
        file="isa/sliding.py",
        old="along = n_3 + (n_1 - 1) * chunks if chunks",
        new="along = n_1 * chunks if chunks",
        check=suite("sim/test_vector.py"),
    ),
    Mutant(
        name="sim-window-places",
        file="isa/sliding.py",
        old="int(requant_interval <= rows * chunks <= WINDOWS)",
        new="int(requant_interval <= rows * chunks < WINDOWS)",
        check=suite("isa/test_sliding.py"),
    ),
    Mutant(
        name="sim-window-strided",
        file="isa/sliding.py",
        old="vector.a_stride_1 == 2 * vector.a_stride_3",
        new="vector.a_stride_1 == 3 * vector.a_stride_3",
        check=suite("sim/test_vector.py"),
    ),
    Mutant(
        name="sim-window-fault-in-a-line",
        file="sim/vector.py",
        old="first = vector.a + vector.a_stride_1 + newest_tap",
        new="first = vector.a + newest_tap",
        check=suite("sim/test_vector.py"),
    ),
    Mutant(
        name="sim-window-fault-of-a-result",
        file="sim/vector.py",
        old="last = whole - 1 + result % vector.n_1 * further",
        new="last = whole + result % vector.n_1 * further",
        check=suite("sim/test_vector.py"),
    ),
    Mutant(
        name="sim-queue-room",
        file="sim/fetch.py",
        old="last = state.queued[engine] - state.queue_depth\n",
        new="last = state.queued[engine] - state.queue_depth - 1\n",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-read-tie",
        file="sim/core.py",
        old="not (fetch_stands and state.load_granted_last)",
        new="not fetch_stands",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-landing-free",
        file="sim/load.py",
        old="state.next_action - 1 + LANDING_FREE",
        new="state.next_action + LANDING_FREE",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-store-free",
        file="sim/store.py",
        old="= answered + STORE_FREE",
        new="= answered + STORE_FREE + 1",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-store-room",
        file="sim/store.py",
        old="STORE_BEATS - state.store_beats_left)",
        new="STORE_BEATS + 1 - state.store_beats_left)",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-fault-cycle",
        file="sim/matrix.py",
        old="issue = stream + place // vectors * period + place % vectors + 1",
        new="issue = stream + place // vectors * period + place % vectors",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-fault-stops-starts",
        file="sim/core.py",
        old="cycle > state.fault_cycle",
        new="cycle >= state.fault_cycle",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-in-flight-limit",
        file="sim/scoreboard.py",
        old="if started >= IN_FLIGHT:",
        new="if started > IN_FLIGHT:",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-end-cycle",
        file="sim/timeline.py",
        old="return _End(max(finish_dispatched, last_finish) + 1, None)",
        new="return _End(max(finish_dispatched, last_finish), None)",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-end-after-a-fault",
        file="sim/timeline.py",
        old="return _End(max(fault.cycle + 1, last_finish + 1, idle), fault)",
        new="return _End(max(fault.cycle + 1, last_finish + 1), fault)",
        check=_TIMELINE,
    ),
    Mutant(
        name="sim-counters",
        file="sim/counters.py",
        old="waiting = _total(heads.idle, np.minimum(heads.tokens_ready, heads.start))",
        new="waiting = _total(heads.head, np.minimum(heads.tokens_ready, heads.start))",
        check=suite("sim/test_timeline.py", "sim/test_machine.py"),
    ),
)

_EXECUTOR = (
    Mutant(
        name="executor-in-place",
        file="sim/data_vector.py",
        old="return _is_distinct(r) or not (",
        new="return True or not (",
        check=_DATA,
    ),
    Mutant(
        name="executor-factor-bits",
        file="sim/data_vector.py",
        old="return multiply(_narrow(a, 1 << 15), _narrow(b, 1 << 7))",
        new="return multiply(_narrow(a, 1 << 15), _narrow(b, 1 << 8))",
        check=_DATA,
    ),
    Mutant(
        name="executor-table-entry",
        file="sim/data_vector.py",
        old="entry = (i * r.n_1 + j) % ENTRIES",
        new="entry = (i * r.n_0 + j) % ENTRIES",
        check=_DATA,
    ),
    Mutant(
        name="executor-end-of-memory",
        file="sim/data_transfer.py",
        old="high + length <= len(m.dram)",
        new="high < len(m.dram)",
        check=_DATA,
    ),
    Mutant(
        name="executor-results-beyond",
        file="sim/data_matrix.py",
        old="accumulate, count > 5)",
        new="accumulate, count > 4)",
        check=_DATA,
    ),
    Mutant(
        name="executor-bank",
        file="sim/chip.py",
        old="low, low + length) == NEVER",
        new="low, low + 2 * length) == NEVER",
        check=_DATA,
    ),
    Mutant(
        name="executor-clamp",
        file="sim/lane.py",
        old="_rounded(builder, x), float(X_MINIMUM), float(X_MAXIMUM))",
        new="_rounded(builder, x), float(X_MINIMUM), float(X_MAXIMUM + 1))",
        check=_DATA,
    ),
)

MUTANTS = (*_CONSTANTS, *_EVENTS, *_EXECUTOR)
"""Constants first."""
