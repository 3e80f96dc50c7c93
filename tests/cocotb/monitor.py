"""Watches what the machine drives on its buses, and holds it to the rules of AXI."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from tilewright.hw.axi import ReadId
from tilewright.isa.config import Config

_BURST = ("id", "addr", "len", "size", "burst")
_PAGE_BYTES = 4096
"""No burst crosses a multiple of it."""
_INCREMENTING = 1

Take = Callable[..., None]


class _Channel:
    """A channel that the machine drives: what is offered stays until it is taken.

    `offer` and `take` get the payload in its first cycle and in the one in which it is taken.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str,
        payload: Sequence[str],
        take: Take | None = None,
        offer: Take | None = None,
    ) -> None:
        self.name = prefix
        self._valid, self._ready = getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready")
        self._payload = [getattr(dut, prefix + field) for field in payload]
        self._take, self._offer = take, offer
        self.offered: tuple[int, ...] | None = None

    def step(self) -> None:
        valid, ready = self._valid.value, self._ready.value
        assert self.offered is None or valid, f"{self.name}valid must stay up until it is answered"
        if not valid:
            return
        payload = tuple(int(field.value) for field in self._payload)
        assert self.offered in (None, payload), f"{self.name} must not change what it offers: {payload}"
        if self.offered is None and self._offer is not None:
            self._offer(*payload)
        self.offered = None if ready else payload
        if ready and self._take is not None:
            self._take(*payload)


class Monitor:
    """Fails the test when a valid falls or its payload changes before it is taken, when a burst is misshapen,
    when beats or strobes do not fit their burst.

    Members:
        bytes_of: by the engine that asked, the bytes of the bursts that the bus took since `clear`.
        off: it does not watch: during a reset valids may fall. `clear` ends it.
    """

    def __init__(self, dut: Any, config: Config) -> None:
        self._config = config
        self._edge = RisingEdge(dut.clk)
        self._channels = (
            _Channel(dut, "m_axi_aw", _BURST, self._take_write, self._offer_write),
            _Channel(dut, "m_axi_w", ("data", "strb", "last"), offer=self._offer_beat),
            _Channel(dut, "m_axi_ar", _BURST, self._take_read),
            _Channel(dut, "s_axi_r", ("data", "resp")),
            _Channel(dut, "s_axi_b", ("resp",)),
        )
        self.clear()
        cocotb.start_soon(self._watch())

    def clear(self) -> None:
        """Forget everything, as a reset of machine and bus does."""
        self.off = False
        self.bytes_of = dict.fromkeys(("fetch", "load", "store"), 0)
        self._beats: deque[tuple[int, int, bool]] = deque()
        for channel in self._channels:
            channel.offered = None

    async def _watch(self) -> None:
        while True:
            await self._edge
            for channel in () if self.off else self._channels:
                channel.step()

    def _take_read(self, owner: int, address: int, length: int, size: int, kind: int) -> None:
        self._check_burst(address, length, size, kind)
        self.bytes_of[ReadId(owner).name.lower()] += length + 1 << size

    def _take_write(self, _owner: int, _address: int, length: int, size: int, _kind: int) -> None:
        self.bytes_of["store"] += length + 1 << size

    def _offer_write(self, _owner: int, address: int, length: int, size: int, kind: int) -> None:
        self._check_burst(address, length, size, kind)
        beats = range(length + 1)
        self._beats.extend((address + (beat << size), 1 << size, beat == length) for beat in beats)

    def _check_burst(self, address: int, length: int, size: int, kind: int) -> None:
        burst = f"a burst of {length + 1} beats of {1 << size} bytes at {address:#x}"
        assert kind == _INCREMENTING, f"{burst} must be incrementing"
        assert 1 << size <= self._config.bus_bytes, f"{burst} must fit the bus"
        assert address % (1 << size) == 0, f"{burst} must be aligned"
        last = address + (length + 1 << size) - 1
        assert address // _PAGE_BYTES == last // _PAGE_BYTES, f"{burst} must stay in its page"

    def _offer_beat(self, _data: int, strobes: int, last: int) -> None:
        assert self._beats, "a beat must belong to a burst whose address was offered"
        address, length, is_last = self._beats.popleft()
        assert last == is_last, f"wlast must be {is_last} in the beat at {address:#x}"
        lanes = (1 << length) - 1 << address % self._config.bus_bytes
        assert not strobes & ~lanes, f"strobes {strobes:#x} must be among {lanes:#x} at {address:#x}"
