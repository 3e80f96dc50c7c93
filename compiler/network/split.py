"""A network split between accelerator and host, each part compiled for its target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Function, Module, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function
from tilewright.compiler.network.budget import AccuracyBudget
from tilewright.compiler.network.calibrated import is_on_accelerator
from tilewright.compiler.network.quantised import QuantisedNetwork, Quantiser
from tilewright.compiler.network.target import Accelerator, HostTarget, refused_kernel
from tilewright.compiler.ops.nn.parted_softmax import PartedProduct
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.split import Partition, partition
from tilewright.compiler.passes.drop_key_bias import DropKeyBias
from tilewright.compiler.passes.part_linear import PartLinear
from tilewright.compiler.passes.part_softmax import PartSoftmax
from tilewright.compiler.passes.run import Pass
from tilewright.compiler.quantise.head_balance import balanced
from tilewright.compiler.quantise.judge import Verdicts, judge
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.compiler.targets.accel.compile import LayerError, Variant, Variants, compile_function
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.layer_schedule import NO_POINTS, Points, Schedules, chained_network
from tilewright.compiler.targets.accel.product import MOST_TRANSPOSED_LANES
from tilewright.isa.config import Config
from tilewright.isa.model import Model
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress, Share, share_of, unheard

Observe = Callable[[str, str, str], object]
"""Is told what a pass made: where ("" for the network, the kernel's name, or that / the layer's name), the
name of the pass, text. Where parts are refused, "partition" is told anew, and all that follows it."""
Improve = Callable[[Variants, Variant], Variant]
"""Names a better program of a kernel than the default, or the default; the results are the same."""


def take_default(variants: Variants, default: Variant) -> Variant:
    """Names the default."""
    return default


@dataclass(frozen=True)
class Part:
    """A kernel on the accelerator.

    Members:
        source: its body, in floats, with names for its values.
        integers: the same in integers.
        model: its program.
        points: of its layers that do not have their default.
    """

    source: NamedFunction
    integers: NamedFunction
    model: Model
    points: Points = field(default_factory=lambda: NO_POINTS)


@dataclass(frozen=True)
class SplitNetwork:
    """A network in kernels.

    Members:
        named: of kernels, for one sample.
        parts: of each kernel on the accelerator, by its first result.
        refusals: why equations do not run on the accelerator.
        noise: of the integers on the calibration data, as a share of the signal; None if nobody measured it.
    """

    named: NamedFunction
    parts: Mapping[Value, Part]
    refusals: tuple[Refusal, ...]
    noise: float | None = None


def split_network(
    named: NamedFunction,
    config: Config,
    calibration: Mapping[str, Array] | None = None,
    schedules: Schedules | None = None,
    progress: Progress = unheard,
    observe: Observe | None = None,
    ranges: RangeMethod = RangeMethod.MIN_MAX,
    budget: AccuracyBudget | None = None,
    improve: Improve = take_default,
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
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
        budget: of the outputs; layers stay in floats until these are within it.
        improve: names better programs where no schedules are given.
        latency_cycles: of the memory for which schedules are chosen.

    Raises:
        LayerError: if a given schedule names no layer, or one of several, or does not suit it.
        BudgetError: if there are no floats to compare with.
    """
    quantiser = Quantiser(prepared(named), calibration, ranges, progress)
    target, plain = accelerator_of(quantiser.one, config), frozenset[str]()
    while True:
        found = quantiser.quantised(target) if budget is None else quantiser.within(target, budget)
        if observe is not None:
            observe("", "partition", print_function(found.partition.function))
        work = _Work(found, config, schedules or {}, progress, observe, improve, latency_cycles)
        parts, refused = work.parts()
        if not refused:
            work.check_schedules()
            reasons = _reasons(found.partition, found.target)
            return SplitNetwork(found.network.split, parts, reasons, found.parts.noise)
        target = target.without(refused)
        if further := _parted_products(quantiser.one.function, refused) - plain:
            # They may fit in one part.
            plain |= further
            quantiser = replace(quantiser, one=prepared(named, plain))
            target = accelerator_of(quantiser.one, config)


def _parted_products(function: Function, refused: Verdicts) -> frozenset[str]:
    """Labels of refused products that read a softmax in two parts."""
    parted = (each for each in function.equations if isinstance(each.operator, PartedProduct))
    return frozenset(each.label for each in parted if each.results[0] in refused)


def placed_network(named: NamedFunction, config: Config) -> SplitNetwork:
    """The network in kernels, by judging and partitioning alone: nothing is compiled, there are no parts.

    What turns out not to fit the machine only when it is compiled is not known here.

    Args:
        named: of floats, or with scales; sizes behind the batch are numbers.
        config: of the accelerator.
    """
    one = prepared(named)
    target = accelerator_of(one, config)
    found = partition(one.function, (target, HostTarget()))
    return SplitNetwork(one.with_function(found.function), {}, _reasons(found, target))


def prepared(named: NamedFunction, plain: frozenset[str] = frozenset()) -> NamedFunction:
    """The network for one sample, in the form that suits the accelerator.

    Args:
        named: of floats, or with scales.
        plain: labels of products that read a softmax in one part.
    """
    one = named.one_sample()
    module = Module({one.function.name: one.function})
    passes: tuple[Pass, ...] = (PartLinear(), DropKeyBias(), PartSoftmax(plain))
    for each in passes:
        module = each.apply(module)
    return one.with_function(balanced(module.functions[one.function.name]))


def accelerator_of(one: NamedFunction, config: Config) -> Accelerator:
    """The accelerator, with what it refuses before anything is compiled."""
    return Accelerator(judge(one.function, transposes=config.cols <= MOST_TRANSPOSED_LANES))


@dataclass
class _Work:
    """Compiles parts.

    Members:
        layers: names of the layers of all parts.
    """

    found: QuantisedNetwork
    config: Config
    schedules: Schedules
    progress: Progress
    observe: Observe | None
    improve: Improve
    latency_cycles: int
    layers: list[str] = field(default_factory=list)

    def parts(self) -> tuple[dict[Value, Part], Verdicts]:
        """The parts that can be compiled, and the reasons why others cannot."""
        parts: dict[Value, Part] = {}
        refused: Verdicts = {}
        equations = list(filter(is_on_accelerator, self.found.partition.function.equations))
        for number, equation in enumerate(equations):
            what = f"part {number + 1} of {len(equations)}"
            try:
                parts[equation.results[0]] = self._part(equation.results[0], what)
            except LayerError:
                raise
            except TilewrightError as error:
                refused |= refused_kernel(equation, str(error))
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
        """The names of layers and chains that may have schedules."""
        network = chained_network(integers, self.config, self.schedules, self.latency_cycles)
        return [each.name for each in network.layers]

    def _part(self, first: Value, what: str) -> Part:
        source, integers = self.found.network.parts[first].source, self.found.parts.integers[first]
        name = integers.function.name
        if self.observe is not None:
            self.observe(name, "integers", print_function(integers.function))
        self.progress(f"compiling {what}")
        model, points = self._compiled(integers, name, share_of(self.progress, f"compiling {what}"))
        return Part(source, integers, model, points)

    def _compiled(self, integers: NamedFunction, kernel: str, share: Share) -> tuple[Model, Points]:
        """The program of a kernel, and the points of its layers that do not have their default."""
        points, own = NO_POINTS, list[str]()
        if self.schedules:
            own = self._layers_of(integers)
            self.layers += own
        else:
            variants = Variants(integers, self.config, latency_cycles=self.latency_cycles)
            found = self.improve(variants, variants.variant(share=share))
            if self.observe is None:
                return found.model(), found.points
            # Observers are told of what is taken, and of nothing else.
            points = found.points
        schedules = {part: each for part, each in self.schedules.items() if part.layer in own}
        observe = _within(kernel, self.observe)
        model = compile_function(
            integers, self.config, observe, schedules, share, points, self.latency_cycles
        )
        return model, points


def _within(kernel: str, observe: Observe | None) -> Observe | None:
    """The callback for the layers of a kernel."""
    if observe is None:
        return None
    return lambda layer, name, text: observe(f"{kernel}/{layer}", name, text)


def _reasons(found: Partition, target: Accelerator) -> tuple[Refusal, ...]:
    return tuple(each for each in found.refusals if each.target == target.name)
