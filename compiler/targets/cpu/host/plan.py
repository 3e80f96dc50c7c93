"""The plan of a function with known sizes: kernels and operators with regions, and memory for all values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.reduce import Reduce, identity
from tilewright.compiler.ops.primitive.window import ReduceWindow
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.host.anchor import Anchor, anchor_of
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView, Order, carried, plain
from tilewright.compiler.targets.cpu.host.check import check_kernel, demand_of
from tilewright.compiler.targets.cpu.host.express import is_expressible
from tilewright.compiler.targets.cpu.host.fusion import REDUCTIONS, Fusion
from tilewright.compiler.targets.cpu.host.kernel import Argument, Code, Compiler, KernelBuilder
from tilewright.compiler.targets.cpu.host.rows import RowFinder, rows_kernel
from tilewright.compiler.targets.cpu.host.template import (
    IRREGULAR,
    KernelSpec,
    Reader,
    element_kernel,
    irregular_kernel,
    map_kernel,
    reduction_kernel,
)
from tilewright.compiler.targets.cpu.operator.layout import ALIGNMENT_BYTES
from tilewright.compiler.targets.memory_plan import TensorLiveRange, plan_memory
from tilewright.compiler.te import cast
from tilewright.compiler.tir.expr import Const
from tilewright.numerics.progress import share_of

ARENA, FLAGS = "arena", "flags"
"""The buffer that others lie in, and that of what checks found: an int32 each."""


@dataclass(frozen=True)
class KernelStep:
    """A call of a kernel.

    Members:
        code: of the kernel.
        arguments: memory for each of its parameters.
    """

    code: Code
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class RegionStep:
    """An operator that runs functions, or is run by numpy.

    Members:
        equation: the operator and its values.
        operands, results: the memory of each.
    """

    equation: Equation
    operands: tuple[BufferView, ...]
    results: tuple[BufferView, ...]


Step = KernelStep | RegionStep


@dataclass
class Plan:
    """Steps in order, and memory.

    Members:
        function: of primitives, all sizes known.
        steps: in their order.
        constants: arrays by buffer.
        offsets: of buffers in the arena, bytes.
        arena_bytes: of all of them.
        demands: the condition of each int32 of the buffer of flags, which is not 0 where it was broken.
    """

    function: Function
    steps: list[Step]
    constants: dict[str, Array]
    offsets: dict[str, int]
    arena_bytes: int
    demands: list[str]


def plan(function: Function, compiler: Compiler) -> Plan:
    """The plan of a function of primitives (`prepare.prepared`) whose sizes are all known."""
    return _Planner(function, compiler).plan()


@dataclass
class _Planner:
    function: Function
    compiler: Compiler
    views: dict[Value, BufferView] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    copies: dict[tuple[Value, Order], BufferView] = field(default_factory=dict)
    demands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fusion = Fusion(self.function)
        self.strict = self._strict()
        self.result_buffers = self._result_buffers()
        self.rows = RowFinder(self.fusion, self.strict).all()
        self.in_rows = {value for rows in self.rows.values() for value in rows.members}

    def plan(self) -> Plan:
        for position, value in enumerate(self.function.parameters):
            self.views[value] = BufferView(f"parameter{position}", value.type, plain(value.type.rank))
        share = share_of(self.compiler.progress, "preparing code for the CPU")
        for number, equation in enumerate(self.function.equations):
            share(number, len(self.function.equations))
            try:
                self._equation(equation)
            except CpuError as error:
                raise CpuError(f"{equation.label} ({equation.operator.name}): {error}") from error
        for position, value in enumerate(self.function.results):
            self._result(f"result{position}", value)
        offsets, arena_bytes = self._memory()
        accessed = {name for step in self.steps for name in _accessed(step)}
        constants = {name: array for name, array in self.constants.items() if name in accessed}
        return Plan(self.function, self.steps, constants, offsets, arena_bytes, self.demands)

    # --- where values lie -------------------------------------------------------------------------------

    def _strict(self) -> set[Value]:
        """Values whose axes must lie in their own order."""
        found = {*self.function.results, *self.fusion.aliases, *self.fusion.aliases.values()}
        for equation in self.function.equations:
            if not is_expressible(equation.operator) and not isinstance(equation.operator, REDUCTIONS):
                found |= {*equation.operands, *equation.results}
        return found

    def _result_buffers(self) -> dict[Value, str]:
        """Values that are computed where a result of the function is wanted."""
        found: dict[Value, str] = {}
        for position, value in enumerate(self.function.results):
            own = self._own(value)
            equation = self.function.producers.get(own)
            if own not in found and equation is not None and not isinstance(equation.operator, Constant):
                found[own] = f"result{position}"
        return found

    def _own(self, value: Value) -> Value:
        """The value whose memory this one is."""
        while value in self.fusion.aliases:
            value = self.fusion.aliases[value]
        return value

    def _allocate(self, value: Value, order: Order) -> BufferView:
        """Allocate memory for a value that is computed now."""
        return BufferView(
            self.result_buffers.get(value) or self._buffer(value.type.size_bytes), value.type, order
        )

    def _buffer(self, size_bytes: int) -> str:
        name = f"b{len(self.sizes)}"
        self.sizes[name] = size_bytes
        return name

    def _constant(self, array: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants[name] = array
        return name

    # --- steps ------------------------------------------------------------------------------------------

    def _equation(self, equation: Equation) -> None:
        self._check(equation)
        operator = equation.operator
        value = equation.results[0] if equation.results else None
        if isinstance(operator, Constant):
            assert value is not None
            if value in self.fusion.materialised:
                name = self._constant(np.ascontiguousarray(operator.value.array))
                self.views[value] = BufferView(name, value.type, plain(value.type.rank))
        elif value in self.fusion.aliases:
            assert value is not None
            view = self.views[self.fusion.aliases[value]]
            self.views[value] = BufferView(view.buffer, value.type, plain(value.type.rank))
        elif not is_expressible(operator) and not isinstance(operator, REDUCTIONS + IRREGULAR):
            # It runs functions, or has no compiled form: numpy computes it.
            self._region(equation)
        elif value is not None and value in self.fusion.materialised:
            self._root(equation, value)

    def _check(self, equation: Equation) -> None:
        """A flag for the condition on elements: it is reported after the run, and does no harm before."""
        demand = demand_of(equation, self.function)
        if demand:
            spec = check_kernel(self._reader(), equation)
            code = self._code(spec)
            flag = Argument(FLAGS, 4 * len(self.demands))
            self.steps.append(KernelStep(code, (*spec.arguments, flag)))
            self.demands.append(demand)

    def _region(self, equation: Equation) -> None:
        for value in equation.results:
            self.views[value] = self._allocate(value, plain(value.type.rank))
        operands = tuple(self.views[value] for value in equation.operands)
        results = tuple(self.views[value] for value in equation.results)
        self.steps.append(RegionStep(equation, operands, results))

    def _root(self, equation: Equation, value: Value) -> None:
        if 0 in value.type.numbers:
            self.views[value] = self._allocate(value, plain(value.type.rank))
            return
        if value in self.in_rows:
            return
        if value in self.rows:
            result = self._allocate(value, plain(value.type.rank))
            self._kernel(rows_kernel(self._reader(), self.fusion, self.rows[value], result), result)
            self.views[value] = result
            return
        reduced = self.fusion.reductions.get(
            value, value if isinstance(equation.operator, REDUCTIONS) else None
        )
        if reduced is not None:
            self._reduction(self.function.producers[reduced], value)
        elif is_expressible(equation.operator):
            result = self._allocate(value, self._order_of(value))
            self._kernel(map_kernel(self._reader(), value, result), result)
            self.views[value] = result
        else:
            result = self._allocate(value, plain(value.type.rank))
            if any(0 in operand.type.numbers for operand in equation.operands):
                # Nothing is scattered.
                self._kernel(map_kernel(self._reader(), equation.operands[0], result), result)
            else:
                self._kernel(irregular_kernel(self._reader(), equation), result)
            self.views[value] = result

    def _reduction(self, reduction: Equation, value: Value) -> None:
        if _is_empty(reduction):
            self._filled(reduction, value)
            return
        anchor = anchor_of(reduction, self.compiler.machine, self.function, self.compiler.schedules)
        if anchor is not None and self._anchor(anchor, value):
            return
        shape = reduction.result.type.numbers
        order = self._reduction_order(reduction)
        natural = carried(order, shape, value.type.numbers)
        axes = tuple(axis for axis in order if shape[axis] != 1)
        result = self._target(value, natural)
        self._kernel(reduction_kernel(self._reader(), reduction, value, result, axes), result)
        self._settled(value, result)

    def _reduction_order(self, reduction: Equation) -> Order:
        x, rank = reduction.operands[0], reduction.result.type.rank
        if isinstance(reduction.operator, ReduceWindow) and x in self.views:
            return self.views[x].order
        return plain(rank)

    def _anchor(self, anchor: Anchor, value: Value) -> bool:
        """The reduction by a micro-kernel; False if that cannot be."""
        reduction = anchor.reduction
        spec = anchor.kernel(self.views, value)
        weights = self._weights(anchor) if len(reduction.operands) > 1 else []
        if spec is None or weights is None:
            return False
        source = self._in_order(*anchor.source, signed=not anchor.sizes.is_float)
        result = self._target(value, carried(anchor.order, reduction.result.type.numbers, value.type.numbers))
        code = self._code(spec)
        for sample in range(anchor.samples):
            arguments = anchor.arguments(spec, source, weights, result, sample)
            self.steps.append(KernelStep(code, tuple(arguments)))
        self._settled(value, result)
        return True

    def _weights(self, anchor: Anchor) -> list[Argument] | None:
        """The weights as the kernel reads them: packed now, or in each run; None if that is not worth it."""
        view = self.views[anchor.reduction.operands[1]]
        if view.buffer in self.constants:
            array = self.constants[view.buffer].reshape(view.type.numbers)
            made = [anchor.packed(array), anchor.starts(array)]
            return [self._stepped(self._constant(each), each, anchor) for each in made if each is not None]
        if not anchor.can_pack:
            return None
        reader = self._reader()
        shape, element = anchor.packing(reader)
        buffer = self._buffer(4 * prod(shape))
        spec = element_kernel(reader.builder, shape, element)
        self._kernel(spec, BufferView(buffer, view.type, view.order))
        step_bytes = 4 * prod(shape[1:]) if isinstance(anchor.reduction.operator, Dot) else 0
        return [Argument(buffer, 0, step_bytes)]

    def _stepped(self, buffer: str, array: Array, anchor: Anchor) -> Argument:
        """Weights: those of products have a part for each sample."""
        step_bytes = array[0].nbytes if isinstance(anchor.reduction.operator, Dot) else 0
        return Argument(buffer, 0, step_bytes)

    def _filled(self, reduction: Equation, value: Value) -> None:
        """A reduction of no elements: the value is computed of the identity."""
        operator, dtype = reduction.operator, reduction.result.type.dtype
        function = operator.function if isinstance(operator, Reduce) else "sum"
        reader = self._reader()
        reader.fixed[reduction.result] = lambda _: Const(identity(function, dtype).item(), dtype)
        result = self._allocate(value, plain(value.type.rank))
        self._kernel(map_kernel(reader, value, result), result)
        self.views[value] = result

    def _target(self, value: Value, natural: Order) -> BufferView:
        """The memory that a kernel with an order of its own stores to."""
        wanted = BufferView("", value.type, plain(value.type.rank))
        if value in self.strict and not wanted.is_in(natural):
            return BufferView(self._buffer(value.type.size_bytes), value.type, natural)
        return self._allocate(value, plain(value.type.rank) if wanted.is_in(natural) else natural)

    def _settled(self, value: Value, result: BufferView) -> None:
        """Record where a value lies; a result of the function gets a further kernel that orders its axes."""
        self.views[value] = result
        if value in self.strict and not result.is_in(plain(value.type.rank)):
            final = self._allocate(value, plain(value.type.rank))
            self._kernel(map_kernel(self._reader(), value, final), final)
            self.views[value] = final

    def _in_order(self, value: Value, order: Order, signed: bool = False) -> BufferView:
        """The value with its axes in an order: a copy, unless it lies so; uint8 as int8, less by 128."""
        view = self.views[value]
        is_moved = signed and value.type.dtype is DType.UINT8
        if view.is_in(order) and not is_moved:
            return view
        at = value, order
        if at not in self.copies:
            copy = BufferView(self._buffer(value.type.size_bytes), value.type, order)
            reader = self._reader()
            if is_moved:
                copy = replace(copy, type=value.type.with_dtype(DType.INT8))
                reader.fixed[value] = lambda at: cast(
                    cast(reader.read(view, at), DType.INT32) - 128, DType.INT8
                )
            self._kernel(map_kernel(reader, value, copy), copy)
            self.copies[at] = copy
        return self.copies[at]

    def _order_of(self, value: Value) -> Order:
        """That of a value of the same rank in memory that is read, where this is free."""
        rank = value.type.rank
        if value in self.strict or rank not in (3, 4):
            return plain(rank)
        pending, seen = [value], set[Value]()
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            if each in self.views:
                view = self.views[each]
                if each.type.rank == rank and not view.is_in(plain(rank)):
                    return view.order
            elif each in self.function.producers:
                pending += self.function.producers[each].operands
        return plain(rank)

    def _reader(self) -> Reader:
        return Reader(self.function, self.views, KernelBuilder(), {})

    def _code(self, spec: KernelSpec) -> Code:
        return self.compiler.code(spec.key, spec.make, contract=spec.contract, parallel=spec.parallel)

    def _kernel(self, spec: KernelSpec, result: BufferView) -> None:
        code = self._code(spec)
        self.steps.append(KernelStep(code, (*spec.arguments, Argument(result.buffer))))

    def _result(self, name: str, value: Value) -> None:
        """A result that is a parameter, a constant, or one that was asked for before: copied."""
        view = self.views[value]
        if view.buffer == name or 0 in value.type.numbers:
            return
        target = BufferView(name, value.type, plain(value.type.rank))
        self._kernel(map_kernel(self._reader(), value, target), target)

    # --- memory -----------------------------------------------------------------------------------------

    def _memory(self) -> tuple[dict[str, int], int]:
        if self.demands:
            self.sizes[FLAGS] = 4 * len(self.demands)
        return arena_of(self.steps, self.sizes)


def arena_of(steps: Sequence[Step], sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The offset of each buffer, and the bytes of all together: those of other times share them.

    Args:
        steps: in their order.
        sizes: of buffers, bytes; that of flags is there all the time.
    """
    spans: dict[str, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for name in _accessed(step):
            first, _ = spans.get(name, (number, number))
            spans[name] = first, number
    if FLAGS in sizes:
        spans[FLAGS] = 0, len(steps)
    live_ranges = [
        TensorLiveRange(name, max(size, 1), *spans[name]) for name, size in sizes.items() if name in spans
    ]
    # A buffer that no step accesses has no elements.
    offsets, total = plan_memory(live_ranges, ALIGNMENT_BYTES)
    return {**dict.fromkeys(sizes, 0), **offsets}, total


def _accessed(step: Step) -> Sequence[str]:
    if isinstance(step, KernelStep):
        return [argument.buffer for argument in step.arguments]
    return [view.buffer for view in (*step.operands, *step.results)]


def _is_empty(reduction: Equation) -> bool:
    return any(0 in value.type.numbers for value in reduction.operands)
