"""A tiled int8 matrix product with requantisation, written as assembler text for any configuration.

C = clamp(requantise(A x B + bias)): A is m x k and C m x n, both int8 and row-major; B is k x n, laid out in
weight tiles by `pack_weights`; bias and scale have one int32 for each column (`pack_parameters`). Four base
registers: 0 A, 1 B, 2 parameters, 3 C.

The schedule keeps a band of `tile_rows` rows of A on the chip and passes all of B along it, `cols` columns a
step: load the weights of a step, multiply, requantise, store. With `overlap`, every buffer exists at least
twice and the four engines work on different steps; without, each step waits for the one before to be stored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Memory
from tilewright.numerics.requantise import requantise

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]

_Emit = Callable[[int], Iterator[str]]

_GROUP = 4
"""Blocks of results that are stored together, at most: the last ones are stored while nothing else runs."""
_LEAD = 4
"""Steps by which weights are loaded ahead: enough to hide the memory, few enough for the queues."""


@dataclass(frozen=True)
class Product:
    """Sizes of a product on a machine.

    Members:
        config: the machine.
        m, k, n: rows of A, columns of A, columns of B.
        overlap: whether the engines work on different steps at the same time.

    Raises:
        TilewrightError: if the sizes are no multiples of the tiles, or a band does not fit a bank.
    """

    config: Config
    m: int
    k: int
    n: int
    overlap: bool = True

    def __post_init__(self) -> None:
        cols = self.config.cols
        for name in ("m", "k", "n"):
            if getattr(self, name) < 1 or getattr(self, name) % cols:
                raise TilewrightError(
                    f"{name} must be a multiple of {cols} (cols), not {getattr(self, name)}"
                )
        limits = {
            "k": min(self.config.depth(Memory.WEIGHT) // 2, self.config.depth(Memory.ACTIVATION)),
            "n": self.config.depth(Memory.PARAMETER) // 2 * cols,
        }
        for name, limit in limits.items():
            if getattr(self, name) > limit:
                raise TilewrightError(
                    f"{name} must be at most {limit} on this machine, not {getattr(self, name)}"
                )

    @property
    def row_vectors(self) -> int:
        """Vectors in a row of A."""
        return self.k // self.config.cols

    @property
    def tile_rows(self) -> int:
        """Rows of A in a band: as many as fit one activation bank and one accumulator bank, dividing m."""
        most = min(
            self.config.depth(Memory.ACTIVATION) // self.row_vectors,
            self.config.depth(Memory.ACCUMULATOR),
            self.config.depth(Memory.ACTIVATION),
        )
        return max(rows for rows in range(1, most + 1) if self.m % rows == 0)

    @property
    def bands(self) -> int:
        """Bands of A."""
        return self.m // self.tile_rows

    @property
    def blocks(self) -> int:
        """Blocks of `cols` columns of B."""
        return self.n // self.config.cols

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the product."""
        return self.m * self.k * self.n

    # --- text ----------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The program, with its regions."""
        parameters = self.config.vector_bytes(Memory.PARAMETER) * 2 * self.blocks
        lines = [
            f'.region 0 {self.m * self.k} "a"',
            f'.region 1 {self.k * self.n} "b"',
            f'.region 2 {parameters} "parameters"',
            f'.region 3 {self.m * self.n} "c"',
            f"load base=2 memory=parameter n_x={2 * self.blocks} stride_x={self.config.cols * 4}",
        ]
        plan = self._plan()
        for tick in range(self._steps() + max(delay for _, delay in plan)):
            for emit, delay in plan:
                if 0 <= tick - delay < self._steps():
                    lines.extend(emit(tick - delay))
        return "\n".join([*lines, "finish", ""])

    def _plan(self) -> list[tuple[_Emit, int]]:
        """What each tick emits, and how many steps it lags behind the loads.

        In program order, what frees a buffer comes before what fills it again; so with overlap the load of a
        tick is its last instruction.
        """
        if not self.overlap:
            return [(self._load, 0), (self._multiply, 0), (self._requantise, 0), (self._store, 0)]
        lead = min(_LEAD, self._slots())
        return [
            (self._multiply, lead),
            (self._requantise, lead + 1),
            (self._store, lead + 2),
            (self._load, 0),
        ]

    def _slots(self) -> int:
        """Weight blocks that the weight memory holds at a time."""
        return min(self.config.depth(Memory.WEIGHT) // self.k, self.config.token_capacity, self.blocks)

    def _steps(self) -> int:
        return self.bands * self.blocks

    def _last(self, step: int) -> bool:
        return step == self._steps() - 1

    def _load(self, step: int) -> Iterator[str]:
        """The weights of a step; before the first step that needs it, the next band of A."""
        depth, cols = self.config.depth(Memory.ACTIVATION), self.config.cols
        ahead = self._slots() if self.overlap else 1
        wait = " wait=matrix" if self.overlap and step >= ahead else ""
        wait = " wait=store" if not self.overlap and step else wait
        for band in self._bands_due(step):
            yield (
                f"load base=0 offset={band * self.tile_rows * self.k} memory=activation"
                f" address={band % 2 * depth} n_x={self.tile_rows * self.row_vectors} stride_x={cols}{wait}"
            )
            wait = ""
        offset = step % self.blocks * self.k * cols
        yield (
            f"load base=1 offset={offset} memory=weight address={self._weight_slot(step)} n_x={self.k}"
            f" stride_x={cols}{wait} signal=matrix"
        )

    def _weight_slot(self, step: int) -> int:
        """Where the weights of a step lie."""
        return step % self._slots() * self.k

    @property
    def _group(self) -> int:
        """Blocks whose results are stored together: longer bursts, fewer instructions."""
        fits = self.config.depth(Memory.ACTIVATION) // self.tile_rows
        most = min(_GROUP, fits) if self.overlap else 1
        return max(blocks for blocks in range(1, most + 1) if self.blocks % blocks == 0)

    def _sum_bank(self, step: int) -> int:
        """Where the sums of a step lie: two accumulator banks take turns."""
        return step % 2 * self.config.depth(Memory.ACCUMULATOR)

    def _result_bank(self, step: int) -> int:
        """Where the int8 results of a group lie: the activation banks after those of A take turns."""
        return (2 + step // self._group % 2) * self.config.depth(Memory.ACTIVATION)

    def _bands_due(self, step: int) -> Iterator[int]:
        """Bands of A to load at a step: one band early, as soon as the tokens say that its bank is free."""
        if not self.overlap:
            if step % self.blocks == 0:
                yield step // self.blocks
            return
        if step == 0:
            yield 0
        for band in range(1, self.bands):
            # By then the loads of weights have taken the tokens of all that used the bank.
            if step == (band - 1) * self.blocks + (self._slots() if band > 1 else min(1, self.blocks)):
                yield band

    def _multiply(self, step: int) -> Iterator[str]:
        config = self.config
        band, slices = step // self.blocks, self.k // config.rows
        waits = ["load"] + (["vector"] if self.overlap and step >= 2 else [])
        signals = ["vector"] + (["load"] if self.overlap and step + self._slots() < self._steps() else [])
        yield (
            f"matrix activation={band % 2 * config.depth(Memory.ACTIVATION) * config.slices}"
            f" weight={self._weight_slot(step)} accumulator={self._sum_bank(step)}"
            f" n_x={self.tile_rows} stride_x={slices} n_ci={slices} stride_ci=1"
            f" wait={','.join(waits)} signal={','.join(signals)}"
        )

    def _requantise(self, step: int) -> Iterator[str]:
        group = self._group
        waits = ["matrix"] + (["store"] if self.overlap and step >= 2 * group and step % group == 0 else [])
        signals = ["store"] if step % group == group - 1 else []
        signals += ["matrix"] if self.overlap and step + 2 < self._steps() else []
        signal = f" signal={','.join(signals)}" if signals else ""
        yield (
            f"vector to=activation a_from=accumulator a={self._sum_bank(step)}"
            f" destination={self._result_bank(step) + step % group} n_1={self.tile_rows} a_stride_1=1"
            f" destination_stride_1={group} bias=1 requantise=1 parameter={step % self.blocks * 2}"
            f" wait={','.join(waits)}{signal}"
        )

    def _store(self, step: int) -> Iterator[str]:
        """The results of a group, behind its last step."""
        band, block = divmod(step, self.blocks)
        cols, group = self.config.cols, self._group
        if step % group != group - 1:
            return
        offset = band * self.tile_rows * self.n + (block - group + 1) * cols
        signal = " signal=vector" if self.overlap and step + 2 * group < self._steps() else ""
        signal = " signal=load" if not self.overlap and not self._last(step) else signal
        yield (
            f"store base=3 offset={offset} memory=activation address={self._result_bank(step)}"
            f" n_y={self.tile_rows} n_x={group} stride_y={self.n} stride_x={cols} chip_stride_y={group}"
            f" bytes={cols} wait=vector{signal}"
        )

    # --- data ----------------------------------------------------------------------------------------------

    def pack_weights(self, b: Int8Array) -> bytes:
        """B (int8[k, n]) in the order of the weight memory: blocks of columns, each k x cols."""
        blocks = b.reshape(self.k, self.blocks, self.config.cols).transpose(1, 0, 2)
        return np.ascontiguousarray(blocks, dtype=np.int8).tobytes()

    def pack_parameters(self, bias: Int32Array, scale: Int32Array) -> bytes:
        """Bias and scale (int32[n] each) as vectors, those of a block side by side."""
        pairs = np.stack([bias.reshape(self.blocks, -1), scale.reshape(self.blocks, -1)], axis=1)
        return pairs.astype("<i4").tobytes()

    def expected(self, a: Int8Array, b: Int8Array, bias: Int32Array, scale: Int32Array) -> Int8Array:
        """What the product is, by numpy: int8[m, n]."""
        sums = a.astype(np.int64) @ b.astype(np.int64) + bias
        limits = np.iinfo(np.int32)
        total = np.clip(sums, limits.min, limits.max).astype(np.int32)
        return np.clip(requantise(total, np.broadcast_to(scale, total.shape)), -128, 127).astype(np.int8)
