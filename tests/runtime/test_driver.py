"""The driver alone: what it writes and reads, and which machines it refuses."""

import pytest

from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import MAGIC, REGISTERS, WORD_BYTES, Control, Status
from tilewright.runtime.device import COUNTERS
from tilewright.runtime.driver import Call, Driver, DriverError

TINY = PRESETS["tiny"]
DIGEST = int.from_bytes(TINY.digest(), "little")


class Registers:
    """A machine that is its register table: it keeps what is written, in order."""

    def __init__(self, **values):
        self.values = {"magic": MAGIC, "isa_version": ISA_VERSION, "config_digest": DIGEST} | values
        self.written = []

    def write(self, writes):
        """Note them."""
        self.written += writes

    def read(self, addresses):
        """Words of the values, 0 elsewhere."""
        words = {}
        for name, value in self.values.items():
            row = REGISTERS[name]
            for word in range(row.words):
                words[row.offset + WORD_BYTES * word] = value >> 32 * word & 0xFFFF_FFFF
        return [words.get(address, 0) for address in addresses]


def register(bus, name):
    """What was written to a register last, all words of it."""
    row, last = REGISTERS[name], dict(bus.written)
    return sum(last[row.offset + WORD_BYTES * word] << 32 * word for word in range(row.words))


def test_a_start_writes_all_that_the_machine_copies_and_then_starts():
    bus = Registers()
    Driver(bus, TINY).start(
        Call(program_address=0x1_0000_0040, program_length=7, bases=[64, 0x2_0000_0000], timeout=9)
    )
    wanted = {"program_address": 0x1_0000_0040, "program_length": 7, "timeout": 9, "expected_digest": DIGEST}
    wanted |= {"base_0": 64, "base_1": 0x2_0000_0000, "base_7": 0, "control": Control.START}
    assert {name: register(bus, name) for name in wanted} == wanted
    assert bus.written[-1] == (REGISTERS["control"].offset, Control.START)


def test_a_digest_that_is_given_is_what_the_machine_compares():
    bus = Registers()
    Driver(bus, TINY).start(Call(program_address=0, program_length=1, expected_digest=b"12345678"))
    assert register(bus, "expected_digest") == int.from_bytes(b"12345678", "little")


def test_what_is_prepared_does_not_start_until_it_is_told_to():
    bus = Registers()
    driver = Driver(bus, TINY)
    driver.prepare(Call(program_address=0, program_length=1))
    assert REGISTERS["control"].offset not in dict(bus.written)
    driver.start_prepared()
    assert register(bus, "control") == Control.START


@pytest.mark.parametrize(("name", "bit"), [("reset", Control.RESET), ("acknowledge", Control.ACKNOWLEDGE)])
def test_each_command_is_a_bit_of_control(name, bit):
    bus = Registers()
    getattr(Driver(bus, TINY), name)()
    assert bus.written == [(REGISTERS["control"].offset, bit)]


def test_results_are_read_from_the_registers_whole():
    counters = {name: (1 << 40) + number for number, name in enumerate(COUNTERS)}
    bus = Registers(
        status=Status.DONE | Status.FAULTED | Status.BUS_IDLE,
        fault=Cause.BUS | FaultEngine.LOAD << 8,
        fault_instruction=3,
        fault_cycle=1 << 33,
        cycles=(1 << 34) + 1,
        **counters,
    )
    ended = Driver(bus, TINY).ended()
    assert ended.fault == Fault(cycle=1 << 33, engine=FaultEngine.LOAD, instruction=3, cause=Cause.BUS)
    assert (ended.cycles, ended.counters) == ((1 << 34) + 1, counters)
    assert not ended.needs_reset


def test_a_fault_register_without_its_status_is_of_no_program():
    bus = Registers(status=Status.DONE | Status.BUS_IDLE, fault=Cause.BUS)
    assert Driver(bus, TINY).ended().fault is None


@pytest.mark.parametrize(
    ("status", "cause"), [(Status.BUS_IDLE, Cause.TIMEOUT), (Status(0), Cause.BUS)], ids=["timeout", "bus"]
)
def test_a_machine_that_waits_for_answers_needs_a_reset(status, cause):
    bus = Registers(status=status | Status.DONE | Status.FAULTED, fault=cause)
    assert Driver(bus, TINY).ended().needs_reset


def test_a_program_that_runs_has_not_ended():
    driver = Driver(Registers(status=Status.RUNNING), TINY)
    assert driver.status() == Status.RUNNING
    with pytest.raises(DriverError, match="must have ended, but runs"):
        driver.ended()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"magic": 0}, "magic must be 0x.*, not 0x0: no Tilewright machine"),
        ({"isa_version": ISA_VERSION + 1}, f"version {ISA_VERSION} of the instruction set, not"),
        ({"config_digest": 1}, "not 0100000000000000: choose its configuration"),
    ],
)
def test_another_machine_is_refused(values, message):
    with pytest.raises(DriverError, match=message):
        Driver(Registers(**values), TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bases": [8]}, "base 0 must be a multiple of 64"),
        ({"bases": [0] * 9}, "at most 8 addresses, not 9"),
        ({"program_address": 32}, "program_address must be a multiple of 64"),
        ({"program_address": 1 << 64}, "at most 64 bits"),
    ],
)
def test_addresses_that_do_not_fit_are_refused(options, message):
    with pytest.raises(TilewrightError, match=message):
        Call(**({"program_address": 0, "program_length": 1} | options))
