"""A network split between accelerator and host, each part compiled for its target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function
from tilewright.compiler.network.calibrated import CalibratedNetwork, calibrated_network, is_on_accelerator
from tilewright.compiler.network.choice import integer_parts
from tilewright.compiler.network.target import Accelerator, HostTarget
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.split import Partition, partition
from tilewright.compiler.quantise.judge import Verdicts, judge
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.compiler.targets.accel.compile import LayerError, compile_function
from tilewright.compiler.targets.accel.layer_schedule import Schedules, legal_network
from tilewright.compiler.targets.accel.product import MOST_TRANSPOSED_LANES
from tilewright.isa.config import Config
from tilewright.isa.model import Model
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress, share_of, unheard

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
        network = calibrated_network(split, calibration, progress)
        work = _Work(network, config, schedules or {}, progress, observe, ranges)
        parts, refused = work.parts()
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

    network: CalibratedNetwork
    config: Config
    schedules: Schedules
    progress: Progress
    observe: Observe | None
    ranges: RangeMethod
    layers: list[str] = field(default_factory=list)

    def parts(self) -> tuple[dict[Value, Part], Verdicts]:
        """The parts that can be compiled, and the reasons why others cannot."""
        refused: Verdicts = {}
        for equation, reason in self.network.refused.items():
            refused |= _refuse(equation, reason)
        if refused:
            return {}, refused
        self.progress("quantising")
        integers, reasons = integer_parts(self.network, self.ranges, self.progress)
        parts: dict[Value, Part] = {}
        equations = list(filter(is_on_accelerator, self.network.split.function.equations))
        for number, equation in enumerate(equations):
            first = equation.results[0]
            try:
                if first in reasons:
                    refused |= _refuse(equation, reasons[first])
                else:
                    parts[first] = self._part(
                        equation, integers[first], f"part {number + 1} of {len(equations)}"
                    )
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

    def _part(self, equation: Equation, integers: NamedFunction, what: str) -> Part:
        source, name = self.network.parts[equation.results[0]].source, integers.function.name
        if self.observe is not None:
            self.observe(name, "integers", print_function(integers.function))
        self.progress(f"compiling {what}")
        own = [each.name for each in legal_network(integers, self.config).layers] if self.schedules else []
        self.layers += own
        model = compile_function(
            integers,
            self.config,
            _within(name, self.observe),
            {part: each for part, each in self.schedules.items() if part.layer in own},
            share_of(self.progress, f"compiling {what}"),
        )
        return Part(source, integers, model)


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
