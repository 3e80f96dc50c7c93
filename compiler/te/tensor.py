"""Tensors: placeholders and what is computed element by element."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tilewright.compiler.dtype import DType
from tilewright.compiler.te.reduction import Axis, Reduction
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Const, Expr, ExprLike, Load, Var, as_expr
from tilewright.compiler.tir.walk import nodes


@dataclass(frozen=True, eq=False)
class Tensor:
    """A placeholder, or the result of `compute`; two are equal only if they are one.

    Members:
        name: of the stage and of its buffer.
        shape: extents.
        dtype: of the elements.
        axes: the variables of an element; empty in a placeholder.
        body: an element in terms of the axes; None in a placeholder.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    axes: tuple[Var, ...] = ()
    body: Expr | None = None
    buffer: Buffer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        extents = tuple(Const(extent) for extent in self.shape)
        object.__setattr__(self, "buffer", Buffer(self.name, extents, self.dtype))

    @property
    def reduce_axes(self) -> tuple[Axis, ...]:
        """The axes that the body folds."""
        return self.body.axes if isinstance(self.body, Reduction) else ()

    @property
    def inputs(self) -> tuple["Tensor", ...]:
        """The tensors that the body reads, each once."""
        if self.body is None:
            return ()
        return tuple(dict.fromkeys(node.tensor for node in nodes(self.element) if isinstance(node, Read)))

    @property
    def element(self) -> Expr:
        """What is computed, or what is folded."""
        assert self.body is not None
        return self.body.value if isinstance(self.body, Reduction) else self.body

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        """An element.

        Raises:
            TirError: if the number of indices is not the rank.
        """
        given = indices if isinstance(indices, tuple) else (indices,)
        if len(given) != len(self.shape):
            raise TirError(
                f"{self.name}{list(self.shape)} must have {len(self.shape)} indices, not {len(given)}"
            )
        return Read(self.buffer, tuple(as_expr(index) for index in given), self)


@dataclass(frozen=True)
class Read(Load):
    """An element of a tensor."""

    tensor: Tensor


def placeholder(shape: Sequence[int], dtype: DType, name: str) -> Tensor:
    """A tensor that is given.

    Raises:
        TirError: if an extent is not positive, or the name is no identifier.
    """
    return Tensor(_checked_name(name), _checked_shape(shape, name), dtype)


def compute(shape: Sequence[int], function: Callable[..., Expr], name: str) -> Tensor:
    """The tensor whose element at (i, j, …) is function(i, j, …).

    Args:
        shape: extents; empty for a single number.
        function: takes as many variables as there are extents; their names are those of its parameters.
        name: of the stage.

    Raises:
        TirError: if the parameters are not as many as the extents, the body folds somewhere else than at its
            top, or names clash.
    """
    extents = _checked_shape(shape, _checked_name(name))
    parameters = tuple(inspect.signature(function).parameters)
    if len(parameters) != len(extents):
        raise TirError(
            f"{name}: the function of shape {list(extents)} must take {len(extents)} indices, "
            f"not {len(parameters)} ({', '.join(parameters)})"
        )
    axes = tuple(Var(parameter) for parameter in parameters)
    body = function(*axes)
    if not isinstance(body, Expr):
        raise TypeError(
            f"{name}: the function must give an expression, not {body!r}: use cast() or constant()"
        )
    tensor = Tensor(name, extents, body.dtype, axes, body)
    _check_body(tensor)
    return tensor


def _check_body(tensor: Tensor) -> None:
    if any(isinstance(node, Reduction) for node in nodes(tensor.element)):
        raise TirError(
            f"{tensor.name}: a fold must be the whole of a compute: give it a stage of its own and read that"
        )
    known = {axis.name for axis in tensor.axes}
    for axis in tensor.reduce_axes:
        if axis.name in known:
            raise TirError(
                f"{tensor.name}: axis name {axis.name!r} must be used once: name the folded axis anew"
            )
        known.add(axis.name)
    _check_variables(tensor, known)


def _check_variables(tensor: Tensor, known: set[str]) -> None:
    for node in nodes(tensor.element):
        if isinstance(node, Var) and node.name not in known:
            raise TirError(f"{tensor.name}: variable {node.name!r} must be one of its axes, {sorted(known)}")


def _checked_name(name: str) -> str:
    if not name.isidentifier():
        raise TirError(f"the name of a tensor must be an identifier, not {name!r}")
    return name


def _checked_shape(shape: Sequence[int], name: str) -> tuple[int, ...]:
    for extent in shape:
        if not isinstance(extent, int) or extent < 1:
            raise TirError(f"extents of {name} must be positive integers, not {list(shape)}")
    return tuple(shape)
