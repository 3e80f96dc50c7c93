"""From tensor expressions to loops: a loop nest for each stage, in the order of the axes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tilewright.compiler.te.extern import ExternOp
from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.irregular.hybrid import HybridOp
from tilewright.compiler.te.scan import ScanOp
from tilewright.compiler.te.stage import PlaceholderOp, Read, Stage, Tensor
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr, Var
from tilewright.compiler.tir.reducer import combined
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    Iter,
    IterKind,
    PrimFunc,
    Procedure,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.stmt import Extern as ExternCall
from tilewright.compiler.tir.verify import verify
from tilewright.compiler.tir.walk import rewrite, substitute

Location = Callable[[tuple[Expr, ...]], tuple[Buffer, tuple[Expr, ...]]]
"""The buffer and the indices of an element of a tensor, given its indices in the tensor."""


def lower(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> PrimFunc:
    """The loop program that computes the outputs.

    Loops are named {stage}_{axis}, blocks as their stages, buffers as their tensors, indices of blocks
    v_{stage}_{axis}. Tensors between are allocated at the root, in global memory. A scan is a copy of the
    inits, then a loop over its steps, with what runs at each step inside.

    Args:
        name: of the function.
        inputs: every placeholder behind the outputs, in the order of the parameters.
        outputs: computed tensors, the parameters behind the inputs.

    Raises:
        TirError: if a placeholder is missing, an output is computed by nothing, or an expression is wrong.
    """
    order = stages((*inputs, *outputs))
    _check(name, order, inputs, outputs)
    computed = [stage for stage in order if not isinstance(stage, PlaceholderOp)]
    nests = tuple(nest for stage in computed for nest in _loop_nests(stage))
    body: Stmt = nests[0] if len(nests) == 1 else Seq(nests)
    for stage in reversed(computed):
        for tensor in reversed(stage.tensors):
            if tensor not in outputs:
                body = Allocate(tensor.buffer, body)
    parameters = tuple(tensor.buffer for tensor in (*inputs, *outputs))
    function = PrimFunc(name, parameters, len(outputs), body)
    verify(function)
    return function


def _check(name: str, order: Sequence[Stage], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    given = {tensor.stage for tensor in inputs}
    missing = [stage.name for stage in order if isinstance(stage, PlaceholderOp) and stage not in given]
    if missing:
        raise TirError(f"{name}: inputs must hold every placeholder: add {', '.join(missing)}")
    for tensor in inputs:
        if not isinstance(tensor.stage, PlaceholderOp):
            raise TirError(f"{name}: input {tensor.name} must be a placeholder: it is computed")
    for tensor in outputs:
        if isinstance(tensor.stage, PlaceholderOp):
            raise TirError(f"{name}: output {tensor.name} must be computed: it is a placeholder")


def _loop_nests(stage: Stage) -> tuple[Stmt, ...]:
    match stage:
        case ComputeOp():
            return (_LoopNest(stage).stmt(),)
        case ScanOp():
            return _scan(stage)
        case HybridOp(body=body):
            read = tuple(tensor.buffer for tensor in stage.inputs)
            return (Procedure(stage.name, read, stage.buffers, body),)
        case ExternOp(sources=sources, function=function):
            read = tuple(tensor.buffer for tensor in sources)
            return (ExternCall(stage.name, read, stage.buffers, function),)
        case _:
            raise TypeError(f"stage must be one that computes, not {stage!r}")


@dataclass(frozen=True)
class _LoopNest:
    """The loops of a compute.

    Members:
        stage: the compute.
        locations: of the elements of tensors that have no buffer of their own.
        fixed: values of axes that have no loop.
        order: the kind of these axes.
    """

    stage: ComputeOp
    locations: Mapping[Tensor, Location] = field(default_factory=dict)
    fixed: Mapping[str, Expr] = field(default_factory=dict)
    order: IterKind = IterKind.SPATIAL

    def stmt(self) -> Stmt:
        stage = self.stage
        loops = [*zip(stage.axes, stage.shape, strict=True)]
        loops += [(axis, axis.extent) for axis in stage.reduce_axes]
        stmt: Stmt = self._block()
        for axis, extent in reversed(loops):
            if axis.name not in self.fixed:
                stmt = For(_loop(stage, axis), Const(extent), stmt)
        return stmt

    def _block(self) -> Block:
        stage = self.stage
        iters = [self._iter(axis, IterKind.SPATIAL) for axis in stage.axes]
        iters += [self._iter(axis, IterKind.REDUCE) for axis in stage.reduce_axes]
        at: tuple[Expr, ...] = tuple(_index(stage, axis) for axis in stage.axes)
        targets = [self._location(tensor, at) for tensor in stage.tensors]
        values = tuple(self._expr(value) for value in stage.values)
        if stage.reduction is None:
            first, *more = _stores(targets, values)
            return Block(stage.name, tuple(iters), first, more=tuple(more))
        old = tuple(BufferLoad(buffer, indices) for buffer, indices in targets)
        first, *more = _stores(targets, combined(stage.reduction.reducer, old, values))
        init, *more_init = _stores(targets, [self._expr(init) for init in stage.reduction.init])
        reducer = None if stage.reduction.op is not None else stage.reduction.reducer
        return Block(stage.name, tuple(iters), first, init, tuple(more), tuple(more_init), reducer)

    def _iter(self, axis: Var, kind: IterKind) -> Iter:
        if axis.name in self.fixed:
            return Iter(_index(self.stage, axis), self.order, self.fixed[axis.name])
        return Iter(_index(self.stage, axis), kind, _loop(self.stage, axis))

    def _location(self, tensor: Tensor, indices: tuple[Expr, ...]) -> tuple[Buffer, tuple[Expr, ...]]:
        return self.locations[tensor](indices) if tensor in self.locations else (tensor.buffer, indices)

    def _expr(self, expr: Expr) -> Expr:
        stage = self.stage
        names: dict[str, Expr] = {a.name: _index(stage, a) for a in (*stage.axes, *stage.reduce_axes)}

        def plain(node: Expr) -> Expr:
            return BufferLoad(*self._location(node.tensor, node.indices)) if isinstance(node, Read) else node

        return substitute(rewrite(expr, plain), names)


def _stores(
    targets: Sequence[tuple[Buffer, tuple[Expr, ...]]], values: Sequence[Expr]
) -> tuple[BufferStore, ...]:
    return tuple(BufferStore(*target, value) for target, value in zip(targets, values, strict=True))


def _scan(scan: ScanOp) -> tuple[Stmt, ...]:
    time = Var(f"{scan.name}_{scan.inner[-1].axes[0].name}")
    updates = {update.stage for update in scan.updates}
    locations: dict[Tensor, Location] = {}
    between = []
    for stage in scan.inner:
        for tensor in stage.tensors:
            if stage not in updates:
                small = Buffer(tensor.name, (Const(1), *tensor.buffer.shape[1:]), tensor.dtype)
                locations[tensor] = _at_this_step(small)
                between.append(small)
    for tensor, update, state in zip(scan.tensors, scan.updates, scan.states, strict=True):
        locations[update] = locations[state] = _within(tensor.buffer)
    nests = [_step(scan, stage, locations, time, stage in updates) for stage in scan.inner]
    body: Stmt = nests[0] if len(nests) == 1 else Seq(tuple(nests))
    for buffer in reversed(between):
        body = Allocate(buffer, body)
    copies = [_init(*pair) for pair in zip(scan.inits, scan.tensors, strict=True)]
    return (*copies, For(time, Const(scan.steps), body))


def _step(
    scan: ScanOp, stage: ComputeOp, locations: Mapping[Tensor, Location], time: Var, is_update: bool
) -> Stmt:
    kind = IterKind.ORDERED if is_update else IterKind.SPATIAL
    return _LoopNest(stage, locations, {stage.axes[0].name: time + scan.first}, kind).stmt()


def _at_this_step(buffer: Buffer) -> Location:
    return lambda indices: (buffer, (Const(0), *indices[1:]))


def _within(buffer: Buffer) -> Location:
    return lambda indices: (buffer, indices)


def _init(init: Tensor, result: Tensor) -> Stmt:
    """A copy of the first elements."""
    axes = tuple(Var(f"{position}") for position in range(len(init.shape)))
    buffer = Buffer(f"{result.name}_init", init.buffer.shape, init.dtype)
    copy = ComputeOp(buffer.name, (buffer,), axes, (init[axes],), None)
    return _LoopNest(copy, {copy.tensors[0]: _within(result.buffer)}).stmt()


def _loop(stage: ComputeOp, axis: Var) -> Var:
    return Var(f"{stage.name}_{axis.name}")


def _index(stage: ComputeOp, axis: Var) -> Var:
    return Var(f"v_{stage.name}_{axis.name}")
