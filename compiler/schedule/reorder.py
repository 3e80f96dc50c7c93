"""reorder: loops in another order."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import Path, edit, find_free_loop, find_loop, in_order_over
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.stmt import For, PrimFunc, Stmt
from tilewright.compiler.tir.walk import blocks, variables


@dataclass(frozen=True)
class Reorder(Primitive):
    """The named loops, outer first, take the positions that they have among themselves; others stay.

    They and those between must be directly inside one another. Sums of floats may round otherwise.
    """

    loops: tuple[str, ...]

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the loops in this order.

        Raises:
            ScheduleError: if they are not of one loop nest with nothing between, an extent depends on a
                loop that would move inside, or a block among them runs in order.
        """
        chain = self._chain(function)
        names = iter(self.loops)
        by_name = {loop.var.name: loop for loop in chain}
        new = [by_name[next(names)] if loop.var.name in self.loops else loop for loop in chain]
        self._check_extents(function, new)
        self._check_order(function, chain, new)
        stmt: Stmt = chain[-1].body
        for loop in reversed(new):
            stmt = replace(loop, body=stmt)
        return edit(function, {id(chain[0]): stmt})

    def _chain(self, function: PrimFunc) -> list[For]:
        """The loops from the outermost to the innermost named one."""
        if len(set(self.loops)) != len(self.loops) or not self.loops:
            raise self.refusal(
                function, f"loops must name each loop once, not {', '.join(self.loops) or 'none'}"
            )
        for name in self.loops:
            find_free_loop(self, function, name)
        paths = sorted((find_loop(self, function, name) for name in self.loops), key=len)
        outer, innermost = paths[0][-1], paths[-1]
        between = innermost[len(paths[0]) - 1 :]
        for path in paths:
            if path[-1] not in between or outer is not innermost[len(paths[0]) - 1]:
                raise self.refusal(
                    function,
                    f"loop {_name(path)} must be around or inside of the others: name loops of one nest",
                )
        for stmt in between:
            if not isinstance(stmt, For):
                raise self.refusal(
                    function,
                    f"nothing may stand between {_name(paths[0])} and {_name(innermost)} but loops: "
                    "reorder before other stages are attached there",
                )
        return [stmt for stmt in between if isinstance(stmt, For)]

    def _check_extents(self, function: PrimFunc, loops: list[For]) -> None:
        for position, loop in enumerate(loops):
            for inner in loops[position:]:
                if inner.var.name in variables(loop.extent):
                    raise self.refusal(
                        function,
                        f"the extent of {loop.var.name} depends on {inner.var.name}: "
                        f"keep {inner.var.name} outside of it, or split by a factor that divides",
                    )

    def _check_order(self, function: PrimFunc, old: list[For], new: list[For]) -> None:
        """Refuse to change what runs around a loop in whose order a block must run."""
        for loop in old:
            ordered = [block.name for block in blocks(old[-1]) if in_order_over(block, loop.var.name)]
            before, after = ({id(each) for each in chain[: chain.index(loop)]} for chain in (old, new))
            if ordered and before != after:
                raise self.refusal(
                    function,
                    f"{ordered[0]} runs in order over {loop.var.name}: keep the same loops around that one",
                )


def _name(path: Path) -> str:
    loop = path[-1]
    assert isinstance(loop, For)
    return loop.var.name
