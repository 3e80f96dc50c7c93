"""The memories of a machine, and the cells of a family that they become."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.instruction import Instruction, Load, Matrix, Store, Vector, specs
from tilewright.isa.memory import Memory
from tilewright.tune.ram import RamUse, ram_use, tables_use

TABLE_ENTRIES, TABLE_BITS = 256, 8
"""The look-up table of a lane."""
INDEX_BITS = 32
"""An instruction's place in its program, which goes with it."""
KINDS: tuple[type[Instruction], ...] = (Load, Matrix, Vector, Store)
"""What waits in a queue, for each engine its kind."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Equal memories of the machine, each with one write and one read port.

    Members:
        label: what they are for.
        count: how many.
        depth, width: words, and bits of a word.
        at_once: read in the cycle of the address, which block RAM cannot.
    """

    label: str
    count: int
    depth: int
    width: int
    at_once: bool = False

    def use(self, family: str) -> RamUse:
        """The cells of one of them."""
        choose = tables_use if self.at_once else ram_use
        return choose(family, depth=self.depth, width=self.width)


def storages(config: Config) -> tuple[Storage, ...]:
    """The memories of a machine whose size depends on its configuration; small queues are left out."""
    banks = (
        Storage(
            label=memory.label,
            count=config.banks(memory),
            depth=config.depth(memory),
            width=8 * config.vector_bytes(memory),
        )
        for memory in Memory
    )
    beats = config.outstanding_reads * config.burst_bytes // config.transfer_bytes(Memory.ACTIVATION)
    return (
        *banks,
        Storage(label="table", count=config.cols, depth=TABLE_ENTRIES, width=TABLE_BITS),
        # Each beat with a bit that says whether it is in error.
        Storage(label="landing", count=1, depth=beats, width=8 * config.bus_bytes + 1),
        Storage(
            label="fetch",
            count=1,
            depth=config.fetch_buffer_instructions,
            width=8 * INSTRUCTION_BYTES + 1,
            at_once=True,
        ),
        *(
            Storage(
                label=f"{kind.__name__.lower()} queue",
                count=1,
                depth=config.queue_depth,
                width=INDEX_BITS + sum(row.bits for row in specs(kind).values()),
                at_once=True,
            )
            for kind in KINDS
        ),
    )


@dataclass(frozen=True, kw_only=True)
class StorageCells:
    """All memories of a machine in cells.

    Members:
        counts: by the counters of `Ram`: `lut`, `ff`, and block RAMs by name.
        selected_bits: bits of two-to-one multiplexers behind them.
    """

    counts: Mapping[str, int]
    selected_bits: int


@lru_cache(maxsize=1024)
def storage_cells(config: Config, family: str) -> StorageCells:
    """The sum over `storages`. Block RAMs are exact: no other memory of the machine is in one."""
    counts: Counter[str] = Counter()
    selected_bits = 0
    for storage in storages(config):
        use = storage.use(family)
        counts[use.name] += storage.count * use.count
        selected_bits += storage.count * use.selected_bits
        if use.name == "lut" and not storage.at_once:
            # What block RAM has inside: the register of what was read.
            counts["ff"] += storage.count * storage.width
    return StorageCells(counts=MappingProxyType(counts), selected_bits=selected_bits)
