"""The device of the simulator."""

import time
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import encode
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish
from tilewright.isa.state import Dram
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, DeviceResult, Environment, Prepared
from tilewright.runtime.loader import Image, load, require_sound
from tilewright.sim.machine import Simulator
from tilewright.sim.result import SimResult

SIM = "sim"


class SimDevice(Device):
    """The simulated machine of a configuration; see `device.Device`.

    Args:
        config: of the machine.
        time_only: programs take their time and leave all data as they are.
    """

    def __init__(self, config: Config, *, time_only: bool = False) -> None:
        self._simulator = Simulator(config)
        self._time_only = time_only
        self._warm_up()

    @property
    def name(self) -> str:
        """`SIM`."""
        return SIM

    @property
    def config(self) -> Config:
        """Of the machine."""
        return self._simulator.config

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
        return _SimProgram(self._simulator, executable, image, environment, time_only=self._time_only)

    def time(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        environment: Environment = DEFAULT_ENVIRONMENT,
    ) -> SimResult:
        """What a program takes, without what it does to data: no data changes the time; unchecked.

        Raises:
            LoadError: if program, regions and device do not fit each other.
        """
        image = load(executable, regions, self.config)
        return _SimProgram(self._simulator, executable, image, environment).time

    def _warm_up(self) -> None:
        """Have the simulator compiled, or read from its cache, before a run is timed."""
        memory = DEFAULT_ENVIRONMENT.memory(INSTRUCTION_BYTES)
        self._simulator.run(encode(Finish()), dram=np.zeros(memory.size_bytes, np.uint8), memory=memory)


class _SimProgram:
    """A program whose time is found in its first run: no data changes it."""

    def __init__(
        self,
        simulator: Simulator,
        executable: Executable,
        image: Image,
        environment: Environment,
        *,
        time_only: bool = False,
    ) -> None:
        self._simulator, self._time_only = simulator, time_only
        self._code = executable.code
        self._image = image
        self._outside = Dram(image.dram, image.bases)
        self._environment = environment

    def run(self, regions: Mapping[int, bytes]) -> DeviceResult:
        """Run it; see `device.Prepared.run`."""
        self._image.write(regions)
        begun = time.perf_counter()
        result = self.time
        if not self._time_only:
            self._simulator.apply(result, self._outside)
        return DeviceResult(
            regions=self._image.regions(),
            cycles=result.cycles,
            fault=result.fault,
            counters=result.counters,
            dispatch=result.dispatched,
            start=result.start,
            finish=result.finish,
            tokens_ready=result.timeline.tokens_ready,
            engine_ready=result.timeline.engine_ready,
            seconds=time.perf_counter() - begun,
        )

    @cached_property
    def time(self) -> SimResult:
        """When everything happens."""
        return self._simulator.time(
            self._code,
            dram=self._image.dram,
            memory=self._environment.memory(len(self._image.dram)),
            bases=self._image.bases,
            program_address=self._image.program_address,
            timeout=self._environment.timeout,
            check=False,
        )
