"""Values of expressions while lanes are computed together: the same in all lanes, evenly spaced, or any."""

from dataclasses import dataclass

from llvmlite import ir

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, with_lanes


@dataclass(frozen=True)
class LaneValue:
    """A value in each lane.

    Members:
        ir: a scalar, of the first lane, if `stride` is a number; a vector if it is None.
        dtype: of an element.
        stride: from lane to lane; 0 if all are the same, None if nothing is known. Only indices are spaced.
    """

    ir: ir.Value
    dtype: DType
    stride: int | None = 0

    @property
    def is_uniform(self) -> bool:
        """Whether all lanes are the same."""
        return self.stride == 0


def index(number: int) -> LaneValue:
    """A constant index."""
    return LaneValue(ir.Constant(INDEX_TYPE, number), INDEX)


def vector(builder: ir.IRBuilder, value: LaneValue, lanes: int) -> ir.Value:
    """The lanes as an LLVM vector; as a scalar if there is one lane."""
    if value.stride is None or lanes == 1:
        return value.ir
    splat = broadcast(builder, value.ir, lanes)
    if value.is_uniform:
        return splat
    return builder.add(splat, ir.Constant(splat.type, [value.stride * lane for lane in range(lanes)]))


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """A scalar in all lanes."""
    of = with_lanes(scalar.type, lanes)
    if lanes == 1:
        return scalar
    if isinstance(scalar, ir.Constant) and scalar.constant is not None:
        return ir.Constant(of, [scalar.constant] * lanes)
    first = builder.insert_element(ir.Constant(of, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(of, ir.Undefined), order)
