"""Mistakes in the micro-kernels of the host, the layouts that they read, and the networks made of them."""

from tests.mutants.mutant import Mutant, suite

_CPU = "compiler/targets/cpu"
_KERNEL = suite(f"{_CPU}/test_micro_kernel.py")
_CONVOLUTION = suite(f"{_CPU}/test_convolution.py")
_NETWORK = suite(f"{_CPU}/test_network.py")
_WINOGRAD = suite(f"{_CPU}/test_winograd.py")
_ROWS = suite(f"{_CPU}/host/test_program.py")
_PRIMITIVES = suite(f"{_CPU}/host/test_primitives.py")
_TILE = suite(f"{_CPU}/test_register_tile.py")
_SCRATCH = suite(f"{_CPU}/test_scratch.py")
_PLAN = suite(f"{_CPU}/test_integer_plan.py")
_ELEMENT = suite(f"{_CPU}/test_element.py")
_SCHEDULE = suite(f"{_CPU}/test_convolution_schedule.py")
_MATMUL = suite(f"{_CPU}/test_matmul.py")

MUTANTS = (
    Mutant(
        name="host-offset-correction",
        file=f"{_CPU}/operator/layout.py",
        old="sums = -SIGN * weight",
        new="sums = -(SIGN - 1) * weight",
        check=_CONVOLUTION,
    ),
    Mutant(
        name="host-reduction-starts-again",
        file=f"{_CPU}/micro_kernel.py",
        old='first = builder.and_(first, builder.icmp_signed("==", value, ir.Constant(INDEX_TYPE, 0)))',
        new="_ = value",
        check=_KERNEL,
    ),
    Mutant(
        name="host-tail-size",
        file=f"{_CPU}/micro_kernel.py",
        old="size > 0), reverse=True)",
        new="size > 0), reverse=True)[:1]",
        check=_KERNEL,
    ),
    Mutant(
        name="host-tile-rest",
        file=f"{_CPU}/tile_kernel.py",
        old="ReductionPart(full * SIDE, 1, rest, 5, 6)",
        new="ReductionPart(full * SIDE - 1, 1, rest, 5, 6)",
        check=_KERNEL,
    ),
    Mutant(
        name="host-row-moves-b",
        file=f"{_CPU}/contraction.py",
        old="_require(axis.b == 0,",
        new="_require(True,",
        check=_KERNEL,
    ),
    Mutant(
        name="host-signs-of-pairs",
        file=f"{_CPU}/lane_kernel.py",
        old="wide = builder.sext(b, self._shorts)",
        new="wide = builder.zext(b, self._shorts)",
        check=_KERNEL,
    ),
    Mutant(
        name="host-widened-operand",
        file=f"{_CPU}/lane_kernel.py",
        old="is_widened = a is DType.INT16",
        new="is_widened = False",
        check=_KERNEL,
    ),
    Mutant(
        name="host-padding",
        file=f"{_CPU}/operator/convolution_sizes.py",
        old="fill=self.zero_point + self._sign",
        new="fill=self.zero_point",
        check=_CONVOLUTION,
    ),
    Mutant(
        name="host-padding-of-zero-points-that-are-arguments",
        file=f"{_CPU}/operator/convolution_sizes.py",
        old="fill=zero_point + self._sign",
        new="fill=zero_point",
        check=_NETWORK,
    ),
    Mutant(
        name="host-padding-of-poolings",
        file=f"{_CPU}/operator/convolution.py",
        old="return max_of(total(row, column, c), (py, px), where=inside)",
        new="return max_of(total(row, column, c), (py, px))",
        check=_NETWORK,
    ),
    Mutant(
        name="host-second-activation",
        file=f"{_CPU}/integer_plan.py",
        old="equation.operands[argument]",
        new="equation.operands[0]",
        check=_NETWORK,
    ),
    Mutant(
        name="host-sample-in-the-arena",
        file=f"{_CPU}/integer_plan.py",
        old="sample * bytes_of.get(argument.buffer, 0)",
        new="0 * sample",
        check=_PLAN,
    ),
    Mutant(
        name="host-zero-point-before-rounding",
        file=f"{_CPU}/integer_plan.py",
        old="whole = call(ElementFunction.ROUND, call(ElementFunction.DIVIDE, x, of[0])) + of[1]",
        new="whole = call(ElementFunction.ROUND, call(ElementFunction.DIVIDE, x, of[0]) + of[1])",
        check=_PLAN,
    ),
    Mutant(
        name="host-view-of-another-order",
        file=f"{_CPU}/integer_plan.py",
        old="return [places[axis] for axis in view.axes] ==",
        new="return True or [] ==",
        check=_PLAN,
    ),
    Mutant(
        name="host-winograd-input",
        file=f"{_CPU}/operator/winograd.py",
        old="(0, -2, -1, 2, 1, 0),",
        new="(0, -2, 1, 2, 1, 0),",
        check=_WINOGRAD,
    ),
    Mutant(
        name="host-winograd-last-tiles",
        file=f"{_CPU}/operator/winograd.py",
        old="y // STEP * across + x // STEP",
        new="y // STEP * (across - 1) + x // STEP",
        check=_WINOGRAD,
    ),
    Mutant(
        name="host-winograd-for-strides",
        file=f"{_CPU}/operator/winograd.py",
        old="(sizes.kernel, sizes.strides, sizes.dilations) == ((3, 3), (1, 1), (1, 1))",
        new="(sizes.kernel, sizes.dilations) == ((3, 3), (1, 1))",
        check=_WINOGRAD,
    ),
    Mutant(
        name="host-lanes-of-a-row",
        file=f"{_CPU}/host/template.py",
        old="rest = size % PARTS",
        new="rest = 0",
        check=_ROWS,
    ),
    Mutant(
        name="host-float-beyond-int32",
        file=f"{_CPU}/arithmetic.py",
        old="whole = builder.select(beyond, like(whole, limits.max), whole)",
        new="_ = beyond",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="host-tiles-a-page-apart",
        file=f"{_CPU}/operator/register_tile.py",
        old="missed = sum(max(0, lines - WAYS) for lines in sets.values())",
        new="missed = 0 * len(sets)",
        check=_TILE,
    ),
    Mutant(
        name="host-scratch-of-another-size",
        file=f"{_CPU}/scratch.py",
        old="%enough = icmp uge i64 %has, %bytes",
        new="%enough = icmp uge i64 %has, 1",
        check=_SCRATCH,
    ),
    Mutant(
        name="host-rows-of-products",
        file=f"{_CPU}/operator/activation_product.py",
        old="cast(value, DType.INT32) * -SIGN",
        new="cast(value, DType.INT32) * -(SIGN - 1)",
        check=suite(f"{_CPU}/test_activation_product.py"),
    ),
    Mutant(
        name="host-rounding",
        file=f"{_CPU}/element.py",
        old="return builder.ashr(builder.add(doubled, one), one)",
        new="return builder.ashr(doubled, one)",
        check=_ELEMENT,
    ),
    Mutant(
        name="host-upper-part-of-a-product-alone",
        file=f"{_CPU}/element.py",
        old="builder.add(high_part, builder.ashr(low_part, low))",
        new="high_part",
        check=_ELEMENT,
    ),
    Mutant(
        name="host-parts-beyond-32-bits",
        file=f"{_CPU}/element.py",
        old="- (_INT32_BITS - 2)\n",
        new="- _INT32_BITS\n",
        check=_ELEMENT,
    ),
    Mutant(
        name="host-largest-x",
        file=f"{_CPU}/element.py",
        old="(1, 2 * X_MINIMUM, 2 * X_MAXIMUM)",
        new="(1, 2 * X_MINIMUM, 2 * X_MAXIMUM + 1)",
        check=_ELEMENT,
    ),
    Mutant(
        name="host-where-sums-saturate",
        file=f"{_CPU}/element.py",
        old="lowest = builder.sub(like(b, -(1 << _INT32_BITS - 1)), smaller(builder, b, like(b, 0)))",
        new="lowest = like(b, -(1 << _INT32_BITS - 1))",
        check=_ELEMENT,
    ),
    Mutant(
        name="host-slices-of-rows",
        file=f"{_CPU}/operator/convolution_schedule.py",
        old="step=self.rows * stride,",
        new="step=stride,",
        check=_CONVOLUTION,
    ),
    Mutant(
        name="host-stores-of-threads",
        file=f"{_CPU}/vectorise.py",
        old="for axis in axes if len(axis) == 1 for index in axis]",
        new="for axis in axes for index in axis]",
        check=suite(f"{_CPU}/test_codegen.py"),
    ),
    Mutant(
        name="host-stores-of-threads-askew",
        file=f"{_CPU}/vectorise.py",
        old="not variables(index) & inside and ",
        new="",
        check=suite(f"{_CPU}/test_codegen.py"),
    ),
    Mutant(
        name="host-last-rows-of-a-panel",
        file=f"{_CPU}/operator/matmul.py",
        old="whole[: len(b), : b.shape[1]] = b",
        new="whole[: len(b) - 1, : b.shape[1]] = b[:-1]",
        check=_MATMUL,
    ),
    Mutant(
        name="host-unrolled-steps",
        file=f"{_CPU}/micro_kernel.py",
        old="index(number).ir), step)",
        new="index(0).ir), step)",
        check=_KERNEL,
    ),
    Mutant(
        name="host-loops-that-change-their-length",
        file=f"{_CPU}/contraction.py",
        old="if variables(loop.extent) & own]",
        new="if False]",
        check=_KERNEL,
    ),
    Mutant(
        name="host-parts-of-a-reduction",
        file=f"{_CPU}/operator/convolution_schedule.py",
        old='Split("sums_k", self.depth, "sums_part", "sums_step")',
        new='Split("sums_k", self.depth - 1, "sums_part", "sums_step")',
        check=_SCHEDULE,
    ),
    Mutant(
        name="host-rule-of-slices",
        file=f"{_CPU}/operator/convolution_rule.py",
        old="is_slice & (order == place(Order.PANELS))",
        new="is_slice & False",
        check=_SCHEDULE,
    ),
    Mutant(
        name="host-strides-of-an-input-as-it-lies",
        file=f"{_CPU}/operator/convolution.py",
        old="strides = sizes.window_strides if is_copied else sizes.strides",
        new="strides = sizes.window_strides",
        check=_SCHEDULE,
    ),
    Mutant(
        name="host-code-of-another-schedule",
        file=f"{_CPU}/host/anchor.py",
        old="key.append(repr(self.schedule))",
        new="pass",
        check=suite(f"{_CPU}/host/test_schedules.py"),
    ),
)
