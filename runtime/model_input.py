"""What a user gives a model: checked as a whole before any of it is used."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.isa.error import TilewrightError

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
"""By name: the shape of one sample."""
Samples = Mapping[str, NDArray[np.float32]]
"""By name: float32 [samples, *shape]."""


class InputError(TilewrightError):
    """Inputs that do not fit a model, with every reason at once."""


def check_inputs(shapes: Shapes, given: Mapping[str, ArrayLike]) -> Samples:
    """Inputs as a model takes them.

    Args:
        shapes: of one sample of each of the model's inputs.
        given: by name, one sample or many along a further first axis: floats, which are rounded to float32,
            or integers that float32 holds exactly.

    Raises:
        InputError: if names, shapes or numbers of samples do not fit, or a value is no finite number.
    """
    arrays = {name: _array(name, values) for name, values in given.items()}
    problems = [*_name_problems(shapes, arrays)]
    fitting = {name: array for name, array in arrays.items() if name in shapes}
    for name, array in fitting.items():
        problems += _shape_problems(name, shapes[name], array) + _value_problems(name, array)
    counts = {name: _samples(shapes[name], array) for name, array in fitting.items()}
    if not problems and len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"inputs must have as many samples each, not {listed}")
    if problems:
        raise InputError("; ".join(problems))
    return {
        name: array.astype(np.float32, copy=False).reshape(-1, *shapes[name])
        for name, array in fitting.items()
    }


def describe_shape(shape: Sequence[int]) -> str:
    """A shape as in messages: 3×48×192."""
    return "×".join(map(str, shape)) or "one number"


def describe_inputs(shapes: Shapes) -> str:
    """The inputs of a model as in messages: names and shapes."""
    return ", ".join(f"{name} ({describe_shape(shape)})" for name, shape in shapes.items())


def _array(name: str, values: ArrayLike) -> Array:
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"input {name!r} must be an array of numbers: {error}") from None


def _name_problems(shapes: Shapes, arrays: Mapping[str, object]) -> Iterator[str]:
    for name in arrays:
        if name not in shapes:
            yield f"{name!r} must be an input of the model: {describe_inputs(shapes)}"
    for name in shapes:
        if name not in arrays:
            yield f"input {name!r} must be given: the model takes {describe_inputs(shapes)}"


def _shape_problems(name: str, shape: tuple[int, ...], array: Array) -> list[str]:
    if _samples(shape, array):
        return []
    given = describe_shape(array.shape)
    return [f"input {name!r} must be {describe_shape(shape)}, or samples of that, not {given}"]


def _value_problems(name: str, array: Array) -> list[str]:
    if array.dtype.kind not in "fiu":
        return [f"input {name!r} must be real numbers, not {array.dtype}"]
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    bad = int(np.count_nonzero(~np.isfinite(narrow)))
    if bad:
        return [f"input {name!r} must be finite numbers in float32, but {bad} of {array.size} are not"]
    if array.dtype.kind != "f" and not np.array_equal(narrow.astype(np.float64), array.astype(np.float64)):
        return [f"input {name!r} must be integers that float32 holds: divide or convert them"]
    return []


def _samples(shape: tuple[int, ...], array: Array) -> int:
    """Samples in an array; 0 if its shape does not fit."""
    if array.shape == shape:
        return 1
    return array.shape[0] if array.ndim and array.shape[1:] == shape else 0
