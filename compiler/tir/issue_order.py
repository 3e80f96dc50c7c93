"""Where the work of pipelined loops is issued: by steps, which go on over the iterations of loops around."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.stmt import Allocate, Block, For, Opaque, PipelineStage, Seq, Stmt
from tilewright.compiler.tir.walk import statements


class IssuePlace(NamedTuple):
    """A place in the order of issue: earlier ones are smaller.

    Members:
        pipeline: which one, in the order of the program.
        step: of it.
        position: in the step.
    """

    pipeline: int = 0
    step: int = 0
    position: float = 0

    def behind(self, step: int, drain: int) -> "IssuePlace":
        """The place of what stands behind a loop whose next iteration would be at `step`."""
        return IssuePlace(self.pipeline, step - 1 + drain, inf)


def loops_across(stmt: Stmt) -> dict[str, bool]:
    """The pipelined loops, and those around them over whose iterations steps go on: whether outermost."""
    found: dict[str, bool] = {}
    for loop in _loops(stmt):
        for inner in _loops(loop):
            if inner.pipelining is not None:
                is_outermost = inner.pipelining.across == loop.var.name
                if is_outermost or inner.pipelining.across in found:
                    found[loop.var.name] = is_outermost
    return found


def stage_of(nest: Stmt, loop: For) -> tuple[int, PipelineStage]:
    """The position in a step, and the stage, that a loop nest in the body of a pipelined loop is.

    Raises:
        TirError: if it is none.
    """
    assert loop.pipelining is not None, "asked of pipelined loops"
    own = {part.name for part in statements(nest) if isinstance(part, Block | Opaque)}
    named = [(at, stage) for at, stage in enumerate(loop.pipelining.stages) if stage.block in own]
    if len(named) != 1:
        raise TirError(f"each loop nest in pipelined loop {loop.var.name} must be one of its stages")
    return named[0]


def stage_places(loop: For) -> Mapping[int, tuple[int, int]]:
    """Offset, and position in a step, of each loop nest in the body of a pipelined loop, by identity."""
    body = loop.body
    while isinstance(body, Allocate):
        body = body.body
    nests = body.body if isinstance(body, Seq) else (body,)
    found = {id(nest): stage_of(nest, loop) for nest in nests}
    return {identity: (stage.offset, position) for identity, (position, stage) in found.items()}


def _loops(stmt: Stmt) -> Iterator[For]:
    return (each for each in statements(stmt) if isinstance(each, For))
