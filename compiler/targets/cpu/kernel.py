"""Loop programs compiled for this machine and called on numpy arrays."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from numpy.typing import NDArray

from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.codegen import emit_module, shape_of
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.machine import HostMachine, load_code, object_code
from tilewright.compiler.targets.cpu.pool import install_pool
from tilewright.compiler.targets.cpu.scratch import ALLOCATE_FUNCTION, install_scratch
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.printer import print_buffer
from tilewright.compiler.tir.stmt import PrimFunc

Array = NDArray[Any]


class CompiledFunction:
    """A function as machine code of this process.

    Members:
        function: the loop program.
    """

    def __init__(self, function: PrimFunc, engine: llvm.ExecutionEngine) -> None:
        self.function = function
        self._engine = engine
        count = len(function.parameters)
        # Foreign code runs without the lock of the interpreter.
        prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)
        self._entry = prototype(engine.get_function_address(function.name))
        self._inputs = count - function.outputs

    def __call__(self, *arrays: Array) -> None:
        """Run on arrays for all parameters, in their order; those of outputs are written.

        Raises:
            CpuError: if there are not as many, if one is of another type or shape or not dense row by row, or
                if an output cannot be written or overlaps another array.
        """
        self.prepared(*arrays)()

    def prepared(self, *arrays: Array) -> Callable[[], None]:
        """A call on these arrays, checked once: it may be repeated, and the arrays changed between.

        Raises:
            CpuError: as a call.
        """
        parameters = self.function.parameters
        if len(arrays) != len(parameters):
            texts = ", ".join(print_buffer(buffer) for buffer in parameters)
            raise CpuError(f"{self.function.name} must be called with {texts}, not with {len(arrays)} arrays")
        for position, (buffer, array) in enumerate(zip(parameters, arrays, strict=True)):
            _check(buffer, array, is_output=position >= self._inputs)
        for position in range(self._inputs, len(arrays)):
            self._check_apart(position, arrays)
        entry, addresses = self._entry, [array.ctypes.data for array in arrays]

        # Code and arrays stay as long as the call does.
        def call(_kept: object = (self, arrays)) -> None:
            entry(*addresses)

        return call

    def repeat(self, arrays: Sequence[Array], moving: Sequence[bool]) -> None:
        """A call for each sample, unchecked: for callers that made the arrays for this kernel.

        Args:
            arrays: for all parameters, dense; those that move hold an argument for each sample.
            moving: which ones do; the last one, the result, does.
        """
        places = [array.ctypes.data for array in arrays]
        steps = [array[0].nbytes if moves else 0 for array, moves in zip(arrays, moving, strict=True)]
        for _ in range(len(arrays[-1])):
            self._entry(*places)
            places = list(map(add, places, steps))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs, by name, new arrays: as `tir.interpret.run`.

        Raises:
            CpuError: if an array is missing, or as in a call.
        """
        parameters = self.function.parameters
        taken, given = parameters[: self._inputs], parameters[self._inputs :]
        missing = [print_buffer(buffer) for buffer in taken if buffer.name not in inputs]
        if missing:
            raise CpuError(f"inputs must hold {', '.join(missing)}, not only {sorted(inputs)}")
        outputs = {buffer.name: np.empty(shape_of(buffer), buffer.dtype.numpy) for buffer in given}
        self(*[np.ascontiguousarray(inputs[buffer.name]) for buffer in taken], *outputs.values())
        return outputs

    def _check_apart(self, position: int, arrays: tuple[Array, ...]) -> None:
        for other, array in enumerate(arrays):
            if other != position and np.may_share_memory(arrays[position], array):
                names = [self.function.parameters[number].name for number in (position, other)]
                raise CpuError(f"output {names[0]} must not overlap {names[1]}: give it memory of its own")


def compile_function(
    function: PrimFunc,
    *,
    contract: bool = False,
    parallel: bool = True,
    machine: HostMachine | None = None,
    store: ObjectStore | None = None,
    keep: bool = True,
) -> CompiledFunction:
    """A function as machine code for this machine; from the cache if it was compiled before.

    Args:
        function: scheduled in any way.
        contract: whether a product and a sum of floats may be rounded once, which is faster.
        parallel: whether parallel loops run on several threads.
        machine: one whose code this machine runs; None for this one.
        store: machine code that is carried along, and gets what is used; None: the disk alone.
        keep: whether the code is looked up and kept; what is measured once is not.

    Raises:
        CpuError: if the host cannot run it.
        TirError: if it breaks a rule of loop programs.
    """
    machine = HostMachine.host() if machine is None else machine
    text = str(emit_module([function], contract=contract, parallel=parallel, machine=machine))
    store = ObjectStore() if store is None else store

    def produce() -> bytes:
        return object_code(text, machine)

    code = store.cached(produce, text, machine.key) if keep else produce()
    if ALLOCATE_FUNCTION in text:
        install_scratch(store)
    if parallel:
        install_pool(store)
    return CompiledFunction(function, load_code(code, machine))


def _check(buffer: Buffer, array: Array, is_output: bool) -> None:
    what = f"argument {print_buffer(buffer)} must be"
    if not isinstance(array, np.ndarray):
        raise CpuError(f"{what} a numpy array, not {type(array).__name__}")
    if array.dtype != buffer.dtype.numpy or array.shape != shape_of(buffer):
        raise CpuError(f"{what} of this type, not {array.dtype}{list(array.shape)}")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise CpuError(f"{what} dense, row by row: pass numpy.ascontiguousarray({buffer.name})")
    if is_output and not array.flags.writeable:
        raise CpuError(f"{what} writeable: pass a copy")
