"""The device of gates: compiled by Verilator, or where there is none in Amaranth's own simulator."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.encoding import decode_table
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.device import (
    DEFAULT_ENVIRONMENT,
    NOT_YET,
    Device,
    DeviceResult,
    Environment,
    Prepared,
    engines_of,
)
from tilewright.runtime.loader import Image, load, require_sound
from tilewright.runtime.rtl_build import Optimise
from tilewright.runtime.rtl_gates import Cycles, Gates
from tilewright.runtime.rtl_machine import RtlMachine
from tilewright.runtime.rtl_toolchain import find_toolchain

RTL = "rtl"
RTL_AMARANTH = "rtl-amaranth"
"""Where there is no Verilator or no compiler; a thousand times slower."""


class RtlDevice(Device):
    """The gates of a configuration; see `device.Device`.

    Args:
        config: of the machine.
        optimise: for the compiler: build soon or run fast.

    Raises:
        RtlBuildError: if Verilator or the compiler fails.
    """

    def __init__(self, config: Config, *, optimise: Optimise = Optimise.BUILD) -> None:
        gates = None if find_toolchain() else _amaranth_gates(config)
        self._name = RTL_AMARANTH if gates else RTL
        self._machine = RtlMachine(config, optimise=optimise, gates=gates)

    @property
    def name(self) -> str:
        """`RTL` or `RTL_AMARANTH`."""
        return self._name

    @property
    def config(self) -> Config:
        """Of the machine."""
        return self._machine.config

    def prepare(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        environment: Environment = DEFAULT_ENVIRONMENT,
        *,
        check: bool = True,
    ) -> Prepared:
        """Load a program, to run it on many inputs; see `device.Device.prepare`."""
        image = load(executable, regions, self.config)
        if check:
            require_sound(executable, image)
        return _RtlProgram(self._machine, executable, image, environment)


class _RtlProgram:
    """A program that the gates run anew each time."""

    def __init__(
        self, machine: RtlMachine, executable: Executable, image: Image, environment: Environment
    ) -> None:
        self._machine = machine
        self._code = executable.code
        self._engines = engines_of(decode_table(executable.code))
        self._image = image
        self._environment = environment

    def run(self, regions: Mapping[int, bytes]) -> DeviceResult:
        """Run it; see `device.Prepared.run`."""
        self._image.write(regions)
        result = self._machine.run(
            self._code,
            dram=self._image.dram,
            bases=self._image.bases,
            program_address=self._image.program_address,
            latency=self._environment.latency,
            outstanding=self._environment.outstanding,
            silent_from=self._environment.silent_from,
            timeout=self._environment.timeout,
            progress=self._environment.progress,
        )
        return DeviceResult(
            regions=self._image.regions(),
            cycles=result.cycles,
            fault=result.fault,
            counters=result.counters,
            dispatch=_padded(result.trace.dispatches, len(self._engines)),
            start=of_engines(self._engines, result.trace.starts),
            finish=of_engines(self._engines, result.trace.finishes),
            seconds=result.seconds,
        )


def of_engines(engines: NDArray[np.int64], events: Sequence[Cycles]) -> Cycles:
    """The cycle of each instruction's event, int64[n], `NOT_YET` where there was none.

    Args:
        engines: int64[n], the engine of each instruction, as of `device.engines_of`.
        events: of each engine's instructions in their order, one array for each `Engine`.
    """
    result = np.full(len(engines), NOT_YET, np.int64)
    for engine in Engine:
        places = np.flatnonzero(engines == engine)[: len(events[engine])]
        result[places] = events[engine]
    return result


def _padded(events: Cycles, length: int) -> Cycles:
    return np.pad(events, (0, length - len(events)), constant_values=NOT_YET)


def _amaranth_gates(config: Config) -> Gates:
    # Amaranth takes a second to import, which compiled gates do not need.
    from tilewright.hw.bench_top import RtlBench
    from tilewright.runtime.rtl_amaranth import AmaranthGates

    return AmaranthGates(lambda: RtlBench(config), config.bus_bytes)
