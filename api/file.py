"""Packages as files; the format is in docs/executable.md."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tilewright.api.package import Package
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.parse import parse_module
from tilewright.compiler.ir.print import print_module, tensors_of
from tilewright.compiler.ir.tensor_file import load_tensors, save_tensors
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.network.split import Part
from tilewright.compiler.network.target import ACCELERATOR
from tilewright.compiler.ops.registry import operators
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.cpu.cache import ObjectStore, StoredCode
from tilewright.compiler.targets.cpu.operator.convolution_schedule import Schedules
from tilewright.compiler.targets.cpu.operator.convolution_space import point_of, schedule_of
from tilewright.isa.container import ExecutableError, pack, read_file, unpack, well_formed
from tilewright.isa.executable import PACKAGE, Executable, check_isa, config_of
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.model import Model
from tilewright.isa.output_file import write_files
from tilewright.numerics.progress import Progress, unheard

PACKAGE_FORMAT = 1
_SCHEDULES = "host_schedules"
_MODULE, _TENSORS, _PROGRAM, _HOST = "module", "tensors", "program.", "host"


def to_bytes(package: Package, progress: Progress = unheard) -> bytes:
    """The contents of a package's file; equal packages have equal bytes.

    What the host can run of it without the sizes of arrays is compiled first, so that it is in the file.
    """
    package.prepare(progress=progress)
    function, codes = package.named.function, sorted(package.store.codes.items())
    header: dict[str, Any] = {
        PACKAGE: PACKAGE_FORMAT,
        "isa_version": ISA_VERSION,
        "config": asdict(package.config),
        "config_digest": package.config.digest().hex(),
        "inputs": list(package.inputs),
        "outputs": list(package.outputs),
        "programs": [first.name for first in package.parts],
        "refusals": [asdict(each) for each in package.refusals],
        "host": [
            {"digest": digest, "machine": code.machine, "bytes": len(code.data)} for digest, code in codes
        ],
    }
    if package.host_schedules:
        points = {key: dict(point_of(schedule)) for key, schedule in package.host_schedules.items()}
        header[_SCHEDULES] = points
    module = Module({function.name: function})
    sections = {_MODULE: print_module(module).encode(), _TENSORS: save_tensors(tensors_of(module))}
    for number, part in enumerate(package.parts.values()):
        sections[f"{_PROGRAM}{number}"] = part.model.to_executable().to_bytes()
    sections[_HOST] = b"".join(code.data for _, code in codes)
    return pack(header, sections)


def save(package: Package, path: str | os.PathLike[str]) -> None:
    """Write a package to a file: whole, or not at all; through links and devices.

    Raises:
        OSError: if the file cannot be written.
    """
    write_files({os.fspath(path): to_bytes(package)})


def load(path: str | os.PathLike[str]) -> Package:
    """The package in a file.

    Raises:
        ExecutableError: if the file is foreign, of another format, cut short, altered or malformed.
        OSError: if it cannot be read.
    """
    try:
        return from_bytes(read_file(path))
    except ValueError as error:
        raise ExecutableError(f"{os.fspath(path)}: {error}") from None


def from_bytes(data: bytes) -> Package:
    """The package of the bytes of a file.

    Raises:
        TilewrightError: if they are none, with the reason.
    """
    header, sections = unpack(data)
    with well_formed():
        if PACKAGE not in header:
            raise ExecutableError("is a program, not a package: run it with its memory, or compile a network")
        if header[PACKAGE] != PACKAGE_FORMAT:
            raise ExecutableError(
                f"has package format {header['package']}, not {PACKAGE_FORMAT}: compile it anew"
            )
        check_isa(header["isa_version"])
        config = config_of(header["config"], header["config_digest"])
        module = parse_module(sections[_MODULE].decode(), operators(), load_tensors(sections[_TENSORS]))
        verify(module)
        (function,) = module
        named = NamedFunction(function, _texts(header["inputs"]), _texts(header["outputs"]))
        programs = _texts(header["programs"])
        models = [Model.from_executable(_program(sections, n)) for n in range(len(programs))]
        parts = _parts(function, dict(zip(programs, models, strict=True)))
        refusals = tuple(_refusal(each) for each in header["refusals"])
        store = _store(header["host"], sections[_HOST])
        return Package(named, config, parts, refusals, store, _schedules(header.get(_SCHEDULES, {})))


def package_of_model(model: Model) -> Package:
    """A compiled model as a package of one part, which takes arrays as the model does.

    Raises:
        TilewrightError: if its text is no function.
    """
    one = integers_of(model).one_sample()
    function = one.function
    kernel = Equation(function.results, Kernel(ACCELERATOR, function), function.parameters)
    whole = Function(function.name, function.parameters, (kernel,), function.results)
    part = Part(one, one, model)
    return Package(one.with_function(whole), model.config, {kernel.results[0]: part})


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ExecutableError(f"has {values!r} where its header must have a list of texts")
    return tuple(values)


def _refusal(members: Mapping[str, Any]) -> Refusal:
    _texts(list(members.values()))
    return Refusal(**members)


def _schedules(points: Mapping[str, Mapping[str, Any]]) -> Schedules:
    """The schedules of convolutions on the host."""
    return {key: schedule_of(Point(point)) for key, point in points.items()}


def _store(index: Sequence[Mapping[str, Any]], data: bytes) -> ObjectStore:
    """The machine code of a file."""
    codes, first = dict[str, StoredCode](), 0
    for each in index:
        end = first + each["bytes"]
        codes[str(each["digest"])] = StoredCode(str(each["machine"]), data[first:end])
        first = end
    if first != len(data) or any(each["bytes"] < 0 for each in index):
        raise ExecutableError(f"has {first} bytes of machine code in a section of {len(data)}")
    return ObjectStore(codes)


def _program(sections: Mapping[str, bytes], number: int) -> Executable:
    return Executable.from_bytes(sections[f"{_PROGRAM}{number}"])


def _parts(function: Function, models: Mapping[str, Model]) -> dict[Value, Part]:
    """Each kernel on the accelerator with its program."""
    found: dict[Value, Part] = {}
    for equation in function.equations:
        operator: Any = equation.operator
        if getattr(operator, "target", "") != ACCELERATOR:
            continue
        first, body = equation.results[0], operator.body
        names = (tuple(value.name for value in side) for side in (body.parameters, body.results))
        source = NamedFunction(body, *names)
        found[first] = Part(source, integers_of(models[first.name]), models[first.name])
    return found


def integers_of(model: Model) -> NamedFunction:
    """The function of integers that a program computes.

    Raises:
        TilewrightError: if its text is none.
    """
    module = parse_module(model.graph, operators(), load_tensors(model.tensors))
    verify(module)
    (function,) = module
    # An input that lies in memory twice is one parameter.
    inputs = tuple(dict.fromkeys(each.name for each in model.inputs))
    return NamedFunction(function, inputs, tuple(each.name for each in model.outputs))
