"""A network that was compiled once, to be run many times, on every device."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from tilewright.api.device import (
    CPU,
    DEVICES,
    AcceleratorDevice,
    CpuDevice,
    PackageDevice,
    machine_of,
)
from tilewright.api.explanation import Explanation, Placement
from tilewright.api.loaded import LoadedPackage
from tilewright.api.result import RunResult
from tilewright.compiler.ir.function import Equation, Value
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
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.compiler.targets.cpu.operator.convolution_schedule import Schedules
from tilewright.isa.config import Config
from tilewright.numerics.progress import Progress, unheard
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, Environment
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.profile import LayerProfile

_CPU_ALONE = "compiled for the CPU alone"
_BESIDE = "it could, but not without more programs, or more bytes between"


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
        host_schedules: of convolutions on the host, that shall not have their default schedule.
        host_machine: that the host's code is for; one whose code this machine runs, None for this one.
        host_parallel: whether all processors share the host's large kernels; else one thread does all.
        noise: of the integers on the calibration data, as a share of the signal; None if nobody measured it,
            or the package is from a file.
    """

    named: NamedFunction
    config: Config
    parts: Mapping[Value, Part]
    refusals: tuple[Refusal, ...] = ()
    store: ObjectStore = field(default_factory=ObjectStore, repr=False, compare=False)
    host_schedules: Schedules = field(default_factory=dict, repr=False)
    host_machine: HostMachine | None = field(default=None, repr=False)
    host_parallel: bool = field(default=True, repr=False)
    noise: float | None = field(default=None, compare=False)
    _programs: dict[Value, HostProgram] = field(default_factory=dict, repr=False)
    _networks: dict[int, HostNetwork] = field(default_factory=dict, repr=False)

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

    def on(
        self,
        device: str | Device = "sim",
        *,
        environment: Environment = DEFAULT_ENVIRONMENT,
        check: bool = False,
    ) -> LoadedPackage:
        """The package on a device, to be run again and again: its programs are loaded once.

        Args:
            device: "sim", "rtl" or "cpu", or a device of this configuration.
            environment: what programs meet outside of the accelerator: its memory.
            check: programs before they run; those that were just compiled are known to be sound.

        Raises:
            TilewrightError: if there is no such device, or programs and device do not fit each other.
        """
        return LoadedPackage(self, self._device(device, environment, check))

    def run(
        self,
        inputs: Mapping[str, ArrayLike],
        *,
        device: str | Device = "sim",
        environment: Environment = DEFAULT_ENVIRONMENT,
        check: bool = False,
        progress: Progress = unheard,
    ) -> RunResult:
        """The outputs on arrays; the same bytes on every device wherever integers are computed.

        Args:
            inputs: by name, with the batch of the model as the first axis; where that is 1, there may be
                more samples, which are run one by one.
            device, environment, check: as for `on`.
            progress: is told what is being done, and how much of it is; see `numerics.progress`.

        Raises:
            TilewrightError: if inputs or device do not fit.
        """
        return self.on(device, environment=environment, check=check).run(inputs, progress=progress)

    def time(self, *, environment: Environment = DEFAULT_ENVIRONMENT) -> RunResult:
        """What the programs take on the simulator, for no data change that; nothing is computed.

        Args:
            environment: what programs meet outside of the accelerator: its memory.

        Returns:
            The result of one sample without outputs; what the CPU would compute is left out.
        """
        from tilewright.runtime.sim_device import SIM, SimDevice

        begun, machine = time.perf_counter(), SimDevice(self.config, time_only=True)
        runners = [ModelRunner(part.model, machine, environment, check=False) for part in self.parts.values()]
        return RunResult(
            outputs={},
            device=SIM,
            samples=1,
            programs=tuple(runner.time() for runner in runners),
            seconds=time.perf_counter() - begun,
            host_seconds={},
        )

    def _device(self, device: str | Device, environment: Environment, check: bool) -> PackageDevice:
        if isinstance(device, str):
            # A package without programs needs no machine.
            if device == CPU or (device in DEVICES and not self.parts):
                return CpuDevice(self.network)
            device = machine_of(device, self.config)
        return AcceleratorDevice(device, environment, check)

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

    def report(
        self,
        inputs: Mapping[str, ArrayLike],
        *,
        device: str | Device = "sim",
        environment: Environment = DEFAULT_ENVIRONMENT,
        title: str = "Where the time goes",
        noise_db: Mapping[str, float] | None = None,
    ) -> str:
        """Where the cycles go, as a page of HTML that needs nothing else: `tilewright run --report`.

        Args:
            inputs, device, environment: as for `run`; drawn is one sample.
            title: of the page.
            noise_db: the signal-to-noise ratio of layers by name, where it is known, to stand beside them.

        Raises:
            TilewrightError: if inputs or device do not fit.
        """
        from tilewright.api.run_page import page_of, summary_of

        result = self.run(inputs, device=device, environment=environment)
        return page_of(self, result, title, summary_of(self, result), noise_db).html()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which `load` reads: whole, or not at all.

        Raises:
            OSError: if the file cannot be written.
        """
        from tilewright.api.file import save

        save(self, path)

    def program(self, kernel: Equation, progress: Progress = unheard) -> HostProgram:
        """The machine code of a kernel on the host."""
        first = kernel.results[0]
        if first not in self._programs:
            assert isinstance(kernel.operator, Kernel)
            self._programs[first] = compile_host(
                kernel.operator.body,
                self.host_machine,
                self.store,
                progress,
                self.host_schedules,
                parallel=self.host_parallel,
            )
        self._programs[first].tell(progress)
        return self._programs[first]

    def network(self, part: Part) -> HostNetwork:
        """Machine code of the host for a part on the accelerator, with the same bytes."""
        if id(part) not in self._networks:
            self._networks[id(part)] = HostNetwork(
                part.integers,
                self.host_machine,
                self.store,
                self.host_schedules,
                parallel=self.host_parallel,
            )
        return self._networks[id(part)]

    def prepare(self, device: str = "sim", progress: Progress = unheard) -> None:
        """Compile for the host what can be before arrays are there: for known sizes, and for a batch of 1.

        Args:
            device: "cpu" compiles what the accelerator does, too.
            progress: is told of what the host alone runs.
        """
        for kernel in self.kernels:
            part = self.parts.get(kernel.results[0])
            if part is not None:
                if device == CPU:
                    self.network(part)
                continue
            program, names = (
                self.program(kernel, progress),
                {name for each in kernel.operands for name in each.type.names},
            )
            batch = {_batch_name(each) for each in kernel.operands} - {""}
            if names and names == batch:
                program.prepare(dict.fromkeys(names, 1))


def _batch_name(value: Value) -> str:
    """The name of a symbolic first axis; "" if there is none."""
    first = value.type.shape[0] if value.type.rank else 1
    return first.name or "" if isinstance(first, Size) else ""


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
