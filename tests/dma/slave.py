"""A memory outside that answers when it likes, and watches that the master keeps the rules of AXI."""

from collections import deque


class Held:
    """A channel of the master: once valid, it stays valid and the same until it is accepted."""

    def __init__(self, master, valid, ready, payload):
        self.valid, self.ready = getattr(master, valid), getattr(master, ready)
        self.payload = [getattr(master, name) for name in payload]
        self.shown = None

    def step(self, ctx, accept):
        """Say whether we accept in this cycle; what passes, or None."""
        ctx.set(self.ready, accept)
        now = tuple(map(ctx.get, self.payload)) if ctx.get(self.valid) else None
        assert self.shown in (None, now), "a valid that was not accepted must stay as it is"
        self.shown = None if accept else now
        return now if accept else None


def check_burst(config, address, length, size, kind):
    """A burst is incrementing, aligned, and ends within its block."""
    end = address + (length + 1 << size)
    assert kind == 0b01
    assert address % (1 << size) == 0
    assert address // config.burst_bytes == (end - 1) // config.burst_bytes


class ReadSlave:
    """The read channels: bursts of the two ids overtake each other and mix their beats."""

    def __init__(self, world, master, random, eagerness):
        self.world, self.random, self.eagerness = world, random, eagerness
        self.master = master
        names = ("araddr", "arlen", "arsize", "arburst", "arid")
        self.addresses = Held(master, "arvalid", "arready", names)
        self.queues = {0: deque(), 1: deque()}

    def _wants(self):
        return self.random.random() < self.eagerness

    def step(self, ctx):
        """Answer with a beat or not, take an address or not."""
        waiting = [owner for owner, queue in self.queues.items() if queue]
        answers = bool(waiting) and self._wants()
        ctx.set(self.master.rvalid, answers)
        if answers:
            self._answer(ctx, self.random.choice(waiting))
        taken = self.addresses.step(ctx, self._wants())
        if taken:
            *burst, owner = taken
            check_burst(self.world.config, *burst)
            address, length, size, _ = burst
            beats = range(length + 1)
            self.queues[owner].extend((address + (beat << size), beat == length) for beat in beats)

    def _answer(self, ctx, owner):
        """The bytes of the beat's word; an error is any response with bit 1."""
        address, last = self.queues[owner].popleft()
        width, memory = self.world.config.bus_bytes, self.world.memory
        error = address >= len(memory)
        start = address - address % width
        word = bytes(width) if error else memory[start : start + width]
        ctx.set(self.master.rdata, int.from_bytes(word, "little"))
        ctx.set(self.master.rlast, last)
        ctx.set(self.master.rid, owner)
        ctx.set(self.master.rresp, self.random.choice((2, 3)) if error else self.random.choice((0, 1)))
        assert ctx.get(self.master.rready)


class WriteSlave:
    """The write channels: addresses, beats and answers each at their own pace."""

    def __init__(self, world, master, random, eagerness):
        self.world, self.random, self.eagerness = world, random, eagerness
        self.master = master
        names = ("awaddr", "awlen", "awsize", "awburst", "awid")
        self.addresses = Held(master, "awvalid", "awready", names)
        self.beats = Held(master, "wvalid", "wready", ("wdata", "wstrb", "wlast"))
        self.bursts, self.written, self.answers = deque(), deque(), deque()
        self.beat, self.error = 0, False
        self.accepted = self.ended = 0

    def _wants(self):
        return self.random.random() < self.eagerness

    def step(self, ctx):
        answers = bool(self.answers) and self._wants()
        ctx.set(self.master.bvalid, answers)
        if answers:
            ctx.set(self.master.bresp, 2 if self.answers.popleft() else 0)
            assert ctx.get(self.master.bready)
        offered = self.accepted + ctx.get(self.master.awvalid)
        if ctx.get(self.master.wvalid):
            assert self.ended < offered, "a beat must not be offered before its address"
        takes_address, takes_beat = self._accepts(ctx)
        taken = self.addresses.step(ctx, takes_address)
        written = self.beats.step(ctx, takes_beat)
        if taken:
            check_burst(self.world.config, *taken[:4])
            self.bursts.append(taken)
            self.accepted += 1
        if written:
            self.written.append(written)
            self.ended += written[-1]
        while self.bursts and self.written:
            self._write(*self.written.popleft())

    def _accepts(self, ctx):
        """Whether to accept an address, and a beat, in this cycle."""
        return self._wants(), self._wants()

    def _write(self, word, strobe, last):
        """Keep the strobed bytes, which must lie on the lanes of the beat."""
        address, length, size = self.bursts[0][:3]
        address += self.beat << size
        width, memory = self.world.config.bus_bytes, self.world.memory
        lanes = range(address % width, address % width + (1 << size))
        strobed = [lane for lane in range(width) if strobe >> lane & 1]
        assert set(strobed) <= set(lanes)
        assert last == (self.beat == length)
        self.error |= address >= len(memory)
        if address < len(memory):
            for lane in strobed:
                memory[address - address % width + lane] = word >> 8 * lane & 0xFF
        self.beat += 1
        if last:
            self.bursts.popleft()
            self.answers.append(self.error)
            self.beat, self.error = 0, False


class WaitingSlave(WriteSlave):
    """Accepts an address only once it sees its first beat; every other one after the last beat."""

    def _accepts(self, ctx):
        address, beat = super()._accepts(ctx)
        unconditional = bool(self.ended % 2)
        seen = self.ended + (not unconditional and ctx.get(self.master.wvalid))
        return address and self.accepted < seen, beat and (unconditional or self.ended < self.accepted)
