"""A package on a device: what is loaded and compiled once, and run on many inputs."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tilewright.api.device import (
    COMPILE,
    Array,
    EvaluatedEquation,
    HostKernel,
    LoadedKernel,
    PackageDevice,
    RunLog,
    Samples,
    joined,
)
from tilewright.api.error import PackageError
from tilewright.api.result import RunResult
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import Bindings, bind
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.numerics.progress import Progress, unheard

if TYPE_CHECKING:
    from tilewright.api.package import Package


class LoadedPackage:
    """A package on a device, to be run again and again: programs are loaded, and checked, once.

    Members:
        package: what is run.
        device: what runs it.
    """

    def __init__(self, package: "Package", device: PackageDevice) -> None:
        """Load a package.

        Raises:
            LoadError: if programs and device do not fit each other.
        """
        self.package, self.device = package, device
        self._steps = [(each, self._load(each)) for each in package.named.function.equations]

    def _load(self, equation: Equation) -> LoadedKernel:
        part = self.package.parts.get(equation.results[0])
        if part is not None:
            return self.device.load(part)
        if isinstance(equation.operator, Kernel):
            return HostKernel(lambda progress: self.package.program(equation, progress))
        return EvaluatedEquation(equation)

    def run(self, inputs: Mapping[str, ArrayLike], *, progress: Progress = unheard) -> RunResult:
        """The outputs on arrays; arguments and errors are those of `Package.run`."""
        arrays = self._arrays(inputs)
        log = RunLog(progress)
        begun = time.perf_counter()
        outputs, samples = self._outputs(arrays, log)
        seconds = time.perf_counter() - begun - log.host_seconds.get(COMPILE, 0.0)
        return RunResult(
            outputs=outputs,
            device=self.device.name,
            samples=samples,
            programs=tuple(log.programs),
            seconds=seconds,
            host_seconds=log.host_seconds,
        )

    def _arrays(self, inputs: Mapping[str, ArrayLike]) -> list[Array]:
        named = self.package.named
        if set(inputs) != set(named.inputs):
            listed = ", ".join(map(repr, named.inputs)) or "none"
            given = ", ".join(map(repr, inputs)) or "none"
            raise PackageError(f"the inputs must be {listed}, not {given}")
        types = named.input_types
        return [_converted(name, inputs[name], types[name].dtype.numpy) for name in named.inputs]

    def _outputs(self, arrays: list[Array], log: RunLog) -> tuple[dict[str, Array], int]:
        """The outputs by name, and the number of samples."""
        named = self.package.named
        function = named.function
        if self.package.parts or _is_one_by_one(function, arrays):
            samples = named.check(dict(zip(named.inputs, arrays, strict=True)))
            batches = [[array[place : place + 1] for array in arrays] for place in range(samples)]
            if samples > 1:
                _expect_batches(named)
        else:
            _require_shapes(named, arrays)
            samples, batches = _samples(named, arrays), [arrays]
        values: dict[Value, Samples] = {
            value: [batch[place] for batch in batches] for place, value in enumerate(function.parameters)
        }
        for number, (equation, kernel) in enumerate(self._steps):
            log.what = f"step {number + 1} of {len(self._steps)}: " if len(self._steps) > 1 else ""
            results = kernel.run([values[value] for value in equation.operands], len(batches), log)
            values.update(zip(equation.results, results, strict=True))
        found = [joined(values[value]) for value in function.results]
        return dict(zip(named.outputs, found, strict=True)), samples


def _converted(name: str, given: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """An array of the element type, if that changes no value."""
    array = np.asarray(given)
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "biuf":
        raise PackageError(f"input {name!r} must be {dtype}, not {array.dtype}")
    with np.errstate(all="ignore"):
        changed = array.astype(dtype)
    # Floats are rounded to narrower ones; integers must stay what they are.
    if dtype.kind != "f" and not np.array_equal(changed.astype(array.dtype), array):
        raise PackageError(f"input {name!r} must be {dtype}, and holds numbers that it does not have")
    return changed


def _samples(named: NamedFunction, arrays: list[Array]) -> int:
    """The number of samples in arrays of the model: the batch where there is one, else one."""
    for value, array in zip(named.function.parameters, arrays, strict=True):
        for size, number in zip(value.type.shape, array.shape, strict=False):
            if isinstance(size, Size) and size.name == named.batch:
                return int(number)
    return 1


def _is_one_by_one(function: Function, arrays: list[Array]) -> bool:
    """Whether there are several samples for a function of one."""
    firsts = [value.type.shape[0] if value.type.rank else 0 for value in function.parameters]
    results = [value.type.shape[0] if value.type.rank else 0 for value in function.results]
    counts = {len(array) if array.ndim else 0 for array in arrays}
    return all(first == 1 for first in (*firsts, *results)) and len(counts) == 1 and max(counts) > 1


def _require_shapes(named: NamedFunction, arrays: list[Array]) -> None:
    """Refuse arrays whose sizes do not fit each other, in the words of the user.

    Raises:
        PackageError: naming the first input that does not fit those before it.
    """
    bindings: Bindings = {}
    for name, value, array in zip(named.inputs, named.function.parameters, arrays, strict=True):
        try:
            bind((value,), (array,), bindings, name)
        except EvaluationError:
            wanted, found = value.type.evaluate(bindings).shape, ", ".join(map(str, array.shape))
            raise PackageError(
                f"input {name!r} must have shape ({', '.join(map(str, wanted))}), not ({found})"
            ) from None


def _expect_batches(named: NamedFunction) -> None:
    """Refuses several samples where what they give could not be told apart.

    Raises:
        PackageError: naming the outputs without a batch.
    """
    odd = [name for name, each in named.output_types.items() if each.shape[:1] != (1,)]
    if odd:
        raise PackageError(f"inputs must be one sample at a time: outputs without a batch: {', '.join(odd)}")
