"""The sliding window of the vector engine: which instructions it serves, and how many items they then take.

Of neighbouring results of a convolution along a line most inputs are the same. A machine with `vector_taps` =
`WINDOW_TAPS` keeps the last inputs of every *chunk*, up to `WINDOW_TAPS` taps of a row of the kernel that
follow each other along the line: the first result of a line reads all taps, one an item; every further one
reads the newest input of each chunk and multiplies all taps of the chunk in that item. The meaning of an
instruction is the same with and without.

Loops are those of a vector instruction: 0 over lines, 1 along a line, 2 over the rows of the kernel, 3 over
its columns. All functions are plain arithmetic on the fields, so that a compiler can take them as they are.
"""

from typing import Any

from tilewright.isa.instruction import ReduceMode, SourceA, SourceB, VectorOp

WINDOW_TAPS = 3
"""Taps of a chunk, at most."""
WINDOWS = 32
"""Chunks whose inputs and weights a lane keeps: of all rows of the kernel."""
COLUMNS_MAXIMUM = (9, 6)
"""Most columns of a kernel that moves by 1 column from result to result, and by 2."""

_MULTIPLY, _ADD = int(VectorOp.MULTIPLY), int(ReduceMode.ADD)
_ACTIVATION, _CONSTANT = int(SourceA.ACTIVATION), int(SourceB.CONSTANT)


def chunks_of_row(columns: int, step: int) -> int:
    """Chunks of a row of the kernel: the items of every result of a line but the first; 0: it does not slide.

    Moving by 1, the last tap ends a chunk, and so does every third before it. Moving by 2, even columns are
    a chunk and odd ones are another.

    Args:
        columns: of the kernel.
        step: columns from a result to the next one.
    """
    if columns < WINDOW_TAPS:
        return 0
    if step == 1 and columns <= COLUMNS_MAXIMUM[0]:
        return (columns + WINDOW_TAPS - 1) // WINDOW_TAPS
    return 2 if step == 2 and columns <= COLUMNS_MAXIMUM[1] else 0


def fits_windows(rows: int, chunks: int, requant_interval: int) -> int:
    """Whether all chunks have a place, and results come slowly enough for the requantiser: 0 or 1."""
    return int(requant_interval <= rows * chunks <= WINDOWS)


def step_of(vector: Any) -> int:
    """Columns of the kernel from a result of a line to the next, if the window could slide; else 0.

    Args:
        vector: the fields of a vector instruction.
    """
    if vector.op != _MULTIPLY or vector.reduce != _ADD or vector.a_from != _ACTIVATION:
        return 0
    if vector.b_from != _CONSTANT and (vector.b_stride_0 != 0 or vector.b_stride_1 != 0):
        return 0
    if vector.a_stride_1 == vector.a_stride_3:
        return 1
    return 2 if vector.a_stride_1 == 2 * vector.a_stride_3 else 0


def sliding_chunks(vector: Any, requant_interval: int, vector_taps: int) -> int:
    """Chunks of a row of the kernel of a vector instruction; 0: every item is one tap.

    Args:
        vector: its fields.
        requant_interval, vector_taps: of the machine.
    """
    if vector_taps < WINDOW_TAPS:
        return 0
    chunks = chunks_of_row(vector.n_3, step_of(vector))
    return chunks * fits_windows(vector.n_2, chunks, requant_interval)


def newest_tap(columns: int, step: int) -> int:
    """The tap that ends the first chunk of a row: the first that a further result reads."""
    return (columns - 1) % WINDOW_TAPS if step == 1 else columns - 2


def taps_apart(step: int) -> int:
    """Taps from the end of a chunk to that of the next one."""
    return WINDOW_TAPS if step == 1 else 1


def sliding_items(n_0: int, n_1: int, n_2: int, n_3: int, chunks: int) -> int:
    """Items of an instruction with so many chunks in a row of the kernel; with 0 chunks: all of its loops."""
    along = n_3 + (n_1 - 1) * chunks if chunks else n_1 * n_3
    return n_0 * n_2 * along
