"""Functions of integers on the host: operator by operator as machine code, with the accelerator's bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.host.kernel import Code, Compiler
from tilewright.compiler.targets.cpu.host.program import StaticProgram, program_of
from tilewright.compiler.targets.cpu.integer_plan import PORTS, Layer, SamplePlan, sample_plan
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_schedule import NO_SCHEDULES, Schedules
from tilewright.compiler.targets.cpu.operator.lower import OPERATORS, lower_operator
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import PrimFunc

Observe = Callable[[Value, Array], object]
"""Is called with a value of the function for one sample, and what it is for some samples."""
Kernels = dict[int, tuple[PrimFunc, Code]]
"""Compiled loop programs, with these, by their identity."""
CHUNK_SAMPLES = 64
"""Computed together, operator by operator: weights stay near, and values do not grow with the samples."""


class HostNetwork:
    """A function as machine code of this process: weights packed, kernels compiled or taken from the cache.

    Members:
        named: the function that it computes.
    """

    def __init__(
        self,
        named: NamedFunction,
        machine: HostMachine | None = None,
        store: ObjectStore | None = None,
        schedules: Schedules = NO_SCHEDULES,
        kernels: Kernels | None = None,
        *,
        parallel: bool = True,
    ) -> None:
        """Compile a function.

        Args:
            named: of integers, verified; on any number of samples.
            machine: one whose code this machine runs; None for this one.
            store: machine code that is carried along, and gets what is used; None: the disk alone.
            schedules: of convolutions, in the place of defaults.
            kernels: what other networks compiled, for the same machine, store and threads, and gets what this
                one compiles; None: nothing.
            parallel: whether all processors of the machine share large kernels; else one thread does all.

        Raises:
            CpuError: listing every equation that has no compiled form; or if the sizes or the machine do
                not allow a schedule.
        """
        self.named = named
        machine = HostMachine.host() if machine is None else machine
        self._compiler = Compiler(machine, store, schedules, parallel=parallel)
        self._kernels: Kernels = {} if kernels is None else kernels
        self._integers = _Integers(named.one_sample().function)
        self._layers = [self._layer(each) for each in self._integers.layers]
        self._plan = self._planned(self._integers.function.results)
        self._programs: dict[int, StaticProgram] = {}

    def run(self, inputs: Mapping[str, Array], observe: Observe | None = None) -> dict[str, Array]:
        """The results by name, for all samples along the first axis: as `NamedFunction.run`.

        Args:
            inputs: by name.
            observe: is called with each value of an equation, of `CHUNK_SAMPLES` samples at a time.

        Raises:
            EvaluationError: if names, shapes or element types are wrong, or a value is NaN.
        """
        samples = self.named.check(inputs)
        given = [inputs[name] for name in self.named.inputs]
        parts = []
        for start in range(0, samples, CHUNK_SAMPLES):
            chunk = [array[start : start + CHUNK_SAMPLES] for array in given]
            if observe is not None:
                self._observe(chunk, observe)
            parts.append(self._program(len(chunk[0])).run(*chunk))
        whole = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return dict(zip(self.named.outputs, whole, strict=True))

    def _observe(self, arrays: list[Array], observe: Observe) -> None:
        values = [each.result for each in self._integers.moving]
        program = program_of(self._planned(values).repeated(len(arrays[0])), self._compiler)
        for value, array in zip(values, program.run(*arrays), strict=True):
            observe(value, array)

    def _program(self, samples: int) -> StaticProgram:
        if samples not in self._programs:
            self._programs[samples] = program_of(self._plan.repeated(samples), self._compiler)
        return self._programs[samples]

    def _planned(self, results: Sequence[Value]) -> SamplePlan:
        own = self._integers
        return sample_plan(own.function, self._layers, own.fixed, results, self._compiler)

    def _layer(self, equation: Equation) -> Layer:
        types = [value.type for value in equation.operands]
        arrays = [self._integers.fixed.get(value) for value in equation.operands]
        compiler = self._compiler
        features = Features.of(compiler.machine)
        lowered = lower_operator(equation.operator, types, arrays, features, compiler.schedules)
        # Loop programs of convolutions are kept: the same sizes are the same object.
        key = id(lowered.function)
        if key not in self._kernels:
            code = compiler.code(
                print_function(lowered.function), lambda: lowered.function, parallel=lowered.is_shared
            )
            self._kernels[key] = lowered.function, code
        return Layer(equation, lowered, self._kernels[key][1])


@dataclass
class _Integers:
    """A function of one sample, by what its equations are.

    Members:
        function: the function.
        fixed: values that are constants.
        moving: equations that are none.
    """

    function: Function
    fixed: dict[Value, Array] = field(default_factory=dict)
    moving: list[Equation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.moving = [each for each in self.function.equations if not self._fold(each)]
        _refuse_others(self.moving)

    @property
    def layers(self) -> list[Equation]:
        """Equations that are kernels of their own."""
        return [each for each in self.moving if not isinstance(each.operator, PORTS)]

    def _fold(self, equation: Equation) -> bool:
        """Whether an equation makes a constant of constants; computes it then."""
        if not all(value in self.fixed for value in equation.operands):
            return False
        arrays = (self.fixed[value] for value in equation.operands)
        self.fixed.update(zip(equation.results, equation.operator.run(*arrays), strict=True))
        return True


def _refuse_others(equations: Sequence[Equation]) -> None:
    """Refuse a function with operators that are neither compiled nor at its border."""
    known = (*OPERATORS, *PORTS, Constant)
    rejected = [each for each in equations if not isinstance(each.operator, known)]
    if rejected:
        listed = ", ".join(f"{each.label!r} ({each.operator.name})" for each in rejected)
        raise CpuError(
            f"every operator must have a compiled form on the CPU, and {listed} has none: "
            "quantise the network first"
        )
