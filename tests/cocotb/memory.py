"""Models of the memory outside: one that others wrote, and two that are as nasty as AXI allows."""

import random
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiSlave
from tests.cocotb.pause import pauses
from tests.cocotb.storage import BeyondEnd, Storage

from tilewright.hw.axi import ReadId

_PREFIX = "m_axi"
_OKAY, _DECODE_ERROR = 0, 3
_CHANNELS = ("ar", "r", "aw", "w", "b")


class _Target:
    """What cocotbext-axi calls to read and write."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self, address: int, length: int) -> bytes:
        return self._storage.read(address, length)

    async def write(self, address: int, data: bytes) -> None:
        self._storage.write(address, data)


def in_order_memory(dut: Any, storage: Storage, rng: random.Random) -> None:
    """The slave of cocotbext-axi, resting on each channel; errors are SLVERR."""
    slave = AxiSlave(AxiBus.from_prefix(dut, _PREFIX), dut.clk, target=_Target(storage))
    write, read = slave.write_if, slave.read_if
    channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
    for channel in channels:
        channel.set_pause_generator(pauses(random.Random(rng.random())))


class ShufflingMemory:
    """Mixes the beats of reads with different ids, writes as late as it may, and puts noise on all lanes that
    no one asked for; errors are DECERR.

    Members:
        silent: it takes nothing and says nothing.
    """

    def __init__(self, dut: Any, storage: Storage, rng: random.Random) -> None:
        self._dut, self._storage, self._rng = dut, storage, rng
        self._bus_bytes = len(dut.m_axi_wstrb)
        self._rest = {channel: pauses(random.Random(rng.random())) for channel in _CHANNELS}
        self.silent = False
        self.clear()
        for pin in ("arready", "awready", "wready", "rvalid", "bvalid"):
            self._pin(pin).value = 0
        cocotb.start_soon(self._serve())

    def clear(self) -> None:
        """Forget what is unanswered."""
        self._reads: Mapping[int, deque[tuple[int, int, bool]]] = {owner: deque() for owner in ReadId}
        self._writes: deque[tuple[int, int]] = deque()
        self._beats: list[tuple[int, int]] = []
        self._written: deque[list[tuple[int, int]]] = deque()
        self._answers: deque[list[tuple[int, bytes]]] = deque()
        self._addresses = self._ends = 0
        self._beat_waits = False

    async def _serve(self) -> None:
        edge = RisingEdge(self._dut.clk)
        while True:
            await edge
            if self._passes("ar"):
                self._take_read()
            if self._passes("aw"):
                self._writes.append((self._get("awaddr"), self._get("awsize")))
                self._addresses += 1
            if self._passes("w"):
                self._take_beat()
            self._beat_waits = bool(self._pin("wvalid").value) and not self._passes("w")
            while self._writes and self._written:
                self._finish_write()
            for channel in ("ar", "aw", "w"):
                self._pin(f"{channel}ready").value = self._accepts(channel)
            self._offer("r", self._next_read)
            self._offer("b", self._next_answer)

    # --- pins ----------------------------------------------------------------------------------------------

    def _pin(self, name: str) -> Any:
        return getattr(self._dut, f"{_PREFIX}_{name}")

    def _get(self, name: str) -> int:
        return int(self._pin(name).value)

    def _passes(self, channel: str) -> bool:
        return bool(self._pin(f"{channel}valid").value and self._pin(f"{channel}ready").value)

    def _accepts(self, channel: str) -> bool:
        return not next(self._rest[channel]) and not self.silent

    def _offer(self, channel: str, take: Callable[[], Mapping[str, int] | None]) -> None:
        """Where nothing waits to be taken, offer the next thing or nothing."""
        if self._pin(f"{channel}valid").value and not self._pin(f"{channel}ready").value:
            return
        payload = take() if self._accepts(channel) else None
        self._pin(f"{channel}valid").value = payload is not None
        for name, value in (payload or {}).items():
            self._pin(channel + name).value = value

    # --- reads ---------------------------------------------------------------------------------------------

    def _take_read(self) -> None:
        address, length, size = self._get("araddr"), self._get("arlen"), self._get("arsize")
        beats = ((address + (beat << size), 1 << size, beat == length) for beat in range(length + 1))
        self._reads[self._get("arid")].extend(beats)

    def _next_read(self) -> Mapping[str, int] | None:
        waiting = [owner for owner, beats in self._reads.items() if beats]
        if not waiting:
            return None
        owner = self._rng.choice(waiting)
        address, length, last = self._reads[owner].popleft()
        word, lane = bytearray(self._rng.randbytes(self._bus_bytes)), address % self._bus_bytes
        response = _OKAY
        try:
            word[lane : lane + length] = self._storage.read(address, length)
        except BeyondEnd:
            response = _DECODE_ERROR
        return {"id": owner, "data": int.from_bytes(word, "little"), "last": last, "resp": response}

    # --- writes --------------------------------------------------------------------------------------------

    def _take_beat(self) -> None:
        """Keep the beat; with the last one, all of its burst is there, whose address may be yet to come."""
        self._beats.append((self._get("wdata"), self._get("wstrb")))
        if self._get("wlast"):
            self._written.append(self._beats)
            self._beats = []
            self._ends += 1

    def _finish_write(self) -> None:
        """Of a burst with address and beats, the bytes are to be written and answered."""
        address, size = self._writes.popleft()
        self._answers.append(
            [
                (address + (beat << size) & -self._bus_bytes | lane, bytes([data >> 8 * lane & 0xFF]))
                for beat, (data, strobes) in enumerate(self._written.popleft())
                for lane in range(self._bus_bytes)
                if strobes >> lane & 1
            ]
        )

    def _next_answer(self) -> Mapping[str, int] | None:
        if not self._answers:
            return None
        response = _OKAY
        for address, byte in self._answers.popleft():
            try:
                self._storage.write(address, byte)
            except BeyondEnd:
                response = _DECODE_ERROR
        return {"id": 0, "resp": response}


class WaitingMemory(ShufflingMemory):
    """Takes the address of a burst only once it sees the first beat, which it takes after it; of every other
    burst only after the last beat."""

    def _accepts(self, channel: str) -> bool:
        accepts = super()._accepts(channel)
        unconditional = bool(self._ends % 2)
        if channel == "aw":
            return accepts and self._addresses < self._ends + (self._beat_waits and not unconditional)
        if channel == "w":
            return accepts and (unconditional or self._ends < self._addresses)
        return accepts


MEMORIES: Mapping[str, Callable[[Any, Storage, random.Random], ShufflingMemory | None]] = MappingProxyType(
    {"in_order": in_order_memory, "shuffling": ShufflingMemory, "waiting": WaitingMemory}
)
