"""Compiled models as files: an executable that also says what its inputs, outputs and layers are.

The sections are in docs/executable.md.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable

CONSTANTS, INPUTS, OUTPUTS, BETWEEN = range(4)
"""Regions of a compiled model: weights and parameters, inputs, outputs, and what passes between layers."""
REGION_NAMES: Mapping[int, str] = MappingProxyType(
    {CONSTANTS: "constants", INPUTS: "inputs", OUTPUTS: "outputs", BETWEEN: "between layers"}
)
MODEL_FORMAT = 3
"""Version of the section `model`."""

_MODEL = "model"
_SECTIONS = (_MODEL, "constants", "graph", "tensors")
_ZERO_POINTS = range(-128, 128)


class ModelError(TilewrightError):
    """A compiled model whose parts do not fit each other, or a file that is none."""


@dataclass(frozen=True)
class HostView:
    """A step from a tensor as its user sees it to the order in which a device has its elements.

    Members:
        sizes: of an array that what is there fills, row by row.
        padded: up to these sizes there are zero points behind each axis.
        order: of each axis of the result, the axis of that.

    Raises:
        ModelError: if these do not fit each other.
    """

    sizes: tuple[int, ...]
    padded: tuple[int, ...]
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = _is_axes(self.sizes) and _is_axes(self.padded) and len(self.sizes) == len(self.padded)
        sizes = sizes and all(map(int.__le__, self.sizes, self.padded))
        if not sizes or not isinstance(self.order, tuple):
            raise ModelError(f"sizes must be padded to as many that are not smaller, not {self}")
        if not all(map(_is_count, self.order)) or sorted(self.order) != list(range(len(self.sizes))):
            raise ModelError(f"order must have each axis of {self.sizes} once, not {self.order}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return tuple(self.padded[axis] for axis in self.order)


@dataclass(frozen=True)
class Binding:
    """An input or output of a model: what the user sees, and where a device has it.

    In memory it is int8 [ceil(channels / cols)][height][width][cols]; lanes beyond the channels hold 0. An
    element q there stands for (q - zero_point) * scale.

    Members:
        name: of the tensor, as in the network.
        shape: of one sample, without the batch axis.
        picture: channels, height, width of the same elements, in the order that the views lead to.
        region: base register of its region.
        offset: of its first byte in the region.
        scale: of one step, above 0.
        zero_point: the int8 that stands for 0.0.
        views: steps from the tensor to its picture, first to last.

    Raises:
        ModelError: if a member does not fit.
    """

    name: str
    shape: tuple[int, ...]
    picture: tuple[int, int, int]
    region: int
    offset: int
    scale: float
    zero_point: int
    views: tuple[HostView, ...] = ()

    def __post_init__(self) -> None:
        problems = [text for holds, text in self._requirements() if not holds]
        if problems:
            raise ModelError(f"tensor {self.name!r}: {'; '.join(problems)}")

    def _requirements(self) -> Iterator[tuple[bool, str]]:
        """What must hold, and how to say that it does not."""
        yield isinstance(self.name, str) and bool(self.name), "its name must be a text that is not empty"
        axes = _is_axes(self.shape) and _is_axes(self.picture) and len(self.picture) == 3
        yield axes, f"shape and picture must be positive sizes, not {self.shape!r} and {self.picture!r}"
        views = isinstance(self.views, tuple) and all(isinstance(each, HostView) for each in self.views)
        yield views, f"views must be views, not {self.views!r}"
        fits = not axes or not views or self._is_filled
        steps = f", step by step ({', '.join(map(str, self.views))})" if views and self.views else ""
        yield fits, f"shape {self.shape!r} and picture {self.picture!r} must have as many elements{steps}"
        yield self.region in (INPUTS, OUTPUTS), f"region must be {INPUTS} or {OUTPUTS}, not {self.region!r}"
        yield _is_count(self.offset), f"offset must be an integer from 0 on, not {self.offset!r}"
        scale = isinstance(self.scale, float) and math.isfinite(self.scale) and self.scale > 0
        yield scale, f"scale must be a finite number above 0, not {self.scale!r}"
        zero_point = _is_count(self.zero_point, _ZERO_POINTS.start) and self.zero_point in _ZERO_POINTS
        yield zero_point, f"zero_point must be an int8, not {self.zero_point!r}"

    @property
    def _is_filled(self) -> bool:
        """Whether each step has as many elements as the one before leaves."""
        left = [self.shape, *(view.shape for view in self.views)]
        taken = [*(view.sizes for view in self.views), self.picture]
        return all(math.prod(one) == math.prod(other) for one, other in zip(left, taken, strict=True))

    def layout(self, config: Config) -> tuple[int, int, int, int]:
        """Its shape in memory: blocks, height, width, lanes."""
        channels, height, width = self.picture
        return -(-channels // config.cols), height, width, config.cols

    def size_bytes(self, config: Config) -> int:
        """Bytes it takes in memory."""
        return math.prod(self.layout(config))


@dataclass(frozen=True)
class Layer:
    """Consecutive instructions of one operator of the network, or of a chain of some.

    Members:
        name: of the layer, as in the network; of a chain those of its layers, joined by " + ".
        operator: what it computes, as in the function of integers; "chain" for several.
        first: place of its first instruction in the program.
        count: of its instructions.
        macs: multiply-accumulates that the network asks for, without what padding adds.

    Raises:
        ModelError: if a member does not fit.
    """

    name: str
    operator: str
    first: int
    count: int
    macs: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.operator, str):
            raise ModelError(
                f"name and operator of a layer must be text, not {self.name!r}, {self.operator!r}"
            )
        for name in ("first", "count", "macs"):
            if not _is_count(getattr(self, name)):
                raise ModelError(
                    f"layer {self.name!r}: {name} must be an integer from 0 on, not {getattr(self, name)!r}"
                )


@dataclass(frozen=True)
class Model:
    """A network as a machine runs it.

    Members:
        executable: program, configuration and regions.
        inputs, outputs: its tensors, with names of their own.
        layers: in the order of the program, without overlap; instructions may belong to none.
        constants: the bytes of region `CONSTANTS`.
        graph: the quantised function as text, for reading and for running it on a CPU; its parameters and
            results are the inputs and outputs, in this order.
        tensors: the arrays that the text names by their digests.

    Raises:
        ModelError: with everything that does not fit.
    """

    executable: Executable
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    layers: tuple[Layer, ...]
    constants: bytes
    graph: str = ""
    tensors: bytes = b""

    def __post_init__(self) -> None:
        problems = [*_binding_problems(self), *_region_problems(self), *_layer_problems(self)]
        if problems:
            raise ModelError("; ".join(problems))

    @property
    def config(self) -> Config:
        """Of the machine it was compiled for."""
        return self.executable.config

    @property
    def instructions(self) -> int:
        """Instructions of the program."""
        return len(self.executable.code) // INSTRUCTION_BYTES

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one sample of each input, by name."""
        return {binding.name: binding.shape for binding in self.inputs}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample that the network asks for."""
        return sum(layer.macs for layer in self.layers)

    def to_executable(self) -> Executable:
        """Program and sections as one executable."""
        described = {
            "format": MODEL_FORMAT,
            **{name: [asdict(entry) for entry in getattr(self, name)] for name in _KINDS},
        }
        contents = json.dumps(described, ensure_ascii=False).encode()
        parts = (contents, self.constants, self.graph.encode(), self.tensors)
        sections = {**self.executable.sections, **dict(zip(_SECTIONS, parts, strict=True))}
        return replace(self.executable, sections=sections)

    @classmethod
    def from_executable(cls, executable: Executable) -> "Model":
        """The model of an executable with the sections of one.

        Raises:
            ModelError: if it is a plain program, of another version, or does not follow the format.
        """
        if not is_model(executable):
            raise ModelError(
                "is a program, not a compiled model: run it with its memory, or compile a network"
            )
        sections = dict(executable.sections)
        missing = [name for name in _SECTIONS if name not in sections]
        if missing:
            raise ModelError(f"lacks {' and '.join(missing)} of a compiled model: compile it anew")
        described, constants, graph, tensors = (sections.pop(name) for name in _SECTIONS)
        program = replace(executable, sections=sections)
        try:
            entries = _entries(json.loads(described))
            return cls(program, **entries, constants=constants, graph=graph.decode(), tensors=tensors)
        except ModelError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"has sections that do not follow the format: {error!r}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file: whole, or not at all.

        Raises:
            OSError: if the file cannot be written.
        """
        self.to_executable().save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Model":
        """Read it from a file.

        Raises:
            ExecutableError, ModelError: if the file is foreign, of another version, cut short, altered, or a
                plain program.
            OSError: if the file cannot be read.
        """
        executable = Executable.load(path)
        try:
            return cls.from_executable(executable)
        except ModelError as error:
            raise ModelError(f"{os.fspath(path)}: {error}") from None


def is_model(executable: Executable) -> bool:
    """Whether it is a compiled model, rather than a plain program."""
    return _MODEL in executable.sections


# --- reading -----------------------------------------------------------------------------------------------

_KINDS: Mapping[str, type[Any]] = MappingProxyType({"inputs": Binding, "outputs": Binding, "layers": Layer})


def _entries(described: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs, outputs and layers."""
    if described["format"] != MODEL_FORMAT:
        raise ModelError(f"has model format {described['format']}, not {MODEL_FORMAT}: compile it anew")
    return {name: tuple(_entry(kind, each) for each in described[name]) for name, kind in _KINDS.items()}


def _entry(kind: type[Any], members: Mapping[str, Any]) -> Any:
    return kind(**{name: _member(name, value) for name, value in members.items()})


def _member(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return tuple(_entry(HostView, each) if name == "views" else each for each in value)


# --- what must hold ----------------------------------------------------------------------------------------


def _is_count(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_axes(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_count(size, 1) for size in value)


def _binding_problems(model: Model) -> Iterator[str]:
    for word, region, bindings in (("input", INPUTS, model.inputs), ("output", OUTPUTS, model.outputs)):
        if not bindings:
            yield f"a model must have an {word}"
        for binding in bindings:
            if binding.region != region:
                yield f"{word} {binding.name!r} must lie in region {region}, not {binding.region}"
    yield from (f"output {name!r} must be there once" for name in _repeated(model.outputs))
    for name in _repeated(model.inputs):
        if len({binding.shape for binding in model.inputs if binding.name == name}) > 1:
            yield f"input {name!r} must have one shape wherever it lies"


def _repeated(bindings: Iterable[Binding]) -> list[str]:
    names = [binding.name for binding in bindings]
    return sorted({name for name in names if names.count(name) > 1})


def _region_problems(model: Model) -> Iterator[str]:
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    declared, given = sizes.get(CONSTANTS, 0), len(model.constants)
    if declared != given:
        yield f"region {CONSTANTS} must have the {given} bytes of the constants, not {declared}"
    for binding in (*model.inputs, *model.outputs):
        end, size = binding.offset + binding.size_bytes(model.config), sizes.get(binding.region, 0)
        if end > size:
            region = f"the {size} bytes of region {binding.region}"
            yield f"{binding.name!r} must end within {region}, not at {end}"


def _layer_problems(model: Model) -> Iterator[str]:
    end = 0
    for layer in model.layers:
        if layer.first < end:
            yield f"layer {layer.name!r} must begin at instruction {end} or later, not {layer.first}"
        end = layer.first + layer.count
    if end > model.instructions:
        yield f"layers must end within the {model.instructions} instructions of the program, not at {end}"
