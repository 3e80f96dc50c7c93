"""Compiled models on devices: quantise, lay out, run, read back, dequantise, sample by sample."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import FaultEngine
from tilewright.isa.model import CONSTANTS, INPUTS, Model
from tilewright.numerics.quantise import dequantise, quantise
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, DeviceResult, Environment
from tilewright.runtime.layout import from_memory, to_memory
from tilewright.runtime.model_input import check_inputs
from tilewright.runtime.profile import LayerProfile, profile_layers

FloatArray = NDArray[np.float32]
SampleProgress = Callable[[int, int], None]
"""Called after each sample with how many are done, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """What a device says of a model and n samples.

    Members:
        outputs: by name, float32 [n, *shape].
        samples: n.
        first: the device's result of the first sample, with cycles, counters and timeline; those of the
            others are the same, for no data changes the time.
        layers: its profile.
        seconds: wall time of all samples.
        host: seconds of these that the CPU took, by what it did.
    """

    outputs: Mapping[str, FloatArray]
    samples: int
    first: DeviceResult
    layers: tuple[LayerProfile, ...]
    seconds: float
    host: Mapping[str, float]

    @property
    def cycles(self) -> int:
        """Of one sample, from its start to its finish."""
        return self.first.cycles


class ModelRunner:
    """A compiled model in a device's memory.

    Args:
        model: compiled for the device's configuration.
        device: runs its program.
        environment: the memory outside of the device.
        check: refuse a program that is undefined, racy or stuck, or leaves its regions.

    Raises:
        LoadError: if model and device do not fit each other.
        CheckError: if `check` and the program is unsound.
    """

    def __init__(
        self,
        model: Model,
        device: Device,
        environment: Environment = DEFAULT_ENVIRONMENT,
        *,
        check: bool = True,
    ) -> None:
        self.model = model
        sizes = {region.base: region.size_bytes for region in model.executable.regions}
        self._input_region = bytearray(sizes[INPUTS])
        given = {CONSTANTS: model.constants} if model.constants else {}
        given[INPUTS] = bytes(self._input_region)
        self._program = device.prepare(model.executable, given, environment, check=check)

    def run(self, inputs: Mapping[str, ArrayLike], progress: SampleProgress | None = None) -> ModelResult:
        """Run samples one after another.

        Args:
            inputs: by name, as `model_input.check_inputs` takes them.
            progress: called after each sample.

        Raises:
            InputError: if the inputs do not fit the model.
            TilewrightError: if the program ends with a fault.
        """
        samples = check_inputs(self.model.input_shapes, inputs)
        count = len(next(iter(samples.values())))
        watch, begun = _Watch(), time.perf_counter()
        outputs = {
            binding.name: np.empty((count, *binding.shape), np.float32) for binding in self.model.outputs
        }
        results: list[DeviceResult] = []
        for index in range(count):
            result = self._run_one({name: values[index] for name, values in samples.items()}, watch)
            for name, values in self._read(result, watch).items():
                outputs[name][index] = values
            results = results or [result]
            if progress is not None:
                progress(index + 1, count)
        return ModelResult(
            outputs=outputs,
            samples=count,
            first=results[0],
            layers=profile_layers(self.model, results[0]),
            seconds=time.perf_counter() - begun,
            host=watch.seconds,
        )

    def time(self) -> ModelResult:
        """What a sample takes on a device that leaves data alone; without outputs.

        Raises:
            TilewrightError: if the program ends with a fault.
        """
        begun = time.perf_counter()
        result = self._require_success(self._program.run({}))
        return ModelResult(
            outputs={},
            samples=1,
            first=result,
            layers=profile_layers(self.model, result),
            seconds=time.perf_counter() - begun,
            host={},
        )

    def _run_one(self, sample: Mapping[str, FloatArray], watch: "_Watch") -> DeviceResult:
        begun = time.perf_counter()
        for binding in self.model.inputs:
            values = quantise(sample[binding.name], binding.scale, binding.zero_point)
            data = to_memory(values, binding, self.model.config).tobytes()
            self._input_region[binding.offset : binding.offset + len(data)] = data
        watch.add("quantise", begun)
        return self._require_success(self._program.run({INPUTS: bytes(self._input_region)}))

    def _require_success(self, result: DeviceResult) -> DeviceResult:
        if result.fault is not None:
            raise TilewrightError(self._describe_fault(result))
        return result

    def _read(self, result: DeviceResult, watch: "_Watch") -> dict[str, FloatArray]:
        """The outputs of a sample."""
        begun = time.perf_counter()
        found = {}
        for binding in self.model.outputs:
            values = from_memory(result.regions[binding.region], binding, self.model.config)
            found[binding.name] = dequantise(values, binding.scale, binding.zero_point)
        watch.add("dequantise", begun)
        return found

    def _describe_fault(self, result: DeviceResult) -> str:
        fault = result.fault
        assert fault is not None
        place = ""
        if fault.engine is not FaultEngine.SYSTEM:
            inside = (
                layer for layer in self.model.layers if 0 <= fault.instruction - layer.first < layer.count
            )
            layer = next(inside, None)
            place = f" at instruction {fault.instruction}" + (f" of layer {layer.name!r}" if layer else "")
        return f"the model must run to its end, not to fault {fault.cause.name} in cycle {fault.cycle}{place}"


class _Watch:
    """Adds up what the CPU takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, begun: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
