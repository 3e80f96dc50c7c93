"""Loop programs as LLVM modules: each function with a plain C interface, `void name(T *a, …)`.

The numbers are those of `tir.interpret`, operation by operation in the order of the loops: integers are the
same bits. So are floats, but for exp, log and tanh of float64, which are the C library's, and for sums that
the interpreter takes in one step: it adds pairwise. Buffers must not overlap; indices are not checked.
"""

import re
from collections.abc import Sequence
from math import prod

from llvmlite import ir

from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.function_context import FunctionContext
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.outline import POOL_FUNCTION
from tilewright.compiler.targets.cpu.procedure import ProcedureEmitter
from tilewright.compiler.targets.cpu.scratch import ALLOCATE_FUNCTION, RELEASE_FUNCTION
from tilewright.compiler.targets.cpu.type import POINTER
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.compiler.tir.verify import verify
from tilewright.compiler.tir.walk import constant

RESERVED = frozenset(
    f"{POOL_FUNCTION} {ALLOCATE_FUNCTION} {RELEASE_FUNCTION} abort aligned_alloc free exp log tanh fmod "
    "fmodf memcpy memset main".split()
)
"""Names that a function must not have: those that compiled code calls, and a program's own entry."""


def emit_module(
    functions: Sequence[PrimFunc],
    *,
    contract: bool = False,
    parallel: bool = True,
    machine: HostMachine | None = None,
) -> ir.Module:
    """The LLVM module of some functions.

    Args:
        functions: scheduled in any way; every memory scope is the host's memory.
        contract: whether a product and a sum of floats may be rounded once, which is faster.
        parallel: whether parallel loops call a pool of threads; else they are plain loops.
        machine: whose instructions micro-kernels use; None for those that any machine has.

    Raises:
        CpuError: if a name cannot be one in C, or a function needs what the host does not have.
        TirError: if a function breaks a rule of loop programs.
    """
    module, features = ir.Module("tilewright"), Features.of(machine)
    for function in functions:
        verify(function)
        _check_name(function.name, module)
        _emit(module, function, contract, parallel, features)
    return module


def _emit(module: ir.Module, function: PrimFunc, contract: bool, parallel: bool, features: Features) -> None:
    of = ir.FunctionType(ir.VoidType(), [POINTER] * len(function.parameters))
    written = ir.Function(module, of, function.name)
    context = FunctionContext.of(written)
    for buffer, argument in zip(function.parameters, written.args, strict=True):
        argument.name = buffer.name
        argument.add_attribute("noalias")
        context.pointers[buffer.name] = argument
        context.strides[buffer.name] = dense_strides(shape_of(buffer))
    ProcedureEmitter(context, contract, parallel, features).write(function.body)
    context.close()


def shape_of(buffer: Buffer) -> tuple[int, ...]:
    """The shape of a parameter, all of whose extents are constants."""
    return tuple(extent for extent in map(constant, buffer.shape) if extent is not None)


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one index to the next, in each dimension, row by row."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _check_name(name: str, module: ir.Module) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise CpuError(f"the name of a function must be an identifier of C, not {name!r}")
    if name in RESERVED or name in module.globals:
        raise CpuError(f"the name of a function must be its own, not {name!r}: choose another one")
