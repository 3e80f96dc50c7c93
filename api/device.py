"""Where packages run: a machine with the accelerator, or the CPU alone; and their kernels there.

Every target of the compiler has a `LoadedKernel`: programs in a device's memory, the same kernels as machine
code of the host with the same bytes, and the host's own kernels.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.api.error import PackageError
from tilewright.compiler.ir.function import Equation
from tilewright.compiler.network.split import Part
from tilewright.compiler.targets.cpu.host.program import HostProgram
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import Config
from tilewright.numerics.progress import Progress
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, Environment
from tilewright.runtime.model_runner import ModelResult, ModelRunner

Array = NDArray[Any]
Samples = list[Array]
"""A value of each sample, with a batch of 1; or one array, where the function takes a whole batch."""
CPU = "cpu"
DEVICES = ("sim", "rtl", CPU)
COMPILE = "compile"
"""Seconds of the host until it has machine code, which are not part of a run's."""


@dataclass
class RunLog:
    """What the kernels of one run say of it.

    Members:
        progress: is told what is being done, behind `what`.
        what: which step it is.
        programs: results of the accelerator's programs, in their order.
        host_seconds: what the CPU took, by what it did.
    """

    progress: Progress
    what: str = ""
    programs: list[ModelResult] = field(default_factory=list)
    host_seconds: dict[str, float] = field(default_factory=dict)

    def say(self, text: str, share: float | None = None) -> None:
        """Tell what is being done, and how much of it is."""
        self.progress(self.what + text, share)

    def say_samples(self, done: int, count: int) -> None:
        """Tell how far it is."""
        self.say(f"{done:,} of {count:,} samples", done / count)

    def spend(self, name: str, seconds: float) -> None:
        """Count seconds of the CPU."""
        self.host_seconds[name] = self.host_seconds.get(name, 0.0) + seconds

    @contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """Count the seconds that what is inside takes."""
        begun = time.perf_counter()
        yield
        self.spend(name, time.perf_counter() - begun)


class LoadedKernel(Protocol):
    """A kernel where it runs: the same protocol for accelerator and host."""

    def run(self, operands: Sequence[Samples], count: int, log: RunLog) -> list[Samples]:
        """The results of each sample.

        Args:
            operands: of the kernel's equation, each of `count` samples.
            count: how many there are.
            log: is told what was done.
        """


class PackageDevice(Protocol):
    """Where packages run: a machine with the accelerator, or the CPU alone."""

    @property
    def name(self) -> str:
        """The name of the device in reports."""

    def load(self, part: Part) -> LoadedKernel:
        """A kernel of the accelerator, ready to run."""


@dataclass(frozen=True)
class AcceleratorDevice:
    """The accelerator: simulated, in gates, or a board.

    Members:
        machine: runs programs.
        environment: the memory outside of it.
        check: programs before they run.
    """

    machine: Device
    environment: Environment = DEFAULT_ENVIRONMENT
    check: bool = False

    @property
    def name(self) -> str:
        """The name of the machine."""
        return self.machine.name

    def load(self, part: Part) -> LoadedKernel:
        """The program and its constants in the machine's memory."""
        return _ProgramKernel(part, ModelRunner(part.model, self.machine, self.environment, check=self.check))


@dataclass(frozen=True)
class CpuDevice:
    """The CPU: what the accelerator computes as machine code, with the same bytes.

    Members:
        network: compiles a part, or has it.
    """

    network: Callable[[Part], HostNetwork]
    name: str = CPU

    def load(self, part: Part) -> LoadedKernel:
        """The part as machine code, made when it is first run."""
        return _IntegerKernel(part, self.network)


@dataclass(frozen=True)
class _ProgramKernel:
    """A program in the accelerator's memory."""

    part: Part
    runner: ModelRunner

    def run(self, operands: Sequence[Samples], count: int, log: RunLog) -> list[Samples]:
        result = self.runner.run(_given(self.part, operands), log.say_samples)
        log.programs.append(result)
        for name, seconds in result.host.items():
            log.spend(name, seconds)
        return _by_sample(self.part, result.outputs)


@dataclass(frozen=True)
class _IntegerKernel:
    """A kernel of the accelerator as machine code of the host."""

    part: Part
    network: Callable[[Part], HostNetwork]

    def run(self, operands: Sequence[Samples], count: int, log: RunLog) -> list[Samples]:
        log.say("compiling for the CPU")
        with log.spending(COMPILE):
            network = self.network(self.part)
        log.say("running on the CPU")
        with log.spending("graph"):
            return _by_sample(self.part, network.run(_given(self.part, operands)))


@dataclass(frozen=True)
class HostKernel:
    """A kernel that the host alone runs, in floats."""

    program: Callable[[Progress], HostProgram]

    def run(self, operands: Sequence[Samples], count: int, log: RunLog) -> list[Samples]:
        with log.spending(COMPILE):
            program = self.program(log.say)
        rows = []
        for number in range(count):
            arrays = [each[number] for each in operands]
            with log.spending(COMPILE):
                run = program.prepare_for(*arrays)
            with log.spending("kernels"):
                rows.append(run())
            log.say_samples(number + 1, count)
        return [list(column) for column in zip(*rows, strict=True)]


@dataclass(frozen=True)
class EvaluatedEquation:
    """An equation outside of all kernels."""

    equation: Equation

    def run(self, operands: Sequence[Samples], count: int, log: RunLog) -> list[Samples]:
        operator = self.equation.operator
        rows = [operator.run(*(each[number] for each in operands)) for number in range(count)]
        return [list(column) for column in zip(*rows, strict=True)]


def machine_of(device: str, config: Config) -> Device:
    """The accelerator by name: "sim" or "rtl".

    Raises:
        PackageError: if there is none of that name.
    """
    if device == "sim":
        from tilewright.runtime.sim_device import SimDevice

        return SimDevice(config)
    if device == "rtl":
        from tilewright.runtime.rtl_device import RtlDevice

        return RtlDevice(config)
    raise PackageError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def joined(samples: Samples) -> Array:
    """A value of all samples, with samples along the first axis."""
    return samples[0] if len(samples) == 1 else np.concatenate(samples)


def _given(part: Part, operands: Sequence[Samples]) -> dict[str, Array]:
    return {name: joined(each) for name, each in zip(part.source.inputs, operands, strict=True)}


def _by_sample(part: Part, outputs: Mapping[str, Any]) -> list[Samples]:
    arrays = [np.asarray(outputs[name]) for name in part.source.outputs]
    return [[array[number : number + 1] for number in range(len(array))] for array in arrays]
