"""`dot` on the tile registers of AMX: up to 16 rows and 16 lanes, 16 steps of the reduction at a time.

Two blocks of rows and two of lanes are computed together, so that each tile read serves twice. Where the
steps are no multiple of 16, the rest has tiles of another shape, and there is one block of rows at a time.
"""

from dataclasses import dataclass

from llvmlite import ir

from tilewright.compiler.targets.cpu.contraction import GROUP, Contraction, ContractionLoop
from tilewright.compiler.targets.cpu.intrinsic import external
from tilewright.compiler.targets.cpu.lane_tile import RowOffsets
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, POINTER

SIDE = 16
"""Rows of a tile; and lanes, or steps of four bytes, in a row of it."""
ROW_BYTES = 64
TILES = 8
_CONFIG_BYTES, _PALETTE = 64, 1
_COLUMNS_AT, _ROWS_AT = 16, 48
_WORD_BYTES = 4


@dataclass(frozen=True)
class ReductionPart:
    """Steps of the reduction that are done in equal reduction tiles.

    Members:
        first: step.
        tiles: the number of reduction tiles.
        steps: in a tile.
        a, b: the first tile register of either operand.
    """

    first: int
    tiles: int
    steps: int
    a: int
    b: int


@dataclass(frozen=True)
class Blocking:
    """Which tile registers hold what.

    Members:
        parts: of the reduction: the full tiles, and the rest.
        rows: blocks of rows at a time; lanes are two blocks.
    """

    parts: tuple[ReductionPart, ...]
    rows: int

    @staticmethod
    def of(steps: int) -> "Blocking":
        """For a reduction of that many steps of four bytes."""
        full, rest = divmod(steps, SIDE)
        if full and rest:
            return Blocking(
                (ReductionPart(0, full, SIDE, 2, 3), ReductionPart(full * SIDE, 1, rest, 5, 6)), rows=1
            )
        return Blocking((ReductionPart(0, max(full, 1), rest or SIDE, 4, 6),), rows=2)


def fits(contraction: Contraction, lanes: int, steps: int | None) -> bool:
    """Whether tiles hold the loop nest: lanes in whole blocks, the reduction known and of neighbours."""
    if steps is None or lanes % SIDE or not contraction.reductions:
        return False
    return contraction.reductions[-1].a == GROUP


def runs(rows: list[RowOffsets]) -> list[list[RowOffsets]]:
    """Rows in blocks of up to 16, evenly spaced in each."""
    result: list[list[RowOffsets]] = []
    for row in rows:
        block = result[-1] if result else []
        if not block or len(block) == SIDE or (len(block) > 1 and not _continues(block, row)):
            result.append([row])
        else:
            block.append(row)
    return result


def _continues(block: list[RowOffsets], row: RowOffsets) -> bool:
    return (row.a - block[-1].a, row.c - block[-1].c) == (block[1].a - block[0].a, block[1].c - block[0].c)


@dataclass
class TileKernel:
    """Writes one tile of the loop nest: up to two blocks of rows, up to two of lanes.

    Members:
        builder: writes the instructions.
        blocking: of the reduction.
        rows: the blocks.
        columns: of the blocks of lanes.
        c: pointer to the first result of the loop nest.
        current: pointer to a pointer to the shapes that the tile registers have.
    """

    builder: ir.IRBuilder
    blocking: Blocking
    rows: list[list[RowOffsets]]
    columns: range
    c: ir.Value
    current: ir.Value

    def configure(self) -> None:
        """The shapes of the tile registers, unless they have these; to have them takes long."""
        config = bytearray(_CONFIG_BYTES)
        config[0] = _PALETTE
        for tile, (rows, columns) in self._shapes().items():
            config[_COLUMNS_AT + 2 * tile] = columns
            config[_ROWS_AT + tile] = rows
        shapes = self._constant(bytes(config))
        builder = self.builder
        other = builder.icmp_unsigned("!=", builder.load(self.current, typ=POINTER), shapes)
        with builder.if_then(other):
            self._call("ldtilecfg", shapes)
            builder.store(shapes, self.current)

    def _shapes(self) -> dict[int, tuple[int, int]]:
        """Rows and bytes of a row, by tile."""
        shapes = {}
        for row, block in enumerate(self.rows):
            for column in range(len(self.columns)):
                shapes[self._accumulator(row, column)] = (len(block), ROW_BYTES)
            for part in self.blocking.parts:
                shapes[part.a + row] = (len(block), part.steps * GROUP)
        for part in self.blocking.parts:
            for column in range(len(self.columns)):
                shapes[part.b + column] = (part.steps, ROW_BYTES)
        return shapes

    def clear(self) -> None:
        """All sums are 0."""
        for tile in range(len(self.rows) * len(self.columns)):
            self._call("tilezero", _tile(self._accumulator(*divmod(tile, len(self.columns)))))

    def fill(self, column: int, vector: ir.Value) -> None:
        """The sums of a block of lanes start from 16 numbers in memory, in all rows."""
        for row in range(len(self.rows)):
            self._load(self._accumulator(row, column - self.columns.start), vector, 0)

    def load(self) -> None:
        """Load accumulators from memory."""
        self._move("tileloadd64")

    def store(self) -> None:
        """Store accumulators to memory."""
        self._move("tilestored64")

    def _move(self, name: str) -> None:
        for row, block in enumerate(self.rows):
            step = block[1].c - block[0].c if len(block) > 1 else 0
            for column, at in enumerate(self.columns):
                pointer = self._at(self.c, (block[0].c + at * SIDE) * _WORD_BYTES)
                stride = ir.Constant(INDEX_TYPE, step * _WORD_BYTES)
                self._call(name, _tile(self._accumulator(row, column)), pointer, stride)

    def step(self, part: ReductionPart, axis: ContractionLoop, a: ir.Value, b: ir.Value) -> None:
        """One tile of the reduction, with what is at these pointers."""
        for column, at in enumerate(self.columns):
            self._load(part.b + column, self._at(b, at * ROW_BYTES), axis.b)
        for row, block in enumerate(self.rows):
            stride = block[1].a - block[0].a if len(block) > 1 else 0
            self._load(part.a + row, self._at(a, block[0].a), stride)
            for column in range(len(self.columns)):
                tiles = (self._accumulator(row, column), part.a + row, part.b + column)
                self._call("tdpbusd", *map(_tile, tiles))

    def _accumulator(self, row: int, column: int) -> int:
        return row * len(self.columns) + column

    def _load(self, tile: int, pointer: ir.Value, stride_bytes: int) -> None:
        self._call("tileloadd64", _tile(tile), pointer, ir.Constant(INDEX_TYPE, stride_bytes))

    def _at(self, pointer: ir.Value, offset_bytes: int) -> ir.Value:
        offset = ir.Constant(INDEX_TYPE, offset_bytes)
        return self.builder.gep(pointer, [offset], inbounds=True, source_etype=ir.IntType(8))

    def _call(self, name: str, *arguments: ir.Value) -> None:
        types = [argument.type for argument in arguments]
        function = external(self.builder.module, f"llvm.x86.{name}", ir.VoidType(), types)
        self.builder.call(function, arguments)

    def _constant(self, data: bytes) -> ir.Value:
        """A pointer to bytes that do not change."""
        module, of = self.builder.module, ir.ArrayType(ir.IntType(8), len(data))
        name = f"tiles.{data.hex()}"
        if name not in module.globals:
            variable = ir.GlobalVariable(module, of, name)
            variable.global_constant, variable.linkage, variable.align = True, "internal", _CONFIG_BYTES
            variable.initializer = ir.Constant(of, bytearray(data))
        zero = ir.Constant(INDEX_TYPE, 0)
        pointer = self.builder.gep(module.globals[name], [zero], source_etype=of)
        pointer.type = POINTER
        return pointer


def release(builder: ir.IRBuilder) -> None:
    """Leave the tile registers as a program finds them at its start."""
    builder.call(external(builder.module, "llvm.x86.tilerelease", ir.VoidType(), []), [])


def _tile(number: int) -> ir.Constant:
    return ir.Constant(ir.IntType(8), number)
