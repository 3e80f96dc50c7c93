"""Compiled functions for other programs: object file, shared library, and the C header for both."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from llvmlite import binding as llvm

from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.header import header_text
from tilewright.compiler.targets.cpu.machine import HostMachine, object_code
from tilewright.compiler.targets.cpu.outline import POOL_FUNCTION
from tilewright.compiler.targets.cpu.pool import pool_text
from tilewright.compiler.targets.cpu.scratch import ALLOCATE_FUNCTION, RELEASE_FUNCTION, scratch_text
from tilewright.compiler.tir.stmt import PrimFunc

COMPILERS = ("cc", "gcc", "clang")
LIBRARIES = ("-lm", "-lpthread")
"""Libraries that a program with the object file is linked with."""


def write_header(path: Path, functions: Sequence[PrimFunc]) -> None:
    """The declarations of the functions, for C and C++.

    Raises:
        CpuError: if two functions have one name.
    """
    path.write_text(header_text(path.stem, functions))


def write_object(
    path: Path, functions: Sequence[PrimFunc], machine: HostMachine | None = None, *, contract: bool = False
) -> None:
    """A relocatable object file with the functions; programs that contain it link with -lm -lpthread.

    Args:
        path: of the file.
        functions: scheduled in any way.
        machine: the machine that it runs on; None for this one. `HostMachine.baseline()` runs elsewhere too.
        contract: whether a product and a sum of floats may be rounded once.

    Raises:
        CpuError: if a function cannot run on a host, or LLVM does not know the machine.
    """
    # A program must ask its system before it uses tile registers, and callers of a library do not.
    machine = HostMachine.host().without("amx") if machine is None else machine
    text = with_runtime(str(emit_module(functions, contract=contract, machine=machine)))
    path.write_bytes(object_code(text, machine))


def write_library(
    path: Path, functions: Sequence[PrimFunc], machine: HostMachine | None = None, *, contract: bool = False
) -> None:
    """A shared library with the functions, linked by the C compiler of this machine.

    Args:
        path: of the file; the rest as in `write_object`.

    Raises:
        CpuError: as `write_object`; if there is no C compiler, or it refuses.
    """
    compiler = c_compiler()
    if compiler is None:
        raise CpuError(f"a C compiler must be on the path to link a library, one of {', '.join(COMPILERS)}")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code.o"
        write_object(code, functions, machine, contract=contract)
        # Threads of the pool run in the library's code: it must stay when its handle is closed.
        options = ["-shared", "-Wl,-z,nodelete", "-Wl,-z,noexecstack", *LIBRARIES]
        command = [compiler, "-o", str(path), str(code), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CpuError(f"{compiler} must link {path.name}, and did not: {done.stderr.strip()}")


def c_compiler() -> str | None:
    """The first C compiler on the path."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def with_runtime(text: str) -> str:
    """LLVM text with a pool of its own for its parallel loops, and memory for its buffers, if it has such."""
    module = llvm.parse_assembly(text)
    for functions, own in (
        ((POOL_FUNCTION,), pool_text()),
        ((ALLOCATE_FUNCTION, RELEASE_FUNCTION), scratch_text()),
    ):
        if any(f"@{name}" in text or f'@"{name}"' in text for name in functions):
            module.link_in(llvm.parse_assembly(own))
            # Each library keeps them to itself.
            for name in functions:
                module.get_function(name).linkage = "internal"
    return str(module)
