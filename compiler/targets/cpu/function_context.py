"""The state of one LLVM function while it is written: its builder, its variables, and its buffers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from llvmlite import ir

from tilewright.compiler.targets.cpu.intrinsic import external
from tilewright.compiler.targets.cpu.scratch import ALLOCATE_FUNCTION, RELEASE_FUNCTION
from tilewright.compiler.targets.cpu.tile_kernel import release
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, POINTER
from tilewright.compiler.targets.cpu.value import LaneValue

ALIGNMENT_BYTES = 64
"""Alignment of a buffer: a cache line, and the widest vector."""
STACK_BUFFER_BYTES = 16 << 10
"""Larger buffers come from the heap."""
STACK_BYTES = 128 << 10
"""All buffers of a function that lie on the stack."""


@dataclass
class FunctionContext:
    """A function under construction.

    Members:
        function: it.
        entry: writes what takes memory of the stack.
        setup: writes what takes memory of the heap, next.
        builder: writes the next instruction.
        variables: the values of loop variables and indices of blocks, by name.
        pointers: the addresses of buffers, by name.
        strides: elements from one index of a buffer to the next, in each dimension, by name.
        lanes: the number of iterations of a vectorised loop that are computed together.
        shapes: the address of a pointer to the shapes of the tile registers, if they are used.
    """

    function: ir.Function
    entry: ir.IRBuilder
    setup: ir.IRBuilder
    builder: ir.IRBuilder
    variables: dict[str, LaneValue] = field(default_factory=dict)
    pointers: dict[str, ir.Value] = field(default_factory=dict)
    strides: dict[str, tuple[int, ...]] = field(default_factory=dict)
    lanes: int = 1
    heap: list[ir.Value] = field(default_factory=list)
    stack_bytes: int = 0
    shapes: ir.Value | None = None

    @staticmethod
    def of(function: ir.Function) -> "FunctionContext":
        """The context of a function without blocks."""
        entry, setup, body = (function.append_basic_block(name) for name in ("entry", "setup", "body"))
        return FunctionContext(function, ir.IRBuilder(entry), ir.IRBuilder(setup), ir.IRBuilder(body))

    def close(self) -> None:
        """Write what ends the function: to be called once, when all else is written."""
        _, setup, body = self.function.blocks[:3]
        self.entry.branch(setup)
        self.setup.branch(body)
        for pointer in self.heap:
            own = external(self.function.module, RELEASE_FUNCTION, ir.VoidType(), [POINTER])
            self.builder.call(own, [pointer])
        if self.shapes is not None:
            release(self.builder)
        self.builder.ret_void()

    def allocate(self, size_bytes: int, on_heap: bool = False) -> ir.Value:
        """Memory that is there while the function runs; the same at each execution."""
        if not on_heap and size_bytes <= STACK_BUFFER_BYTES and self.stack_bytes + size_bytes <= STACK_BYTES:
            self.stack_bytes += size_bytes
            return self.on_stack(ir.ArrayType(ir.IntType(8), max(size_bytes, 1)))
        self.heap.append(self._from_heap(-(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES))
        return self.heap[-1]

    def on_stack(self, of: ir.Type) -> ir.Value:
        """Memory of the stack for one value of a type."""
        pointer = self.entry.alloca(of)
        pointer.align = ALIGNMENT_BYTES
        # Pointers of LLVM have no type of what they point to; llvmlite gives this one one.
        pointer.type = POINTER
        return pointer

    def tile_shapes(self) -> ir.Value:
        """The address of a pointer to the shapes of the tile registers; it is null before the first use."""
        if self.shapes is None:
            self.shapes = self.on_stack(POINTER)
            self.setup.store(ir.Constant(POINTER, None), self.shapes)
        return self.shapes

    def _from_heap(self, size_bytes: int) -> ir.Value:
        """Memory of the process; the program ends where there is none left."""
        allocate = external(self.function.module, ALLOCATE_FUNCTION, POINTER, [INDEX_TYPE])
        allocate.return_value.add_attribute("noalias")
        return self.setup.call(allocate, [ir.Constant(INDEX_TYPE, size_bytes)])

    @contextmanager
    def bound(self, values: dict[str, LaneValue], lanes: int | None = None) -> Iterator[None]:
        """Variables, and how many lanes there are, for a while."""
        before, lanes_before = self.variables, self.lanes
        self.variables = {**before, **values}
        self.lanes = lanes_before if lanes is None else lanes
        yield
        self.variables, self.lanes = before, lanes_before
