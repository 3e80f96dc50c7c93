"""Stages: the operations that compute tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr, ExprLike, as_expr

ElementType = DType | DTypeLike
"""An element type as users may name it."""


@dataclass(frozen=True, eq=False)
class Stage:
    """An operation that computes one tensor or several; two are equal only if they are the same object.

    Members:
        name: unique among the stages of a program.
        buffers: those of its tensors, of constant shapes.
    """

    name: str
    buffers: tuple[Buffer, ...]

    @property
    def inputs(self) -> tuple["Tensor", ...]:
        """The tensors that it reads, each once."""
        raise NotImplementedError

    @property
    def tensors(self) -> tuple["Tensor", ...]:
        """The tensors that it computes."""
        return tuple(Tensor(self, output) for output in range(len(self.buffers)))


@dataclass(frozen=True, eq=False)
class PlaceholderOp(Stage):
    """A tensor that is given."""

    @property
    def inputs(self) -> tuple["Tensor", ...]:
        """None."""
        return ()


@dataclass(frozen=True)
class Tensor:
    """One of the tensors of a stage."""

    stage: Stage
    output: int = 0

    @property
    def buffer(self) -> Buffer:
        """Its buffer in a loop program."""
        return self.stage.buffers[self.output]

    @property
    def name(self) -> str:
        """The name of its buffer."""
        return self.buffer.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""
        return tuple(int(extent.value) for extent in self.buffer.shape if isinstance(extent, Const))

    @property
    def dtype(self) -> DType:
        """The type of its elements."""
        return self.buffer.dtype

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

    def __iter__(self) -> Iterator[Expr]:
        """Refused: else a loop over a tensor would never end."""
        raise TypeError(f"tensor {self.name} must be indexed, not iterated over")


@dataclass(frozen=True)
class Read(BufferLoad):
    """An element of a tensor."""

    tensor: Tensor


def checked_name(name: str) -> str:
    """The name of a stage.

    Raises:
        TirError: if it is no identifier.
    """
    if not name.isidentifier():
        raise TirError(f"the name of a tensor must be an identifier, not {name!r}")
    return name


def checked_shape(shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The extents of a tensor.

    Raises:
        TirError: if one is not positive.
    """
    for extent in shape:
        if not isinstance(extent, int | np.integer) or extent < 1:
            raise TirError(f"extents of {name} must be positive integers, not {list(shape)}")
    return tuple(map(int, shape))


def element_type(dtype: ElementType) -> DType:
    """The element type, by itself, its name or numpy's type.

    Raises:
        TirError: if tensors have no such type.
    """
    if isinstance(dtype, DType):
        return dtype
    try:
        # None would be float64 for numpy.
        return DType.of("" if dtype is None else dtype)
    except (TypeError, ValueError):
        raise TirError(f"the type of elements must be one of {', '.join(DType)}, not {dtype!r}") from None


def buffers_of(
    name: str, types: Sequence[tuple[tuple[int, ...], DType]], several: bool
) -> tuple[Buffer, ...]:
    """A buffer for each tensor of a stage: of its name, or with numbers behind it where there are several."""
    return tuple(
        Buffer(f"{name}_{number}" if several else name, tuple(map(Const, shape)), dtype)
        for number, (shape, dtype) in enumerate(types)
    )
