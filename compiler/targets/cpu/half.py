"""float16 as LLVM values: its bits in integers, converted by integer operations that any machine has.

The conversions are those of F. Giesen, "half to float done quickly"; to the nearest, of two the even one.
"""

from llvmlite import ir

from tilewright.compiler.targets.cpu.type import element_of, lanes_of, like, with_lanes

_SIGN, _INFINITE, _HALF_INFINITE = 0x8000, 0x7F800000, 0x7C00
_BEYOND, _LEAST_NORMAL = (127 + 16) << 23, 113 << 23
_MAGIC = (127 - 15 + 23 - 10 + 1) << 23
"""As a float, its last bit is that of a subnormal half."""


def float_of_half(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The float32 of the bits of a float16."""
    words, floats = (with_lanes(of, lanes_of(value)) for of in (ir.IntType(32), ir.FloatType()))
    bits = builder.zext(value, words)
    magnitude = builder.and_(bits, like(bits, _SIGN - 1))
    moved = builder.shl(magnitude, like(bits, 13))
    scaled = builder.fmul(builder.bitcast(moved, floats), ir.Constant(floats, _splat(floats, 2.0**112)))
    is_finite = builder.icmp_unsigned("<", magnitude, like(bits, _HALF_INFINITE))
    number = builder.select(
        is_finite, builder.bitcast(scaled, words), builder.or_(moved, like(bits, _INFINITE))
    )
    sign = builder.shl(builder.and_(bits, like(bits, _SIGN)), like(bits, 16))
    return builder.bitcast(builder.or_(number, sign), floats)


def half_of_float(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The bits of the float16 nearest to a float32 or float64."""
    if element_of(value) == ir.DoubleType():
        value = _odd_float(builder, value)
    words = with_lanes(ir.IntType(32), lanes_of(value))
    bits = builder.bitcast(value, words)
    magnitude = builder.and_(bits, like(bits, 0x7FFFFFFF))
    is_nan = builder.icmp_unsigned(">", magnitude, like(bits, _INFINITE))
    beyond = builder.select(is_nan, like(bits, 0x7E00), like(bits, _HALF_INFINITE))
    magic = builder.bitcast(like(bits, _MAGIC), value.type)
    small = builder.bitcast(builder.fadd(builder.bitcast(magnitude, value.type), magic), words)
    small = builder.sub(small, like(bits, _MAGIC))
    odd = builder.and_(builder.lshr(magnitude, like(bits, 13)), like(bits, 1))
    normal = builder.add(builder.add(magnitude, like(bits, ((15 - 127) << 23) + 0xFFF)), odd)
    normal = builder.lshr(normal, like(bits, 13))
    is_small = builder.icmp_unsigned("<", magnitude, like(bits, _LEAST_NORMAL))
    is_beyond = builder.icmp_unsigned(">=", magnitude, like(bits, _BEYOND))
    number = builder.select(is_beyond, beyond, builder.select(is_small, small, normal))
    sign = builder.and_(builder.lshr(bits, like(bits, 16)), like(bits, _SIGN))
    return builder.trunc(builder.or_(number, sign), with_lanes(ir.IntType(16), lanes_of(value)))


def _odd_float(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A float64 as float32, rounded to odd: rounded once more, it is as if rounded once."""
    lanes = lanes_of(value)
    words, floats = (with_lanes(of, lanes) for of in (ir.IntType(32), ir.FloatType()))
    near = builder.fptrunc(value, floats)
    back = builder.fpext(near, value.type)
    bits = builder.bitcast(near, words)
    size, own = (_magnitude(builder, each) for each in (back, value))
    down = builder.select(builder.icmp_unsigned(">", size, own), builder.sub(bits, like(bits, 1)), bits)
    is_exact = builder.or_(
        builder.icmp_unsigned("==", size, own), builder.fcmp_unordered("uno", value, value)
    )
    return builder.bitcast(builder.select(is_exact, bits, builder.or_(down, like(bits, 1))), floats)


def _magnitude(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The bits of a float64 without sign, which order as the numbers do."""
    longs = with_lanes(ir.IntType(64), lanes_of(value))
    bits = builder.bitcast(value, longs)
    return builder.and_(bits, like(bits, (1 << 63) - 1))


def _splat(of: ir.Type, number: float) -> object:
    return [number] * of.count if isinstance(of, ir.VectorType) else number
