"""Compiles a function of integers to a model: every pass of the accelerator in its order."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function as print_ir
from tilewright.compiler.ir.print import tensors_of
from tilewright.compiler.ir.tensor_file import save_tensors
from tilewright.compiler.schedule import Primitive, apply
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.allocation import Allocation, AllocationError
from tilewright.compiler.targets.accel.enumerate import tasks
from tilewright.compiler.targets.accel.layer_schedule import (
    LayerPart,
    Schedules,
    chained_network,
    lowered_parts,
)
from tilewright.compiler.targets.accel.network import AccelNetwork, TensorPort, Unit, feature_map_shape
from tilewright.compiler.targets.accel.operator.layout import blocks
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import Choose, choose_defaults
from tilewright.compiler.targets.accel.program import LayerSpan, Program, Work, assemble_works
from tilewright.compiler.targets.accel.task import print_task
from tilewright.compiler.targets.accel.task_table import TaskTable
from tilewright.compiler.targets.accel.tensorise import limits_of, tensorise
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.targets.accel.write_slice import with_prefix, write_into_slice
from tilewright.compiler.targets.memory_plan import TensorLiveRange, plan_memory
from tilewright.compiler.te import print_program
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.assembly import format_instruction
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.isa.model import BETWEEN, CONSTANTS, INPUTS, OUTPUTS, REGION_NAMES, Binding, Layer, Model
from tilewright.isa.region import Region
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
    choose: Choose = choose_defaults,
) -> Model:
    """The model that runs a function of integers on a machine.

    Args:
        named: quantised; values between the host's quantisation and dequantisation are int8, and so may
            parameters and results be.
        config: the machine.
        observe: is told what each pass makes of each layer.
        schedules: of layers that shall not have their default schedule; the results are the same.
        share: is told how many parts of layers have been scheduled.
        choose: names points of the other layers; the results are the same.

    Raises:
        LayerError: if a given schedule names no layer or cannot be applied, or makes no program.
        NetworkError: if the machine cannot do all of it, listing what it cannot.
        TilingError: naming each layer that does not fit, and why.
        LengthError: if the program would have more instructions than `most_instructions`.
        AllocationError: if what a layer keeps on the chip at a time does not fit.
    """
    network = chained_network(named, config, schedules, choose)
    with _without_search_for_cycles():
        parts = _Layers(network, config, observe, schedules or {}, choose).parts(share)
        plan = _Plan(network, config)
        works = [part.work(plan) for part in parts]
        program = assemble_works(works, config, plan.sizes())
    if observe is not None:
        for span in program.layers:
            observe(span.name, "assembler", _assembler(program, span))
    return _model(network, named, config, program, plan)


@contextmanager
def _without_search_for_cycles() -> Iterator[None]:
    """Trees of loops, tasks and columns have no cycles; to look for some takes a sixth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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

    def work(self, plan: "_Plan") -> Work:
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
        choose: Choose,
    ) -> None:
        self._network, self._config, self._observe = network, config, observe
        # By all that decides how a part runs: its loops, how they are scheduled, and where its result lies.
        self._templates: dict[tuple[PrimFunc, tuple[Primitive, ...], Shape, Shape], _Template] = {}
        self._schedules, self._choose = schedules, choose
        self._points: dict[LayerPart, Point] = {}
        self._most = most_instructions(network, config)
        self._count = 0

    def parts(self, share: Share | None = None) -> list[_Part]:
        """All parts, or every reason why some do not fit."""
        lowered = self._lowered()
        unsupported = ", ".join(str(part) for part in self._schedules if part not in lowered)
        if unsupported:
            known = ", ".join(repr(unit.name) for unit in self._network.layers)
            raise LayerError(f"schedules must be of the layers {known}, not of {unsupported}")
        counts = (
            lowered[part][1].tunable.tilings().instructions(point) for part, point in self._points.items()
        )
        self._check_count(sum(counts))
        made: list[_Part] = []
        for part, (unit, each) in lowered.items():
            made.append(self._part(unit, part, each))
            if share is not None:
                share(len(made), len(lowered))
        return made

    def _lowered(self) -> dict[LayerPart, tuple[Unit, Lowered]]:
        found: dict[LayerPart, tuple[Unit, Lowered]] = {}
        problems: list[str] = []
        for unit in self._network.layers:
            try:
                for part, lowered in lowered_parts(self._network, unit, self._config):
                    if part not in self._schedules:
                        # Now, so that all layers that do not fit are told together.
                        self._points[part] = lowered.chosen(self._choose)
                    found[part] = unit, lowered
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
            work = tasks(function, unit.name, self._config, self._most - self._count + 1)
            if self._observe is not None:
                self._observe(unit.name, "tasks", "\n".join(map(print_task, work)))
            table = TaskTable.of(work)
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


# --- the memory outside ------------------------------------------------------------------------------------


class _Plan:
    """The memory plan: addresses of values and constants in the memory outside."""

    def __init__(self, network: AccelNetwork, config: Config) -> None:
        self._config = config
        self._values: dict[Value, tuple[int, int]] = {}
        self._used = dict.fromkeys(REGION_NAMES, 0)
        self._constants: list[bytes] = []
        self._reserve_ports(network, INPUTS, network.inputs)
        self._reserve_ports(network, OUTPUTS, network.outputs)
        self._views = network.views
        self._check_ports(network)
        live_ranges = _live_ranges(network, self._values.keys(), config)
        offsets, self._used[BETWEEN] = plan_memory(list(live_ranges.values()), config.burst_bytes)
        self._values |= {value: (BETWEEN, offsets[value.name]) for value in live_ranges}

    def _check_ports(self, network: AccelNetwork) -> None:
        """Legalised: what is handed back is no part of anything else."""
        parts = [port.name for port in network.outputs if port.value in self._views]
        assert not parts, f"outputs {parts} must have memory of their own"

    def _reserve_ports(self, network: AccelNetwork, region: int, ports: tuple[TensorPort, ...]) -> None:
        for port in ports:
            if port.value in self._values and self._values[port.value][0] != region:
                raise TilewrightError(f"output {port.name!r} must be the result of a layer, not an input")
            if port.value not in self._values:
                size = _bytes(port.value, self._config)
                self._values[port.value] = (region, self._reserve(region, size))

    def _reserve(self, region: int, size: int) -> int:
        """Room that begins where bursts do."""
        offset = self._used[region]
        self._used[region] = offset + size + -size % self._config.burst_bytes
        return offset

    def address(self, contents: Value | NDArray[Any], block: int = 0) -> tuple[int, int]:
        """Region and offset of a value, from a block on, or of a constant that is added."""
        if isinstance(contents, Value):
            inside = block * _block_bytes(contents, self._config)
            while (view := self._views.get(contents)) is not None:
                contents = view.whole
                inside += view.block * _block_bytes(contents, self._config)
            region, offset = self._values[contents]
            return region, offset + inside
        data = np.ascontiguousarray(contents).tobytes()
        offset = self._reserve(CONSTANTS, len(data))
        self._constants.append(data.ljust(self._used[CONSTANTS] - offset, b"\0"))
        return CONSTANTS, offset

    def constants(self) -> bytes:
        """The contents of their region."""
        return b"".join(self._constants)

    def sizes(self) -> dict[int, int]:
        """Bytes of each region that is used."""
        return {region: size for region, size in self._used.items() if size}


def _bytes(value: Value, config: Config) -> int:
    return blocks(feature_map_shape(value.type)[0], config) * _block_bytes(value, config)


def _block_bytes(value: Value, config: Config) -> int:
    _, height, width = feature_map_shape(value.type)
    return height * width * config.cols


def _live_ranges(network: AccelNetwork, placed: Any, config: Config) -> dict[Value, TensorLiveRange]:
    """Live ranges of values between layers: from the first layer that makes a part to the last reader."""
    spans: dict[Value, tuple[int, int]] = {}
    for index, unit in enumerate(network.layers):
        for value in (*unit.operands, unit.equation.result):
            whole = network.whole(value)
            spans[whole] = spans.get(whole, (index, index))[0], index
    made = {network.whole(unit.equation.result) for unit in network.layers}
    return {
        value: TensorLiveRange(value.name, _bytes(value, config), *span)
        for value, span in spans.items()
        if value in made and value not in placed
    }


# --- the model ---------------------------------------------------------------------------------------------


def _model(
    network: AccelNetwork, named: NamedFunction, config: Config, program: Program, plan: _Plan
) -> Model:
    regions = [Region(base, size, REGION_NAMES[base]) for base, size in plan.sizes().items()]
    return Model(
        executable=Executable(program.code, config, tuple(regions)),
        inputs=tuple(_binding(port, plan) for port in network.inputs),
        outputs=tuple(_binding(port, plan) for port in network.outputs),
        layers=tuple(_layers(network, program)),
        constants=plan.constants(),
        graph=print_ir(named.function),
        tensors=save_tensors(tensors_of(named.function)),
    )


def _binding(port: TensorPort, plan: _Plan) -> Binding:
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
