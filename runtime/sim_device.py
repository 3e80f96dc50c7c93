"""The device of the simulator."""

import time
from collections.abc import Mapping

import numpy as np

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import encode
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish
from tilewright.runtime.device import DEFAULT_HOST, DeviceResult, Host
from tilewright.runtime.loader import load, require_sound
from tilewright.sim.machine import Simulator

SIM = "sim"


class SimDevice:
    """The simulated machine of a configuration; see `device.Device`."""

    def __init__(self, config: Config) -> None:
        self._simulator = Simulator(config)
        self._warm_up()

    @property
    def name(self) -> str:
        """`SIM`."""
        return SIM

    @property
    def config(self) -> Config:
        """Of the machine."""
        return self._simulator.config

    def run(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        host: Host = DEFAULT_HOST,
        *,
        check: bool = True,
    ) -> DeviceResult:
        """Run a program on the bytes behind its base registers; see `device.Device.run`."""
        image = load(executable, regions, self.config)
        if check:
            require_sound(executable, image)
        begun = time.perf_counter()
        result = self._simulator.run(
            executable.code,
            dram=image.dram,
            memory=host.memory(len(image.dram)),
            bases=image.bases,
            program_address=image.program_address,
            timeout=host.timeout,
            check=False,
        )
        return DeviceResult(
            regions=image.regions(),
            cycles=result.cycles,
            fault=result.fault,
            counters=result.counters,
            deal=result.dealt,
            start=result.start,
            finish=result.finish,
            willing=result.timeline.willing,
            able=result.timeline.able,
            seconds=time.perf_counter() - begun,
        )

    def _warm_up(self) -> None:
        """Have the simulator compiled, or read from its cache, before a run is timed."""
        memory = DEFAULT_HOST.memory(INSTRUCTION_BYTES)
        self._simulator.run(encode(Finish()), dram=np.zeros(memory.size_bytes, np.uint8), memory=memory)
