"""C declarations of compiled functions."""

import re
from collections.abc import Iterator, Sequence

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.printer import print_buffer
from tilewright.compiler.tir.stmt import PrimFunc

_C_TYPES = {
    DType.BOOL: "uint8_t",
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.UINT16: "uint16_t",
    DType.UINT32: "uint32_t",
    DType.UINT64: "uint64_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.FLOAT32: "float",
    DType.FLOAT64: "double",
}
_HEAD = """\
/* Loop programs, compiled by Tilewright. Arrays are dense, row by row, and do not overlap; truth values are
   bytes, 0 or 1. Functions may be called from several threads at a time. */
#ifndef {guard}
#define {guard}

#include <stdint.h>

#ifdef __cplusplus
#define TILEWRIGHT_RESTRICT __restrict
extern "C" {{
#else
#define TILEWRIGHT_RESTRICT restrict
#endif
"""
_TAIL = """
#ifdef __cplusplus
}}
#endif
#undef TILEWRIGHT_RESTRICT

#endif /* {guard} */
"""


def header_text(name: str, functions: Sequence[PrimFunc]) -> str:
    """A header, for C99 and C++.

    Args:
        name: of the file without its ending; what includes are guarded by.
        functions: what is declared.

    Raises:
        CpuError: if two functions have one name.
    """
    names = [function.name for function in functions]
    if len(set(names)) < len(names):
        raise CpuError(f"functions of one header must have names of their own, not {names}")
    guard = "TILEWRIGHT_" + re.sub(r"\W", "_", name).upper() + "_H"
    declarations = ["\n".join(_declaration(function)) + "\n" for function in functions]
    return "\n".join([_HEAD.format(guard=guard), *declarations]) + _TAIL.format(guard=guard)


def _declaration(function: PrimFunc) -> Iterator[str]:
    inputs = len(function.parameters) - function.outputs
    taken = [print_buffer(buffer) for buffer in function.parameters[:inputs]]
    given = [print_buffer(buffer) for buffer in function.parameters[inputs:]]
    yield f"/* {', '.join(taken) or 'nothing'} -> {', '.join(given)} */"
    arguments = [_argument(buffer, position < inputs) for position, buffer in enumerate(function.parameters)]
    yield f"void {function.name}({', '.join(arguments) or 'void'});"


def _argument(buffer: Buffer, is_input: bool) -> str:
    """A parameter; its name ends in a letter that no keyword of C or C++ ends in after an underscore."""
    of = _C_TYPES[buffer.dtype]
    return f"{'const ' if is_input else ''}{of} *TILEWRIGHT_RESTRICT {buffer.name}_"
