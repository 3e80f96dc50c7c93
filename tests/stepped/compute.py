"""The second opinion, part three: the matrix and the vector engine, cycle by cycle."""

from collections import deque
from itertools import product

from tilewright.isa import timing
from tilewright.isa.instruction import Destination, ReduceMode, SourceA, SourceB, VectorOp
from tilewright.isa.memory import Memory


class Matrix:
    """A preloader that is one tile ahead of a streamer."""

    def __init__(self, config, machine):
        self.config, self.m = config, machine
        self.streams = deque()
        self.next_stream = 0
        self.last = None

    def ready(self, t):
        """The predecessor's last stream began before this cycle."""
        return not self.streams

    def start(self, t, index, matrix):
        tiles = list(product(range(matrix.n_ky), range(matrix.n_kx), range(matrix.n_ci)))
        self.streams.extend((index, matrix, k, tile, k == len(tiles) - 1) for k, tile in enumerate(tiles))
        self.preload(t, index, matrix, 0)
        self.loaded_at = t + self.config.rows

    def preload(self, t, index, matrix, k):
        """Rows of tile k issue from t + 1 on."""
        depth = self.config.depth(Memory.WEIGHT)
        for r in range(self.config.rows):
            address = (matrix.weight + k * self.config.rows + r) % (1 << 20)
            if address // depth != matrix.weight // depth:
                self.m.fault(t + 1 + r + timing.ADDRESS_FAULT, "MATRIX", index, 3)

    def step(self, t):
        """Begin a stream, if one can begin."""
        if not self.streams:
            return
        index, matrix, k, tile, last = self.streams[0]
        if t < self.loaded_at or t < self.next_stream:
            return
        moved = matrix.accumulate and self.last is not None and self.last.accumulator != matrix.accumulator
        if k == 0 and moved and t < self.next_stream + timing.ACCUMULATOR_DISTANCE - 1:
            return
        self.streams.popleft()
        if not last:
            self.preload(t, index, matrix, k + 1)
            self.loaded_at = t + self.config.rows
        self.stream(t, index, matrix, tile)
        vectors = matrix.n_y * matrix.n_x
        self.next_stream = t + vectors
        self.last = matrix
        if last:
            done = t + vectors - 1 + self.config.rows + self.config.cols + timing.MATRIX_PIPELINE
            self.m.at(done, lambda: self.m.finish("MATRIX", index))

    def stream(self, t, index, matrix, tile):
        ky, kx, ci = tile
        slices = self.config.cols // self.config.rows
        bank = matrix.activation // slices // self.config.depth(Memory.ACTIVATION)
        depth = self.config.depth(Memory.ACCUMULATOR)
        for m, (y, x) in enumerate(product(range(matrix.n_y), range(matrix.n_x))):
            address = matrix.activation + y * matrix.stride_y + x * matrix.stride_x
            address += ky * matrix.stride_ky + kx * matrix.stride_kx + ci * matrix.stride_ci
            if address % (1 << 25) // slices // self.config.depth(Memory.ACTIVATION) != bank:
                self.m.fault(t + m + 1 + timing.ADDRESS_FAULT, "MATRIX", index, 3)
            if (matrix.accumulator + m) % (1 << 20) // depth != matrix.accumulator // depth:
                late = self.config.rows + self.config.cols + timing.MATRIX_ACCUMULATOR_FAULT
                self.m.fault(t + m + late, "MATRIX", index, 3)


class Vector:
    """An issuer of parameters and items, and a pipeline of fixed length."""

    def __init__(self, config, machine):
        self.config, self.m = config, machine
        self.current = None
        self.occupied_until = 0

    def ready(self, t):
        return self.current is None or (not self.current[2] and t >= self.occupied_until)

    def parameters(self, vector):
        return vector.bias + vector.requantise + (vector.op == VectorOp.MULTIPLY_ADD)

    def chunk_ends(self, vector):
        """The taps that end the chunks of a kernel's row over which the window slides; empty: none does."""
        if self.config.vector_taps != 3 or vector.op != VectorOp.MULTIPLY or vector.reduce != ReduceMode.ADD:
            return ()
        moves = vector.b_from != SourceB.CONSTANT and (vector.b_stride_0, vector.b_stride_1) != (0, 0)
        if vector.a_from != SourceA.ACTIVATION or moves:
            return ()
        if vector.a_stride_1 == vector.a_stride_3 and 3 <= vector.n_3 <= 9:
            ends = sorted(range(vector.n_3 - 1, -1, -3))
        elif vector.a_stride_1 == 2 * vector.a_stride_3 and 3 <= vector.n_3 <= 6:
            ends = [vector.n_3 - 2, vector.n_3 - 1]
        else:
            return ()
        return ends if self.config.requant_interval <= vector.n_2 * len(ends) <= 32 else ()

    def items(self, vector, ends):
        """Loops of each item, whether it reads b, and whether it ends a reduction."""
        for i0, i1 in product(range(vector.n_0), range(vector.n_1)):
            columns = ends if ends and i1 else range(vector.n_3)
            for i2, i3 in product(range(vector.n_2), columns):
                last = (i2, i3) == (vector.n_2 - 1, vector.n_3 - 1)
                yield (i0, i1, i2, i3), not (ends and i1), last

    def start(self, t, index, vector):
        ends = self.chunk_ends(vector)
        self.reduced = vector.n_2 * (len(ends) or vector.n_3)
        q = 1
        if vector.requantise and self.reduced < self.config.requant_interval:
            q = self.config.requant_interval
        issues = deque(("parameter", p) for p in range(self.parameters(vector)))
        issues.extend(("item", item) for item in self.items(vector, ends))
        self.current = (index, vector, issues, q)
        self.issue_at = t + 1

    def step(self, t):
        if self.current is None:
            return
        index, vector, issues, q = self.current
        if not issues or t != self.issue_at:
            return
        what, item = issues.popleft()
        self.issue_at = t + (1 if what == "parameter" else q)
        self.occupied_until = self.issue_at - 1
        bad = self.parameter_outside(vector, item) if what == "parameter" else self.outside(vector, *item)
        if bad:
            self.m.fault(t + timing.ADDRESS_FAULT, "VECTOR", index, 3)
        if not issues:
            self.occupied_until += self.rest(vector)
            done = t + timing.VECTOR_PIPELINE + self.config.requant_interval - 1
            done += timing.WINDOW_SUM if self.config.vector_taps > 1 else 0
            self.m.at(done, lambda: self.m.finish("VECTOR", index))

    def rest(self, vector):
        """How long the requantiser still works on a result that came sooner than it is used to."""
        interval = self.config.requant_interval
        return interval - 2 if vector.requantise and self.reduced >= interval > 2 else 0

    def leaves(self, memory, first, address):
        depth = self.config.depth(memory)
        return address % (1 << 20) // depth != first // depth

    def parameter_outside(self, vector, place):
        return self.leaves(Memory.PARAMETER, vector.parameter, vector.parameter + place)

    def outside(self, vector, item, reads_b, ends_reduction):
        i0, i1, i2, i3 = item
        a = vector.a + i0 * vector.a_stride_0 + i1 * vector.a_stride_1
        a += i2 * vector.a_stride_2 + i3 * vector.a_stride_3
        b = vector.b + i0 * vector.b_stride_0 + i1 * vector.b_stride_1
        b += i2 * vector.b_stride_2 + i3 * vector.b_stride_3
        to = vector.destination + i0 * vector.destination_stride_0 + i1 * vector.destination_stride_1
        assert vector.reduce != ReduceMode.NONE or ends_reduction
        places = [(Memory[SourceA(vector.a_from).name], vector.a, a)]
        if reads_b and vector.b_from != SourceB.CONSTANT:
            places.append((Memory[SourceB(vector.b_from).name], vector.b, b))
        if vector.to != Destination.TABLE and ends_reduction:
            places.append((Memory[Destination(vector.to).name], vector.destination, to))
        return any(self.leaves(*place) for place in places)
