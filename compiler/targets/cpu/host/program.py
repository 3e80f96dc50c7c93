"""Compiled functions: plans run on arrays, and functions whose sizes only data tell, part by part."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Module
from tilewright.compiler.ir.interpret import Bindings, bind
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ops.primitive.control import Scan
from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView
from tilewright.compiler.targets.cpu.host.kernel import Compiler, StepRunner
from tilewright.compiler.targets.cpu.host.plan import ARENA, FLAGS, KernelStep, Plan, RegionStep, plan
from tilewright.compiler.targets.cpu.host.prepare import prepared
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_schedule import NO_SCHEDULES, Schedules
from tilewright.compiler.targets.cpu.operator.layout import aligned_empty
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress, share_of, unheard


def compile_host(
    function: Function | Module,
    machine: HostMachine | None = None,
    store: ObjectStore | None = None,
    progress: Progress = unheard,
    schedules: Schedules = NO_SCHEDULES,
    *,
    parallel: bool = True,
) -> "HostProgram":
    """A function as machine code of this machine; results equal those of `ir.interpret.run`.

    Integers have the same bits, and floats where sums are exact. Sums of floats are added in float64, those
    of convolutions and products of matrices in float32.

    Args:
        function: of any operators, or a module, whose main function is compiled. One with known sizes is
            compiled now; another one when it is first run with arrays of some sizes.
        machine: one whose code this machine runs; None for this one.
        store: machine code that is carried along, and gets all that is used; None: the disk alone.
        progress: is told what is compiled.
        schedules: of convolutions and products of matrices, in the place of defaults.
        parallel: whether all processors of the machine share large kernels; else one thread does all.

    Raises:
        CpuError: if the sizes or the machine do not allow a schedule.
    """
    module = function if isinstance(function, Module) else Module.of(function)
    main = function.main if isinstance(function, Module) else function
    compiler = Compiler(machine or HostMachine.host(), store, schedules, parallel=parallel)
    return HostProgram(module, main, compiler, progress)


class HostProgram:
    """A compiled function.

    Args:
        module: functions that can be called.
        main: the function.
        compiler: of its kernels.
        progress: as in `compile_host`.
    """

    def __init__(
        self, module: Module, main: Function, compiler: Compiler, progress: Progress = unheard
    ) -> None:
        self._context = _Context(module, compiler)
        self.tell(progress)
        self._depth = main.depth
        self._main = self._context.function(main)
        if all(value.type.is_known for value in main.parameters):
            deeply(self._depth, lambda: self._main.specialised({}))

    def tell(self, progress: Progress) -> None:
        """From now on, this is told of what is compiled."""
        self._context.compiler.progress = progress

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """The results.

        Args:
            arrays: one for each parameter, of its element type and shape; equal sizes must be equal numbers.

        Raises:
            EvaluationError: if arrays and parameters do not fit, or indices lie outside.
        """
        return deeply(self._depth, lambda: self._main.run(*arrays))

    def prepare_for(self, *arrays: Array) -> Callable[[], tuple[Array, ...]]:
        """Compile it for arrays of such sizes; gives the run on them.

        Raises:
            EvaluationError: as `run`, if they do not fit the parameters.
        """
        form = deeply(self._depth, lambda: self._main.form(*arrays))
        return lambda: deeply(self._depth, lambda: form.run(*arrays))

    def prepare(self, sizes: Mapping[str, int]) -> None:
        """Compile it for these numbers of its sizes, before it is run with them."""
        deeply(self._depth, lambda: self._main.specialised(dict(sizes)))

    @property
    def kernels(self) -> int:
        """The number of different kernels compiled so far."""
        return self._context.compiler.kernels

    @property
    def compiled(self) -> int:
        """The number of those that were not in the cache."""
        return self._context.compiler.compiled


class _Context:
    """The state that the functions of a program share."""

    def __init__(self, module: Module, compiler: Compiler) -> None:
        self.module, self.compiler = module, compiler
        self.runner = StepRunner(compiler)
        self._functions: dict[int, tuple[Function, HostFunction]] = {}

    def function(self, function: Function) -> "HostFunction":
        """The compiled form of a function or region, made once."""
        if id(function) not in self._functions:
            self._functions[id(function)] = function, HostFunction(self, function)
        return self._functions[id(function)][1]


class HostFunction:
    """A function of any sizes; one compiled form is kept for each set of them."""

    def __init__(self, context: _Context, function: Function) -> None:
        self._context, self._function = context, function
        self._forms: dict[tuple[tuple[str, Any], ...], StaticProgram | SplitProgram] = {}

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """The results on arrays."""
        return self.form(*arrays).run(*arrays)

    def form(self, *arrays: Array) -> "StaticProgram | SplitProgram":
        """The form for arrays of such sizes."""
        parameters = self._function.parameters
        if len(arrays) != len(parameters):
            raise EvaluationError(
                f"{self._function.name!r} must be given {len(parameters)} arrays, not {len(arrays)}"
            )
        bindings: Bindings = {}
        bind(parameters, arrays, bindings, f"a parameter of {self._function.name!r}")
        return self.specialised(bindings)

    def specialised(self, bindings: Bindings) -> "StaticProgram | SplitProgram":
        """The form for these sizes."""
        key = tuple(sorted(bindings.items()))
        if key not in self._forms:
            numbers = {name: size for name, size in bindings.items() if isinstance(size, int)}
            function = prepared(specialise(self._function, numbers))
            self._forms[key] = _form(self._context, function)
        return self._forms[key]


def program_of(made: Plan, compiler: Compiler) -> "StaticProgram":
    """A plan of kernels alone, as a program."""
    return StaticProgram(_Context(Module.of(made.function), compiler), made)


def _form(context: _Context, function: Function) -> "StaticProgram | SplitProgram":
    for position, equation in enumerate(function.equations):
        if not all(value.type.is_known for value in equation.results):
            return SplitProgram(context, function, position)
    return StaticProgram(context, plan(function, context.compiler))


class SplitProgram:
    """A function in which an equation shows a size first, as three: before, the equation, and behind."""

    def __init__(self, context: _Context, function: Function, position: int) -> None:
        self._context, self._equation = context, function.equations[position]
        before, behind = function.equations[:position], function.equations[position + 1 :]
        later = {value for equation in behind for value in equation.operands} | set(function.results)
        known = [*function.parameters, *(value for each in before for value in each.results)]
        live = [value for value in known if value in later]
        handed = (*self._equation.operands, *live)
        name = function.name
        self._count = len(self._equation.operands)
        self._head = StaticProgram(
            context, plan(Function(name, function.parameters, before, handed), context.compiler)
        )
        rest = Function(name, (*live, *self._equation.results), behind, function.results)
        self._rest = HostFunction(context, rest)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """The results on arrays."""
        handed = self._head.run(*arrays)
        results = applied(self._context, self._equation, handed[: self._count])
        return self._rest.run(*handed[self._count :], *results)


def applied(context: _Context, equation: Equation, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """An operator that runs functions, on arrays."""
    operator = equation.operator
    try:
        if isinstance(operator, Call):
            return context.function(context.module.functions[operator.function]).run(*arrays)
        return operator.run_regions(lambda region, given: context.function(region).run(*given), *arrays)
    except TilewrightError as error:
        raise EvaluationError(f"{equation.label} ({operator.name}): {error}") from error


@dataclass
class _Execution:
    """The memory of one execution; recursion has several at a time."""

    arena: Array
    bases: Array
    pointers: Array
    table: Array


class StaticProgram:
    """A plan, run on arrays or on addresses."""

    def __init__(self, context: _Context, made: Plan) -> None:
        self._context, self._plan = context, made
        self._slots: dict[str, int] = {ARENA: 0}
        function = made.function
        self.parameters, self.results = function.parameters, function.results
        for kind, values in (("parameter", self.parameters), ("result", self.results)):
            for position in range(len(values)):
                self._slots[f"{kind}{position}"] = len(self._slots)
        first = len(self._slots)
        for name in made.constants:
            self._slots[name] = len(self._slots)
        self._constants = np.array([a.ctypes.data for a in made.constants.values()], np.int64)
        self._first = first
        kernels = [step for step in made.steps if isinstance(step, KernelStep)]
        slots = [self._at(a.buffer, a.offset_bytes) for step in kernels for a in step.arguments]
        self._origins = np.array([slot for slot, _ in slots], np.int64)
        self._offsets = np.array([offset for _, offset in slots], np.int64)
        self._starts = np.cumsum([0, *(len(step.arguments) for step in kernels)])[:-1].astype(np.int64)
        self._codes = np.zeros(len(kernels), np.int64)
        share = share_of(context.compiler.progress, "compiling for the CPU")
        for number, step in enumerate(kernels):
            share(number, len(kernels))
            # Waits until it is compiled.
            self._codes[number] = step.code.address
        self._segments = self._segmented()
        self._executions: list[_Execution] = []

    def _at(self, buffer: str, offset_bytes: int) -> tuple[int, int]:
        if buffer in self._slots:
            return self._slots[buffer], offset_bytes
        return 0, self._plan.offsets[buffer] + offset_bytes

    def _segmented(self) -> list[tuple[int, int] | RegionStep]:
        """Ranges of kernels, and what is between."""
        segments: list[tuple[int, int] | RegionStep] = []
        begin = end = 0
        for step in self._plan.steps:
            if isinstance(step, KernelStep):
                end += 1
                continue
            if end > begin:
                segments.append((begin, end))
            segments.append(step)
            begin = end
        return [*segments, (begin, end)] if end > begin else segments

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """The results on arrays of the parameters' types."""
        given = [each if each.flags.carray else np.require(each, requirements=("C", "A")) for each in arrays]
        results = tuple(aligned_empty(value.type.numbers, value.type.dtype.numpy) for value in self.results)
        self.execute([array.ctypes.data for array in (*given, *results)])
        return results

    def execute(self, addresses: Sequence[int] | Array) -> None:
        """The results, stored where they are wanted.

        Args:
            addresses: of parameters and results, each dense, none of the results overlapping another array.
        """
        execution = self._executions.pop() if self._executions else self._new_execution()
        execution.bases[1 : self._first] = addresses
        np.take(execution.bases, self._origins, out=execution.pointers)
        execution.pointers += self._offsets
        table = execution.table.ctypes.data
        for segment in self._segments:
            if isinstance(segment, RegionStep):
                self._region(segment, execution)
            else:
                self._context.runner.execute(table, *segment)
        self._executions.append(execution)
        self._check(execution)

    def _check(self, execution: _Execution) -> None:
        demands = self._plan.demands
        if demands:
            start = self._plan.offsets[FLAGS]
            flags = execution.arena[start : start + 4 * len(demands)].view(np.int32)
            if flags.any():
                raise EvaluationError(demands[int(flags.argmax())])

    def _new_execution(self) -> _Execution:
        arena = aligned_empty((max(self._plan.arena_bytes, 1),), np.uint8)
        bases = np.zeros(len(self._slots), np.int64)
        bases[0], bases[self._first :] = arena.ctypes.data, self._constants
        pointers = np.zeros(len(self._origins), np.int64)
        table = np.empty((len(self._codes), 2), np.int64)
        table[:, 0], table[:, 1] = self._codes, pointers.ctypes.data + 8 * self._starts
        return _Execution(arena, bases, pointers, table)

    def _address(self, view: BufferView, execution: _Execution) -> int:
        slot, offset = self._at(view.buffer, 0)
        return int(execution.bases[slot]) + offset

    def _region(self, step: RegionStep, execution: _Execution) -> None:
        operator = step.equation.operator
        if isinstance(operator, Scan) and self._scan(step, operator, execution):
            return
        arrays = [array_at(self._address(view, execution), view) for view in step.operands]
        results = applied(self._context, step.equation, arrays)
        for view, result in zip(step.results, results, strict=True):
            array_at(self._address(view, execution), view)[...] = result

    def _scan(self, step: RegionStep, operator: Scan, execution: _Execution) -> bool:
        """A scan on addresses: slices and outputs move, carried values swap buffers. False if it cannot."""
        body = self._context.function(operator.body).specialised({})
        if not isinstance(body, StaticProgram):
            return False
        first, carried = operator.captured, operator.captured + operator.carried
        given = [self._address(view, execution) for view in step.operands]
        wanted = [self._address(view, execution) for view in step.results]
        length = step.operands[carried].type.numbers[0]
        states = [
            _CarriedValue(view, at)
            for view, at in zip(step.operands[first:carried], given[first:], strict=False)
        ]
        moving = [value.type.size_bytes for value in body.parameters[carried:]]
        stacked = [value.type.size_bytes for value in body.results[operator.carried :]]
        strides = np.array([*[0] * carried, *moving, *[0] * len(states), *stacked], np.int64)
        addresses = [
            np.array(
                [
                    *given[:first],
                    *(state.addresses[parity] for state in states),
                    *given[carried:],
                    *(state.addresses[1 - parity] for state in states),
                    *wanted[operator.carried :],
                ],
                np.int64,
            )
            for parity in range(2)
        ]
        for number, t in enumerate(range(length - 1, -1, -1) if operator.reverse else range(length)):
            body.execute(addresses[number % 2] + t * strides)
        for state, at in zip(states, wanted, strict=False):
            ctypes.memmove(at, state.addresses[length % 2], state.size_bytes)
        return True


class _CarriedValue:
    """A carried value in two buffers, which swap after each step: one is read, the other is written.

    Args:
        view: of the first one.
        address: of that.
    """

    def __init__(self, view: BufferView, address: int) -> None:
        self.size_bytes = view.type.size_bytes
        self._memory = [aligned_empty((max(self.size_bytes, 1),), np.uint8) for _ in range(2)]
        self.addresses = [each.ctypes.data for each in self._memory]
        ctypes.memmove(self.addresses[0], address, self.size_bytes)


def array_at(address: int, view: BufferView) -> Array:
    """The array of a value in memory, without a copy."""
    if view.type.size_bytes == 0:
        return np.empty(view.type.numbers, view.dtype.numpy)
    memory = (ctypes.c_uint8 * view.type.size_bytes).from_address(address)
    return np.asarray(memory).view(view.dtype.numpy).reshape(view.type.numbers)
