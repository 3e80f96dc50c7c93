"""Tensors that are given, and those that are computed element by element."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from tilewright.compiler.te.reduction import Elements, ReduceAxis, Reduction, ReductionResult
from tilewright.compiler.te.stage import (
    ElementType,
    PlaceholderOp,
    Read,
    Stage,
    Tensor,
    buffers_of,
    checked_name,
    checked_shape,
    element_type,
)
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.walk import nodes


@dataclass(frozen=True, eq=False)
class ComputeOp(Stage):
    """Elements in terms of their indices.

    Members:
        axes: the variables of an element.
        values: an element of each tensor, or the value that is reduced to it.
        reduction: how the values are reduced; None where they are the elements.
    """

    axes: tuple[Var, ...]
    values: tuple[Expr, ...]
    reduction: Reduction | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each of the tensors."""
        return self.tensors[0].shape

    @property
    def reduce_axes(self) -> tuple[ReduceAxis, ...]:
        """The axes that are reduced."""
        return () if self.reduction is None else self.reduction.axes

    @property
    def exprs(self) -> tuple[Expr, ...]:
        """All expressions in it: the values and what a reduction starts from."""
        return self.values if self.reduction is None else (*self.values, *self.reduction.init)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it reads, each once."""
        found = (node for expr in self.exprs for node in nodes(expr))
        return tuple(dict.fromkeys(node.tensor for node in found if isinstance(node, Read)))


def placeholder(shape: Sequence[int], dtype: ElementType, name: str) -> Tensor:
    """A tensor that is given.

    Raises:
        TirError: if an extent is not positive, tensors have no such type, or the name is no identifier.
    """
    types = [(checked_shape(shape, name), element_type(dtype))]
    return PlaceholderOp(checked_name(name), buffers_of(name, types, several=False)).tensors[0]


@overload
def compute(shape: Sequence[int], function: Callable[..., Expr], name: str) -> Tensor: ...


@overload
def compute(
    shape: Sequence[int], function: Callable[..., tuple[Expr, ...]], name: str
) -> tuple[Tensor, ...]: ...


def compute(
    shape: Sequence[int], function: Callable[..., Elements], name: str
) -> Tensor | tuple[Tensor, ...]:
    """The tensor whose element at (i, j, …) is function(i, j, …).

    Args:
        shape: extents; empty for a single number.
        function: takes as many variables as there are extents; their names are those of its parameters. Where
            it gives a tuple there is a tensor for each of its elements, named {name}_0, {name}_1, ….
        name: of the stage.

    Returns:
        A tensor, or a tuple of them.

    Raises:
        TirError: if the parameters are not as many as the extents, the body reduces somewhere else than at
            its top, or names clash.
    """
    extents = checked_shape(shape, checked_name(name))
    axes = _axes(extents, function, name)
    body = function(*axes)
    several = isinstance(body, tuple)
    bodies = body if isinstance(body, tuple) else (body,)
    for element in bodies:
        if not isinstance(element, Expr):
            raise TypeError(
                f"{name}: the function must give an expression, not {element!r}: use cast() or constant()"
            )
    reduction = _reduction_of(bodies, name)
    buffers = buffers_of(name, [(extents, element.dtype) for element in bodies], several)
    stage = ComputeOp(name, buffers, axes, bodies if reduction is None else reduction.values, reduction)
    _check_body(stage)
    return stage.tensors if several else stage.tensors[0]


def _axes(extents: tuple[int, ...], function: Callable[..., Elements], name: str) -> tuple[Var, ...]:
    parameters = tuple(inspect.signature(function).parameters)
    if len(parameters) != len(extents):
        raise TirError(
            f"{name}: the function of shape {list(extents)} must take {len(extents)} indices, "
            f"not {len(parameters)} ({', '.join(parameters)})"
        )
    return tuple(Var(parameter) for parameter in parameters)


def _reduction_of(bodies: tuple[Expr, ...], name: str) -> Reduction | None:
    """The one reduction that the bodies are the results of; None if none of them is one."""
    reductions = [body.reduction for body in bodies if isinstance(body, ReductionResult)]
    if not reductions:
        return None
    outputs = [body.output for body in bodies if isinstance(body, ReductionResult)]
    whole = all(reduction is reductions[0] for reduction in reductions) and len(reductions[0].values) == len(
        bodies
    )
    if not whole or outputs != list(range(len(bodies))):
        raise TirError(
            f"{name}: a tuple must be all results of one reduction in order, or none: "
            "give each reduction a stage"
        )
    return reductions[0]


def _check_body(stage: ComputeOp) -> None:
    if any(isinstance(node, ReductionResult) for expr in stage.exprs for node in nodes(expr)):
        raise TirError(
            f"{stage.name}: a reduction must be the whole of a compute: give it a stage of its own "
            "and read that"
        )
    known = {axis.name for axis in stage.axes}
    _check_variables(stage.name, () if stage.reduction is None else stage.reduction.init, known)
    for axis in stage.reduce_axes:
        if axis.name in known:
            raise TirError(
                f"{stage.name}: axis name {axis.name!r} must be used once: name the reduced axis anew"
            )
        known.add(axis.name)
    _check_variables(stage.name, stage.values, known)


def _check_variables(name: str, exprs: Sequence[Expr], known: set[str]) -> None:
    for node in (node for expr in exprs for node in nodes(expr)):
        if isinstance(node, Var) and node.name not in known:
            raise TirError(f"{name}: variable {node.name!r} must be one of its axes, {sorted(known)}")
