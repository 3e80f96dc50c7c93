"""Networks to packages."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tilewright.api.package import Package, PackageError
from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.ir.function import Equation, Function, Module
from tilewright.compiler.ir.kernel import Kernel, shown_names
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.network.batch import mixing
from tilewright.compiler.network.split import SplitNetwork, split_network
from tilewright.compiler.network.target import HOST
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.passes.run import Observer, Pass, run_passes
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.targets.accel.layer_schedule import Schedules
from tilewright.isa.config import Config, load_config

Source = str | os.PathLike[str] | bytes | Any
"""A path, the bytes of a file, or an onnx.ModelProto."""
PASSES: tuple[Pass, ...] = (Simplify(),)
"""Of every network, before it is split."""


def compile(
    model: Source,
    *,
    config: str | Config = "reference",
    calibration: Mapping[str, ArrayLike] | None = None,
    sizes: Mapping[str, int] | None = None,
    accelerator: bool | None = None,
    schedules: Schedules | None = None,
    progress: Callable[[str], None] = lambda _: None,
    observe: Observer | None = None,
) -> Package:
    """A network, split between the accelerator and the CPU, compiled for both.

    Args:
        model: an ONNX model: a path, its bytes, or an onnx.ModelProto.
        config: of the accelerator: a preset's name, a TOML file, or a `Config`.
        calibration: typical inputs by name, some hundred samples along the first axis; they choose the scales
            of a network of floats. One that has scales itself (QDQ) keeps them.
        sizes: numbers for symbolic sizes; all but the batch must have one on the accelerator.
        accelerator: whether it is used; by default if the network has scales or there is calibration.
        schedules: of layers on the accelerator that shall not have their default schedule.
        progress: is told what is being done.
        observe: is given each pass and the text behind it.

    Raises:
        FrontendError: if the model has what is not supported, with all of that.
        TilewrightError: if something else is wrong with it or with an argument.
    """
    machine = config if isinstance(config, Config) else load_config(os.fspath(config))
    progress("reading the model")
    named = _sized(load_onnx(model), sizes or {})
    module = run_passes(Module({named.function.name: named.function}), PASSES, observe)
    named = named.with_function(module.functions[named.function.name])
    scaled = has_scales(named.function)
    if accelerator is None:
        accelerator = scaled or calibration is not None
    if not accelerator:
        return on_host(named, machine, ())
    if calibration is None and not scaled:
        raise PackageError(
            "a network of floats must be calibrated for the accelerator: give calibration, typical inputs, "
            "or accelerator=False for the CPU in floats"
        )
    reason = _why_not_by_sample(named)
    if reason:
        return on_host(named, machine, _all_refused(named.function, reason))
    data = None if calibration is None else {name: np.asarray(each) for name, each in calibration.items()}
    return package_of(split_network(named, machine, data, schedules, progress), machine)


def package_of(split: SplitNetwork, config: Config) -> Package:
    """The package of a network that is split."""
    return Package(split.named, config, split.parts, split.refusals)


def on_host(named: NamedFunction, config: Config, refusals: tuple[Refusal, ...]) -> Package:
    """The package of a network that runs on the CPU as one kernel."""
    function = named.function
    sizes = tuple(SizeName(name) for name in shown_names(function))
    kernel = Equation(function.results, Kernel(HOST, function, sizes), function.parameters)
    whole = Function(function.name, function.parameters, (kernel,), function.results)
    return Package(named.with_function(whole), config, {}, refusals)


def _sized(named: NamedFunction, sizes: Mapping[str, int]) -> NamedFunction:
    return named.with_function(specialise(named.function, sizes)) if sizes else named


def _why_not_by_sample(named: NamedFunction) -> str:
    """Why the samples of a batch cannot be run one by one; "" if they can."""
    for name, tensor in named.input_types.items():
        first = tensor.shape[0] if tensor.rank else 0
        if isinstance(first, int) and first != 1:
            return f"input {name!r} must have a batch in front, symbolic or 1, not be {tensor}"
    batches = {value.type.shape[0] for value in named.function.parameters}
    names = [size.name for size in batches if isinstance(size, Size) and size.name is not None]
    others = [name for name in named.function.size_names if name not in names]
    if others:
        return f"sizes must be numbers but for the batch, and {', '.join(others)} are not: give sizes"
    found = [label for name in names for label in mixing(named.function, name)]
    return (
        f"the batch must stay in front, its samples apart, and do not in {', '.join(found)}" if found else ""
    )


def _all_refused(function: Function, reason: str) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(each.label, each.operator.name, "accelerator", reason)
        for each in function.equations
        if each.operands
    )
