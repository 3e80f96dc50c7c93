"""A machine behind registers and a memory alone, as a device: a board, or gates that are driven like one."""

import time
from collections.abc import Mapping
from weakref import WeakSet

import numpy as np

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.register import Status
from tilewright.runtime.device import (
    DEFAULT_ENVIRONMENT,
    NOT_YET,
    Device,
    DeviceResult,
    Environment,
    Prepared,
)
from tilewright.runtime.driver import Call, Driver, DriverError, Ended, Memory
from tilewright.runtime.loader import ALIGNMENT_BYTES, Image, LoadError, load, require_sound

BOARD = "board"


class BoardDevice(Device):
    """Runs programs through a driver and a memory; see `device.Device`.

    When instructions start and finish cannot be seen from there.

    Args:
        driver: of the machine.
        memory: that the machine reads and writes.
        origin: address of the first byte that is free for programs, a multiple of 4096.
        size_bytes: free from there on.
        patience_seconds: after which a program that runs is given up, and the machine reset.

    Raises:
        TilewrightError: if `origin` does not fit.
    """

    def __init__(
        self, driver: Driver, memory: Memory, *, origin: int, size_bytes: int, patience_seconds: float = 60.0
    ) -> None:
        if origin < 0 or origin % ALIGNMENT_BYTES:
            raise TilewrightError(f"origin must be a multiple of {ALIGNMENT_BYTES}, not {origin!r}")
        self._driver, self._memory = driver, memory
        self._first, self._end, self._patience_seconds = origin, origin + size_bytes, patience_seconds
        # Each has its memory for as long as somebody holds it.
        self._programs: WeakSet[_BoardProgram] = WeakSet()

    @property
    def name(self) -> str:
        """`BOARD`."""
        return BOARD

    @property
    def config(self) -> Config:
        """Of the machine."""
        return self._driver.config

    def prepare(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        environment: Environment = DEFAULT_ENVIRONMENT,
        *,
        check: bool = True,
    ) -> Prepared:
        """Load a program, to run it on many inputs; see `device.Device.prepare`.

        Raises:
            LoadError: if it does not fit the free memory.
            TilewrightError: if the environment asks for another memory than that which is there.
        """
        _require_no_model(environment)
        image = load(executable, regions, self.config)
        if check:
            require_sound(executable, image)
        origin = self._place(len(image.dram))
        self._memory.write(origin, image.dram.tobytes())
        call = Call(
            program_address=origin + image.program_address,
            program_length=len(executable.code) // INSTRUCTION_BYTES,
            bases=[origin + base for base in image.bases],
            timeout=environment.timeout,
            expected_digest=executable.config_digest,
        )
        extent = range(origin, origin + len(image.dram))
        program = _BoardProgram(self._driver, self._memory, call, image, extent, self._patience_seconds)
        self._programs.add(program)
        return program

    def _place(self, size_bytes: int) -> int:
        """The lowest address from which so many bytes are free."""
        at = self._first
        for extent in sorted((program.extent for program in self._programs), key=lambda each: each.start):
            if at + size_bytes <= extent.start:
                break
            at = extent.stop
        if at + size_bytes > self._end:
            free = f"the {self._end - self._first} bytes from {self._first:#x} on"
            text = f"program and regions need {size_bytes} bytes, and must fit {free}"
            taken = f"of which {len(self._programs)} programs have a part"
            raise LoadError(f"{text}, {taken}: free more, drop a program, or use a smaller network")
        return at


def _require_no_model(environment: Environment) -> None:
    names = ("latency", "outstanding", "silent_from")
    set_ones = [name for name in names if getattr(environment, name) != getattr(DEFAULT_ENVIRONMENT, name)]
    if set_ones:
        raise TilewrightError(f"{', '.join(set_ones)} must be left out: a board's memory is what it is")


class _BoardProgram:
    """A program in the memory of a board; of the image, sizes and places are used from then on.

    Members:
        extent: the addresses that it has.
    """

    def __init__(
        self,
        driver: Driver,
        memory: Memory,
        call: Call,
        image: Image,
        extent: range,
        patience_seconds: float,
    ) -> None:
        self.extent = extent
        self._driver, self._memory, self._call = driver, memory, call
        self._image, self._patience_seconds = image, patience_seconds

    def run(self, regions: Mapping[int, bytes]) -> DeviceResult:
        """Run it; see `device.Prepared.run`.

        Raises:
            DriverError: if it takes longer than there is patience for.
        """
        begun = time.perf_counter()
        # It refuses what does not fit.
        self._image.write(regions)
        for base, data in regions.items():
            self._memory.write(self._call.bases[base], data)
        ended = self._ended()
        unknown = np.full(self._call.program_length, NOT_YET, np.int64)
        return DeviceResult(
            regions={
                base: self._memory.read(self._call.bases[base], size)
                for base, size in self._image.sizes.items()
            },
            cycles=ended.cycles,
            fault=ended.fault,
            counters=ended.counters,
            dispatch=unknown,
            start=unknown,
            finish=unknown,
            seconds=time.perf_counter() - begun,
        )

    def _ended(self) -> Ended:
        self._driver.start(self._call)
        until = time.monotonic() + self._patience_seconds
        while Status.DONE not in self._driver.status():
            if time.monotonic() > until:
                self._driver.reset()
                text = f"the program must end within {self._patience_seconds:g} s, but runs on"
                raise DriverError(f"{text}; the machine is reset: set a timeout, or more patience_seconds")
        ended = self._driver.ended()
        self._driver.acknowledge()
        if ended.needs_reset:
            self._driver.reset()
        return ended
