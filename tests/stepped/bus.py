"""The second opinion, part one: the bus, cycle by cycle, with queues and counters as hardware has them."""

from collections import deque
from dataclasses import dataclass, field

FETCH, LOAD = "fetch", "load"


@dataclass
class Burst:
    """A burst on its way; `owner` is whatever the requester wants to know it by."""

    address: int
    beats: int
    beat_bytes: int
    owner: object = None
    granted_at: int = -1
    accepted_at: int = -1
    sent: int = 0

    def beat_fails(self, place: int, size_bytes: int) -> bool:
        return (self.address + place * self.beat_bytes) % (1 << 64) >= size_bytes


@dataclass
class Monitor:
    """What is seen on the pins: pending bursts, handshakes of this cycle, the time-out counter, bytes."""

    timeout: int
    pending: int = 0
    handshake: bool = False
    count: int = 0
    moved: dict = field(default_factory=lambda: {"fetch": 0, "load": 0, "store": 0})

    def fires(self) -> bool:
        return self.timeout > 0 and self.count == self.timeout

    def end_of_cycle(self, pending_now: bool) -> None:
        self.count = self.count + 1 if pending_now and not self.handshake else 0
        self.handshake = False


class ReadBus:
    """The read address register, the memory's queue of reads, and the read data channel."""

    def __init__(self, memory, monitor):
        self.memory, self.monitor = memory, monitor
        self.register = None
        self.reads = deque()
        self.open = 0
        self.last_granted = LOAD
        self.beat = None

    def pending(self) -> bool:
        return self.register is not None or bool(self.reads)

    def step(self, t: int, requests: dict) -> str | None:
        """One cycle; `requests` has the standing burst of fetch and of load. Says who is granted."""
        silent = self.memory.silent_from is not None and t >= self.memory.silent_from
        open_before = self.open
        self._send(t, silent)
        accepted = self.register is not None and not silent and open_before < self.memory.outstanding
        if accepted:
            self._accept(t)
        if self.register is not None and not accepted:
            return None
        self.register = None
        return self._arbitrate(requests)

    def _send(self, t, silent):
        self.beat = None
        if silent or not self.reads:
            return
        who, burst = self.reads[0]
        if t < burst.accepted_at + self.memory.latency:
            return
        last = burst.sent == burst.beats - 1
        self.beat = (who, burst, burst.beat_fails(burst.sent, self.memory.size_bytes), last)
        self.monitor.handshake = True
        burst.sent += 1
        if last:
            self.reads.popleft()
            self.open -= 1

    def _accept(self, t):
        who, burst = self.register
        burst.accepted_at = t
        self.reads.append((who, burst))
        self.open += 1
        self.monitor.handshake = True
        self.monitor.moved[who] += burst.beats * burst.beat_bytes

    def _arbitrate(self, requests):
        standing = [who for who in (FETCH, LOAD) if requests.get(who) is not None]
        if not standing:
            return None
        who = standing[0]
        if len(standing) == 2:
            who = FETCH if self.last_granted == LOAD else LOAD
        self.last_granted = who
        self.register = (who, requests[who])
        return who


class WriteBus:
    """The write address register, write beats and answers."""

    def __init__(self, memory, monitor):
        self.memory, self.monitor = memory, monitor
        self.register = None
        self.beats = deque()
        self.beats_taken = 0
        self.answers = deque()
        self.unanswered = 0

    def pending(self) -> bool:
        return self.register is not None or self.unanswered > 0

    def silent(self, t) -> bool:
        return self.memory.silent_from is not None and t >= self.memory.silent_from

    def accept(self, t):
        """Take the burst in the register, if there is one."""
        if self.register is None or self.silent(t):
            return
        burst, self.register = self.register, None
        self.monitor.handshake = True
        self.monitor.moved["store"] += burst.beats * burst.beat_bytes
        self.unanswered += 1

    def put_beat(self, t, burst, fails, last):
        """A beat that is on the bus from cycle t on."""
        self.beats.append((t, burst, fails, last))

    def step(self, t):
        """The burst answered in this cycle and whether in error, or None."""
        if self.silent(t):
            return None
        if self.beats and self.beats[0][0] <= t:
            _, burst, fails, last = self.beats.popleft()
            self.beats_taken += 1
            burst.sent += 1
            burst.failed = getattr(burst, "failed", False) or fails
            self.monitor.handshake = True
            if last:
                self.answers.append((t + self.memory.latency, burst))
        if self.answers and self.answers[0][0] == t:
            _, burst = self.answers.popleft()
            self.monitor.handshake = True
            self.unanswered -= 1
            return burst
        return None
