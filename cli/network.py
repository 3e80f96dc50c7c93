"""Networks as commands take them: ONNX, quantised and compiled here, or compiled before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.cli.kind import Kind, kind_of
from tilewright.cli.machine import DEFAULT_CONFIG
from tilewright.cli.program import choose_config
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.compiler.ir.named import NamedFunction
    from tilewright.compiler.targets.accel.layer_schedule import Schedules
    from tilewright.isa.config import Config
    from tilewright.isa.model import Model
    from tilewright.runtime.model_input import Samples

FIRST_INPUTS = 100
"""Samples that calibrate where the user names no data for it."""


@dataclass(frozen=True, kw_only=True)
class OpenedNetwork:
    """A network from a file.

    Members:
        path: where it was read.
        config: of the machine it is, or will be, compiled for.
        source: the network of an ONNX file.
        model: the compiled model, where the file is one.
        shapes: of one sample of each input, by name.
        results: of one sample of each output, by name.
    """

    path: str
    config: "Config"
    source: "NamedFunction | None" = None
    model: "Model | None" = None
    shapes: Mapping[str, tuple[int, ...]]
    results: Mapping[str, tuple[int, ...]]


def open_network(path: str, config: str | None) -> OpenedNetwork:
    """Read a network.

    Args:
        path: of an ONNX file or of a compiled model.
        config: the preset or TOML file that the user names, if any.

    Raises:
        TilewrightError: if the file is neither, has what is not supported, or is for another configuration
            than the user names.
        OSError: if it cannot be read.
    """
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.model import Model

    kind = kind_of(path)
    if kind is Kind.PROGRAM:
        raise TilewrightError(f"{path}: must be a network (ONNX) or a compiled model, not a program")
    if kind is Kind.MODEL:
        model = Model.load(path)
        choose_config(path, model.config, config)
        shapes, results = ({each.name: each.shape for each in side} for side in (model.inputs, model.outputs))
        return OpenedNetwork(path=path, config=model.config, model=model, shapes=shapes, results=results)
    machine = choose_config(path, None, config, DEFAULT_CONFIG)
    from tilewright.compiler.pipeline import load_onnx

    say(f"reading {path}")
    named = load_onnx(path)
    try:
        shapes, results = named.sample_shapes
    except TilewrightError as error:
        raise TilewrightError(f"{path}: {error}") from None
    return OpenedNetwork(path=path, config=machine, source=named, shapes=shapes, results=results)


def integer_function(
    network: OpenedNetwork, calibration: "Samples | None", inputs: "Samples | None"
) -> "NamedFunction":
    """The network in integers: quantised now, or when it was compiled.

    Args:
        network: of any kind.
        calibration: samples that the user names for quantisation, if any.
        inputs: samples to run, whose first ones calibrate otherwise; a note says so.

    Raises:
        TilewrightError: if a network of floats has neither.
    """
    if network.source is None:
        assert network.model is not None
        return _function_of(network.path, network.model)
    from tilewright.compiler.quantise.quantise import has_scales, quantise
    from tilewright.isa.error import TilewrightError

    if calibration is None and not has_scales(network.source.function):
        calibration = _first(network.path, inputs)
    say("quantising")
    try:
        return quantise(network.source, calibration)
    except TilewrightError as error:
        raise TilewrightError(f"{network.path}: {error}") from None


def compile_network(
    named: "NamedFunction", config: "Config", schedules: "Schedules | None" = None
) -> "Model":
    """The compiled model of a network in integers.

    Args:
        named: the network.
        config: of the machine.
        schedules: of layers that shall not have their default schedule.

    Raises:
        TilewrightError: if the machine cannot do all of it, or not with these schedules.
    """
    from tilewright.compiler.pipeline import compile_model

    say("compiling")
    model = compile_model(named, config, schedules=schedules)
    say("")
    return model


def read_schedules(path: str) -> "Schedules":
    """The schedules of layers in a file of text.

    Raises:
        TilewrightError: naming the line that says nothing.
        OSError: if the file cannot be read.
    """
    from tilewright.compiler.targets.accel.layer_schedule import parse_schedules
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.text_file import read_text

    text = read_text(path, "text, as --schedules writes it")
    try:
        return parse_schedules(text)
    except TilewrightError as error:
        raise TilewrightError(f"{path}: {error}") from None


def used_schedules(named: "NamedFunction", config: "Config", given: "Schedules") -> str:
    """The schedule of each layer as text: the given ones, and the default ones of the others."""
    from tilewright.compiler.targets.accel.layer_schedule import default_schedules, print_schedules

    return print_schedules({**default_schedules(named, config), **given})


def _first(path: str, inputs: "Samples | None") -> "Samples":
    from tilewright.isa.error import TilewrightError

    if inputs is None:
        raise TilewrightError(
            f"{path}: a network of floats must be calibrated: give typical inputs with --calibrate FILE"
        )
    first = {name: values[:FIRST_INPUTS] for name, values in inputs.items()}
    count = len(next(iter(first.values())))
    what = f"the first {count} inputs" if count > 1 else "the first input"
    note(f"quantisation is calibrated on {what}: give other data with --calibrate FILE")
    return first


def _function_of(path: str, model: "Model") -> "NamedFunction":
    from tilewright.compiler.ir.named import NamedFunction
    from tilewright.compiler.ir.parse import parse_function
    from tilewright.compiler.ir.tensor_file import load_tensors
    from tilewright.compiler.ir.verify import verify
    from tilewright.compiler.ops.registry import operators
    from tilewright.isa.error import TilewrightError

    try:
        function = parse_function(model.graph, operators(), load_tensors(model.tensors))
        verify(function)
        inputs, outputs = (tuple(each.name for each in side) for side in (model.inputs, model.outputs))
        return NamedFunction(function, inputs, outputs)
    except TilewrightError as error:
        raise TilewrightError(f"{path}: {error}") from None
