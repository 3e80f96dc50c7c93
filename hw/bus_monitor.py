"""Watches the pins of the master: is anything unanswered, and for how long has nothing happened?"""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.burst import BEATS_BITS

TIMEOUT_BITS = 32
_OUTSTANDING_BITS = 16
"""Enough for any number of bursts, and of their beats, that a master of ours can have outstanding."""

_CHANNELS = ("ar", "r", "aw", "w", "b")


class BusMonitor(wiring.Component):
    """Counts the beats that are to be read, the bursts that are to be written, and the cycles of silence.

    In a cycle without a handshake in which a valid is up, or a burst that was accepted is unanswered, the bus
    is silent. `expired` is up in cycle t if the bus was silent in the `timeout` cycles before t and not in
    the one before those.

    Members:
        running: In. Silence counts.
        timeout: In. Cycles of silence that the host allows; 0: any number.
        expired: Out. The silence is too long, from registers alone.
        idle: Out. No valid is up and no burst is unanswered.
        *valid, *ready, arlen: In. The pins. RLAST is not among them: what was asked for is counted.
    """

    def __init__(self) -> None:
        pins = {f"{channel}{end}": In(1) for channel in _CHANNELS for end in ("valid", "ready")}
        super().__init__(
            {
                "running": In(1),
                "timeout": In(TIMEOUT_BITS),
                "expired": Out(1),
                "idle": Out(1),
                "arlen": In(BEATS_BITS),
            }
            | pins
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passed = {channel: self._pin(channel, "valid") & self._pin(channel, "ready") for channel in _CHANNELS}
        beats = Mux(passed["ar"], self.arlen + 1, 0)
        reads = self._elaborate_outstanding(m, "reads", beats, passed["r"])
        writes = self._elaborate_outstanding(m, "writes", passed["aw"], passed["b"])
        shown = self.arvalid | self.rvalid | self.awvalid | self.wvalid | self.bvalid
        m.d.comb += self.idle.eq(~shown & (reads == 0) & (writes == 0))
        moving = Signal()
        for handshake in passed.values():
            with m.If(handshake):
                m.d.comb += moving.eq(1)
        self._elaborate_silence(m, self.running & ~moving & ~self.idle)
        return m

    def _pin(self, channel: str, end: str) -> Value:
        return getattr(self, channel + end)

    def _elaborate_outstanding(self, m: Module, name: str, accepted: Value, answered: Value) -> Signal:
        """What was accepted and is not answered; an answer that nobody asked for counts for nothing."""
        count = Signal(_OUTSTANDING_BITS, name=name)
        m.d.sync += count.eq(count + accepted - (answered & (count != 0)))
        return count

    def _elaborate_silence(self, m: Module, silent: Value) -> None:
        silence = Signal(TIMEOUT_BITS)
        with m.If(silent):
            m.d.sync += silence.eq(silence + 1)
        with m.Else():
            m.d.sync += silence.eq(0)
        m.d.comb += self.expired.eq((self.timeout != 0) & (silence == self.timeout))
