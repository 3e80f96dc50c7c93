"""An operator ready for the passes: loops, how to schedule them, and what its parameters are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.schedule import Primitive
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.operator.tunable import Tunable
from tilewright.compiler.te import TensorProgram
from tilewright.compiler.tir.stmt import PrimFunc


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """An operator, lowered to tensor expressions that may be scheduled in many ways.

    Expressions and constants are made when they are asked for: what a machine costs is known without them.

    Members:
        build: makes its tensor expressions; the only output is its result.
        tunable: the schedules that make them fit the machine.
        tensors: for each input parameter that is a tensor of the network, by its name, which input of the
            operator it is.
        pack: makes the contents of the other parameters, in the layout of the machine.
        origin: where in the result's feature map (y, x) the output begins, if it is only a part of it.
        first_block: of the result: with which the output begins; it may have fewer.
        first_blocks: of the inputs that are tensors: which block their parameters begin with, if not 0.
        latency_cycles: of the memory for which the default is chosen.
    """

    build: Callable[[], TensorProgram]
    tunable: Tunable
    tensors: Mapping[str, int]
    pack: Callable[[], Mapping[str, NDArray[Any]]] = dict
    origin: tuple[int, int] = (0, 0)
    first_block: int = 0
    first_blocks: Mapping[str, int] = field(default_factory=dict)
    latency_cycles: int = ASSUMED_LATENCY_CYCLES

    @cached_property
    def program(self) -> TensorProgram:
        """Its tensor expressions."""
        return self.build()

    @cached_property
    def function(self) -> PrimFunc:
        """The loops of these."""
        return self.program.lower()

    @cached_property
    def constants(self) -> Mapping[str, NDArray[Any]]:
        """The contents of parameters that are no tensors of the network."""
        return self.pack()

    @cached_property
    def default(self) -> Point:
        """What the cost model chooses: a search, made when it is asked for.

        Raises:
            TilingError: if nothing fits the machine.
        """
        return self.tunable.default(self.latency_cycles)

    @property
    def schedule(self) -> tuple[Primitive, ...]:
        """The default schedule."""
        return self.tunable.schedule(self.default)
