"""Operators that change the shape alone, or nothing."""

import math

from tilewright.compiler.frontend.draft import Draft
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.reshape import Reshape


def convert_identity(node: OnnxNode, draft: Draft) -> None:
    """Identity, and Dropout, which does nothing but in training."""
    training = node.input(2)
    require(not training or not draft.constant(training).any(), "training_mode must be false")
    require(not any(node.outputs[1:]), "its second result, the mask, is not supported")
    draft.emit(node, Identity(), node.inputs[:1])


def convert_flatten(node: OnnxNode, draft: Draft) -> None:
    """Flatten behind the batch."""
    x = draft.activation(node.input(0))
    axis = node.integer("axis", 1)
    require(axis % max(1, len(x.shape)) == 1, f"axis must be 1, behind the batch, not {axis}")
    _emit(node, draft, (x.shape[0], x.size // x.shape[0]))


def convert_reshape(node: OnnxNode, draft: Draft) -> None:
    """Reshape to a constant shape."""
    x = draft.activation(node.input(0))
    wanted = [int(size) for size in draft.constant(node.input(1)).reshape(-1)]
    if not node.integer("allowzero", 0):
        require(
            all(size or index < len(x.shape) for index, size in enumerate(wanted)),
            f"shape must fit its input {x}, not be {wanted}",
        )
        wanted = [size or x.shape[index] for index, size in enumerate(wanted)]
    _emit(node, draft, _resolved(wanted, x))


def convert_squeeze(node: OnnxNode, draft: Draft) -> None:
    """Squeeze of axes of size 1."""
    x = draft.activation(node.input(0))
    axes = read_axes(node, draft, len(x.shape))
    require(bool(axes), "axes must be given")
    require(0 not in axes, f"axes must lie behind the batch, not be {axes}")
    require(all(x.shape[axis] == 1 for axis in axes), f"axes must have size 1, not those {axes} of {x}")
    _emit(node, draft, tuple(size for axis, size in enumerate(x.shape) if axis not in axes))


def convert_unsqueeze(node: OnnxNode, draft: Draft) -> None:
    """Unsqueeze: new axes of size 1."""
    x = draft.activation(node.input(0))
    given = _given_axes(node, draft)
    rank = len(x.shape) + len(given)
    axes = {axis % rank for axis in given}
    require(0 not in axes, f"axes must lie behind the batch, not be {given}")
    sizes = iter(x.shape)
    _emit(node, draft, tuple(1 if axis in axes else next(sizes) for axis in range(rank)))


def read_axes(node: OnnxNode, draft: Draft, rank: int) -> list[int]:
    """The axes, from 0 up, that an attribute (in old models) or an input names."""
    axes = _given_axes(node, draft)
    require(all(-rank <= axis < rank for axis in axes), f"axes must be those of {rank}, not {axes}")
    return [axis % rank for axis in axes]


def _given_axes(node: OnnxNode, draft: Draft) -> list[int]:
    if node.input(1):
        return [int(axis) for axis in draft.constant(node.input(1)).reshape(-1)]
    return [int(axis) for axis in node.attributes.get("axes", ())]


def _resolved(wanted: list[int], x: TensorType) -> tuple[int, ...]:
    """The shape with its −1 replaced."""
    known = math.prod(size for size in wanted if size > 0)
    sizes = tuple(x.size // max(1, known) if size == -1 else size for size in wanted)
    require(
        min(sizes, default=1) > 0 and math.prod(sizes) == x.size,
        f"shape must have the {x.size} elements of {x}, not be {wanted}",
    )
    return sizes


def _emit(node: OnnxNode, draft: Draft, shape: tuple[int, ...]) -> None:
    x = draft.activation(node.input(0))
    require(
        shape[:1] == (1,) == x.shape[:1], f"the batch must stay the first axis, from {x} to {list(shape)}"
    )
    is_flat = len(shape) == 2
    draft.emit(node, Flatten() if is_flat else Reshape(shape), node.inputs[:1])


CONVERTERS = {
    "Identity": convert_identity,
    "Dropout": convert_identity,
    "Flatten": convert_flatten,
    "Reshape": convert_reshape,
    "Squeeze": convert_squeeze,
    "Unsqueeze": convert_unsqueeze,
}
