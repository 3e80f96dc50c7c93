"""A network that was compiled once, to be run many times, on every device."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.api.explanation import Explanation, Placement
from tilewright.api.result import RunResult
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import Bindings, bind
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size, evaluate
from tilewright.compiler.network.split import Part
from tilewright.compiler.network.target import ACCELERATOR, HOST
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.dependence import Dependence
from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.host.program import HostProgram, compile_host
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import Config
from tilewright.numerics.error import TilewrightError
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, Environment
from tilewright.runtime.model_runner import ModelResult, ModelRunner
from tilewright.runtime.profile import LayerProfile

Array = NDArray[Any]
Progress = Callable[[str], None]
"""Is told what is being done."""
CPU = "cpu"
COMPILE = "compile"
"""Seconds of the host until it has machine code, which are not part of a run's."""
DEVICES = ("sim", "rtl", CPU)
_CPU_ALONE = "compiled for the CPU alone"
_BESIDE = "it could, but not without more programs, or more bytes between"


class PackageError(TilewrightError):
    """A package that cannot be used so: what must change."""


@dataclass
class Package:
    """A compiled network.

    Members:
        named: in kernels, each for one target. Without any on the accelerator it takes arrays as the model
            does; else one sample at a time.
        config: of the accelerator.
        parts: of each kernel on the accelerator, by its first result.
        refusals: why operators do not run on the accelerator.
        store: machine code of the host that is carried along.
    """

    named: NamedFunction
    config: Config
    parts: Mapping[Value, Part]
    refusals: tuple[Refusal, ...] = ()
    store: ObjectStore = field(default_factory=ObjectStore, repr=False, compare=False)
    _programs: dict[Value, HostProgram] = field(default_factory=dict, repr=False)
    _networks: dict[Value, HostNetwork] = field(default_factory=dict, repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it takes."""
        return self.named.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return self.named.outputs

    @property
    def kernels(self) -> tuple[Equation, ...]:
        """Its steps, in their order."""
        return tuple(each for each in self.named.function.equations if isinstance(each.operator, Kernel))

    def run(
        self,
        inputs: Mapping[str, ArrayLike],
        *,
        device: str | Device = "sim",
        environment: Environment = DEFAULT_ENVIRONMENT,
        check: bool = False,
        progress: Progress | None = None,
    ) -> RunResult:
        """The outputs on arrays; the same bytes on every device wherever integers are computed.

        Args:
            inputs: by name, with the batch of the model as the first axis; where that is 1, there may be
                more samples, which are run one by one.
            device: "sim", "rtl" or "cpu", or a device of this configuration.
            environment: the memory outside of the accelerator.
            check: programs before they run; those that were just compiled are known to be sound.
            progress: is told what is being done.

        Raises:
            TilewrightError: if inputs or device do not fit.
        """
        arrays = self._arrays(inputs)
        run = _Run(self, _machine(device, self.config, bool(self.parts)), environment, check, progress)
        begun = time.perf_counter()
        outputs, samples = run.outputs(arrays)
        seconds = time.perf_counter() - begun - run.host_seconds.get(COMPILE, 0.0)
        return RunResult(
            outputs=outputs,
            device=run.device_name,
            samples=samples,
            programs=tuple(run.results),
            seconds=seconds,
            host_seconds=run.host_seconds,
        )

    def explain(self) -> Explanation:
        """What runs where, and why."""
        reasons = {each.label: each.reason for each in self.refusals}
        others = _BESIDE if self.refusals or self.parts else _CPU_ALONE
        sizes = dict.fromkeys([self.named.batch], 1)
        steps = enumerate(self.kernels)
        placements = [
            each for number, step in steps for each in _placements(number, step, reasons, others, sizes)
        ]
        targets = [step.operator.target for step in self.kernels if isinstance(step.operator, Kernel)]
        return Explanation(
            placements=tuple(placements), programs=targets.count(ACCELERATOR), kernels=len(targets)
        )

    def profile(
        self, inputs: Mapping[str, ArrayLike], *, device: str | Device = "sim"
    ) -> tuple[LayerProfile, ...]:
        """Where the cycles of the programs go, layer by layer, on one device; arguments as for `run`."""
        result = self.run(inputs, device=device)
        return tuple(layer for each in result.programs for layer in each.layers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which `load` reads: whole, or not at all.

        Raises:
            OSError: if the file cannot be written.
        """
        from tilewright.api.file import save

        save(self, path)

    def program(self, kernel: Equation) -> HostProgram:
        """The machine code of a kernel on the host."""
        first = kernel.results[0]
        if first not in self._programs:
            assert isinstance(kernel.operator, Kernel)
            self._programs[first] = compile_host(kernel.operator.body, store=self.store)
        return self._programs[first]

    def network(self, kernel: Equation) -> HostNetwork:
        """The machine code of what the accelerator does of a kernel, with its bytes."""
        first = kernel.results[0]
        if first not in self._networks:
            self._networks[first] = HostNetwork(self.parts[first].integers, store=self.store)
        return self._networks[first]

    def prepare(self, device: str = "sim") -> None:
        """Compile for the host what can be before arrays are there: for known sizes, and for a batch of 1.

        Args:
            device: "cpu" compiles what the accelerator does, too.
        """
        for kernel in self.kernels:
            if kernel.results[0] in self.parts:
                if device == CPU:
                    self.network(kernel)
                continue
            program, names = (
                self.program(kernel),
                {name for each in kernel.operands for name in each.type.names},
            )
            batch = {_batch_name(each) for each in kernel.operands} - {""}
            if names and names == batch:
                program.prepare(dict.fromkeys(names, 1))

    def _arrays(self, inputs: Mapping[str, ArrayLike]) -> list[Array]:
        if set(inputs) != set(self.inputs):
            listed = ", ".join(map(repr, self.inputs)) or "none"
            given = ", ".join(map(repr, inputs)) or "none"
            raise PackageError(f"the inputs must be {listed}, not {given}")
        types = self.named.input_types
        return [_converted(name, inputs[name], types[name].dtype.numpy) for name in self.inputs]


def _batch_name(value: Value) -> str:
    """Of a symbolic first axis; "" if there is none."""
    first = value.type.shape[0] if value.type.rank else 1
    return first.name or "" if isinstance(first, Size) else ""


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


def _machine(device: str | Device, config: Config, is_needed: bool) -> Device | None:
    """The device; None for the CPU, and for a package that has no program."""
    if not isinstance(device, str):
        return device
    if device not in DEVICES:
        raise PackageError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    if device == CPU or not is_needed:
        return None
    if device == "sim":
        from tilewright.runtime.sim_device import SimDevice

        return SimDevice(config)
    from tilewright.runtime.rtl_device import RtlDevice

    return RtlDevice(config)


class _Run:
    """One run of a package."""

    def __init__(
        self,
        package: Package,
        device: Device | None,
        environment: Environment,
        check: bool,
        progress: Progress | None,
    ) -> None:
        self._package, self._device = package, device
        self._environment, self._check, self._what = environment, check, ""
        self._progress = progress or (lambda _: None)
        self.results: list[ModelResult] = []
        self.host_seconds: dict[str, float] = {}

    @property
    def device_name(self) -> str:
        """As in reports."""
        return CPU if self._device is None else self._device.name

    def outputs(self, arrays: list[Array]) -> tuple[dict[str, Array], int]:
        """The outputs by name, and the number of samples."""
        package = self._package
        function = package.named.function
        if package.parts or _is_one_by_one(function, arrays):
            samples = package.named.check(dict(zip(package.inputs, arrays, strict=True)))
            batches = [[array[place : place + 1] for array in arrays] for place in range(samples)]
            if samples > 1:
                _expect_batches(package.named)
        else:
            _require_shapes(package.named, arrays)
            samples, batches = _samples(package.named, arrays), [arrays]
        values: dict[Value, list[Array]] = {
            value: [batch[place] for batch in batches] for place, value in enumerate(function.parameters)
        }
        steps = len(function.equations)
        for number, equation in enumerate(function.equations):
            self._what = f"step {number + 1} of {steps}: " if steps > 1 else ""
            self._step(equation, values, len(batches))
        found = [_joined(values[value]) for value in function.results]
        return dict(zip(package.outputs, found, strict=True)), samples

    def _step(self, equation: Equation, values: dict[Value, list[Array]], batches: int) -> None:
        operands = [values[value] for value in equation.operands]
        if equation.results[0] in self._package.parts:
            for value, array in zip(equation.results, self._on_accelerator(equation, operands), strict=True):
                values[value] = [array[place : place + 1] for place in range(batches)]
            return
        rows = []
        for place in range(batches):
            rows.append(self._on_host(equation, [each[place] for each in operands]))
            self._say_samples(place + 1, batches)
        for value, column in zip(equation.results, zip(*rows, strict=True), strict=True):
            values[value] = list(column)

    def _on_host(self, equation: Equation, arrays: list[Array]) -> tuple[Array, ...]:
        if not isinstance(equation.operator, Kernel):
            return equation.operator.run(*arrays)
        begun = time.perf_counter()
        program = self._package.program(equation)
        program.prepare_for(*arrays)
        begun = self._spend(COMPILE, begun)
        results = program.run(*arrays)
        self._spend("kernels", begun)
        return results

    def _on_accelerator(self, equation: Equation, operands: list[list[Array]]) -> list[Array]:
        part = self._package.parts[equation.results[0]]
        given = {name: _joined(each) for name, each in zip(part.source.inputs, operands, strict=True)}
        if self._device is None:
            self._progress(f"{self._what}compiling for the CPU")
            begun = time.perf_counter()
            network = self._package.network(equation)
            begun = self._spend(COMPILE, begun)
            self._progress(f"{self._what}running on the CPU")
            outputs = network.run(given)
            self._spend("graph", begun)
        else:
            runner = ModelRunner(part.model, self._device, self._environment, check=self._check)
            result = runner.run(given, self._say_samples)
            self.results.append(result)
            outputs = dict(result.outputs)
            for name, seconds in result.host.items():
                self.host_seconds[name] = self.host_seconds.get(name, 0.0) + seconds
        return [np.asarray(outputs[name]) for name in part.source.outputs]

    def _say_samples(self, done: int, count: int) -> None:
        self._progress(f"{self._what}{done:,} of {count:,} samples")

    def _spend(self, name: str, begun: float) -> float:
        """Count the seconds since then; now."""
        now = time.perf_counter()
        self.host_seconds[name] = self.host_seconds.get(name, 0.0) + now - begun
        return now


def _samples(named: NamedFunction, arrays: list[Array]) -> int:
    """Of a function that takes arrays as the model does: the batch where there is one, else one."""
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


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _placements(
    number: int, step: Equation, reasons: Mapping[str, str], others: str, sizes: Mapping[str, int]
) -> Iterator[Placement]:
    """The nodes of a step.

    Args:
        number: of the step.
        step: a kernel.
        reasons: why nodes are not on the accelerator.
        others: why those are not that it could run.
        sizes: numbers for symbolic sizes.
    """
    assert isinstance(step.operator, Kernel)
    target = ACCELERATOR if step.operator.target == ACCELERATOR else HOST
    body = step.operator.body
    by_label: dict[str, list[Equation]] = {}
    sources = Dependence(body).sources
    for equation in body.equations:
        if equation not in sources:
            by_label.setdefault(equation.label, []).append(equation)
    for label, equations in by_label.items():
        operators = dict.fromkeys(_operator_name(each) for each in equations)
        macs = [evaluate(_macs(each), sizes) for each in equations]
        known = [each for each in macs if isinstance(each, int)]
        yield Placement(
            label=label,
            operator=", ".join(operators),
            target=target,
            kernel=number,
            macs=sum(known) if len(known) == len(macs) else None,
            reason="" if target == ACCELERATOR else reasons.get(label, others),
        )


def _macs(equation: Equation) -> int | Size:
    return equation.operator.macs(*(value.type for value in equation.operands))


def _operator_name(equation: Equation) -> str:
    operator = equation.operator
    return operator.function if isinstance(operator, Map) else operator.name
