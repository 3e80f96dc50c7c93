"""Task lists made by hand, for tests of placement, tokens and programs."""

from dataclasses import dataclass
from itertools import count, groupby

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.allocation import Allocation, Chip
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.targets.accel.task_table import OPERANDS, LayerSpan, TaskClass, TaskTable
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import Const
from tilewright.isa.config import Config
from tilewright.isa.encoding import KINDS, ClassTable
from tilewright.isa.instruction import Load, Matrix, SourceA, Store, Vector, specs
from tilewright.isa.memory import Memory
from tilewright.numerics.requantise import pack_scale, requantise


def table_of(tasks):
    """The table of a list of tasks."""
    instances = list(dict.fromkeys(each for task in tasks for each in task.operands.values()))
    memories = list(dict.fromkeys(task.memory for task in tasks if task.memory is not None))
    classes = {opcode: _class_of(opcode, tasks, instances, memories) for opcode in OPERANDS}
    spans, first = [], 0
    for name, group in groupby(tasks, key=lambda task: task.layer):
        spans.append(LayerSpan(name, first, len(list(group))))
        first += spans[-1].count
    return TaskTable(tuple(spans), classes, tuple(instances), tuple(memories))


def _class_of(opcode, tasks, instances, memories):
    rows = [row for row, task in enumerate(tasks) if task.instruction.opcode is opcode]
    number = {each: at for at, each in enumerate(instances)}

    def column(value):
        return np.array([value(tasks[row]) for row in rows], np.int64)

    return TaskClass(
        ClassTable(
            np.array(rows, np.int64),
            {
                name: column(lambda task, name=name: getattr(task.instruction, name))
                for name in specs(KINDS[opcode])
            },
        ),
        {
            name: column(lambda task, name=name: number.get(task.operands.get(name), -1))
            for name in OPERANDS[opcode]
        },
        column(lambda task: -1 if task.memory is None else memories.index(task.memory)),
    )


def addresses_of(tasks, config):
    """The address of each instance that tasks name: its first vector, in the memory of its scope."""
    table = table_of(tasks)
    addresses = Chip(config).assign(Allocation(table, config)).tolist()
    return dict(zip(table.instances, addresses, strict=True))


def chip_buffer(name, memory, depth=1):
    dtype = DType.INT8 if memory.element_bytes == 1 else DType.INT32
    return Buffer(name, (Const(1),), dtype, MemoryScope(memory.label), depth)


def global_buffer(name):
    return Buffer(name, (Const(1),), DType.INT8)


def instance(buffer, number, vectors):
    return Instance(buffer, number, (vectors, 16))


def load_task(target, source, layer="layer", **fields):
    memory = Memory[target.buffer.scope.name]
    fields = {"n_x": target.vectors, **fields}
    return Task(layer, Load(memory=memory, **fields), {"address": target}, source)


def random_tasks(r, layers):
    """Buffers that are filled and drained in random turns, layer after layer."""
    outside, number, tasks = global_buffer("outside"), 0, []
    for layer in map(str, range(layers)):
        buffers = [
            chip_buffer(f"{layer}.{k}", r.choice(list(Memory)), r.randint(1, 4))
            for k in range(r.randint(1, 5))
        ]
        alive = {buffer: [] for buffer in buffers}
        for _ in range(40):
            buffer = r.choice(buffers)
            if len(alive[buffer]) == buffer.depth:
                used = alive[buffer].pop(r.randrange(buffer.depth))
                tasks.append(Task(layer, Store(n_x=used.vectors, bytes=16), {"address": used}, outside))
            else:
                number += 1
                alive[buffer].append(instance(buffer, number, r.randint(1, 25)))
                tasks.append(load_task(alive[buffer][-1], outside, layer))
    return tasks


@dataclass
class Product:
    """C = requantise(A x B + bias) as tasks: bands of A stay on the chip, all of B passes along each.

    Global buffers are a, b, parameters and c, behind base registers 0 to 3.
    """

    config: Config
    m: int
    k: int
    n: int
    band_rows: int
    layer: str = "product"

    def __post_init__(self):
        self.numbers = count()
        self.globals = {name: global_buffer(f"{self.layer}.{name}") for name in ("a", "b", "parameters", "c")}
        wanted = {
            "band": (Memory.ACTIVATION, 2),
            "tiles": (Memory.WEIGHT, 6),
            "pair": (Memory.PARAMETER, 6),
            "sums": (Memory.ACCUMULATOR, 2),
            "results": (Memory.ACTIVATION, 2),
        }
        self.buffers = {
            name: chip_buffer(f"{self.layer}.{name}", memory, depth)
            for name, (memory, depth) in wanted.items()
        }

    def addresses(self):
        return {buffer: (base, 0) for base, buffer in enumerate(self.globals.values())}

    def region_bytes(self):
        parameters = 2 * self.n * 4
        return {0: self.m * self.k, 1: self.k * self.n, 2: parameters, 3: self.m * self.n}

    def new(self, name, vectors):
        return instance(self.buffers[name], next(self.numbers), vectors)

    def tasks(self):
        vectors, cols = self.k // self.config.cols, self.config.cols
        for row in range(0, self.m, self.band_rows):
            band = self.new("band", self.band_rows * vectors)
            yield load_task(band, self.globals["a"], self.layer, offset=row * self.k, stride_x=cols)
            for block in range(self.n // cols):
                yield from self.step(row, block, band)

    def step(self, row, block, band):
        config, layer = self.config, self.layer
        cols, slices = config.cols, self.k // config.rows
        tiles, pair = self.new("tiles", self.k), self.new("pair", 2)
        sums, results = self.new("sums", self.band_rows), self.new("results", self.band_rows)
        yield load_task(tiles, self.globals["b"], layer, offset=block * self.k * cols, stride_x=cols)
        yield load_task(pair, self.globals["parameters"], layer, offset=block * 8 * cols, stride_x=4 * cols)
        matrix = Matrix(n_x=self.band_rows, stride_x=slices, n_ci=slices, stride_ci=1)
        yield Task(layer, matrix, {"activation": band, "weight": tiles, "accumulator": sums}, None)
        strides = {"a_stride_1": 1, "destination_stride_1": 1}
        vector = Vector(a_from=SourceA.ACCUMULATOR, n_1=self.band_rows, bias=1, requantise=1, **strides)
        yield Task(layer, vector, {"a": sums, "parameter": pair, "destination": results}, None)
        place = {"offset": row * self.n + block * cols, "stride_x": self.n}
        store = Store(n_x=self.band_rows, bytes=cols, **place)
        yield Task(layer, store, {"address": results}, self.globals["c"])

    def contents(self, rng):
        """Bytes of the regions but the last, and the expected bytes of that one."""
        a = rng.integers(-128, 128, (self.m, self.k), np.int8)
        b = rng.integers(-128, 128, (self.k, self.n), np.int8)
        bias = rng.integers(-1000, 1000, self.n, np.int32)
        scale = np.full(self.n, pack_scale(80000, 2), np.int32)
        blocks = b.reshape(self.k, -1, self.config.cols).transpose(1, 0, 2)
        pairs = np.stack([bias.reshape(-1, self.config.cols), scale.reshape(-1, self.config.cols)], axis=1)
        sums = (a.astype(np.int64) @ b.astype(np.int64) + bias).astype(np.int32)
        expected = np.clip(requantise(sums, np.broadcast_to(scale, sums.shape)), -128, 127).astype(np.int8)
        return [a.tobytes(), blocks.tobytes(), pairs.astype("<i4").tobytes()], expected.tobytes()
