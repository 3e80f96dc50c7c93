"""The engines of the modelled machine: their queues, buffers on the chip, and the bus they share.

Engines take their tasks in order; an instance of a buffer is replaced once its last user is done. What bus
and queues hold up is counted.
"""

from bisect import bisect_right
from collections import OrderedDict

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.timing import LANDING_VISIBLE, LANDING_WRITE


class Pool:
    """The instances of a buffer that exist at a time.

    Members:
        size: how many.
        ready: by contents, when these can be used; least recently used first.
        done: by contents, when their last user so far is done.
    """

    __slots__ = ("done", "ready", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.ready: OrderedDict[int, int] = OrderedDict()
        self.done: dict[int, int] = {}

    def make_room(self) -> int:
        """When new contents can replace the oldest."""
        if len(self.ready) < self.size:
            return 0
        oldest, _ = self.ready.popitem(last=False)
        return self.done.pop(oldest)

    def put(self, contents: int, ready: int) -> None:
        """New contents, once there is room."""
        self.ready[contents] = self.done[contents] = ready

    def finish(self, contents: int, done: int) -> None:
        """A user of contents is done; they may be gone."""
        if contents in self.ready:
            self.done[contents] = done


class EngineQueue:
    """An engine and its queue.

    Members:
        free: when it can take its next task.
        starts: of its tasks so far, rising.
        numbers: of its instructions so far, among those of all engines.
    """

    __slots__ = ("free", "numbers", "starts")

    def __init__(self) -> None:
        self.free = 0
        self.starts: list[int] = []
        self.numbers: list[int] = []

    def issue(self, begin: int, busy: int) -> int:
        """When a task starts that can at `begin` and takes the engine for so long."""
        begin = max(begin, self.free)
        self.starts.append(begin)
        self.free = begin + busy
        return begin


class Engines:
    """Load, matrix, vector and store with their queues, and fetch, which fills these over the loads' bus.

    Members:
        landing_cycles: from the last request of a load to its finish.
    """

    def __init__(self, config: Config, latency_cycles: int, instructions: int) -> None:
        """A machine at rest.

        Args:
            config: its sizes.
            latency_cycles: of the memory outside.
            instructions: of the whole program, at least.
        """
        self.landing_cycles = latency_cycles + LANDING_VISIBLE + LANDING_WRITE
        self._load_queue, self._matrix_queue = EngineQueue(), EngineQueue()
        self._vector_queue, self._store_queue = EngineQueue(), EngineQueue()
        # That of the engine whose tasks are most, for which fetch looks ahead.
        self._working = self._vector_queue
        self._queue_depth, self._fetch = config.queue_depth, INSTRUCTION_BYTES // config.bus_bytes
        self._buffered = config.fetch_buffer_instructions
        self._burst_cycles = config.burst_bytes // config.bus_bytes
        # Instructions so far: when the last was dispatched, how many, how many are fetched, of how many.
        self._dispatched, self._number, self._fetched = 0, 0, 0
        self._total = instructions

    # What this method calls is written out in it: models spend most of their time here.

    def _load(self, pool: Pool, contents: int, busy: int) -> None:
        """Fill an instance, unless the contents are still there; they count as used."""
        ready = pool.ready
        if contents in ready:
            ready.move_to_end(contents)
            return
        queue = self._load_queue
        begin = self._dispatch(queue)
        if len(ready) >= pool.size:
            room = pool.done.pop(ready.popitem(last=False)[0])
            if room > begin:
                begin = room
        if queue.free > begin:
            begin = queue.free
        # Instructions come over the same bus.
        if self._fetched < self._total:
            busy += self._fetch * self._fetch_behind(begin, busy)
        queue.starts.append(begin)
        queue.free = end = begin + busy
        ready[contents] = pool.done[contents] = end + self.landing_cycles

    def _fetch_behind(self, begin: int, busy: int) -> int:
        """Fetch instructions beside a load that begins then, as far ahead as queues and buffer have room."""
        ahead = min(self._ahead(self._load_queue, begin), self._ahead(self._working, begin))
        left = min(self._number + ahead + self._buffered, self._total) - self._fetched
        if left <= 0:
            return 0
        # Fetch and load alternate, a burst each; before the first load only the buffer is filled.
        most = 2 + busy // self._burst_cycles if self._fetched else self._buffered
        count = left if left < most else most
        self._fetched += count
        return count

    def _ahead(self, queue: EngineQueue, time: int) -> int:
        """Instructions until an engine's queue is full: as many as for the engine's last `room` ones."""
        starts, room = queue.starts, self._queue_depth
        if starts and starts[-1] > time:
            # Starts rise.
            room -= min(room, len(starts) - bisect_right(starts, time))
            if room == 0:
                return 0
        return self._number - queue.numbers[-room] if room <= len(queue.numbers) else 2 * self._queue_depth

    def _dispatch(self, queue: EngineQueue) -> int:
        """When the next task of an engine can be in its queue."""
        starts, depth = queue.starts, self._queue_depth
        dispatched = self._dispatched + self._fetch
        if len(starts) >= depth and starts[-depth] >= dispatched:
            dispatched = starts[-depth] + 1
        self._dispatched = dispatched
        self._number += 1
        queue.numbers.append(self._number)
        return dispatched + 1
