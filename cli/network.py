"""Networks as commands take them: ONNX, to be split and compiled here, or compiled before."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewright.cli.inputs import Ports, inputs_of
from tilewright.cli.kind import Kind, kind_of
from tilewright.cli.machine import DEFAULT_CONFIG
from tilewright.cli.option import NO_RECORDS, RANGES, refuse_options, sizes_of
from tilewright.cli.program import choose_config
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.package import Package
    from tilewright.compiler.ir.named import NamedFunction
    from tilewright.compiler.network.split import Observe
    from tilewright.compiler.schedule import Primitive
    from tilewright.compiler.targets.accel.layer_schedule import LayerPart, Schedules
    from tilewright.isa.config import Config
    from tilewright.runtime.model_input import Samples
    from tilewright.tune.record_index import Records

_MUCH_NOISE = 0.1
"""Of integers, as a share of the signal, from which on the answers of a network mean little: 10 dB."""
FIRST_INPUTS = 100
"""Samples that calibrate where the user names no data for it."""


@dataclass(frozen=True, kw_only=True)
class OpenedNetwork:
    """A network from a file.

    Members:
        path: where it was read.
        config: of the machine it is, or will be, compiled for.
        source: the network of an ONNX file; else that in the package.
        package: where the file is a compiled one.
        inputs: what it takes.
    """

    path: str
    config: "Config"
    source: "NamedFunction"
    package: "Package | None" = None
    inputs: Ports


def open_network(args: argparse.Namespace) -> OpenedNetwork:
    """Read the network that a command names.

    Args:
        args: with `file`, `config` and `size`.

    Raises:
        TilewrightError: if the file is no network, has what is not supported, or is for another configuration
            than the user names.
        OSError: if it cannot be read.
    """
    from tilewright.isa.error import TilewrightError

    path, kind = args.file, kind_of(args.file)
    if kind is Kind.PROGRAM:
        raise TilewrightError(f"{path}: must be a network (ONNX) or a compiled model, not a program")
    if kind is not Kind.ONNX:
        refuse_options(args, ("size", "float", "records"), "it is compiled already")
        package = _read_package(path, kind)
        choose_config(path, package.config, args.config)
        return OpenedNetwork(
            path=path,
            config=package.config,
            source=package.named,
            package=package,
            inputs=inputs_of(package.named),
        )
    machine = choose_config(path, None, args.config, DEFAULT_CONFIG)
    from tilewright.api.compile import why_not_by_sample

    named = _read_onnx(path, sizes_of(args))
    by_sample = not args.float and not why_not_by_sample(named)
    return OpenedNetwork(path=path, config=machine, source=named, inputs=inputs_of(named, by_sample))


def sized_network(
    network: OpenedNetwork, args: argparse.Namespace, data: Mapping[str, "Samples | None"]
) -> OpenedNetwork:
    """The network with numbers for sizes that nobody named, as the data have them; a note says so.

    Args:
        network: read; one that is compiled, or runs in floats, keeps its sizes.
        args: with `float`.
        data: by the file's name; the first that is there is taken.

    Raises:
        TilewrightError: if inputs do not agree on a size.
    """
    from tilewright.api.compile import sized, unknown_sizes, why_not_by_sample

    path, samples = next(((path, each) for path, each in data.items() if each is not None), ("", None))
    if samples is None:
        return network
    sizes = _sizes_in(network.source, path, samples)
    found = {name: sizes[name] for name in unknown_sizes(network.source) if name in sizes}
    if not found or network.package is not None or args.float:
        return network
    note(f"sizes are those of {path}: {' '.join(f'{name}={number}' for name, number in found.items())}")
    named = sized(network.source, found)
    return replace(network, source=named, inputs=inputs_of(named, not why_not_by_sample(named)))


def compile_network(
    network: OpenedNetwork,
    args: argparse.Namespace,
    calibration: "Samples | None",
    inputs: "Samples | None",
    schedules: "Schedules | None" = None,
    observe: "Observe | None" = None,
    ranges: str = RANGES[0],
) -> "Package":
    """The package of a network: compiled before, or now.

    Args:
        network: of any kind.
        args: with `float`, `records` and `latency`.
        calibration: samples that the user names for quantisation, if any.
        inputs: samples to run, whose first ones calibrate otherwise; a note says so.
        schedules: of layers that shall not have their default schedule.
        observe: is told what passes make.
        ranges: how they are chosen where the user does not say it.

    Raises:
        TilewrightError: if it must have calibration or sizes, and has none; or schedules do not fit.
    """
    if network.package is not None:
        return network.package
    from tilewright.api.compile import compile_named
    from tilewright.isa.error import TilewrightError

    named = network.source
    if not args.float:
        note_own_scales(network, args)
        calibration = _calibration(network, calibration, inputs)
    try:
        package = compile_named(
            named,
            network.config,
            calibration=calibration,
            ranges=args.ranges or ranges,
            accuracy_budget=getattr(args, "accuracy_budget", None),
            accelerator=not args.float,
            schedules=schedules,
            records=_records(args),
            latency_cycles=args.latency,
            progress=say,
            observe=observe,
            note=note,
        )
    except TilewrightError as error:
        raise TilewrightError(f"{network.path}: {error}") from None
    say("")
    if not args.float and not package.parts:
        _note_host(network.path, package)
    _note_noise(network.path, package)
    return package


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


def _records(args: argparse.Namespace) -> "Records":
    """The records that the user gives, or those that come along.

    Args:
        args: with `records`.

    Raises:
        TilewrightError: if a file has no records, or with "none" there are others.
        OSError: if one cannot be read.
    """
    from tilewright.api.records import SHIPPED, records_of
    from tilewright.isa.error import TilewrightError

    if NO_RECORDS in args.records:
        if len(args.records) > 1:
            raise TilewrightError(f"--records {NO_RECORDS} must stand alone, not beside other records")
        return records_of(None)
    return records_of(args.records or SHIPPED, note)


def used_schedules(package: "Package", given: "Schedules", latency_cycles: int) -> str:
    """The schedule of each layer as text: the given ones, and those that the others have.

    Args:
        package: as it was compiled.
        given: that the user names.
        latency_cycles: of the memory for which it was compiled.

    Raises:
        TilewrightError: if layers of two programs have one name.
    """
    from tilewright.compiler.targets.accel.cost.problem import assumed_latency
    from tilewright.compiler.targets.accel.layer_schedule import default_schedules, print_schedules
    from tilewright.isa.error import TilewrightError

    found: dict[LayerPart, tuple[Primitive, ...]] = {}
    for part in package.parts.values():
        latency = assumed_latency(latency_cycles)
        own = default_schedules(part.integers, package.config, part.points, latency, given)
        twice = [str(each) for each in own if each in found]
        if twice:
            raise TilewrightError(
                f"schedules must be of layers in one program each, not of {', '.join(twice)}"
            )
        found.update(own)
    return print_schedules({**found, **given})


# --- details -----------------------------------------------------------------------------------------------


def _read_package(path: str, kind: Kind) -> "Package":
    from tilewright.api.file import load, package_of_model
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.model import Model

    say(f"reading {path}")
    if kind is Kind.PACKAGE:
        return load(path)
    model = Model.load(path)
    try:
        return package_of_model(model)
    except TilewrightError as error:
        raise TilewrightError(f"{path}: {error}") from None


def _read_onnx(path: str, sizes: Mapping[str, int]) -> "NamedFunction":
    from tilewright.compiler.frontend.error import FrontendError
    from tilewright.compiler.frontend.onnx import load_onnx
    from tilewright.isa.error import TilewrightError

    say(f"reading {path}")
    try:
        return load_onnx(path, sizes)
    except FrontendError:
        # It names the file.
        raise
    except TilewrightError as error:
        raise TilewrightError(f"{path}: {error}") from None


def note_own_scales(network: OpenedNetwork, args: argparse.Namespace) -> None:
    """Say that options of quantisation do nothing where the network was quantised before."""
    from tilewright.compiler.quantise.quantise import has_scales

    given = [f"--{name}" for name in ("calibrate", "ranges") if getattr(args, name)]
    if given and has_scales(network.source.function):
        note(f"{network.path} has scales of its own, which {' and '.join(given)} cannot change")


def _calibration(
    network: OpenedNetwork, calibration: "Samples | None", inputs: "Samples | None"
) -> "Samples | None":
    """What quantisation is given: nothing where the network has scales, or cannot be quantised."""
    from tilewright.api.compile import unknown_sizes, why_not_by_sample
    from tilewright.compiler.ir.named import size_options
    from tilewright.compiler.quantise.quantise import has_scales
    from tilewright.isa.error import TilewrightError

    unknown = unknown_sizes(network.source)
    if unknown:
        raise TilewrightError(
            f"{network.path}: all sizes but the batch must be numbers: give {size_options(unknown)}, data of "
            "such sizes, or --float for the CPU in floats"
        )
    if calibration is not None or has_scales(network.source.function) or why_not_by_sample(network.source):
        return calibration
    if inputs is None:
        raise TilewrightError(
            f"{network.path}: a network of floats must be calibrated: give typical inputs with "
            "--calibrate FILE or --input FILE, or --float for the CPU in floats"
        )
    first = {name: values[:FIRST_INPUTS] for name, values in inputs.items()}
    count = len(next(iter(first.values())))
    what = f"the first {count} inputs" if count > 1 else "the first input"
    note(f"quantisation is calibrated on {what}: give other data with --calibrate FILE")
    return first


def _note_host(path: str, package: "Package") -> None:
    """Say that the accelerator has nothing to do, and why not what has the most products."""
    macs = {each.label: each.macs or 0 for each in package.explain().placements}
    most = max(package.refusals, key=lambda each: macs.get(each.label, 0), default=None)
    one = len({each.reason for each in package.refusals}) == 1
    why = "" if most is None else f": {most.reason}" if one else f": {most.label}: {most.reason}"
    note(f"nothing of it runs on the accelerator{why} (tilewright explain {path} says more)")


def _note_noise(path: str, package: "Package") -> None:
    """Say that integers ruin the network, and what helps."""
    noise = package.noise
    if noise is not None and noise > _MUCH_NOISE:
        note(
            f"integers ruin it: on the calibration data they are {-10 * math.log10(noise):.1f} dB from the "
            "floats: --accuracy-budget 20dB leaves the layers that cost most in floats (tilewright accuracy "
            f"{path} says which)"
        )


def _sizes_in(named: "NamedFunction", path: str, samples: "Samples") -> dict[str, int]:
    """The numbers that arrays have for sizes by name.

    Raises:
        TilewrightError: naming the inputs that do not agree.
    """
    from tilewright.compiler.ir.size import Size
    from tilewright.isa.error import TilewrightError

    found: dict[str, tuple[int, str]] = {}
    for input_name, tensor in named.input_types.items():
        for size, number in zip(tensor.shape, samples[input_name].shape, strict=True):
            if not isinstance(size, Size) or size.name is None:
                continue
            known, other = found.setdefault(size.name, (number, input_name))
            if known != number:
                raise TilewrightError(
                    f"{path}: size {size.name!r} must be one number, not {known} in input {other!r} and "
                    f"{number} in {input_name!r}"
                )
    return {name: number for name, (number, _) in found.items()}
