"""What a user gives a model: checked as a whole before any of it is used."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.isa.error import TilewrightError

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int | None, ...]]
"""By name: the shape of one sample; None for a size that only data tell."""
Samples = Mapping[str, NDArray[Any]]
"""By name: [samples, *shape]."""
_FLOAT32 = np.dtype(np.float32)


class InputError(TilewrightError):
    """Inputs that do not fit a model, with every reason at once."""


def check_inputs(
    shapes: Shapes,
    given: Mapping[str, ArrayLike],
    dtypes: Mapping[str, np.dtype[Any]] | None = None,
    *,
    has_batch: bool = True,
) -> Samples:
    """Inputs as a model takes them.

    Args:
        shapes: of one sample of each of the model's inputs.
        given: by name, one sample or many along a further first axis. For floats: floats, which are rounded,
            or integers that the type holds exactly; for integers and truth values what they hold exactly.
        dtypes: of inputs that are not float32.
        has_batch: whether there is that first axis; without it shapes are those of the whole arrays.

    Raises:
        InputError: if names, shapes or numbers of samples do not fit, or a value is no finite number.
    """
    arrays = {name: _array(name, values) for name, values in given.items()}
    types = {name: (dtypes or {}).get(name, _FLOAT32) for name in shapes}
    problems = [*_name_problems(shapes, arrays)]
    fitting = {name: array for name, array in arrays.items() if name in shapes}
    counts = {name: _samples(shapes[name], array, has_batch) for name, array in fitting.items()}
    for name, array in fitting.items():
        if not counts[name]:
            problems.append(_shape_problem(name, shapes[name], array, has_batch))
        problems += _value_problems(name, array, types[name])
    if not problems and len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"inputs must have as many samples each, not {listed}")
    if problems:
        raise InputError("; ".join(problems))
    missing = {name: has_batch and array.ndim == len(shapes[name]) for name, array in fitting.items()}
    converted = {name: array.astype(types[name], copy=False) for name, array in fitting.items()}
    return {name: array[None] if missing[name] else array for name, array in converted.items()}


def describe_shape(shape: Sequence[int | None]) -> str:
    """A shape as in messages: 3×48×192, ? for a size that only data tell."""
    return "×".join("?" if size is None else str(size) for size in shape) or "one number"


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


def _shape_problem(name: str, shape: Sequence[int | None], array: Array, has_batch: bool) -> str:
    wanted = describe_shape(shape) + (", or samples of that" if has_batch else "")
    return f"input {name!r} must be {wanted}, not {describe_shape(array.shape)}"


def _value_problems(name: str, array: Array, dtype: np.dtype[Any]) -> list[str]:
    if dtype.kind != "f":
        return _whole_problems(name, array, dtype)
    if array.dtype.kind not in "fiu":
        return [f"input {name!r} must be real numbers, not {array.dtype}"]
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    bad = int(np.count_nonzero(~np.isfinite(narrow)))
    if bad:
        return [f"input {name!r} must be finite numbers in {dtype}, but {bad} of {array.size} are not"]
    if array.dtype.kind != "f" and not np.array_equal(narrow.astype(np.float64), array.astype(np.float64)):
        return [f"input {name!r} must be integers that {dtype} holds: divide or convert them"]
    return []


def _whole_problems(name: str, array: Array, dtype: np.dtype[Any]) -> list[str]:
    """Of integers and truth values."""
    what = "truth values, or 0 and 1" if dtype.kind == "b" else f"integers that {dtype} holds"
    if array.dtype.kind not in "biu":
        return [f"input {name!r} must be {what}, not {array.dtype}"]
    changed = array.astype(dtype)
    is_same = np.array_equal(changed.astype(array.dtype), array) and (changed < 0).sum() == (array < 0).sum()
    return [] if is_same else [f"input {name!r} must be {what}, and some are not"]


def _samples(shape: Sequence[int | None], array: Array, has_batch: bool) -> int:
    """Samples in an array; 0 if its shape does not fit."""
    if _fits(shape, array.shape):
        return 1
    return array.shape[0] if has_batch and array.ndim and _fits(shape, array.shape[1:]) else 0


def _fits(shape: Sequence[int | None], given: Sequence[int]) -> bool:
    pairs = zip(shape, given, strict=False)
    return len(shape) == len(given) and all(size in (None, number) for size, number in pairs)
