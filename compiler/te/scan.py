"""scan: tensors whose elements at t are made of those before t."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.stage import PlaceholderOp, Read, Stage, Tensor, buffers_of, checked_name
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.walk import nodes


@dataclass(frozen=True, eq=False)
class ScanOp(Stage):
    """Results along an ordered axis, the first of each.

    Members:
        inits: the first elements of each result.
        updates: an element in terms of those before.
        states: the placeholders of the results in the updates.
    """

    inits: tuple[Tensor, ...]
    updates: tuple[Tensor, ...]
    states: tuple[Tensor, ...]

    @property
    def first(self) -> int:
        """The first t that is computed."""
        return self.inits[0].shape[0]

    @property
    def steps(self) -> int:
        """The number of steps that are computed."""
        return self.updates[0].shape[0] - self.first

    @cached_property
    def inner(self) -> tuple[ComputeOp, ...]:
        """The stages that run at each t, in order: the updates and what they read that depends on states."""
        states = {state.stage for state in self.states}
        dependent: set[Stage] = set(states)
        updates = {update.stage for update in self.updates}
        found = []
        for stage in stages(self.updates):
            if stage not in states and (
                stage in updates or any(source.stage in dependent for source in stage.inputs)
            ):
                dependent.add(stage)
                if not isinstance(stage, ComputeOp):
                    raise TirError(f"{self.name}: {stage.name} must be a compute to run at each step")
                found.append(stage)
        return tuple(found)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inits, and what the stages inside read from outside."""
        own = {*self.inner, *(state.stage for state in self.states)}
        read = (source for stage in self.inner for source in stage.inputs if source.stage not in own)
        return tuple(dict.fromkeys((*self.inits, *read)))


def scan(
    init: Tensor | Sequence[Tensor],
    update: Tensor | Sequence[Tensor],
    state: Tensor | Sequence[Tensor],
    name: str,
) -> tuple[Tensor, ...]:
    """Tensors along an ordered axis, their first: element t is made of those before.

    Args:
        init: [k, …]: the first k elements of each result.
        update: [n, …]: computed; element t may read a state at t − 1 … t − k, and further stages that do.
        state: [n, …]: placeholders that stand for the results.
        name: of the stage; results are named {name}_0, {name}_1, …, or `name` if there is one.

    Returns:
        A tensor of the shape of the update for each state.

    Raises:
        TirError: if shapes or types do not agree, or a state is read at t or later.
    """
    parts = [(item,) if isinstance(item, Tensor) else tuple(item) for item in (init, update, state)]
    inits, updates, states = parts
    if not len(inits) == len(updates) == len(states) > 0:
        counts = ", ".join(str(len(part)) for part in parts)
        raise TirError(f"{name}: there must be as many inits as updates and states, not {counts}")
    types = [(tensor.shape, tensor.dtype) for tensor in updates]
    buffers = buffers_of(checked_name(name), types, several=len(types) > 1)
    stage = ScanOp(name, buffers, inits, updates, states)
    for each in zip(inits, updates, states, strict=True):
        _check_types(stage, *each)
    for inside in stage.inner:
        _check_axis(stage, inside)
        for read in _reads(inside):
            _check_read(stage, inside, read)
    return stage.tensors


def _check_types(stage: ScanOp, init: Tensor, update: Tensor, state: Tensor) -> None:
    if not isinstance(state.stage, PlaceholderOp):
        raise TirError(f"{stage.name}: state {state.name} must be a placeholder: it is computed")
    if not isinstance(update.stage, ComputeOp) or len(update.stage.buffers) > 1:
        raise TirError(f"{stage.name}: update {update.name} must be a compute of one tensor")
    for tensor in (init, update, state):
        wanted = update if tensor is not init else init
        same = tensor.shape == wanted.shape and tensor.shape[1:] == update.shape[1:]
        if not (tensor.shape and same and tensor.dtype is update.dtype):
            raise TirError(
                f"{stage.name}: {tensor.name} must be {update.dtype}{list(update.shape)}"
                f"{' but for its first extent' * (tensor is init)}, not {tensor.dtype}{list(tensor.shape)}"
            )
    lengths = (init.shape[0], update.shape[0]) == (stage.first, stage.first + stage.steps)
    if not lengths or stage.steps < 1:
        raise TirError(
            f"{stage.name}: inits must be of one length, updates of one that is larger, "
            f"not {init.shape[0]} and {update.shape[0]}"
        )


def _check_axis(stage: ScanOp, inside: ComputeOp) -> None:
    length = stage.first + stage.steps
    if not inside.shape or inside.shape[0] != length:
        raise TirError(
            f"{stage.name}: the first axis of {inside.name}, which runs at each step, must be the ordered "
            f"one, of {length}, not {list(inside.shape)}"
        )


def _reads(inside: ComputeOp) -> Iterator[Read]:
    return (node for expr in inside.exprs for node in nodes(expr) if isinstance(node, Read))


def _check_read(stage: ScanOp, inside: ComputeOp, read: Read) -> None:
    """Refuse a state that is not there yet, and a stage of the same step at another one."""
    time = inside.axes[0]
    if read.tensor in stage.states:
        back = -distance(read.indices[0], time)
        if not 1 <= back <= stage.first:
            raise TirError(
                f"{stage.name}: {inside.name} must read state {read.tensor.name} from {time.name} - 1 to "
                f"{time.name} - {stage.first}, as many as init has: make init longer, or read further back"
            )
    elif read.tensor.stage in stage.inner and distance(read.indices[0], time) != 0:
        raise TirError(
            f"{stage.name}: {inside.name} must read {read.tensor.name} at {time.name}: "
            "only states keep what was before"
        )


def distance(index: Expr, time: Var) -> int:
    """The constant difference of an index and the ordered axis; 2⁶² if it is not constant."""
    gap = Affine.of(index - time)
    return gap.constant if gap.is_constant else 1 << 62
