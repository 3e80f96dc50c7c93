"""The timeline of a run as a native trace of Perfetto: each instruction in its queue, waiting and running.

Messages and numbers of fields are those of perfetto/protos/perfetto/trace: trace_packet.proto,
track_event/track_event.proto, track_event/track_descriptor.proto, interned_data/interned_data.proto.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import NamedTuple

import numpy as np

from tilewright.isa.assembly import format_instruction
from tilewright.isa.encoding import decode_table
from tilewright.isa.instruction import ENGINE_OF, Opcode
from tilewright.isa.memory import Engine
from tilewright.runtime.engine_time import Cycles
from tilewright.runtime.layer_time import transferred_bytes
from tilewright.runtime.protobuf import fixed, message, number, text
from tilewright.runtime.token_flow import TokenFlow, token_flows, token_waits
from tilewright.runtime.trace import ProgramRun, first_cycles, timeline_of
from tilewright.sim.counters import heads_of

QUEUE, WAIT, RUN = "queue", "wait", "run"
_SEQUENCE = 1
_CLEARED, _NEEDED = 1, 2
"""Flags of a packet: names are known from here on; names are needed."""
_BEGIN, _END, _COUNTER = 1, 2, 4
"""Types of events."""
_EXPLICIT = 3
"""Children of a track are in the order of their ranks."""
_BYTES_UNIT = 3
_INSTRUCTION, _TEXT = 1, 2
"""Names of annotations, interned."""


class Band(NamedTuple):
    """Something that lasts, such as a layer: its name, its first cycle, and the one behind its last."""

    name: str
    begin: int
    end: int


class _Slices(NamedTuple):
    """What is on one track of an engine: names and cycles, and the rest of each first event."""

    names: Sequence[str]
    begin: Cycles
    end: Cycles
    details: Sequence[bytes] | None = None


@dataclass
class _Writer:
    """Packets in the making.

    Members:
        descriptors: of tracks.
        events: cycles and packets, of each track in their order.
        names: of slices, interned.
    """

    descriptors: list[bytes] = field(default_factory=list)
    events: list[tuple[int, bytes]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    _tracks: Iterator[int] = field(default_factory=lambda: count(1))

    def track(self, name: str, parent: int = 0, rank: int = 0, *details: bytes) -> int:
        """A new track; siblings of one name are drawn as one."""
        track = next(self._tracks)
        own = (number(1, track), text(2, name), number(12, rank), *details)
        self.descriptors.append(_packet(message(60, *own, *([number(5, parent)] if parent else []))))
        return track

    def slices(self, name: str, parent: int, rank: int, found: _Slices) -> None:
        """Slices that begin and end in one order, on as many tracks as overlap at most."""
        lanes = _overlap(found.begin, found.end)
        tracks = [self.track(name, parent, rank) for _ in range(lanes)]
        rows = zip(
            found.names, found.begin.tolist(), found.end.tolist(), found.details or repeat(b""), strict=False
        )
        for place, (each, begin, end, details) in enumerate(rows):
            track = number(11, tracks[place % lanes])
            head = number(9, _BEGIN) + track + number(10, self._interned(each))
            self._event(begin, head + details)
            self._event(end, number(9, _END) + track)

    def counter(self, name: str, parent: int, rank: int, cycles: Cycles, values: Cycles) -> None:
        """A counter with its value from each of some cycles on."""
        described = message(8, number(3, _BYTES_UNIT))
        head = number(9, _COUNTER) + number(11, self.track(name, parent, rank, described))
        for cycle, value in zip(cycles.tolist(), values.tolist(), strict=True):
            self._event(cycle, head + number(30, value))

    def trace(self) -> bytes:
        """All packets, in the order of their cycles; on one track ends are before beginnings."""
        names = [message(2, number(1, iid), text(2, name)) for name, iid in self.names.items()]
        annotations = {_INSTRUCTION: "instruction", _TEXT: "text"}
        names += [message(3, number(1, iid), text(2, name)) for iid, name in annotations.items()]
        first = _packet(number(13, _CLEARED), number(87, 1), message(12, *names))
        self.events.sort(key=lambda event: event[0])
        return b"".join([first, *self.descriptors, *(packet for _, packet in self.events)])

    def _interned(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names) + 1)

    def _event(self, cycle: int, contents: bytes) -> None:
        packet = _packet(number(8, cycle), number(13, _NEEDED), message(11, contents))
        self.events.append((cycle, packet))


def perfetto_trace(runs: Sequence[ProgramRun], layers: Sequence[Band] = ()) -> bytes:
    """A trace with a nanosecond for each cycle.

    Each engine has tracks for what is in its queue, for what its head waits for, and for what runs. The
    slice of an instruction that gives a token leads to that of the one that takes it. The bytes of a transfer
    count when it has finished.

    Args:
        runs: programs that ran one after the other on any device.
        layers: in their order, none before the end of the one before it.
    """
    writer = _Writer()
    root = writer.track("accelerator", 0, 0, number(11, _EXPLICIT))
    if layers:
        begin, end = (np.array([getattr(each, name) for each in layers]) for name in ("begin", "end"))
        writer.slices("layers", root, 0, _Slices([each.name for each in layers], begin, end))
    parts = [_program_slices(run, first) for run, first in zip(runs, _offsets(runs), strict=True)]
    for engine in Engine:
        parent = writer.track(engine.label, root, 1 + engine, number(11, _EXPLICIT))
        for rank, name in enumerate((QUEUE, WAIT, RUN)):
            found = _joined([part[engine][name] for part in parts])
            if len(found.names):
                writer.slices(name, parent, rank, found)
    _count_bytes(writer, root, runs)
    return writer.trace()


def _packet(*parts: bytes) -> bytes:
    return message(1, number(10, _SEQUENCE), *parts)


def _overlap(begin: Cycles, end: Cycles) -> int:
    """How many of spans, whose begins and ends both rise, there are at one time at most."""
    return int((np.arange(len(begin)) - np.searchsorted(end, begin, side="right")).max()) + 1


# --- slices ------------------------------------------------------------------------------------------------


class _Offset(NamedTuple):
    """What of all programs comes before one: cycles, instructions and tokens."""

    cycle: int
    instruction: int
    token: int


def _offsets(runs: Sequence[ProgramRun]) -> list[_Offset]:
    found, instruction, token = [], 0, 0
    for cycle, (executable, result) in zip(first_cycles(runs), runs, strict=False):
        found.append(_Offset(cycle, instruction, token))
        flows = token_flows(decode_table(executable.code), timeline_of(executable, result).engine)
        instruction += len(result.start)
        token += sum(len(flow.giver) for flow in flows.values())
    return found


def _program_slices(run: ProgramRun, first: _Offset) -> Mapping[Engine, Mapping[str, _Slices]]:
    """What is on the tracks of each engine."""
    executable, result = run
    timeline, table = timeline_of(*run), decode_table(executable.code)
    waits = token_waits(table, timeline, executable.config.token_capacity)
    texts = [format_instruction(each) for each in executable.program()]
    details = _details(texts, token_flows(table, timeline.engine), first)
    found = {}
    for engine in Engine:
        heads = heads_of(timeline, engine)
        flown = heads.start < timeline.cycles
        own, head, start = heads.instruction[flown], heads.head[flown], heads.start[flown]
        names = [texts[place].partition(" ")[0] for place in own.tolist()]
        tokens = np.clip(waits.ready[own], head, start)
        ready = start if result.engine_ready is None else np.clip(result.engine_ready[own], tokens, start)
        blamed = [f"waits for {Engine(other).label}" for other in np.maximum(waits.blamed[own], 0).tolist()]
        kept = "stalled" if result.engine_ready is None else "waits for its engine"
        reasons = [reason for each in blamed for reason in (each, kept, "waits for a port")]
        found[engine] = {
            QUEUE: _some(names, timeline.dispatched[own] + 1, head, first),
            WAIT: _some(reasons, _columns(head, tokens, ready), _columns(tokens, ready, start), first),
            RUN: _Slices(
                names,
                start + first.cycle,
                heads.finish[flown] + 1 + first.cycle,
                [details[place] for place in own.tolist()],
            ),
        }
    return found


def _columns(*cycles: Cycles) -> Cycles:
    """What belongs to each instruction side by side, instruction after instruction."""
    return np.stack(cycles, axis=1).ravel()


def _some(names: Sequence[str], begin: Cycles, end: Cycles, first: _Offset) -> _Slices:
    """Slices that are not empty."""
    kept = np.flatnonzero(end > begin)
    chosen = [names[place] for place in kept.tolist()]
    return _Slices(chosen, begin[kept] + first.cycle, end[kept] + first.cycle)


def _joined(parts: Sequence[_Slices]) -> _Slices:
    details = [each for part in parts for each in part.details or ()]
    return _Slices(
        [name for part in parts for name in part.names],
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.end for part in parts]),
        details or None,
    )


def _details(
    texts: Sequence[str], flows: Mapping[tuple[Engine, Engine], TokenFlow], first: _Offset
) -> list[bytes]:
    """Of each instruction its place, its text, and the tokens that it gives (47) and takes (48)."""
    found = [
        message(4, number(1, _INSTRUCTION), number(3, first.instruction + place))
        + message(4, number(1, _TEXT), text(6, each))
        for place, each in enumerate(texts)
    ]
    token = first.token
    for flow in flows.values():
        for giver, taker in zip(flow.giver.tolist(), flow.taker.tolist(), strict=True):
            token += 1
            found[giver] += fixed(47, token)
            found[taker] += fixed(48, token)
    return found


# --- bytes -------------------------------------------------------------------------------------------------


def _count_bytes(writer: _Writer, root: int, runs: Sequence[ProgramRun]) -> None:
    """Counters of what was loaded and stored so far."""
    for rank, opcode in enumerate((Opcode.LOAD, Opcode.STORE), 1 + len(Engine)):
        cycles, moved = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
        for first, (executable, result) in zip(first_cycles(runs), runs, strict=False):
            rows, size_bytes = transferred_bytes(decode_table(executable.code), executable.config, opcode)
            finish = result.finish[rows]
            cycles.append(finish[finish >= 0] + 1 + first)
            moved.append(size_bytes[finish >= 0])
        name = f"bytes of {ENGINE_OF[opcode].label}s"
        writer.counter(name, root, rank, np.concatenate(cycles), np.cumsum(np.concatenate(moved)))
