"""Measures schedules of the accelerator's layers: right answers, and cycles."""

import time
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.api.device import machine_of
from tilewright.compiler.schedule import apply
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.build import build
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.walk import constant
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.numerics.cycle_search import without_search_for_cycles
from tilewright.numerics.error import TilewrightError
from tilewright.runtime.device import Device, DeviceResult, Environment
from tilewright.tune.outcome import Kind, Outcome

Array = NDArray[Any]
_SEED = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class AccelRunner:
    """Compiles a layer by a point, runs it, and compares its answer with that of its unscheduled loops.

    These run as machine code of the host, on random activations and the layer's own constants.

    Members:
        lowered: the layer, or a part of one.
        config: the machine.
        latency_cycles: of its memory.
        device: "sim" or "rtl".
    """

    lowered: Lowered
    config: Config
    latency_cycles: int
    device: str = "sim"

    def __call__(self, point: Point) -> Outcome:
        """The outcome of a point; its cost is the number of cycles."""
        begun = time.perf_counter()
        kind, cycles, detail = self._measured(point)
        return Outcome(kind=kind, cost=cycles, detail=detail, seconds=time.perf_counter() - begun)

    def _measured(self, point: Point) -> tuple[Kind, float | None, str]:
        tunable = self.lowered.tunable
        try:
            if (why := tunable.tilings().space.refuse(point)) is not None:
                return Kind.REFUSED, None, why
            with without_search_for_cycles():
                kernel = build(apply(self.lowered.function, tunable.schedule(point)), self.config)
        except TilewrightError as error:
            return Kind.REFUSED, None, str(error).partition("\n")[0]
        ran = kernel.run(_Bare(self._device, self.latency_cycles), self._inputs)
        if not all(np.array_equal(array, self._answers[name]) for name, array in ran.outputs.items()):
            return Kind.WRONG, None, "the answer must be that of the unscheduled loops, and is another"
        return Kind.OK, float(ran.result.cycles), ""

    # --- made once in a process ----------------------------------------------------------------------------

    @cached_property
    def _device(self) -> Device:
        return machine_of(self.device, self.config)

    @cached_property
    def _inputs(self) -> dict[str, Array]:
        rng, function = np.random.default_rng(_SEED), self.lowered.function
        taken = function.parameters[: len(function.parameters) - function.outputs]
        constants = self.lowered.constants
        return {
            each.name: np.ascontiguousarray(constants[each.name])
            if each.name in constants
            else _drawn(each, rng)
            for each in taken
        }

    @cached_property
    def _answers(self) -> dict[str, Array]:
        return compile_function(self.lowered.function, parallel=False).run(self._inputs)

    def __getstate__(self) -> dict[str, Any]:
        """Without what each process makes for itself."""
        made = ("_device", "_inputs", "_answers")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class _Bare:
    """A device with a memory of some latency, for programs that were just compiled and so are sound."""

    device: Device
    latency_cycles: int

    def run(self, executable: Executable, regions: Any) -> DeviceResult:
        environment = Environment(latency=self.latency_cycles)
        return self.device.run(executable, regions, environment, check=False)


def _drawn(buffer: Buffer, rng: np.random.Generator) -> Array:
    """Random integers of its type."""
    sizes = [constant(extent) or 0 for extent in buffer.shape]
    low, high = (-128, 128) if buffer.dtype.size_bytes == 1 else (-1000, 1000)
    return rng.integers(low, high, prod(sizes)).astype(buffer.dtype.numpy).reshape(sizes)
