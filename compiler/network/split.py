"""A network split between accelerator and host, each part compiled for its target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function
from tilewright.compiler.network.target import ACCELERATOR, Accelerator, HostTarget
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.split import Partition, partition
from tilewright.compiler.quantise.calibration import RangeMethod
from tilewright.compiler.quantise.judge import Verdicts, judge
from tilewright.compiler.quantise.quantise import has_scales, quantise
from tilewright.compiler.targets.accel.compile import LayerError, compile_function
from tilewright.compiler.targets.accel.layer_schedule import Schedules, chained_network
from tilewright.compiler.targets.accel.product import MOST_TRANSPOSED_LANES
from tilewright.isa.config import Config
from tilewright.isa.model import Model
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress, Share, share_of, unheard

Observe = Callable[[str, str, str], object]
"""Is told what a pass made: where ("" for the network, the kernel's name, or that / the layer's name), the
name of the pass, text. Where parts are refused, "partition" is told anew, and all that follows it."""


@dataclass(frozen=True)
class Part:
    """A kernel on the accelerator.

    Members:
        source: its body, in floats, with names for its values.
        integers: the same in integers.
        model: its program.
        is_tuned: whether layers have points by records.
    """

    source: NamedFunction
    integers: NamedFunction
    model: Model
    is_tuned: bool = False


@dataclass(frozen=True)
class SplitNetwork:
    """A network in kernels.

    Members:
        named: of kernels, for one sample.
        parts: of each kernel on the accelerator, by its first result.
        refusals: why equations do not run on the accelerator.
    """

    named: NamedFunction
    parts: Mapping[Value, Part]
    refusals: tuple[Refusal, ...]


def split_network(
    named: NamedFunction,
    config: Config,
    calibration: Mapping[str, Array] | None = None,
    schedules: Schedules | None = None,
    progress: Progress = unheard,
    observe: Observe | None = None,
    ranges: RangeMethod = RangeMethod.MIN_MAX,
) -> SplitNetwork:
    """The network with as many of its products on the accelerator as that takes.

    What turns out not to fit when it is compiled goes to the host, and the reason to the refusals.

    Args:
        named: of floats, or with scales; sizes behind the batch are numbers.
        config: of the accelerator.
        calibration: typical inputs, where the network has no scales.
        schedules: of layers that shall not have their default schedule.
        progress: is told what is being done.
        observe: is told what each pass made.
        ranges: how the calibration chooses the ranges of values.

    Raises:
        LayerError: if a given schedule names no layer, or one of several, or does not suit it.
    """
    one = named.one_sample()
    target = _accelerator(one, config)
    while True:
        progress("partitioning")
        found = partition(one.function, (target, HostTarget()))
        if observe is not None:
            observe("", "partition", print_function(found.function))
        split = one.with_function(found.function)
        inputs = _inputs_of_parts(
            split, calibration, share_of(progress, "measuring what the parts are given")
        )
        work = _Work(config, inputs, schedules or {}, progress, observe, ranges)
        parts, refused = work.parts([each for each in split.function.equations if _is_on_accelerator(each)])
        if not refused:
            work.check_schedules()
            return SplitNetwork(split, parts, _reasons(found, target))
        target = Accelerator(target.verdicts, {**target.refused, **refused})


def placed_network(named: NamedFunction, config: Config) -> SplitNetwork:
    """The network in kernels, by judging and partitioning alone: nothing is compiled, there are no parts.

    What turns out not to fit the machine only when it is compiled is not known here.

    Args:
        named: of floats, or with scales; sizes behind the batch are numbers.
        config: of the accelerator.
    """
    one = named.one_sample()
    target = _accelerator(one, config)
    found = partition(one.function, (target, HostTarget()))
    return SplitNetwork(one.with_function(found.function), {}, _reasons(found, target))


def _accelerator(one: NamedFunction, config: Config) -> Accelerator:
    """The accelerator, with what it refuses before anything is compiled."""
    return Accelerator(judge(one.function, transposes=config.cols <= MOST_TRANSPOSED_LANES))


@dataclass
class _Work:
    """Compiles parts.

    Members:
        layers: names of the layers of all parts.
    """

    config: Config
    inputs: Mapping[Value, tuple[Array, ...]]
    schedules: Schedules
    progress: Progress
    observe: Observe | None
    ranges: RangeMethod
    layers: list[str] = field(default_factory=list)

    def parts(self, equations: list[Equation]) -> tuple[dict[Value, Part], Verdicts]:
        """The parts that can be compiled, and the reasons why others cannot."""
        parts: dict[Value, Part] = {}
        refused: Verdicts = {}
        for number, equation in enumerate(equations):
            try:
                parts[equation.results[0]] = self._part(equation, f"part {number + 1} of {len(equations)}")
            except LayerError:
                raise
            except TilewrightError as error:
                refused |= _refuse(equation, str(error))
        return parts, refused

    def check_schedules(self) -> None:
        """Refuse schedules of layers that there are not, or that several parts have."""
        for part in self.schedules:
            count = self.layers.count(part.layer)
            if count == 0:
                known = ", ".join(map(repr, self.layers))
                raise LayerError(f"schedules must be of the layers {known}, not of {part}")
            if count > 1:
                raise LayerError(f"{part} must be in one program to have a schedule, not in {count}")

    def _layers_of(self, integers: NamedFunction) -> list[str]:
        """The names of layers and chains that may have schedules; none where nobody asks."""
        if not self.schedules:
            return []
        return [each.name for each in chained_network(integers, self.config, self.schedules).layers]

    def _part(self, equation: Equation, what: str) -> Part:
        assert isinstance(equation.operator, Kernel)
        body = equation.operator.body
        names = tuple(value.name for value in body.parameters)
        source = NamedFunction(body, names, tuple(value.name for value in body.results))
        calibration = None
        if not has_scales(body):
            calibration = dict(zip(names, self.inputs[equation.results[0]], strict=True))
        self.progress(f"quantising {what}")
        share = share_of(self.progress, f"calibrating {what}")
        integers = quantise(source, calibration, share, self.ranges)
        if self.observe is not None:
            self.observe(body.name, "integers", print_function(integers.function))
        self.progress(f"compiling {what}")
        own = self._layers_of(integers)
        self.layers += own
        model = compile_function(
            integers,
            self.config,
            _within(body.name, self.observe),
            {part: each for part, each in self.schedules.items() if part.layer in own},
            share_of(self.progress, f"compiling {what}"),
        )
        return Part(source, integers, model)


def _is_on_accelerator(equation: Equation) -> bool:
    return isinstance(equation.operator, Kernel) and equation.operator.target == ACCELERATOR


def _within(kernel: str, observe: Observe | None) -> Observe | None:
    """The callback for the layers of a kernel."""
    if observe is None:
        return None
    return lambda layer, name, text: observe(f"{kernel}/{layer}", name, text)


def _refuse(equation: Equation, reason: str) -> dict[Value, str]:
    """All of a kernel goes to the host: which of its equations is to blame, the reason says."""
    assert isinstance(equation.operator, Kernel)
    return {each.results[0]: reason for each in equation.operator.body.equations if each.operands}


def _reasons(found: Partition, target: Accelerator) -> tuple[Refusal, ...]:
    return tuple(each for each in found.refusals if each.target == target.name)


def _inputs_of_parts(
    split: NamedFunction, calibration: Mapping[str, Array] | None, share: Share
) -> dict[Value, tuple[Array, ...]]:
    """The inputs of the kernels on the accelerator, for all samples of the calibration."""
    if calibration is None:
        return {}
    count = split.check(calibration)
    rows: dict[Value, list[tuple[Array, ...]]] = {}
    for sample in range(count):
        arrays = [calibration[name][sample : sample + 1] for name in split.inputs]
        for first, operands in _operands(split.function, arrays).items():
            rows.setdefault(first, []).append(operands)
        share(sample + 1, count)
    return {first: tuple(map(np.concatenate, zip(*each, strict=True))) for first, each in rows.items()}


def _operands(function: Function, arrays: list[Array]) -> dict[Value, tuple[Array, ...]]:
    """The operands of each kernel on the accelerator, in floats."""
    values = dict(zip(function.parameters, arrays, strict=True))
    found: dict[Value, tuple[Array, ...]] = {}
    wanted = sum(map(_is_on_accelerator, function.equations))
    for equation in function.equations:
        operands = tuple(values[value] for value in equation.operands)
        if _is_on_accelerator(equation):
            found[equation.results[0]] = operands
        if len(found) == wanted:
            # What the last one gives nobody asks for.
            break
        results = run(Function("kernel", equation.operands, (equation,), equation.results), *operands)
        values.update(zip(equation.results, results, strict=True))
    return found
