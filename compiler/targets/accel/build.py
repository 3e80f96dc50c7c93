"""Builds a program from a loop program of the user's own: the passes of a layer, without a network.

function = schedule.apply(te.lower("product", [a, b], [c]), primitives)
ran = build(function, config).run(device, {"a": a_array, "b": b_array})
ran.outputs["c"], ran.result.cycles
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.program import Program, assemble
from tilewright.compiler.targets.accel.tensorise import limits_of, require_expressions, tensorise
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.printer import print_buffer
from tilewright.compiler.tir.stmt import Allocate, For, PrimFunc, Stmt
from tilewright.compiler.tir.verify import verify
from tilewright.compiler.tir.walk import children, constant
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.isa.fault import Fault
from tilewright.isa.instruction import Instruction
from tilewright.isa.region import Region
from tilewright.isa.register import BASE_REGISTERS
from tilewright.numerics.error import TilewrightError

Array = NDArray[Any]


class BuildError(TilewrightError):
    """A function that the machine cannot run, or arrays that are not its inputs."""


class Result(Protocol):
    """The part of a device's result that a run reads."""

    @property
    def regions(self) -> Mapping[int, bytes]:
        """The bytes behind each base register afterwards."""

    @property
    def fault(self) -> Fault | None:
        """What ended the program, or None."""


R = TypeVar("R", bound=Result)
R_co = TypeVar("R_co", bound=Result, covariant=True)


class ExecutableRunner(Protocol[R_co]):
    """A device that runs executables: the simulator, the gates."""

    def run(self, executable: Executable, regions: Mapping[int, bytes]) -> R_co:
        """Run one on the bytes behind its base registers."""


@dataclass(frozen=True)
class Ran(Generic[R]):
    """One run.

    Members:
        outputs: by name of the parameter, in its shape and type.
        result: the device's: cycles, counters, and when each instruction started and finished.
    """

    outputs: Mapping[str, Array]
    result: R


@dataclass(frozen=True)
class AccelKernel:
    """A function compiled to a program of the accelerator.

    Members:
        function: tensorised.
        program: what the machine runs.
        executable: the same with a region for each buffer outside of the chip, named like it, in the order of
            the parameters; to be saved, or to be run by hand.
    """

    function: PrimFunc
    program: Program
    executable: Executable

    @property
    def config(self) -> Config:
        """The configuration of the machine."""
        return self.executable.config

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The instructions of the program; the last one is finish."""
        return self.program.instructions

    def run(self, device: ExecutableRunner[R], inputs: Mapping[str, ArrayLike]) -> Ran[R]:
        """Run on arrays.

        Args:
            device: of the same configuration.
            inputs: by name of the parameter; shapes and types are those of the function.

        Raises:
            BuildError: if they do not fit the function, or the program ends with a fault.
            LoadError: if the device is for another configuration.
        """
        result = device.run(self.executable, self.regions(inputs))
        if result.fault is not None:
            cause, cycle = result.fault.cause, result.fault.cycle
            text = f"{self.function.name} must run to its end, not to fault {cause.name} in cycle {cycle}"
            raise BuildError(f"{text} at instruction {result.fault.instruction}")
        return Ran(self.outputs(result.regions), result)

    def regions(self, inputs: Mapping[str, ArrayLike]) -> dict[int, bytes]:
        """The bytes behind base registers that hold these inputs.

        Raises:
            BuildError: if one is missing, unknown, or of another shape or type.
        """
        wanted = {buffer.name: buffer for buffer in _inputs(self.function)}
        if wanted.keys() != inputs.keys():
            names = ", ".join(map(print_buffer, wanted.values()))
            raise BuildError(f"inputs of {self.function.name} must be {names}, not {sorted(inputs)}")
        return {
            base: _bytes(buffer, np.asarray(inputs[name]))
            for base, (name, buffer) in enumerate(wanted.items())
        }

    def outputs(self, regions: Mapping[int, bytes]) -> dict[str, Array]:
        """The outputs among the bytes behind base registers."""
        first = len(_inputs(self.function))
        found = {}
        for base, buffer in enumerate(self.function.parameters[first:], first):
            values = np.frombuffer(regions[base], buffer.dtype.numpy, prod(_shape(buffer)))
            found[buffer.name] = values.reshape(_shape(buffer))
        return found


def build(function: PrimFunc, config: Config) -> AccelKernel:
    """The program that does what a function says.

    Args:
        function: scheduled for the machine: what a block reads and writes lies in the memories of its engine,
            and copies bring it there.
        config: the machine.

    Raises:
        TirError: if it breaks a rule of loop programs.
        BuildError: if it has more buffers outside of the chip than there are base registers, or allocates one
            inside of a loop.
        TensoriseError: naming a loop nest that is no instruction, and the first difference; or all stages
            that are no expressions.
        EnumerateError: if more instances of a buffer are in use at a time than its depth.
        AllocationError: if what it keeps on the chip does not fit.
    """
    verify(function)
    require_expressions(function)
    outside = _outside(function)
    tensorised = tensorise(function, limits_of(config))
    addresses = {buffer: (base, 0) for base, buffer in enumerate(outside)}
    sizes = {base: _size_bytes(buffer) for base, buffer in enumerate(outside)}
    program = assemble(enumerated(tensorised, function.name, config), config, addresses, sizes)
    regions = [Region(base, sizes[base], buffer.name) for base, buffer in enumerate(outside)]
    return AccelKernel(tensorised, program, Executable(program.code, config, tuple(regions)))


# --- buffers outside of the chip ---------------------------------------------------------------------------


def _outside(function: PrimFunc) -> tuple[Buffer, ...]:
    """The parameters, and what lies between stages."""
    between = tuple(_between(function.body, None))
    found = (*function.parameters, *between)
    if len(found) > BASE_REGISTERS:
        names = ", ".join(buffer.name for buffer in found)
        raise BuildError(
            f"{function.name} must have at most {BASE_REGISTERS} buffers outside of the chip, one for each "
            f"base register, not {len(found)} ({names}): keep some on the chip, or make one of several"
        )
    return found


def _between(stmt: Stmt, loop: For | None) -> Iterator[Buffer]:
    if isinstance(stmt, Allocate) and stmt.buffer.scope is MemoryScope.GLOBAL:
        if loop is not None:
            raise BuildError(
                f"buffer {stmt.buffer.name!r} must be on the chip inside of loop {loop.var.name!r}, "
                "not in global memory: give it a scope with set_scope"
            )
        yield stmt.buffer
    for child in children(stmt):
        yield from _between(child, stmt if isinstance(stmt, For) else loop)


def _inputs(function: PrimFunc) -> Sequence[Buffer]:
    return function.parameters[: len(function.parameters) - function.outputs]


def _shape(buffer: Buffer) -> tuple[int, ...]:
    extents = tuple(constant(extent) for extent in buffer.shape)
    return tuple(extent for extent in extents if extent is not None)


def _size_bytes(buffer: Buffer) -> int:
    return prod(_shape(buffer)) * buffer.dtype.size_bytes


def _bytes(buffer: Buffer, array: Array) -> bytes:
    if array.dtype != buffer.dtype.numpy or array.shape != _shape(buffer):
        found = f"{array.dtype}{list(array.shape)}"
        raise BuildError(f"input {print_buffer(buffer)} must be of this type and shape, not {found}")
    return np.ascontiguousarray(array).tobytes()
