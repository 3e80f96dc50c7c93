"""How long everything takes: the constants and closed forms of docs/machine.md.

A cycle count here is what the gates do, register by register; the simulator computes with the same names. All
functions are plain integer arithmetic, so that a compiler can take them as they are.
"""

# --- fetch -----------------------------------------------------------------------------------------------

FETCH_VISIBLE = 2
"""From the last beat of an instruction on the bus to it being at the head of the fetch buffer."""
DISPATCH_CHECK = 2
"""From the head of the fetch buffer (checked meanwhile) to the dispatch into a queue, or to its fault."""

# --- load and store --------------------------------------------------------------------------------------

DMA_SETUP = 3
"""From a load's or store's start to its first burst request."""
GENERATOR_SETUP = 2
"""From a load's or store's start, or the predecessor's last action, to its first action on the chip."""
LANDING_VISIBLE = 2
"""From a beat on the bus to the first cycle in which its load can take it."""
LANDING_FREE = 3
"""From the action that takes a burst's last beat to the first request that may use its room."""
LANDING_WRITE = 4
"""From an action to the write of its vector into the bank."""
LANDING_BUS_FAULT = 2
"""From the action that takes a beat in error to the fault."""
STORE_BEAT = 6
"""From an action of a store to its beat on the bus."""
STORE_BEATS = STORE_BEAT + 1
"""Most beats from their actions on that the bus has not taken: with fewer, one a cycle would not fit."""
STORE_RESPONSE = 1
"""From a write response on the bus to the finish (or fault) it causes."""
STORE_FREE = 2
"""From a write response on the bus to the first request that may use its room."""

# --- matrix ----------------------------------------------------------------------------------------------

ACCUMULATOR_DISTANCE = 4
"""From the read of an accumulator to the first read that sees what was added."""
MATRIX_PIPELINE = 7
"""From the stream of a vector to its accumulator write, beside rows + cols."""
MATRIX_ACCUMULATOR_FAULT = 4
"""From the stream of a vector to the fault of its accumulator address, beside rows + cols."""

# --- vector ----------------------------------------------------------------------------------------------

VECTOR_PIPELINE = 18
"""From the issue of an item to the write of its result, at requant_interval 1 and vector_taps 1."""
WINDOW_SUM = 1
"""Cycles more in which a machine with a sliding window sums the products of its taps."""

# --- all engines -----------------------------------------------------------------------------------------

ADDRESS_FAULT = 1
"""From the issue of an address outside its bank to the fault."""


def fetch_bus_idle(last_beat: int) -> int:
    """First cycle in which fetch counts no read outstanding, after its last beat on the bus."""
    return last_beat + 2


def tile_period(vectors: int, rows: int) -> int:
    """Cycles from tile to tile: the vectors of a stream, or the rows of the next preload."""
    return max(vectors, rows)


def matrix_depth(rows: int, cols: int) -> int:
    """Cycles from the stream of a vector to its accumulator write."""
    return rows + cols + MATRIX_PIPELINE


def matrix_fault_depth(rows: int, cols: int) -> int:
    """Cycles from the stream of a vector to the fault of its accumulator address."""
    return rows + cols + MATRIX_ACCUMULATOR_FAULT


def first_stream(start: int, rows: int, previous_stream: int, previous_vectors: int, moved: bool) -> int:
    """Cycle of the first stream of a matrix instruction.

    Args:
        start: cycle of its start.
        rows: rows of the array: the preload of the first tile.
        previous_stream: cycle in which the predecessor's last stream began.
        previous_vectors: vectors of that stream; 0 if there is no predecessor.
        moved: whether it accumulates from another base than its predecessor's.
    """
    gap = ACCUMULATOR_DISTANCE - 1 if moved and previous_vectors else 0
    return max(start + rows, previous_stream + previous_vectors + gap)


def vector_depth(requant_interval: int, vector_taps: int) -> int:
    """Cycles from the issue of an item to the write of its result."""
    return VECTOR_PIPELINE + requant_interval - 1 + (WINDOW_SUM if vector_taps > 1 else 0)


def item_interval(requantise: int, reduced: int, requant_interval: int) -> int:
    """Cycles from item to item: above 1 if the requantiser cannot take a result every `reduced` cycles."""
    return requant_interval if requantise and reduced < requant_interval else 1


def requantiser_rest(requantise: int, reduced: int, requant_interval: int) -> int:
    """Cycles that the requantiser needs after a last item that was not given `requant_interval` of its own.

    The successor's first result comes at least two cycles after the item: its scale is issued in between.
    """
    return max(requant_interval - 2, 0) if requantise and reduced >= requant_interval else 0


def vector_occupancy(parameters: int, items: int, interval: int, rest: int) -> int:
    """Cycles from the start of a vector instruction to the earliest start of its successor."""
    return parameters + items * interval + rest


def vector_last_issue(start: int, parameters: int, items: int, interval: int) -> int:
    """Cycle in which the last item of a vector instruction issues."""
    return start + parameters + (items - 1) * interval + 1
