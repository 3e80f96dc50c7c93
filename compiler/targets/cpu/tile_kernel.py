"""`dot` on the tile registers of AMX: up to 16 rows and 16 lanes, 16 steps of the fold at a time.

Two blocks of rows and two of lanes are computed together, so that each tile read serves twice. Where the
steps are no multiple of 16, the rest has tiles of another shape, and there is one block of rows at a time.
"""

from dataclasses import dataclass

from llvmlite import ir

from tilewright.compiler.targets.cpu.intrinsic import external
from tilewright.compiler.targets.cpu.lane_tile import Place
from tilewright.compiler.targets.cpu.product import GROUP, Axis, Product
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, POINTER

SIDE = 16
"""Rows of a tile; and lanes, or steps of four bytes, in a row of it."""
ROW_BYTES = 64
TILES = 8
_CONFIG_BYTES, _PALETTE = 64, 1
_COLUMNS_AT, _ROWS_AT = 16, 48
_WORD_BYTES = 4


@dataclass(frozen=True)
class Part:
    """Steps of the fold that are done in equal chunks.

    Members:
        first: step.
        chunks: how many.
        steps: in a chunk.
        a, b: the first tile register of either operand.
    """

    first: int
    chunks: int
    steps: int
    a: int
    b: int


@dataclass(frozen=True)
class Blocking:
    """Which tile registers hold what.

    Members:
        parts: of the fold: the full chunks, and what is left.
        rows: blocks of rows at a time; lanes are two blocks.
    """

    parts: tuple[Part, ...]
    rows: int

    @staticmethod
    def of(steps: int) -> "Blocking":
        """For a fold of that many steps of four bytes."""
        full, rest = divmod(steps, SIDE)
        if full and rest:
            return Blocking((Part(0, full, SIDE, 2, 3), Part(full * SIDE, 1, rest, 5, 6)), rows=1)
        return Blocking((Part(0, max(full, 1), rest or SIDE, 4, 6),), rows=2)


def fits(product: Product, lanes: int, steps: int | None) -> bool:
    """Whether tiles hold the nest: lanes in whole blocks, the steps of the fold known and neighbours."""
    if steps is None or lanes % SIDE or not product.folds:
        return False
    return product.folds[-1].a == GROUP


def runs(rows: list[Place]) -> list[list[Place]]:
    """Rows in blocks of up to 16, evenly spaced in each."""
    result: list[list[Place]] = []
    for row in rows:
        block = result[-1] if result else []
        if not block or len(block) == SIDE or (len(block) > 1 and not _continues(block, row)):
            result.append([row])
        else:
            block.append(row)
    return result


def _continues(block: list[Place], row: Place) -> bool:
    return (row.a - block[-1].a, row.c - block[-1].c) == (block[1].a - block[0].a, block[1].c - block[0].c)


@dataclass
class TileKernel:
    """Writes one tile of the nest: up to two blocks of rows, up to two of lanes.

    Members:
        builder: where to.
        blocking: of the fold.
        rows: the blocks.
        columns: of the blocks of lanes.
        c: pointer to the first result of the nest.
        current: pointer to a pointer to the shapes that the tile registers have.
    """

    builder: ir.IRBuilder
    blocking: Blocking
    rows: list[list[Place]]
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
                shapes[self._sum(row, column)] = (len(block), ROW_BYTES)
            for part in self.blocking.parts:
                shapes[part.a + row] = (len(block), part.steps * GROUP)
        for part in self.blocking.parts:
            for column in range(len(self.columns)):
                shapes[part.b + column] = (part.steps, ROW_BYTES)
        return shapes

    def clear(self) -> None:
        """All sums are 0."""
        for tile in range(len(self.rows) * len(self.columns)):
            self._call("tilezero", _tile(self._sum(*divmod(tile, len(self.columns)))))

    def fill(self, column: int, vector: ir.Value) -> None:
        """The sums of a block of lanes start from 16 numbers in memory, in all rows."""
        for row in range(len(self.rows)):
            self._load(self._sum(row, column - self.columns.start), vector, 0)

    def load(self) -> None:
        """Sums of memory."""
        self._move("tileloadd64")

    def store(self) -> None:
        """Sums to memory."""
        self._move("tilestored64")

    def _move(self, name: str) -> None:
        for row, block in enumerate(self.rows):
            step = block[1].c - block[0].c if len(block) > 1 else 0
            for column, at in enumerate(self.columns):
                pointer = self._at(self.c, (block[0].c + at * SIDE) * _WORD_BYTES)
                stride = ir.Constant(INDEX_TYPE, step * _WORD_BYTES)
                self._call(name, _tile(self._sum(row, column)), pointer, stride)

    def step(self, part: Part, axis: Axis, a: ir.Value, b: ir.Value) -> None:
        """One chunk of the fold, with what is at these pointers."""
        for column, at in enumerate(self.columns):
            self._load(part.b + column, self._at(b, at * ROW_BYTES), axis.b)
        for row, block in enumerate(self.rows):
            stride = block[1].a - block[0].a if len(block) > 1 else 0
            self._load(part.a + row, self._at(a, block[0].a), stride)
            for column in range(len(self.columns)):
                tiles = (self._sum(row, column), part.a + row, part.b + column)
                self._call("tdpbusd", *map(_tile, tiles))

    def _sum(self, row: int, column: int) -> int:
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
