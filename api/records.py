"""Records of measurements as a compiler takes them: for each layer the best point that was measured."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tilewright.api.accel_task import SIM, key_of
from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import Variants
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import Points
from tilewright.compiler.targets.accel.operator.tunable import Tunable
from tilewright.isa.config import Config
from tilewright.tune.record_file import read_records
from tilewright.tune.record_index import Records
from tilewright.tune.record_line import read_line

SHIPPED = "shipped"
RecordSource = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Records | None
"""Files of records, or records; SHIPPED are those that come along."""
DEFAULT_LATENCY_CYCLES = 16
"""Of the memory for which records are looked up, where none is named: that of a device."""


@dataclass(frozen=True, kw_only=True)
class TunedPoints:
    """Names for each layer the best point that was measured.

    A record counts only beside one of the layer's default, and if it is better: with it a layer is never
    slower than without. One that does not fit the layer any more does not count.

    Members:
        records: of any layers, machines and latencies.
        config: the machine.
        latency_cycles: of the memory whose records count.
        device: that measured: "sim" or "rtl".
    """

    records: Records
    config: Config
    latency_cycles: int = DEFAULT_LATENCY_CYCLES
    device: str = SIM

    def __call__(self, tunable: Tunable) -> Point | None:
        """The best point of a layer; None where its default is the best, or nothing is known."""
        key = key_of(tunable, self.config, self.latency_cycles, self.device)
        best = self.records.best(key)
        if best is None or best.outcome.cost is None or not fits(tunable, best.point):
            return None
        default = self.records.known(key, tunable.default(assumed_latency(self.latency_cycles)))
        if default is None or default.cost is None or default.cost <= best.outcome.cost:
            return None
        return best.point

    def points(self, variants: Variants) -> Points:
        """The best points of a function's layers, of those that have a better one than their default."""
        named = {part: self(lowered.tunable) for part, lowered in variants.lowered.items()}
        return {part: point for part, point in named.items() if point is not None}


def fits(tunable: Tunable, point: Point) -> bool:
    """Whether a layer can have a point, which another version may have named."""
    try:
        return tunable.tilings().space.refuse(point) is None
    except SpaceError:
        return False


def unnoted(text: str) -> None:
    """Tells nobody."""


@cache
def shipped_records() -> Records:
    """What was measured for presets and networks that are part of the benches."""
    folder = resources.files("tilewright.tune") / "data"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".jsonl")), key=lambda file: file.name
    )
    lines = (line for file in files for line in file.read_bytes().splitlines())
    return Records(map(read_line, lines))


def records_of(source: RecordSource, note: Callable[[str], object] = unnoted) -> Records:
    """The records of a source.

    Args:
        source: files, records, those that come along, or nothing.
        note: is told of each line of a file that is no record.

    Raises:
        TuneError: if a file has none.
        OSError: if a file cannot be read.
    """
    if source is None:
        return Records()
    if source == SHIPPED:
        return shipped_records()
    if isinstance(source, Records):
        return source
    paths = [source] if isinstance(source, str | os.PathLike) else source
    readings = [read_records(path) for path in paths]
    for text in (text for reading in readings for text in reading.notes):
        note(text)
    return Records(record for reading in readings for record in reading.records)
