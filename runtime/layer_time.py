"""What bounds each layer of a run, and which bytes it moves: from its cycles, with no model of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import ProgramTable, decode_table
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Opcode
from tilewright.isa.memory import Engine, Memory
from tilewright.runtime.device import DeviceResult
from tilewright.runtime.engine_time import EngineCycles, engine_cycles, engine_spans
from tilewright.runtime.profile import LayerProfile
from tilewright.runtime.trace import timeline_of

MOSTLY = 0.75
"""The share of its cycles for which an engine is busy that bounds a layer alone."""
NEARLY = 0.95
"""The share of the busiest engine's busy cycles from which on another one is named beside it."""
_LOADED = {Memory.WEIGHT: "weights", Memory.PARAMETER: "parameters"}


@dataclass(frozen=True, kw_only=True)
class LayerBytes:
    """Bytes on the bus for one layer, whole vectors as they are moved.

    Members:
        instructions: fetched.
        weights, parameters, activations: loaded, by the memory that they are loaded into; weights that go
            through another memory count there.
        results: stored.
    """

    instructions: int
    weights: int
    parameters: int
    activations: int
    results: int

    @property
    def read(self) -> int:
        """All that is fetched or loaded."""
        return self.total - self.results

    @property
    def total(self) -> int:
        """Both ways."""
        return sum(astuple(self))


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """Where the time of a layer goes.

    Members:
        profile: of the layer; its cycles count from the start of its program.
        first: the cycle in which its program starts, of all programs one after the other.
        window: the cycles that count as the layer's: from the end of all layers before it to its own end,
            from the start of the first program on. The second one is left out.
        engines: what each engine does in the window, for whatever layer.
        moved: bytes on the bus for its instructions, whenever they run.
    """

    profile: LayerProfile
    first: int
    window: tuple[int, int]
    engines: Mapping[Engine, EngineCycles]
    moved: LayerBytes

    @property
    def busiest(self) -> Engine:
        """The engine that is busy longest in the window."""
        return max(Engine, key=lambda engine: self.engines[engine].busy)

    @property
    def bound(self) -> str:
        """What bounds it, in words: the busiest engines, or what keeps the busiest from being busy."""
        if not self.profile.cycles:
            return "hidden behind other layers"
        engine, found = self.busiest, self.engines[self.busiest]
        if found.busy >= MOSTLY * found.cycles:
            labels = (each.label for each, own in self.engines.items() if own.busy >= NEARLY * found.busy)
            return " and ".join(labels)
        reasons = {f"waits for {other.label}": cycles for other, cycles in found.waiting.items()}
        reasons |= {"is stalled by a port": found.stalled, "has no instruction": found.idle}
        return f"{engine.label} {max(reasons, key=lambda reason: reasons[reason])}"


def layer_times(
    programs: Sequence[tuple[Executable, DeviceResult, Sequence[LayerProfile]]],
) -> tuple[LayerTime, ...]:
    """Where the time of each layer goes.

    Args:
        programs: that ran one after the other, without a fault, each with the profiles of its layers.
    """
    first, found = 0, list[LayerTime]()
    for executable, result, profiles in programs:
        found += _of_program(executable, result, profiles, first)
        first += result.cycles
    return tuple(found)


def _of_program(
    executable: Executable, result: DeviceResult, profiles: Sequence[LayerProfile], first: int
) -> Iterator[LayerTime]:
    edges = np.cumsum([0, *(profile.cycles for profile in profiles)])
    spans = engine_spans(executable, timeline_of(executable, result))
    engines = {engine: engine_cycles(each, edges) for engine, each in spans.items()}
    moved = _moved(decode_table(executable.code), executable.config, profiles)
    for k, profile in enumerate(profiles):
        yield LayerTime(
            profile=profile,
            first=first,
            window=(first + int(edges[k]), first + int(edges[k + 1])),
            engines={engine: each[k] for engine, each in engines.items()},
            moved=moved[k],
        )


# --- bytes -------------------------------------------------------------------------------------------------


def transferred_bytes(
    table: ProgramTable, config: Config, opcode: Opcode, memories: Sequence[Memory] = tuple(Memory)
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The places and the bytes of transfers on the bus.

    Args:
        table: of a program.
        config: of the machine.
        opcode: loads or stores.
        memories: only those with one of these.
    """
    rows, fields = table.classes[opcode].rows, table.classes[opcode].fields
    chosen = np.isin(fields["memory"], memories)
    vector_bytes = np.array([config.vector_bytes(memory) for memory in Memory])[fields["memory"][chosen]]
    vectors = fields["n_z"][chosen] * fields["n_y"][chosen] * fields["n_x"][chosen]
    return rows[chosen], vectors * vector_bytes


def _moved(table: ProgramTable, config: Config, profiles: Sequence[LayerProfile]) -> list[LayerBytes]:
    layer_of = np.full(len(table), len(profiles))
    for place, profile in enumerate(profiles):
        layer_of[profile.layer.first : profile.layer.first + profile.layer.count] = place
    found = {
        "instructions": (np.arange(len(table)), np.full(len(table), INSTRUCTION_BYTES)),
        "results": transferred_bytes(table, config, Opcode.STORE),
    }
    for name in ("weights", "parameters", "activations"):
        memories = [memory for memory in Memory if _LOADED.get(memory, "activations") == name]
        found[name] = transferred_bytes(table, config, Opcode.LOAD, memories)
    columns = {name: _summed(layer_of[rows], each, len(profiles)) for name, (rows, each) in found.items()}
    return [LayerBytes(**{name: column[k] for name, column in columns.items()}) for k in range(len(profiles))]


def _summed(layer_of: NDArray[np.intp], counts: NDArray[np.int64], layers: int) -> list[int]:
    """Counts by layer; those behind the last layer belong to none."""
    sums = np.zeros(layers + 1, np.int64)
    np.add.at(sums, layer_of, counts)
    return [int(each) for each in sums[:layers]]
