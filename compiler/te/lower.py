"""From tensor expressions to loops: one nest a stage, in the order of the axes."""

from collections.abc import Sequence

from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.reduction import Reduction
from tilewright.compiler.te.tensor import Read, Tensor
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Binary, Const, Expr, Load, Var
from tilewright.compiler.tir.stmt import Allocate, Block, For, Function, Iter, IterKind, Seq, Stmt, Store
from tilewright.compiler.tir.verify import verify
from tilewright.compiler.tir.walk import rewrite, substitute


def lower(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Function:
    """The loop program that computes the outputs.

    Loops are named {stage}_{axis}, blocks and buffers as their stages, indices of blocks v_{stage}_{axis}.
    Stages between are allocated at the root, in global memory.

    Args:
        name: of the function.
        inputs: every placeholder behind the outputs, in the order of the parameters.
        outputs: computed tensors, the parameters behind the inputs.

    Raises:
        TirError: if a placeholder is missing, an output is computed by nothing, or an expression is wrong.
    """
    order = stages((*inputs, *outputs))
    _check(name, order, inputs, outputs)
    computed = [stage for stage in order if stage.body is not None]
    body: Stmt = Seq(tuple(_nest(stage) for stage in computed))
    for stage in reversed(computed):
        if stage not in outputs:
            body = Allocate(stage.buffer, body)
    parameters = tuple(tensor.buffer for tensor in (*inputs, *outputs))
    function = Function(name, parameters, len(outputs), body)
    verify(function)
    return function


def _check(name: str, order: Sequence[Tensor], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    missing = [stage.name for stage in order if stage.body is None and stage not in inputs]
    if missing:
        raise TirError(f"{name}: inputs must hold every placeholder: add {', '.join(missing)}")
    for tensor in inputs:
        if tensor.body is not None:
            raise TirError(f"{name}: input {tensor.name} must be a placeholder: it is computed")
    for tensor in outputs:
        if tensor.body is None:
            raise TirError(f"{name}: output {tensor.name} must be computed: it is a placeholder")


def _nest(stage: Tensor) -> Stmt:
    loops = [(axis, extent) for axis, extent in zip(stage.axes, stage.shape, strict=True)]
    loops += [(axis, axis.extent) for axis in stage.reduce_axes]
    stmt: Stmt = _block(stage)
    for axis, extent in reversed(loops):
        stmt = For(_loop(stage, axis), Const(extent), stmt)
    return stmt


def _block(stage: Tensor) -> Block:
    iters = [Iter(_index(stage, axis), IterKind.SPATIAL, _loop(stage, axis)) for axis in stage.axes]
    iters += [Iter(_index(stage, axis), IterKind.REDUCE, _loop(stage, axis)) for axis in stage.reduce_axes]
    at: tuple[Expr, ...] = tuple(_index(stage, axis) for axis in stage.axes)
    value = _element(stage)
    if not isinstance(stage.body, Reduction):
        return Block(stage.name, tuple(iters), Store(stage.buffer, at, value))
    update = Store(stage.buffer, at, Binary(stage.body.op, Load(stage.buffer, at), value))
    return Block(stage.name, tuple(iters), update, Store(stage.buffer, at, stage.body.identity))


def _element(stage: Tensor) -> Expr:
    names: dict[str, Expr] = {axis.name: _index(stage, axis) for axis in (*stage.axes, *stage.reduce_axes)}
    plain = rewrite(stage.element, lambda e: Load(e.buffer, e.indices) if isinstance(e, Read) else e)
    return substitute(plain, names)


def _loop(stage: Tensor, axis: Var) -> Var:
    return Var(f"{stage.name}_{axis.name}")


def _index(stage: Tensor, axis: Var) -> Var:
    return Var(f"v_{stage.name}_{axis.name}")
