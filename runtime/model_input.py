"""What a user gives a model: checked as a whole before any of it is used."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.isa.error import TilewrightError
from tilewright.isa.model import Binding

Samples = Mapping[str, NDArray[np.float32]]
"""By name: float32 [samples, *shape]."""


class InputError(TilewrightError):
    """Inputs that do not fit a model, with every reason at once."""


def check_inputs(bindings: Sequence[Binding], given: Mapping[str, ArrayLike]) -> Samples:
    """Inputs as a model takes them.

    Args:
        bindings: of the model's inputs.
        given: by name, one sample of the binding's shape or many along a further first axis: floats, which
            are rounded to float32, or integers that float32 holds exactly.

    Raises:
        InputError: if names, shapes or numbers of samples do not fit, or a value is no finite number.
    """
    arrays = {name: np.asarray(values) for name, values in given.items()}
    known = {binding.name: binding for binding in bindings}
    problems = [*_name_problems(known, arrays)]
    fitting = [(known[name], array) for name, array in arrays.items() if name in known]
    for binding, array in fitting:
        problems += _problems(binding, array)
    counts = {binding.name: _samples(binding, array) for binding, array in fitting}
    if not problems and len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"inputs must have as many samples each, not {listed}")
    if problems:
        raise InputError("; ".join(problems))
    return {binding.name: _as_samples(binding, array) for binding, array in fitting}


def describe_shape(shape: Sequence[int]) -> str:
    """A shape as in messages: 3×48×192."""
    return "×".join(map(str, shape)) or "one number"


def describe_inputs(bindings: Sequence[Binding]) -> str:
    """The inputs of a model as in messages: names and shapes."""
    return ", ".join(f"{binding.name} ({describe_shape(binding.shape)})" for binding in bindings)


def _name_problems(known: Mapping[str, Binding], arrays: Mapping[str, object]) -> Iterator[str]:
    listed = describe_inputs(tuple(known.values()))
    for name in arrays.keys() - known.keys():
        yield f"{name!r} must be an input of the model: {listed}"
    for name in known.keys() - arrays.keys():
        yield f"input {name!r} must be given: the model takes {listed}"


def _problems(binding: Binding, array: NDArray[np.generic]) -> list[str]:
    """What is wrong with one input."""
    shape = describe_shape(binding.shape)
    found = []
    if _samples(binding, array) < 1:
        given = describe_shape(array.shape)
        found.append(f"input {binding.name!r} must be {shape}, or samples of that, not {given}")
    if array.dtype.kind not in "fiu":
        found.append(f"input {binding.name!r} must be real numbers, not {array.dtype}")
    elif array.dtype.kind == "f":
        found += _float_problems(binding.name, array)
    elif not np.array_equal(array.astype(np.float32).astype(np.float64), array.astype(np.float64)):
        found.append(f"input {binding.name!r} must be integers that float32 holds: divide or convert them")
    return found


def _float_problems(name: str, array: NDArray[np.generic]) -> Iterator[str]:
    with np.errstate(over="ignore"):
        bad = int(np.count_nonzero(~np.isfinite(array.astype(np.float32))))
    if bad:
        yield f"input {name!r} must be finite numbers in float32, but {bad} of {array.size} are not"


def _samples(binding: Binding, array: NDArray[np.generic]) -> int:
    """Samples in an array; 0 if its shape does not fit."""
    if array.shape == binding.shape:
        return 1
    return array.shape[0] if array.ndim and array.shape[1:] == binding.shape else 0


def _as_samples(binding: Binding, array: NDArray[np.generic]) -> NDArray[np.float32]:
    return array.astype(np.float32, copy=False).reshape(-1, *binding.shape)
