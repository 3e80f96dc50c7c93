"""A network split between accelerator and host, each part compiled for its target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.target import ACCELERATOR, Accelerator, Host
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.split import Partition, partition
from tilewright.compiler.quantise.judge import judge
from tilewright.compiler.quantise.quantise import has_scales, quantise
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.layer_schedule import Schedules
from tilewright.isa.config import Config
from tilewright.isa.model import Model
from tilewright.numerics.error import TilewrightError

Progress = Callable[[str], None]
"""Is told what is being done."""


@dataclass(frozen=True)
class Part:
    """A kernel on the accelerator.

    Members:
        source: its body, in floats, with names for its values.
        integers: the same in integers.
        model: its program.
    """

    source: NamedFunction
    integers: NamedFunction
    model: Model


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
    progress: Progress = lambda _: None,
) -> SplitNetwork:
    """The network with as many of its products on the accelerator as that takes.

    What turns out not to fit when it is compiled goes to the host, and the reason to the refusals.

    Args:
        named: of floats, or with scales; sizes behind the batch are numbers.
        config: of the accelerator.
        calibration: typical inputs, where the network has no scales.
        schedules: of layers that shall not have their default schedule.
        progress: is told what is being done.
    """
    one = named.one_sample()
    target = Accelerator(judge(one.function))
    while True:
        progress("partitioning")
        found = partition(one.function, (target, Host()))
        split = one.with_function(found.function)
        inputs = _inputs_of_parts(split, calibration)
        parts: dict[Value, Part] = {}
        refused = dict(target.refused)
        for equation in split.function.equations:
            if _is_on_accelerator(equation):
                try:
                    parts[equation.results[0]] = _part(equation, config, inputs, schedules, progress)
                except TilewrightError as error:
                    refused |= _refuse(equation, str(error))
        if len(refused) == len(target.refused):
            return SplitNetwork(split, parts, _reasons(found, one.function, target))
        target = Accelerator(target.verdicts, refused)


def _is_on_accelerator(equation: Equation) -> bool:
    return isinstance(equation.operator, Kernel) and equation.operator.target == ACCELERATOR


def _part(
    equation: Equation,
    config: Config,
    inputs: Mapping[Value, tuple[Array, ...]],
    schedules: Schedules | None,
    progress: Progress,
) -> Part:
    assert isinstance(equation.operator, Kernel)
    body = equation.operator.body
    names = tuple(value.name for value in body.parameters)
    source = NamedFunction(body, names, tuple(value.name for value in body.results))
    calibration = None
    if not has_scales(body):
        calibration = dict(zip(names, inputs[equation.results[0]], strict=True))
    progress("quantising")
    integers = quantise(source, calibration)
    progress("compiling")
    return Part(source, integers, compile_function(integers, config, schedules=schedules))


def _refuse(equation: Equation, reason: str) -> dict[Value, str]:
    """All of a kernel goes to the host: which of its equations is to blame, the reason says."""
    assert isinstance(equation.operator, Kernel)
    return {each.results[0]: reason for each in equation.operator.body.equations if each.operands}


def _reasons(found: Partition, function: Function, target: Accelerator) -> tuple[Refusal, ...]:
    return tuple(each for each in found.refusals if each.target == target.name)


def _inputs_of_parts(
    split: NamedFunction, calibration: Mapping[str, Array] | None
) -> dict[Value, tuple[Array, ...]]:
    """What the kernels on the accelerator read, for all samples of the calibration."""
    if calibration is None:
        return {}
    count = split.check(calibration)
    rows: dict[Value, list[tuple[Array, ...]]] = {}
    for sample in range(count):
        arrays = [calibration[name][sample : sample + 1] for name in split.inputs]
        for first, operands in _operands(split.function, arrays).items():
            rows.setdefault(first, []).append(operands)
    return {first: tuple(map(np.concatenate, zip(*each, strict=True))) for first, each in rows.items()}


def _operands(function: Function, arrays: list[Array]) -> dict[Value, tuple[Array, ...]]:
    """Of each kernel on the accelerator its operands, in floats."""
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
