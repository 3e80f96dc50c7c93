"""For how many cycles each engine works on a tiled layer, in closed form: which of them bounds it."""

from dataclasses import asdict, dataclass

from tilewright.compiler.targets.accel.cost.bound import array_and_bus_cycles, store_cycles
from tilewright.compiler.targets.accel.cost.problem import Tiling
from tilewright.compiler.targets.accel.cost.window import WindowTiling
from tilewright.compiler.targets.accel.cost.window_bound import window_busy
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.timing import item_interval


@dataclass(frozen=True, kw_only=True)
class Occupancy:
    """The work of a layer.

    Members:
        load, matrix, vector, store: cycles for which each engine is busy; fetch, on the same bus, counts as
            a load.
        moved_bytes: over the bus both ways, as if every cycle of a load moved a beat: at most.
    """

    load: int
    matrix: int
    vector: int
    store: int
    moved_bytes: int

    def times(self, count: int) -> "Occupancy":
        """Of so many such layers."""
        return Occupancy(**{name: count * number for name, number in asdict(self).items()})

    @property
    def bound(self) -> Engine:
        """The engine that is busy longest."""
        return max(Engine, key=self.cycles)

    def cycles(self, engine: Engine) -> int:
        """Of one engine."""
        busy: int = getattr(self, engine.label)
        return busy


def convolution_occupancy(tiling: Tiling) -> Occupancy:
    """Of a convolution, or of a group of a product."""
    sizes, config = tiling.tile_sizes, tiling.tile_sizes.config
    convolution = sizes.convolution
    matrix, load = array_and_bus_cycles(sizes, tiling.depths, tiling.threads)
    reduced = convolution.pool_kernel[0] * convolution.pool_kernel[1]
    results = convolution.out_blocks * convolution.out_height * convolution.out_width
    parameters = convolution.out_blocks * sizes.tiles * convolution.parameter_vectors
    return Occupancy(
        load=int(load),
        matrix=int(matrix),
        vector=int(parameters + results * reduced * item_interval(1, reduced, config.requant_interval)),
        store=int(convolution.out_blocks * sizes.tiles * store_cycles(sizes)),
        moved_bytes=int(load * config.transfer_bytes(Memory.ACTIVATION) + results * config.cols),
    )


def window_occupancy(tiling: WindowTiling) -> Occupancy:
    """Of windows."""
    busy, windows, config = window_busy(tiling), tiling.windows, tiling.config
    results = windows.blocks * windows.height * windows.width
    return Occupancy(
        load=int(busy.load),
        matrix=0,
        vector=int(busy.work),
        store=int(busy.store),
        moved_bytes=int(busy.load * config.transfer_bytes(Memory.ACTIVATION) + results * config.cols),
    )
