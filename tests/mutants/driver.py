"""Mistakes in what a host does with the machine."""

from tests.mutants.mutant import Mutant, suite

_DRIVER = suite("runtime/test_driver.py")
_BOARD = suite("runtime/test_board_device.py")
_MAP = suite("isa/test_register_map.py")

MUTANTS = (
    Mutant(
        name="driver-starts-before-it-prepares",
        file="runtime/driver.py",
        old="        self.prepare(call)\n        self.start_prepared()",
        new="        self.start_prepared()\n        self.prepare(call)",
        check=_DRIVER,
    ),
    Mutant(
        name="driver-writes-low-words-alone",
        file="runtime/driver.py",
        old="value >> _WORD_BITS * word & (1 << _WORD_BITS) - 1",
        new="value & (1 << _WORD_BITS) - 1",
        check=_DRIVER,
    ),
    Mutant(
        name="driver-forgets-the-other-bases",
        file="runtime/driver.py",
        old="bases = [*call.bases, *[0] * (BASE_REGISTERS - len(call.bases))]",
        new="bases = [*call.bases]",
        check=_DRIVER,
    ),
    Mutant(
        name="driver-believes-an-old-fault",
        file="runtime/driver.py",
        old="_fault(found) if Status.FAULTED in status else None",
        new="_fault(found) if found['fault'] else None",
        check=_DRIVER,
    ),
    Mutant(
        name="driver-any-version",
        file="runtime/driver.py",
        old='if found["isa_version"] != ISA_VERSION:',
        new='if found["isa_version"] > 255:',
        check=_DRIVER,
    ),
    Mutant(
        name="driver-resets-after-nothing",
        file="runtime/driver.py",
        old="return timed_out or not self.status & Status.BUS_IDLE",
        new="return not self.status & Status.BUS_IDLE",
        check=_DRIVER,
    ),
    Mutant(
        name="board-regions-at-the-image",
        file="runtime/board_device.py",
        old="self._memory.write(self._call.bases[base], data)",
        new="self._memory.write(self._image.bases[base], data)",
        check=_BOARD,
    ),
    Mutant(
        name="board-uses-what-is-not-free",
        file="runtime/board_device.py",
        old="if at + size_bytes > self._end:",
        new="if at > self._end:",
        check=_BOARD,
    ),
    Mutant(
        name="board-programs-over-programs",
        file="runtime/board_device.py",
        old="            at = extent.stop",
        new="            at = extent.start",
        check=_BOARD,
    ),
    Mutant(
        name="board-leaves-the-machine-running",
        file="runtime/board_device.py",
        old='                self._driver.reset()\n                text = f"the program must end',
        new='                text = f"the program must end',
        check=_BOARD,
    ),
    Mutant(
        name="map-writes-what-is-fixed",
        file="isa/register_map.py",
        old="if row.name in ALIGNED else 0",
        new="if row.name == 'base_0' else 0",
        check=_MAP,
    ),
    Mutant(
        name="map-the-engine-where-the-cause-is",
        file="isa/register_map.py",
        old='"engine": (FAULT_FIELD_BITS, FaultEngine)',
        new='"engine": (0, FaultEngine)',
        check=_MAP,
    ),
)
