"""tile: two loops as blocks of both."""

from dataclasses import dataclass

from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.reorder import Reorder
from tilewright.compiler.schedule.split import Split
from tilewright.compiler.tir.stmt import PrimFunc


@dataclass(frozen=True)
class Tile(Primitive):
    """for y: for x → for {y}_o: for {x}_o: for {y}_i in y_factor: for {x}_i in x_factor."""

    y: str
    x: str
    y_factor: int
    x_factor: int

    @property
    def steps(self) -> tuple[Primitive, ...]:
        """The primitives that it is."""
        (yo, yi), (xo, xi) = ((f"{loop}_o", f"{loop}_i") for loop in (self.y, self.x))
        return (
            Split(self.y, self.y_factor, yo, yi),
            Split(self.x, self.x_factor, xo, xi),
            Reorder((yo, xo, yi, xi)),
        )

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function after the two splits and the reorder.

        Raises:
            ScheduleError: if one of them is refused: the error names that step.
        """
        for step in self.steps:
            function = step.apply(function)
        return function
