"""Mistakes in what numbers, instructions and programs mean."""

from tests.mutants.mutant import Mutant, suite

_NUMERICS = suite("numerics/test_requantise.py", "numerics/test_saturate.py", "numerics/test_table.py")
_SEMANTICS = suite("isa/test_semantics.py")
_CHECKER = suite("isa/test_checker.py")
_LEGALITY = suite("isa/test_legality.py")

MUTANTS = (
    Mutant(
        name="rounding-half-to-even",
        file="numerics/requantise.py",
        old="    x += _HALF\n    np.floor(x, out=x)\n",
        new="    np.rint(x, out=x)\n",
        check=_NUMERICS,
    ),
    Mutant(
        name="saturation-limit",
        file="numerics/requantise.py",
        old="X_MINIMUM, X_MAXIMUM = -(1 << (X_BITS - 1)), (1 << (X_BITS - 1)) - 1",
        new="X_MINIMUM, X_MAXIMUM = 2 - (1 << (X_BITS - 1)), (1 << (X_BITS - 1)) - 1",
        check=_NUMERICS,
    ),
    Mutant(
        name="saturation-limit-above",
        file="numerics/requantise.py",
        old="X_MINIMUM, X_MAXIMUM = -(1 << (X_BITS - 1)), (1 << (X_BITS - 1)) - 1",
        new="X_MINIMUM, X_MAXIMUM = -(1 << (X_BITS - 1)), 1 << (X_BITS - 1)",
        check=_NUMERICS,
    ),
    Mutant(
        name="product-shift",
        file="numerics/requantise.py",
        old="\nPRODUCT_SHIFT = 25\n",
        new="\nPRODUCT_SHIFT = 26\n",
        check=_NUMERICS,
    ),
    Mutant(
        name="saturation-minimum",
        file="numerics/saturate.py",
        old="np.maximum(x, -limit)",
        new="np.maximum(x, 1 - limit)",
        check=_NUMERICS,
    ),
    Mutant(
        name="shift-rounds-down",
        file="numerics/saturate.py",
        old="half = (np.int64(1) << right) >> np.int64(1)",
        new="half = np.int64(0) * right",
        check=_NUMERICS,
    ),
    Mutant(
        name="look-up-offset",
        file="numerics/table.py",
        old="* ENTRIES - FIRST",
        new="* ENTRIES - FIRST - 1",
        check=_NUMERICS,
    ),
    Mutant(
        name="pad-value",
        file="isa/semantics.py",
        old="load.pad_value, vectors.dtype)",
        new="0, vectors.dtype)",
        check=_SEMANTICS,
    ),
    Mutant(
        name="matrix-overwrites",
        file="isa/semantics.py",
        old="    if matrix.accumulate:\n",
        new="    if not matrix.accumulate:\n",
        check=_SEMANTICS,
    ),
    Mutant(
        name="clamp-order",
        file="isa/semantics.py",
        old="np.minimum(np.maximum(y, vector.lo), vector.hi)",
        new="np.maximum(np.minimum(y, vector.hi), vector.lo)",
        check=_SEMANTICS,
    ),
    Mutant(
        name="bias-wraps",
        file="isa/semantics.py",
        old="return t if bias is None else saturating_add(t, bias)",
        new="return t if bias is None else t + bias",
        check=_SEMANTICS,
    ),
    Mutant(
        name="factor-width",
        file="isa/semantics.py",
        old="_product_of(_narrow(factor, 16), _narrow(b, 8))",
        new="_product_of(factor, _narrow(b, 8))",
        check=_SEMANTICS,
    ),
    Mutant(
        name="float-products",
        file="isa/semantics.py",
        old="FLOAT_PRODUCTS = 1024",
        new="FLOAT_PRODUCTS = 4096",
        check=_SEMANTICS,
    ),
    Mutant(
        name="table-round",
        file="isa/semantics.py",
        old="np.arange(len(entries) - len(last), len(entries)) % ENTRIES",
        new="np.arange(len(last)) % ENTRIES",
        check=_SEMANTICS,
    ),
    Mutant(
        name="checker-token-edge",
        file="isa/order.py",
        old="merged[engine] = max(merged[engine], self.positions[index])",
        new="merged[engine] = max(merged[engine], self.positions[index] + 1)",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-token-chain",
        file="isa/order.py",
        old="merged = list(map(max, clock, started))",
        new="merged = list(clock)",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-write-after-read",
        file="isa/hazard.py",
        old="(group.write or other.write)",
        new="group.write",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-queue-depth",
        file="isa/order.py",
        old="depth = self.engines, self.config.queue_depth",
        new="depth = self.engines, self.config.queue_depth + 1",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-token-capacity",
        file="isa/order.py",
        old="len(given[taker]) < capacity",
        new="len(given[taker]) <= capacity",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-range-ends",
        file="isa/hazard.py",
        old="(lows[earlier] <= highs[later]) & (highs[earlier] >= lows[later])",
        new="(lows[earlier] < highs[later]) & (highs[earlier] > lows[later])",
        check=_CHECKER,
    ),
    Mutant(
        name="checker-region-end",
        file="isa/checker.py",
        old="if low >= 0 and high < size_bytes:",
        new="if low >= 0 and high <= size_bytes:",
        check=_CHECKER,
    ),
    Mutant(
        name="accumulators-not-read",
        file="isa/operand.py",
        old="ports=PORTS)",
        new="ports=_WRITE)",
        check=suite("isa/test_footprint.py"),
    ),
    Mutant(
        name="factor-without-a-vector",
        file="isa/operand.py",
        old='ParameterVector("factor", "op", VectorOp.MULTIPLY_ADD)',
        new='ParameterVector("factor", "op", VectorOp.MULTIPLY)',
        check=suite("isa/test_semantics.py", "isa/test_footprint.py", "sim/test_timeline.py"),
    ),
    Mutant(
        name="in-place-reduces",
        file="isa/operand.py",
        old="single=tuple(count for count, _ in source.loops[common:]),",
        new="single=(),",
        check=suite("isa/test_legality.py"),
    ),
    Mutant(
        name="in-place-other-stride",
        file="isa/operand.py",
        old="equal=((DESTINATION.address, source.address), *pairs),",
        new="equal=((DESTINATION.address, source.address), *list(pairs)[:1]),",
        check=suite("isa/test_legality.py"),
    ),
)
"""Numbers, instructions, programs."""
