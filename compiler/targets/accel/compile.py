"""Compiles a function of integers to a model: every pass of the accelerator in its order."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function as print_ir
from tilewright.compiler.ir.print import tensors_of
from tilewright.compiler.ir.tensor_file import save_tensors
from tilewright.compiler.schedule import Primitive, apply
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.address_plan import AddressPlan
from tilewright.compiler.targets.accel.allocation import Allocation, AllocationError
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.layer_schedule import (
    NO_POINTS,
    LayerPart,
    Points,
    Schedules,
    chained_network,
    lowered_parts,
)
from tilewright.compiler.targets.accel.network import AccelNetwork, TensorPort, Unit, feature_map_shape
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.program import LayerSpan, Program, Work, check_program, place_works
from tilewright.compiler.targets.accel.task import print_task
from tilewright.compiler.targets.accel.task_table import TaskTable
from tilewright.compiler.targets.accel.tensorise import limits_of, tensorise
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.targets.accel.write_slice import with_prefix, write_into_slice
from tilewright.compiler.te import print_program
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.assembly import format_instruction
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.isa.model import REGION_NAMES, Binding, Layer, Model
from tilewright.isa.region import Region
from tilewright.numerics.cycle_search import without_search_for_cycles
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Share

MOST_INSTRUCTIONS = 1 << 19
"""The most instructions of a program, but finish: 32 MiB."""
FREE_INSTRUCTIONS = 1 << 16
"""The number of instructions that any program may have."""
WORTH_CYCLES = 16
"""Cycles of the array for which each instruction beyond `FREE_INSTRUCTIONS` must stand, on average: else the
memories on the chip cut the network into pieces that are not worth an instruction."""

Observe = Callable[[str, str, str], object]
"""A callback that receives what a pass made: name of the layer, name of the pass, text; part by part."""
PASSES = ("te", "lower", "schedule", "tensorise", "tasks", "assembler")
"""Names of the passes, as the callback receives them."""


Shape = tuple[int, ...]
"""The shape of a result, or the indices where a part of it begins."""


class LengthError(TilewrightError):
    """A network that a machine with such small memories could do in too many instructions only."""


class LayerError(TilewrightError):
    """A layer whose schedule does not suit it or the machine: which one, and why."""


def compile_function(
    named: NamedFunction,
    config: Config,
    observe: Observe | None = None,
    schedules: Schedules | None = None,
    share: Share | None = None,
    points: Points = NO_POINTS,
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
) -> Model:
    """The model that runs a function of integers on a machine.

    Args:
        named: quantised; values between the host's quantisation and dequantisation are int8, and so may
            parameters and results be.
        config: the machine.
        observe: is told what each pass makes of each layer.
        schedules: of layers that shall not have their default schedule; the results are the same.
        share: is told how many parts of layers have been scheduled.
        points: of further layers that shall not have their default; the results are the same.
        latency_cycles: of the memory for which defaults are chosen.

    Raises:
        LayerError: if a given schedule names no layer or cannot be applied, or makes no program.
        NetworkError: if the machine cannot do all of it, listing what it cannot.
        TilingError: naming each layer that does not fit, and why.
        LengthError: if the program would have more instructions than `most_instructions`.
        AllocationError: if what a layer keeps on the chip at a time does not fit.
    """
    variants = Variants(named, config, observe, schedules, latency_cycles)
    return variants.variant(points, share).model()


class Variants:
    """Programs of one function by different points of its layers: a layer by a point is scheduled once.

    Args: as those of `compile_function`.

    Raises:
        NetworkError: if the machine cannot do all of it, listing what it cannot.
    """

    def __init__(
        self,
        named: NamedFunction,
        config: Config,
        observe: Observe | None = None,
        schedules: Schedules | None = None,
        latency_cycles: int = ASSUMED_LATENCY_CYCLES,
    ) -> None:
        self.named, self.config, self.observe = named, config, observe
        self.network = chained_network(named, config, schedules, latency_cycles)
        self._layers = _Layers(self.network, config, observe, schedules or {}, latency_cycles)

    @property
    def lowered(self) -> Mapping[LayerPart, Lowered]:
        """The parts of all layers, in the order of the program.

        Raises:
            TilingError: naming each layer that does not fit, and why.
        """
        return {part: lowered for part, (_, lowered) in self._layers.lowered.items()}

    def variant(
        self,
        points: Points = NO_POINTS,
        share: Share | None = None,
        among: Container[LayerPart] | None = None,
    ) -> "Variant":
        """The program with these points, and defaults for all other layers.

        Args:
            points, share: as those of `compile_function`.
            among: the layers that it has; None: all. Without all of them it has no meaning, but a time.

        Raises: as `compile_function`, but for what the checker finds.
        """
        with without_search_for_cycles():
            parts = self._layers.parts(points, share, among)
            plan = AddressPlan(self.network, self.config)
            works = [part.work(plan) for part in parts]
            return Variant(self, points, plan, place_works(works, self.config))


@dataclass(frozen=True)
class Variant:
    """A program that was not checked yet: sound for all that is known.

    Members:
        variants: which function's.
        points: of layers that do not have their default.
        plan: where everything lies in the memory outside.
        program: its instructions.
    """

    variants: Variants
    points: Points
    plan: AddressPlan
    program: Program

    @property
    def executable(self) -> Executable:
        """The program as devices take it."""
        regions = [Region(base, size, REGION_NAMES[base]) for base, size in self.plan.sizes().items()]
        return Executable(self.program.code, self.variants.config, tuple(regions))

    def model(self) -> Model:
        """All that is needed to run it.

        Raises:
            CheckError: if the program is not sound.
        """
        variants = self.variants
        with without_search_for_cycles():
            check_program(self.program, variants.config, self.plan.sizes())
        if variants.observe is not None:
            for span in self.program.layers:
                variants.observe(span.name, "assembler", _assembler(self.program, span))
        return _model(variants.network, variants.named, self)


def most_instructions(network: AccelNetwork, config: Config) -> int:
    """The most instructions, but finish, that a program for a network may have."""
    worth = sum(unit.macs for unit in network.layers) // (config.peak_macs * WORTH_CYCLES)
    return min(MOST_INSTRUCTIONS, max(FREE_INSTRUCTIONS, worth))


# --- layers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Template:
    """The tasks that layers of one structure share.

    Members:
        parameters: of the function of the first such layer.
        table, allocation: its tasks.
    """

    parameters: tuple[Buffer, ...]
    table: TaskTable
    allocation: Allocation


@dataclass(frozen=True)
class _Part:
    """A layer, or a part of one, compiled to tasks.

    Members:
        layer: its name.
        template: how it runs.
        contents: of each parameter, a value of the function or a constant.
        first_blocks: of parameters that begin behind the first block of their value.
    """

    layer: str
    template: _Template
    contents: Mapping[Buffer, Value | NDArray[Any]]
    first_blocks: Mapping[Buffer, int]

    def work(self, plan: AddressPlan) -> Work:
        """Its tasks, with the addresses of what they load and store."""
        addresses = {
            buffer: plan.address(contents, self.first_blocks.get(buffer, 0))
            for buffer, contents in self.contents.items()
        }
        return Work(self.template.table, self.template.allocation, addresses, self.layer)


class _Layers:
    """Makes the parts of a network, one after the other."""

    def __init__(
        self,
        network: AccelNetwork,
        config: Config,
        observe: Observe | None,
        schedules: Schedules,
        latency_cycles: int,
    ) -> None:
        self._network, self._config, self._observe = network, config, observe
        # By all that decides how a part runs: its loops, how they are scheduled, and where its result lies.
        self._templates: dict[tuple[PrimFunc, tuple[Primitive, ...], Shape, Shape], _Template] = {}
        self._schedules, self._latency = schedules, latency_cycles
        self._points: dict[LayerPart, Point] = {}
        self._most = most_instructions(network, config)
        self._count = 0

    def parts(
        self, points: Points, share: Share | None = None, among: Container[LayerPart] | None = None
    ) -> list[_Part]:
        """All parts, or those among some, or every reason why some do not fit."""
        lowered = self.lowered
        unsupported = ", ".join(str(part) for part in {**self._schedules, **points} if part not in lowered)
        if unsupported:
            known = ", ".join(repr(unit.name) for unit in self._network.layers)
            raise LayerError(f"schedules must be of the layers {known}, not of {unsupported}")
        if among is not None:
            lowered = {part: each for part, each in lowered.items() if part in among}
        self._points = {
            part: points.get(part, each.default)
            for part, (_, each) in lowered.items()
            if part not in self._schedules
        }
        counts = (
            lowered[part][1].tunable.tilings().instructions(point) for part, point in self._points.items()
        )
        self._count = 0
        self._check_count(sum(counts))
        made: list[_Part] = []
        for part, (unit, each) in lowered.items():
            made.append(self._part(unit, part, each))
            if share is not None:
                share(len(made), len(lowered))
        return made

    @cached_property
    def lowered(self) -> dict[LayerPart, tuple[Unit, Lowered]]:
        """All parts, in their order, or every reason why some do not fit."""
        found: dict[LayerPart, tuple[Unit, Lowered]] = {}
        problems: list[str] = []
        for unit in self._network.layers:
            try:
                for part, lowered in lowered_parts(self._network, unit, self._config, self._latency):
                    found[part] = unit, lowered
                    if part not in self._schedules:
                        # Now, so that all layers that do not fit are told together.
                        _ = lowered.default
            except TilingError as error:
                problems.append(f"layer {unit.name!r} ({unit.operator_name}): {error}")
        if problems:
            raise TilingError("; ".join(problems))
        return found

    def _check_count(self, count: int) -> None:
        if count > self._most:
            raise LengthError(
                f"a program for this network must have at most {self._most} instructions, not {count} or"
                " more: the memories of this machine are too small for it, use larger ones"
            )

    def _part(self, unit: Unit, part: LayerPart, lowered: Lowered) -> _Part:
        given = self._schedules.get(part)
        schedule = lowered.tunable.schedule(self._points[part]) if given is None else given
        try:
            template = self._template(unit, part, lowered, schedule)
        except TilewrightError as error:
            if given is None or isinstance(error, AllocationError):
                raise
            # The loops, which follow, are in the cause.
            raise LayerError(f"{part}: {str(error).splitlines()[0]}") from error
        self._count = min(self._count + len(template.table), self._most + 1)
        self._check_count(self._count)
        contents: dict[str, Value | NDArray[Any]] = {
            **{name: unit.operands[index] for name, index in lowered.tensors.items()},
            **lowered.constants,
        }
        bound = _bound(template.parameters, contents, unit.equation.result)
        first = {
            buffer: lowered.first_blocks.get(buffer.name.rpartition(".")[2], 0)
            for buffer in template.parameters[:-1]
        }
        return _Part(unit.name, template, bound, {**first, template.parameters[-1]: lowered.first_block})

    def _template(
        self, unit: Unit, part: LayerPart, lowered: Lowered, schedule: tuple[Primitive, ...]
    ) -> _Template:
        """The template of a part; one of the same structure is made once."""
        _, height, width = feature_map_shape(unit.equation.result.type)
        # A part of the blocks is a result of its own, at another address.
        count, *_ = lowered.function.parameters[-1].shape
        assert isinstance(count, Const), "lowered: sizes are numbers"
        result = (int(count.value), height, width, self._config.cols)
        origin = (0, *lowered.origin, 0)
        key = (lowered.function, schedule, result, origin)
        if key not in self._templates or self._observe is not None:
            function = self._tensorised(unit, part, lowered, schedule, result, origin)
            table = enumerated(
                function, unit.name, self._config, lambda count: self._check_count(self._count + count)
            )
            if self._observe is not None:
                self._observe(unit.name, "tasks", "\n".join(map(print_task, table.tasks())))
            self._templates[key] = _Template(function.parameters, table, Allocation(table, self._config))
        return self._templates[key]

    def _tensorised(
        self,
        unit: Unit,
        part: LayerPart,
        lowered: Lowered,
        schedule: tuple[Primitive, ...],
        result: Shape,
        origin: Shape,
    ) -> PrimFunc:
        """Schedule and tensorise."""
        if self._observe is not None:
            self._observe(unit.name, "te", print_program(lowered.program))
        self._tell(unit, "lower", lowered.function)
        scheduled = write_into_slice(apply(lowered.function, schedule), result, origin)
        self._tell(unit, "schedule", scheduled)
        function = tensorise(with_prefix(scheduled, f"{unit.name}.{part.number}"), limits_of(self._config))
        self._tell(unit, "tensorise", function)
        return function

    def _tell(self, unit: Unit, name: str, function: PrimFunc) -> None:
        """Tell who observes what a pass made."""
        if self._observe is not None:
            self._observe(unit.name, name, print_function(function))


def _bound(
    parameters: Sequence[Buffer], contents: Mapping[str, Value | NDArray[Any]], result: Value
) -> dict[Buffer, Value | NDArray[Any]]:
    """The contents of each parameter, by the last part of its name; the last one is the result."""
    *inputs, output = parameters
    bound = {buffer: contents[buffer.name.rpartition(".")[2]] for buffer in inputs}
    return {**bound, output: result}


def _assembler(program: Program, span: LayerSpan) -> str:
    """The instructions of a layer, as text."""
    own = program.instructions[span.first : span.first + span.count]
    return "\n".join(map(format_instruction, own))


# --- the model ---------------------------------------------------------------------------------------------


def _model(network: AccelNetwork, named: NamedFunction, variant: Variant) -> Model:
    plan = variant.plan
    return Model(
        executable=variant.executable,
        inputs=tuple(_binding(port, plan) for port in network.inputs),
        outputs=tuple(_binding(port, plan) for port in network.outputs),
        layers=tuple(_layers(network, variant.program)),
        constants=plan.constants(),
        graph=print_ir(named.function),
        tensors=save_tensors(tensors_of(named.function)),
    )


def _binding(port: TensorPort, plan: AddressPlan) -> Binding:
    region, offset = plan.address(port.value)
    return Binding(
        name=port.name,
        shape=port.shape,
        picture=feature_map_shape(port.value.type),
        region=region,
        offset=offset,
        scale=port.scale,
        zero_point=port.zero_point,
        views=port.views,
    )


def _layers(network: AccelNetwork, program: Program) -> list[Layer]:
    units = {unit.name: unit for unit in network.layers}
    return [
        Layer(
            name=span.name,
            operator=units[span.name].operator_name,
            first=span.first,
            count=span.count,
            macs=units[span.name].macs,
        )
        for span in program.layers
    ]
