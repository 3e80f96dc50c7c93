"""Kernels under construction: stages over canonical inputs, identified by their text; and machine code."""

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from llvmlite import binding as llvm
from llvmlite import ir

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.machine import HostMachine, load_code, object_code
from tilewright.compiler.targets.cpu.operator.convolution_schedule import NO_SCHEDULES, Schedules
from tilewright.compiler.targets.cpu.pool import install_pool
from tilewright.compiler.targets.cpu.scratch import install_scratch
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, POINTER
from tilewright.compiler.te import Tensor, placeholder
from tilewright.compiler.te.reduction import ReductionResult
from tilewright.compiler.te.stage import buffers_of
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.numerics.progress import Progress, unheard

ENTRY = "entry"
_ROOM = Path(__file__).resolve().parents[3]
_SOURCES = ("targets/cpu", "te", "tir", "schedule", "../numerics")


@dataclass(frozen=True)
class Argument:
    """Memory that a kernel is given.

    Members:
        buffer: its name in the plan.
        offset_bytes: from its beginning.
        step_bytes: from one sample to the next, where a kernel is called for each.
    """

    buffer: str
    offset_bytes: int = 0
    step_bytes: int = 0


@dataclass
class KernelBuilder:
    """A kernel while it is put together.

    Members:
        given: the buffers that it reads, each with its placeholder, in order.
        key: all that the loops depend on, without names.
    """

    given: dict[object, tuple[Argument, Tensor]] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)

    def source(self, argument: Argument, shape: Sequence[int], dtype: DType) -> Tensor:
        """The placeholder of a buffer, or of a part of it.

        Raises:
            CpuError: if it has no element to be read.
        """
        if 0 in shape:
            raise CpuError(f"it must read from a value that has elements, not {dtype}{list(shape)}")
        at = argument, tuple(shape), dtype
        if at not in self.given:
            name = f"in{len(self.given)}"
            self.given[at] = argument, placeholder(shape, dtype, name)
            self.key.append(f"{name}: {dtype}{list(shape)}")
        return self.given[at][1]

    @property
    def arguments(self) -> list[Argument]:
        """The buffers that it reads, in the order of its parameters."""
        return [argument for argument, _ in self.given.values()]

    @property
    def inputs(self) -> list[Tensor]:
        """The placeholders."""
        return [tensor for _, tensor in self.given.values()]

    def stage(self, name: str, shape: Sequence[int], element: Callable[..., Expr]) -> Tensor:
        """A tensor whose element is a function of its indices; a reduction may be the whole of it."""
        axes = tuple(Var(f"i{number}") for number in range(len(shape)))
        value = element(*axes)
        reduction = value.reduction if isinstance(value, ReductionResult) else None
        values = (value,) if reduction is None else reduction.values
        self.key.append(f"{name}{list(shape)} = {stage_text(values)}")
        if reduction is not None:
            axes_text = ", ".join(f"{axis.name} < {axis.extent}" for axis in reduction.axes)
            self.key.append(f"{reduction.op} over {axes_text} from {stage_text(reduction.init)}")
        buffers = buffers_of(name, [(tuple(shape), value.dtype)], several=False)
        return ComputeOp(name, buffers, axes, values, reduction).tensors[0]


def stage_text(values: Sequence[Expr]) -> str:
    """Expressions with their types, as far as these do not follow."""
    return "; ".join(f"{value.dtype} {print_expr(value)}" for value in values)


class Code:
    """Machine code in this process, `entry(pointers)`.

    Args:
        make: gives the object file, perhaps after a while.
        machine: it is for.
    """

    def __init__(self, make: Callable[[], bytes], machine: HostMachine) -> None:
        self._make, self._machine = make, machine

    @cached_property
    def address(self) -> int:
        """Of the entry; stays there as long as this object does."""
        return int(self._engine.get_function_address(ENTRY))

    @cached_property
    def _engine(self) -> llvm.ExecutionEngine:
        return load_code(self._make(), self._machine)


@cache
def _worker() -> ThreadPoolExecutor:
    """The thread in which LLVM runs, while this one makes the text of the next kernel."""
    return ThreadPoolExecutor(1, "llvm")


class Compiler:
    """Compiles kernels for a machine; each text once.

    Args:
        machine: one whose code this machine runs.
        store: asked before the cache on disk, and given all code that is used; None: only the disk.
        schedules: of convolutions and products of matrices, in the place of defaults.
        parallel: whether kernels may share threads at all.

    Members:
        kernels: the number of different kernels.
        compiled: the number of kernels that were neither in the store nor in the cache on disk.
        progress: is called with each step of the work.
    """

    def __init__(
        self,
        machine: HostMachine,
        store: ObjectStore | None = None,
        schedules: Schedules = NO_SCHEDULES,
        *,
        parallel: bool = True,
    ) -> None:
        self.machine, self.schedules, self._parallel = machine, schedules, parallel
        self.store = ObjectStore() if store is None else store
        self.compiled = 0
        self.progress: Progress = unheard
        self._codes: dict[str, Code] = {}

    @property
    def kernels(self) -> int:
        """The number of different kernels."""
        return len(self._codes)

    def code(
        self, key: str, make: Callable[[], PrimFunc], *, contract: bool = False, parallel: bool = True
    ) -> Code:
        """The machine code of a kernel, whose loops are made only where they are needed.

        Args:
            key: text of all that the loops depend on.
            make: the loops.
            contract: whether a product and a sum of floats may be rounded once.
            parallel: whether parallel loops run on several threads.
        """
        if key not in self._codes:
            install_pool(self.store)
            install_scratch(self.store)
            make_object = self._object(key, make, contract, parallel and self._parallel)
            self._codes[key] = Code(make_object, self.machine)
        return self._codes[key]

    def _object(
        self, key: str, make: Callable[[], PrimFunc], contract: bool, parallel: bool
    ) -> Callable[[], bytes]:
        """The object file, which is there or is on its way."""
        machine, store, names = (
            self.machine,
            self.store,
            (key, f"{contract} {parallel}", _version(), self.machine.key),
        )
        data = store.stored(*names)
        if data is not None:
            return lambda: data
        self.compiled += 1
        text = str(_module(make(), contract, parallel, machine))
        future = _worker().submit(lambda: store.cached(lambda: object_code(text, machine), *names))
        return future.result


def _module(function: PrimFunc, contract: bool, parallel: bool, machine: HostMachine) -> ir.Module:
    """The kernel, and an entry that takes an array of pointers."""
    module = emit_module([function], contract=contract, parallel=parallel, machine=machine)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    pointers = []
    for position in range(len(function.parameters)):
        at = builder.gep(entry.args[0], [ir.Constant(INDEX_TYPE, position)], source_etype=POINTER)
        pointers.append(builder.load(at, typ=POINTER))
    builder.call(module.globals[function.name], pointers)
    builder.ret_void()
    module.globals[function.name].linkage = "internal"
    return module


@cache
def _version() -> str:
    """The version of the compiler: code of another version is not used."""
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_ROOM / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


_LOOP = """
define void @execute(ptr %steps, i64 %begin, i64 %end) {
entry:
  br label %head
head:
  %i = phi i64 [ %begin, %entry ], [ %next, %body ]
  %go = icmp slt i64 %i, %end
  br i1 %go, label %body, label %done
body:
  %step = getelementptr { ptr, ptr }, ptr %steps, i64 %i
  %code = load ptr, ptr %step
  %place = getelementptr { ptr, ptr }, ptr %steps, i64 %i, i32 1
  %arguments = load ptr, ptr %place
  call void %code(ptr %arguments)
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}
"""


class StepRunner:
    """Runs steps one after the other: pairs of code and an array of pointers."""

    def __init__(self, compiler: Compiler) -> None:
        machine = compiler.machine
        code = compiler.store.cached(lambda: object_code(_LOOP, machine), _LOOP, machine.key)
        self._engine = load_code(code, machine)
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.execute = prototype(self._engine.get_function_address("execute"))
