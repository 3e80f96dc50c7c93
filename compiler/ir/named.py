"""Functions with the names that their users know, on any number of samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.error import EvaluationError, IrError
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.type import TensorType

_CHUNK_BYTES = 1 << 27
"""The size of the largest value while a chunk of the samples is computed."""


@dataclass(frozen=True)
class NamedFunction:
    """A function of which each parameter and each result has a name of its user, any text.

    Parameters have a batch as their first axis: a symbolic size, or 1. Both stand for any number of samples.

    Members:
        function: the function itself.
        inputs, outputs: a name each parameter and each result, in their order.

    Raises:
        IrError: if there are not as many names, or an input's name is there twice.
    """

    function: Function
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        for what, names, values in (
            ("parameter", self.inputs, self.function.parameters),
            ("result", self.outputs, self.function.results),
        ):
            if len(names) != len(values):
                raise IrError(f"each {what} must have a name: {len(values)} of them, not {len(names)}")
            if len(set(names)) != len(names):
                raise IrError(f"names of {what}s must differ, not {', '.join(map(repr, names))}")

    def with_function(self, function: Function) -> "NamedFunction":
        """Another function with the same names."""
        return replace(self, function=function)

    def one_sample(self) -> "NamedFunction":
        """The function for a batch of 1: sizes of that name are 1 throughout."""
        firsts = [value.type.shape[0] for value in self.function.parameters if value.type.rank]
        names = [size.name for size in firsts if isinstance(size, Size) and size.name is not None]
        return self.with_function(specialise(self.function, dict.fromkeys(names, 1)))

    @property
    def batch(self) -> str:
        """The name of the size that is the first axis of every result; "" if that is none."""
        firsts = [value.type.shape[0] if value.type.rank else 0 for value in self.function.results]
        names = {size.name or "" if isinstance(size, Size) else "" for size in firsts}
        return names.pop() if len(names) == 1 else ""

    @property
    def input_types(self) -> dict[str, TensorType]:
        """Of the parameters."""
        return dict(zip(self.inputs, self.function.parameter_types, strict=True))

    @property
    def output_types(self) -> dict[str, TensorType]:
        """Of the results."""
        return dict(zip(self.outputs, self.function.result_types, strict=True))

    @property
    def sample_shapes(self) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """The shapes of one sample of each input and output, by name: without the batch.

        Raises:
            IrError: if the batch is not in front, or another size is unknown.
        """
        shapes = []
        for what, types in (("input", self.input_types), ("output", self.one_sample().output_types)):
            shapes.append({name: sample_shape(f"{what} {name!r}", tensor) for name, tensor in types.items()})
        return shapes[0], shapes[1]

    def check(self, inputs: Mapping[str, Array]) -> int:
        """The number of samples.

        Args:
            inputs: an array for each input, of its element type and, but for the first axis, its shape.

        Raises:
            EvaluationError: if names, shapes or element types are wrong, or a value is NaN.
        """
        if set(inputs) != set(self.inputs):
            raise EvaluationError(f"the inputs must be {_listed(self.inputs)}, not {_listed(list(inputs))}")
        for name, value in zip(self.inputs, self.function.parameters, strict=True):
            _check(name, value.type, inputs[name])
        counts = {name: len(inputs[name]) for name in self.inputs}
        if len(set(counts.values())) > 1 or 0 in counts.values():
            raise EvaluationError(
                f"all inputs must have the same number of samples, at least one, not {counts}"
            )
        return next(iter(counts.values()), 1)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The results by name, for all samples; by the interpreter.

        Raises:
            EvaluationError: as `check`, or if an operator has no value.
        """
        samples, step = self.check(inputs), self._step()
        parts = []
        for start in range(0, samples, step):
            arrays = [inputs[name][start : start + step] for name in self.inputs]
            parts.append(run(self.function, *arrays))
        joined = parts[0] if len(parts) == 1 else tuple(map(_joined, zip(*parts, strict=True)))
        return dict(zip(self.outputs, joined, strict=True))

    def _step(self) -> int:
        """Samples that are computed at once."""
        if all(isinstance(value.type.shape[0], int) for value in self.function.parameters):
            return 1
        values = (value for equation in self.function.equations for value in equation.results)
        return max(1, _CHUNK_BYTES // max(map(_sample_bytes, (*self.function.parameters, *values))))


def sample_shape(what: str, tensor: TensorType) -> tuple[int, ...]:
    """Sizes behind the batch of a tensor that is called so in messages.

    Raises:
        IrError: if the batch is not in front, or another size is unknown.
    """
    first = tensor.shape[0] if tensor.rank else 0
    if first != 1 and not (isinstance(first, Size) and first.name is not None):
        raise IrError(f"{what} must have a batch in front, symbolic or 1, not {tensor}")
    unknown = {k: size for k, size in enumerate(tensor.shape) if k and isinstance(size, Size)}
    if unknown:
        listed = ", ".join(f"axis {k} ({size})" for k, size in unknown.items())
        raise IrError(
            f"{what} must have known sizes behind the batch, not {listed}: "
            f"give sizes ({size_options(name for size in unknown.values() for name in size.names)})"
        )
    return tuple(size for size in tensor.shape[1:] if isinstance(size, int))


def size_options(names: Iterable[str]) -> str:
    """The options of the command line that give numbers to sizes of these names."""
    return " ".join(f"--size {name}=NUMBER" for name in dict.fromkeys(names))


def _sample_bytes(value: Value) -> int:
    known = [size for size in value.type.shape if isinstance(size, int)]
    return int(np.prod(known, dtype=np.int64)) * value.type.dtype.size_bytes


def _joined(parts: Sequence[Array]) -> Array:
    return np.concatenate(parts)


def _check(name: str, tensor: TensorType, array: Array) -> None:
    if array.dtype != tensor.dtype.numpy:
        raise EvaluationError(f"input {name!r} must be {tensor.dtype}, not {array.dtype}")
    sizes = zip(array.shape[1:], tensor.shape[1:], strict=False)
    if array.ndim != tensor.rank or any(isinstance(size, int) and given != size for given, size in sizes):
        shape = ", ".join(["samples", *map(str, tensor.shape[1:])])
        raise EvaluationError(f"input {name!r} must have shape ({shape}), not {array.shape}")
    # A minimum is NaN where any element is, and is found sooner than all that are.
    if tensor.dtype.is_float and array.size and np.isnan(array.min()):
        first = int(np.isnan(array).reshape(len(array), -1).any(axis=1).argmax())
        raise EvaluationError(f"input {name!r} must hold numbers, but sample {first} has a NaN")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
