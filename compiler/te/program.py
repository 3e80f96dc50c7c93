"""Tensor programs: the outputs that are asked for, and all that computes them; as text, and as loops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tilewright.compiler.te.extern import ExternOp
from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.irregular.hybrid import HybridOp
from tilewright.compiler.te.lower import lower
from tilewright.compiler.te.reduction import Reduction
from tilewright.compiler.te.scan import ScanOp
from tilewright.compiler.te.stage import PlaceholderOp, Stage, Tensor
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.expr import BinaryOp, Expr
from tilewright.compiler.tir.printer import print_buffer, print_expr, print_stmt
from tilewright.compiler.tir.stmt import PrimFunc, Reducer

_INDENT = "    "
_WORDS = {BinaryOp.ADD: "sum", BinaryOp.MUL: "prod", BinaryOp.MIN: "min", BinaryOp.MAX: "max"}
"""How reductions are written in Python, too."""


@dataclass(frozen=True)
class TensorProgram:
    """Tensors that are computed of others.

    Members:
        name: of the function.
        inputs: every placeholder behind the outputs, in the order of the parameters.
        outputs: computed tensors, the parameters behind the inputs.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @staticmethod
    def of(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> "TensorProgram":
        """From any sequences of tensors."""
        return TensorProgram(name, tuple(inputs), tuple(outputs))

    def lower(self) -> PrimFunc:
        """Its loops: one loop nest a stage; see `te.lower`.

        Raises:
            TirError: if a placeholder is missing, an output is computed by nothing, or an expression is
                wrong.
        """
        return lower(self.name, self.inputs, self.outputs)


def print_program(program: TensorProgram) -> str:
    """The program as text, a line a tensor, each behind those that it reads; without a newline at its end."""
    taken, given = (
        ", ".join(print_buffer(tensor.buffer) for tensor in side)
        for side in (program.inputs, program.outputs)
    )
    lines = [line for stage in stages(program.outputs) for line in _lines(stage)]
    return "\n".join([f"tensors {program.name}({taken}) -> ({given}):", *(_INDENT + line for line in lines)])


def _lines(stage: Stage) -> Iterator[str]:
    match stage:
        case PlaceholderOp():
            return
        case ComputeOp():
            yield from _compute(stage)
        case ScanOp():
            yield from _scan(stage)
        case HybridOp(body=body):
            yield f"{_types(stage)} = hybrid({_names(stage.inputs)}):"
            yield from (_INDENT + line for line in print_stmt(body).splitlines())
        case ExternOp():
            yield f"{_types(stage)} = extern({_names(stage.inputs)})"
        case _:
            raise TypeError(f"stage must be one of the language, not {stage!r}")


def _types(stage: Stage) -> str:
    return ", ".join(print_buffer(buffer) for buffer in stage.buffers)


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _compute(stage: ComputeOp) -> Iterator[str]:
    at = ", ".join(axis.name for axis in stage.axes)
    yield _types(stage)
    targets = ", ".join(f"{buffer.name}[{at}]" for buffer in stage.buffers)
    reduction = stage.reduction
    value = _tuple(stage.values) if reduction is None else _reduced(reduction)
    yield f"{targets} = {value}"


def _tuple(exprs: Sequence[Expr]) -> str:
    return ", ".join(map(print_expr, exprs))


def _reduced(reduction: Reduction) -> str:
    """word(values for axis < extent, …, from an initial value where that is not the identity)."""
    axes = ", ".join(f"{axis.name} < {axis.extent}" for axis in reduction.axes)
    values = _tuple(reduction.values)
    if len(reduction.values) > 1:
        values = f"({values})"
    word = _reducer(reduction.reducer) if reduction.op is None else _WORDS[reduction.op]
    start = "" if reduction.init == reduction.reducer.identity else f"; from {_tuple(reduction.init)}"
    return f"{word}({values} for {axes}{start})"


def _reducer(reducer: Reducer) -> str:
    left, right = (", ".join(parameter.name for parameter in side) for side in (reducer.left, reducer.right))
    return f"reduce[({left}), ({right}) -> ({_tuple(reducer.combined)}), {_tuple(reducer.identity)}]"


def _scan(stage: ScanOp) -> Iterator[str]:
    states = _names(stage.states)
    yield f"{_types(stage)} = scan({_names(stage.inits)} | {states} -> {_names(stage.updates)}):"
    for inner in stage.inner:
        yield from (_INDENT + line for line in _compute(inner))
