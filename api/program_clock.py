"""Measures whole programs: their cycles, which no data changes."""

from tilewright.api.device import machine_of
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.runtime.device import Environment
from tilewright.runtime.sim_device import SimDevice


class ProgramClock:
    """Runs programs on one device, with a memory of some latency.

    Args:
        config: of the machine.
        latency_cycles: of its memory.
        device: that runs them: "sim" or "rtl".
    """

    def __init__(self, config: Config, latency_cycles: int, device: str) -> None:
        self._machine = machine_of(device, config)
        self._environment = Environment(latency=latency_cycles)

    def cycles(self, executable: Executable) -> int:
        """Of a program that was just compiled, and so is sound."""
        # An excerpt may read what the layers before it left between.
        given = {each.base: bytes(each.size_bytes) for each in executable.regions}
        if isinstance(self._machine, SimDevice):
            return self._machine.time(executable, given, self._environment).cycles
        return self._machine.run(executable, given, self._environment, check=False).cycles
