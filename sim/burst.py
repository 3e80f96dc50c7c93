"""The bursts of a block in memory, one after the other (docs/machine.md, "Load")."""

from typing import Any

from tilewright.sim.compiled import compiled

SAME_ROW, NEXT_ROW, NEXT_PLANE, END = range(4)
"""What lies between a burst and the one after it."""


@compiled
def open_cursor(cursor: Any, block: Any, state: Any) -> None:
    """Point at the first burst of a load or store; one without vectors in memory has none."""
    vector_bytes = state.vector_bytes[block.memory]
    cursor.planes, cursor.rows, cursor.runs = block.n_z, block.n_y, block.n_x
    cursor.run_bytes = vector_bytes
    if block.stride_x == vector_bytes:
        cursor.runs, cursor.run_bytes = 1, block.n_x * vector_bytes
    cursor.stride_z, cursor.stride_y, cursor.stride_x = block.stride_z, block.stride_y, block.stride_x
    cursor.beat_bytes = min(vector_bytes, state.bus_bytes)
    cursor.z, cursor.y, cursor.x = 0, 0, 0
    cursor.plane_address = state.bases[block.base] + block.offset
    cursor.row_address = cursor.plane_address
    cursor.address = cursor.plane_address
    cursor.left = cursor.run_bytes


@compiled
def burst_length(cursor: Any, burst_bytes: int) -> int:
    """Bytes of the burst at the cursor: up to the boundary or the run's end."""
    to_boundary = burst_bytes - (cursor.address & (burst_bytes - 1))
    return min(to_boundary, cursor.left)


@compiled
def advance(cursor: Any, length: int) -> int:
    """Go on to the next burst, after one of `length` bytes; says what lies between them."""
    cursor.address += length
    cursor.left -= length
    if cursor.left > 0:
        return SAME_ROW
    cursor.left = cursor.run_bytes
    cursor.x += 1
    if cursor.x < cursor.runs:
        cursor.address = cursor.row_address + cursor.x * cursor.stride_x
        return SAME_ROW
    return _next_row(cursor)


@compiled
def _next_row(cursor: Any) -> int:
    cursor.x = 0
    cursor.y += 1
    crossed = NEXT_ROW
    if cursor.y == cursor.rows:
        cursor.y = 0
        cursor.z += 1
        cursor.plane_address += cursor.stride_z
        cursor.row_address = cursor.plane_address
        crossed = END if cursor.z == cursor.planes else NEXT_PLANE
    else:
        cursor.row_address += cursor.stride_y
    cursor.address = cursor.row_address
    return crossed


@compiled
def good_beats(state: Any, address: int, beats: int, beat_bytes: int) -> int:
    """Leading beats of a burst that lie within the memory."""
    if address < 0:
        return 0
    inside = -((address - state.memory_bytes) // beat_bytes)
    return max(0, min(inside, beats))
