"""Mistakes where loops become instructions of the accelerator."""

from tests.mutants.mutant import Mutant, suite

_ACCEL = "compiler/targets/accel"
_OPERATOR = suite(f"{_ACCEL}/test_operator.py")
_TRANSFER = suite(f"{_ACCEL}/test_intrinsic_transfer.py")
_ARRAY = suite(f"{_ACCEL}/test_intrinsic_matrix.py")
_VECTOR = suite(f"{_ACCEL}/test_intrinsic_vector.py")
_LEGALISE = suite(f"{_ACCEL}/test_legalise.py")

_INSTRUCTIONS = (
    Mutant(
        name="layout-slices",
        file=f"{_ACCEL}/operator/layout.py",
        old="split.transpose(0, 3, 5, 6, 2, 4, 1))",
        new="split.transpose(0, 3, 5, 6, 2, 4, 1)[:, ::-1])",
        check=suite(f"{_ACCEL}/test_layout.py"),
    ),
    Mutant(
        name="expression-slices",
        file=f"{_ACCEL}/operator/convolution.py",
        old="s * config.rows + r]",
        new="r * config.slices + s]",
        check=_OPERATOR,
    ),
    Mutant(
        name="expression-dilations",
        file=f"{_ACCEL}/operator/window.py",
        old="y * stride_y + ky * step_y",
        new="y * stride_y + ky * step_x",
        check=_OPERATOR,
    ),
    Mutant(
        name="expression-factor",
        file=f"{_ACCEL}/operator/qadd.py",
        old="operator.scale, operator.kb)",
        new="operator.scale, operator.ka)",
        check=_OPERATOR,
    ),
    Mutant(
        name="product-without-a-zero-point",
        file=f"{_ACCEL}/operator/qmul.py",
        old="values = (operator.za * operator.zb, operator.scale, -operator.zb)",
        new="values = (operator.za * operator.zb, operator.scale, operator.zb)",
        check=_OPERATOR,
    ),
    Mutant(
        name="intrinsic-table-of-another-lane",
        file=f"{_ACCEL}/intrinsic/expression.py",
        old="if lane != self._last.store.indices[-1]:",
        new="if lane == entry:",
        check=_VECTOR,
    ),
    Mutant(
        name="intrinsic-without-look-up",
        file=f"{_ACCEL}/intrinsic/vector.py",
        old='"lookup": int(value.is_looked_up)',
        new='"lookup": 0',
        check=_VECTOR,
    ),
    Mutant(
        name="legalise-table-of-what-others-read",
        file=f"{_ACCEL}/legalise.py",
        old="is_alone = read not in function.results and len(function.consumers[read]) == 1",
        new="is_alone = True",
        check=_LEGALISE,
    ),
    Mutant(
        name="depthwise-residual-taken-for-a-tap",
        file=f"{_ACCEL}/operator/window.py",
        old="first = FACTOR + residual",
        new="first = FACTOR",
        check=_OPERATOR,
    ),
    Mutant(
        name="average-count-of-a-part",
        file=f"{_ACCEL}/operator/qpool2d.py",
        old="counts[origin], size, config)",
        new="counts[0, 0], size, config)",
        check=_OPERATOR,
    ),
    Mutant(
        name="average-begin-of-a-part",
        file=f"{_ACCEL}/operator/qpool2d.py",
        old="origin[1] * window.strides[1]",
        new="origin[1]",
        check=_OPERATOR,
    ),
    Mutant(
        name="load-padding-upside-down",
        file=f"{_ACCEL}/intrinsic/load.py",
        old='("top", "bottom")',
        new='("bottom", "top")',
        check=_TRANSFER,
    ),
    Mutant(
        name="load-begins-in-the-padding",
        file=f"{_ACCEL}/intrinsic/load.py",
        old="start += first * axis",
        new="start += 0 * axis",
        check=_TRANSFER,
    ),
    Mutant(
        name="load-border-by-one",
        file=f"{_ACCEL}/intrinsic/load.py",
        old="base // -stride + 1)",
        new="base // -stride)",
        check=_TRANSFER,
    ),
    Mutant(
        name="store-stride",
        file=f"{_ACCEL}/intrinsic/store.py",
        old='in_units(axis.strides[CHIP], self._limits.cols, f"the stride of {name} on the chip")',
        new='in_units(axis.strides[OUTSIDE], self._limits.cols, f"the stride of {name} on the chip")',
        check=_TRANSFER,
    ),
    Mutant(
        name="matrix-always-adds",
        file=f"{_ACCEL}/intrinsic/matrix.py",
        old='"accumulate": self._accumulates(rows)',
        new='"accumulate": np.array(1)',
        check=_ARRAY,
    ),
    Mutant(
        name="matrix-never-adds",
        file=f"{_ACCEL}/intrinsic/matrix.py",
        old='"accumulate": self._accumulates(rows)',
        new='"accumulate": np.array(0)',
        check=_ARRAY,
    ),
    Mutant(
        name="matrix-slices",
        file=f"{_ACCEL}/intrinsic/matrix.py",
        old='all_in_units(activation, self._limits.rows, "the first activation")',
        new='all_in_units(activation, cols, "the first activation")',
        check=_ARRAY,
    ),
    Mutant(
        name="matrix-loops-over-tiles",
        file=f"{_ACCEL}/intrinsic/matrix.py",
        old='("ci", "kx", "ky")',
        new='("ci", "ky", "kx")',
        check=_ARRAY,
    ),
    Mutant(
        name="vector-widths-of-a-product",
        file=f"{_ACCEL}/intrinsic/expression.py",
        old="first, second = self._narrow(left, 16), self._narrow(right, 8)",
        new="first, second = self._narrow(left, 16), self._narrow(right, 16)",
        check=_VECTOR,
    ),
    Mutant(
        name="vector-start-of-a-reduction",
        file=f"{_ACCEL}/intrinsic/expression.py",
        old="start is not None and start <= low",
        new="start is not None",
        check=_VECTOR,
    ),
    Mutant(
        name="vector-clamp-within-a-clamp",
        file=f"{_ACCEL}/intrinsic/expression.py",
        old="low, high = (min(max(end, low), high) for end in ends)",
        new="low, high = max(ends[0], low), min(ends[1], high)",
        check=_VECTOR,
    ),
    Mutant(
        name="vector-parameters-order",
        file=f"{_ACCEL}/intrinsic/vector.py",
        old="address != addresses[0] + step for",
        new="address < addresses[0] for",
        check=_VECTOR,
    ),
)

MUTANTS = (*_INSTRUCTIONS,)
