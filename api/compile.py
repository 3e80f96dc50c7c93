"""Networks to packages."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tilewright.api.error import PackageError
from tilewright.api.explanation import Explanation
from tilewright.api.host_task import host_schedules
from tilewright.api.package import Package
from tilewright.api.records import DEFAULT_LATENCY_CYCLES, SHIPPED, RecordSource, records_of, unnoted
from tilewright.api.tuned_package import RecordedPrograms
from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.ir.function import Equation, Function, Module
from tilewright.compiler.ir.kernel import Kernel, shown_names
from tilewright.compiler.ir.named import NamedFunction, size_options
from tilewright.compiler.ir.print import print_function
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.network.batch import mixing
from tilewright.compiler.network.budget import parse_budget
from tilewright.compiler.network.split import (
    Improve,
    Observe,
    SplitNetwork,
    placed_network,
    split_network,
    take_default,
)
from tilewright.compiler.network.target import HOST
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.passes.run import Pass, run_passes
from tilewright.compiler.pipeline import HOST_PASSES, PASSES
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.quantise.range_method import RangeMethod, range_method
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import Schedules
from tilewright.isa.config import Config, load_config
from tilewright.numerics.progress import Progress, unheard
from tilewright.tune.record_index import Records

_SHOWN_LABELS = 4
Source = str | os.PathLike[str] | bytes | Any
"""A path, the bytes of a file, an onnx.ModelProto, or a `NamedFunction`."""


def compile(
    model: Source,
    *,
    config: str | Config = "reference",
    calibration: Mapping[str, ArrayLike] | None = None,
    ranges: str = RangeMethod.AUTO,
    accuracy_budget: str | None = None,
    sizes: Mapping[str, int] | None = None,
    accelerator: bool | None = None,
    schedules: Schedules | None = None,
    records: RecordSource = SHIPPED,
    latency_cycles: int = DEFAULT_LATENCY_CYCLES,
    progress: Progress = unheard,
    observe: Observe | None = None,
) -> Package:
    """A network, split between the accelerator and the CPU, compiled for both.

    Args:
        model: an ONNX model: a path, its bytes, or an onnx.ModelProto; or a `NamedFunction`, one that was
            trained for instance.
        config: of the accelerator: a preset's name, a TOML file, or a `Config`.
        calibration: typical inputs by name, some hundred samples along the first axis; they choose the scales
            of a network of floats. One that has scales itself (QDQ) keeps them.
        ranges: how calibration chooses the range of a value's integers: "min-max", all that was seen;
            "percentile", "entropy" or "mean-square", without rare large values; "auto", what of these makes
            the network of integers nearest to that of floats, measured on the calibration data.
        accuracy_budget: "30dB": the outputs' least ratio of signal to noise on the calibration data; "1%":
            the most of its answers (classes, one a sample, step of a sequence or pixel) that may be others
            than in floats. The fewest layers that this takes stay in floats, on the CPU. None: all that can
            become integers does.
        sizes: numbers for symbolic sizes; all but the batch must have one on the accelerator.
        accelerator: whether it is used; by default if the network has scales or there is calibration.
        schedules: of layers on the accelerator that shall not have their default schedule.
        records: files of measurements, as `tilewright tune` keeps them: layers have the best schedule that
            was measured for this configuration. "shipped" are those of presets that come along; None: none.
        latency_cycles: of the memory: schedules are chosen for it, and records of it are taken.
        progress: is told what is being done, and how much of it is; see `numerics.progress`.
        observe: is told what each pass made: where ("" for the network, a kernel's name, or that / a
            layer's name), one of `pipeline.STAGES`, and the text.

    Raises:
        FrontendError: if the model has what is not supported, with all of that.
        TilewrightError: if something else is wrong with it or with an argument.
    """
    machine = config if isinstance(config, Config) else load_config(os.fspath(config))
    progress("reading the model")
    return compile_named(
        read_network(model, sizes or {}),
        machine,
        calibration=calibration,
        ranges=ranges,
        accuracy_budget=accuracy_budget,
        accelerator=accelerator,
        schedules=schedules,
        records=records_of(records),
        latency_cycles=latency_cycles,
        progress=progress,
        observe=observe,
    )


def compile_named(
    named: NamedFunction,
    config: Config,
    *,
    calibration: Mapping[str, ArrayLike] | None = None,
    ranges: str = RangeMethod.AUTO,
    accuracy_budget: str | None = None,
    accelerator: bool | None = None,
    schedules: Schedules | None = None,
    records: Records | None = None,
    latency_cycles: int = DEFAULT_LATENCY_CYCLES,
    progress: Progress = unheard,
    observe: Observe | None = None,
    note: Callable[[str], object] = unnoted,
) -> Package:
    """As `compile`, of a network that was read.

    Args:
        records: measurements of layers and programs; the best points are taken where no schedules are given,
            and the program is faster with them.
        latency_cycles: of the memory: schedules are chosen for it, and records of it count.
        note: is told of records that hold no longer.
    """
    improve: Improve = take_default
    if records:
        improve = RecordedPrograms(records=records, latency_cycles=latency_cycles, note=note)
    package = _compiled(
        named,
        config,
        calibration,
        ranges,
        accuracy_budget,
        accelerator,
        schedules,
        progress,
        observe,
        improve,
        assumed_latency(latency_cycles),
    )
    return replace(package, host_schedules=host_schedules(records)) if records else package


def _compiled(
    named: NamedFunction,
    config: Config,
    calibration: Mapping[str, ArrayLike] | None,
    ranges: str,
    accuracy_budget: str | None,
    accelerator: bool | None,
    schedules: Schedules | None,
    progress: Progress,
    observe: Observe | None,
    improve: Improve,
    latency_cycles: int,
) -> Package:
    method = range_method(ranges)
    budget = None if accuracy_budget is None else parse_budget(accuracy_budget)
    if observe is not None:
        observe("", "input", print_function(named.function))
    named = _passed(named, PASSES, observe)
    scaled = has_scales(named.function)
    if accelerator is None:
        accelerator = scaled or calibration is not None
    reason = why_not_by_sample(named) if accelerator else ""
    if reason or not accelerator:
        named = _passed(named, HOST_PASSES, observe)
        package = on_host(named, config, _all_refused(named.function, reason) if reason else ())
        if observe is not None:
            observe("", "partition", print_function(package.named.function))
        return package
    if calibration is None and not scaled:
        raise PackageError(
            "a network of floats must be calibrated for the accelerator: give calibration, typical inputs, "
            "or accelerator=False for the CPU in floats"
        )
    data = None if calibration is None else {name: np.asarray(each) for name, each in calibration.items()}
    split = split_network(
        named, config, data, schedules, progress, observe, method, budget, improve, latency_cycles
    )
    return package_of(split, config)


def explain_named(named: NamedFunction, config: Config) -> Explanation:
    """Where each part of a network would run, by judging and partitioning alone: no calibration is needed.

    What turns out not to fit the machine only when it is compiled counts as on the accelerator.
    """
    named = _passed(named, PASSES)
    reason = why_not_by_sample(named)
    if reason:
        return on_host(named, config, _all_refused(named.function, reason)).explain()
    return package_of(placed_network(named, config), config).explain()


def prepared_network(named: NamedFunction) -> NamedFunction:
    """A network behind the passes that come before it is split."""
    return _passed(named, PASSES)


def package_of(split: SplitNetwork, config: Config) -> Package:
    """The package of a network that is split."""
    return Package(split.named, config, split.parts, split.refusals, noise=split.noise)


def on_host(named: NamedFunction, config: Config, refusals: tuple[Refusal, ...]) -> Package:
    """The package of a network that runs on the CPU as one kernel."""
    function = named.function
    sizes = tuple(SizeName(name) for name in shown_names(function))
    kernel = Equation(function.results, Kernel(HOST, function, sizes), function.parameters)
    whole = Function(function.name, function.parameters, (kernel,), function.results)
    return Package(named.with_function(whole), config, {}, refusals)


def read_network(model: Source | NamedFunction, sizes: Mapping[str, int]) -> NamedFunction:
    """A network, with numbers for some of its symbolic sizes.

    Raises:
        FrontendError: if a model has what is not supported.
        IrError: if it has no size of a name, or no meaning for a number.
    """
    return sized(model, sizes) if isinstance(model, NamedFunction) else load_onnx(model, sizes)


def sized(named: NamedFunction, sizes: Mapping[str, int]) -> NamedFunction:
    """A network with numbers for some of its symbolic sizes.

    Raises:
        IrError: if it has no size of a name, or no meaning for a number.
    """
    return named.with_function(specialise(named.function, sizes)) if sizes else named


def why_not_by_sample(named: NamedFunction) -> str:
    """Why the samples of a batch cannot be run one by one; "" if they can."""
    names = _batch_names(named)
    if not named.inputs:
        return "it takes no inputs"
    # Of a symbolic batch, `mixing` says whether outputs have it in front; of a batch of 1 they need not.
    odd = [f"{name} ({each})" for name, each in named.input_types.items() if not _has_batch(each, names)]
    if odd:
        return (
            "inputs must have a batch in front, symbolic or 1: export the model so, or leave its size open, "
            f"not {', '.join(odd)}"
        )
    unknown = unknown_sizes(named)
    if unknown:
        return f"all sizes but the batch must be numbers: give sizes ({size_options(unknown)})"
    found = list(dict.fromkeys(label for name in names for label in mixing(named.function, name)))
    return f"samples must stay apart, in the first axis, and do not in {_listed(found)}" if found else ""


def unknown_sizes(named: NamedFunction) -> tuple[str, ...]:
    """Names of sizes of inputs that are neither numbers nor a batch."""
    names = _batch_names(named)
    return tuple(name for name in named.function.size_names if name not in names)


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - _SHOWN_LABELS
    return ", ".join(labels[:_SHOWN_LABELS]) + (f" and {more} more" if more > 0 else "")


def _batch_names(named: NamedFunction) -> list[str]:
    """Names of first axes of inputs."""
    firsts = dict.fromkeys(value.type.shape[0] for value in named.function.parameters if value.type.rank)
    return [size.name for size in firsts if isinstance(size, Size) and size.name is not None]


def _has_batch(tensor: TensorType, names: list[str]) -> bool:
    first = tensor.shape[0] if tensor.rank else 0
    return first == 1 or (isinstance(first, Size) and first.name in names)


def _passed(named: NamedFunction, passes: Sequence[Pass], observe: Observe | None = None) -> NamedFunction:
    module = Module({named.function.name: named.function})
    tell = None if observe is None else partial(observe, "")
    return named.with_function(run_passes(module, passes, tell).functions[named.function.name])


def _all_refused(function: Function, reason: str) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(each.label, each.operator.name, "accelerator", reason)
        for each in function.equations
        if each.operands
    )
