"""Mistakes on the way from a network to loops."""

from tests.mutants.mutant import Mutant, suite

_OPS = suite("compiler/ops/quantised/test_integer.py")
_PARAMETERS = suite("compiler/quantise/test_parameter.py")
_QUANTISE = suite("compiler/quantise/test_quantise.py")
_RECOGNISE = suite("compiler/quantise/test_recognise.py")
_SIMPLIFY = suite("compiler/tir/test_simplify.py")
_INTERPRET = suite("compiler/tir/test_interpret.py")
_PRIMITIVES = suite("compiler/schedule/test_primitives.py")
_POINTWISE = suite("compiler/quantise/test_pointwise.py")

_MOVE = suite("compiler/quantise/test_move.py")
_SEQUENCE = suite("compiler/quantise/test_sequence.py")
_MATMUL = suite("compiler/quantise/test_matmul.py")
_TOKENS = suite("compiler/quantise/test_tokens.py")
_SATURATION = suite("compiler/quantise/test_saturation.py")

_NETWORKS = (
    Mutant(
        name="quantise-only-the-lower-flat-end",
        file="compiler/quantise/saturation.py",
        old="last = _POINTS - 1 - _flat(np.abs(values[::-1] - values[-1]) <= slack)",
        new="last = _POINTS - 1",
        check=_SATURATION,
    ),
    Mutant(
        name="quantise-flat-ends-that-others-read",
        file="compiler/quantise/saturation.py",
        old="return len(function.consumers[x]) == 1 and x not in",
        new="return x not in",
        check=_SATURATION,
    ),
    Mutant(
        name="quantise-what-is-joined-in-scales-of-its-own",
        file="compiler/quantise/insertion.py",
        old="                    heads[head(value)] = head(equation.result)\n",
        new="                    heads[head(value)] = head(value)\n",
        check=_MOVE,
    ),
    Mutant(
        name="quantise-border-of-integer-zero",
        file="compiler/quantise/lower_move.py",
        old="fill = parameters.quantised(float(constant))",
        new="fill = 0",
        check=_MOVE,
    ),
    Mutant(
        name="quantise-border-on-the-other-side",
        file="compiler/quantise/recognise_linear.py",
        old="(*low[2:], *high[2:]), strict=True)",
        new="(*high[2:], *low[2:]), strict=True)",
        check=_MOVE,
    ),
    Mutant(
        name="quantise-shuffle-backwards",
        file="compiler/quantise/recognise_shape.py",
        old="reshape(groups, each).T.reshape(-1)",
        new="reshape(each, groups).T.reshape(-1)",
        check=_MOVE,
    ),
    Mutant(
        name="quantise-sequence-padded-above",
        file="compiler/quantise/recognise_shape.py",
        old="return 0, before, 0, behind",
        new="return 0, behind, 0, before",
        check=_SEQUENCE,
    ),
    Mutant(
        name="matmul-symmetry-of-one-operand",
        file="compiler/quantise/lower_product.py",
        old="require(zeros == (0, 0), ",
        new="require(zeros[0] == 0, ",
        check=_MATMUL,
    ),
    Mutant(
        name="matmul-asymmetric-operands",
        file="compiler/quantise/insertion.py",
        old="choose = symmetric_parameters if value in self.symmetric else choose_parameters",
        new="choose = choose_parameters",
        check=_MATMUL,
    ),
    Mutant(
        name="matmul-factor-left-out",
        file="compiler/quantise/recognise_linear.py",
        old="return r.emit(GroupedProduct(made.operator.factor * scale), *made.operands)",
        new="return r.emit(GroupedProduct(made.operator.factor), *made.operands)",
        check=_MATMUL,
    ),
    Mutant(
        name="matmul-mask-in-integers",
        file="compiler/quantise/recognise_pointwise.py",
        old="repeated = any(map(r.is_repeated, equation.operands))",
        new="repeated = False",
        check=_MATMUL,
    ),
    Mutant(
        name="tokens-pixels-before-channels",
        file="compiler/quantise/arrangement.py",
        old="return (*self.channels, *self.pixels)",
        new="return (*self.pixels, *self.channels)",
        check=_TOKENS,
    ),
    Mutant(
        name="tokens-any-order-is-the-same",
        file="compiler/quantise/arrangement.py",
        old="return found is not None and (found[0].channels, found[0].pixels) == (",
        new="return found is not None and (found[1].channels, found[1].pixels) == (",
        check=_TOKENS,
    ),
    Mutant(
        name="tokens-inputs-are-not-put-in-order",
        file="compiler/quantise/integer.py",
        old="value = self._viewed(integer.value, integer.views) if integer.is_moved else integer.value",
        new="value = integer.value",
        check=_TOKENS,
    ),
    Mutant(
        name="tokens-outputs-are-not-put-back",
        file="compiler/targets/accel/network.py",
        old="order = inverse(operator.permutation) if",
        new="order = operator.permutation if",
        check=_TOKENS,
    ),
    Mutant(
        name="quantise-table-of-another-root",
        file="compiler/quantise/pointwise.py",
        old="if len(roots) != 1 or not",
        new="if not",
        check=_POINTWISE,
    ),
    Mutant(
        name="quantise-product-of-one-scale",
        file="compiler/quantise/lower_pointwise.py",
        old="ratio = one.parameters.scale * other.parameters.scale / parameters.scale",
        new="ratio = one.parameters.scale * one.parameters.scale / parameters.scale",
        check=suite("compiler/quantise/test_product.py"),
    ),
    Mutant(
        name="quantise-tables-in-the-other-order",
        file="compiler/quantise/fusion.py",
        old="entries = entries[before.astype(np.intp) - FIRST]",
        new="entries = before[entries.astype(np.intp) - FIRST]",
        check=_POINTWISE,
    ),
    Mutant(
        name="onnx-pads-order",
        file="compiler/frontend/onnx/window.py",
        old="return pads[:rank], pads[rank:]",
        new="return pads[::2], pads[1::2]",
        check=_RECOGNISE,
    ),
    Mutant(
        name="onnx-odd-padding",
        file="compiler/frontend/onnx/window.py",
        old="low.append(small if mode",
        new="low.append(large if mode",
        check=_RECOGNISE,
    ),
    Mutant(
        name="onnx-window-behind-the-picture",
        file="compiler/frontend/onnx/window.py",
        old="if (count - 1) * stride >= size + low:",
        new="if (count - 1) * stride > size + low:",
        check=_RECOGNISE,
    ),
    Mutant(
        name="onnx-transposed-weights",
        file="compiler/frontend/onnx/linear.py",
        old='by_y = 1 if node.integer("transB", 0) else 0',
        new='by_y = 0 if node.integer("transB", 0) else 0',
        check=_RECOGNISE,
    ),
    Mutant(
        name="recognised-weights-not-transposed",
        file="compiler/quantise/recognise_linear.py",
        old="if operator.contract_b == (0,):",
        new="if operator.contract_b == (1,):",
        check=_RECOGNISE,
    ),
    Mutant(
        name="recognised-batch-norm-mean",
        file="compiler/quantise/recognise_linear.py",
        old="beta - mean * scale)",
        new="beta + mean * scale)",
        check=_RECOGNISE,
    ),
    Mutant(
        name="recognised-norm-of-what-others-read",
        file="compiler/quantise/recognise_linear.py",
        old="if before is not None and r.is_read_once(x):",
        new="if before is not None:",
        check=_RECOGNISE,
    ),
    Mutant(
        name="recognised-sign-of-integer-weights",
        file="compiler/quantise/recognise_linear.py",
        old="np.where(scale < 0, -1, 1)",
        new="np.where(scale < 0, 1, 1)",
        check=_RECOGNISE,
    ),
    Mutant(
        name="recognised-batch-in-another-axis",
        file="compiler/quantise/recognise.py",
        old="if mixed or not is_whole:",
        new="if not is_whole:",
        check=suite("compiler/frontend/test_error.py"),
    ),
    Mutant(
        name="recognised-sum-of-other-pixels",
        file="compiler/quantise/recognise_pointwise.py",
        old="(divisor == pixels).all()",
        new="(divisor <= pixels).all()",
        check=suite("compiler/frontend/test_error.py"),
    ),
    Mutant(
        name="operator-padding",
        file="compiler/ops/quantised/convolution.py",
        old="float(zero_point)",
        new="0.0",
        check=_OPS,
    ),
    Mutant(
        name="operator-dilations",
        file="compiler/ops/quantised/window.py",
        old="row * dilations[0], column * dilations[1]",
        new="row * dilations[1], column * dilations[0]",
        check=_OPS,
    ),
    Mutant(
        name="operator-pixels-of-a-window",
        file="compiler/ops/quantised/window.py",
        old="self.patches(inside, 0)",
        new="self.patches(inside, 1)",
        check=_OPS,
    ),
    Mutant(
        name="operator-maximum-of-padding",
        file="compiler/ops/quantised/qmax_pool2d.py",
        old="arrays[0], -128)",
        new="arrays[0], 0)",
        check=_OPS,
    ),
)

_INTEGERS = (
    Mutant(
        name="scale-of-activations",
        file="compiler/quantise/parameter.py",
        old="(high - low) / (INT8_MAXIMUM - INT8_MINIMUM)",
        new="(high - low) / INT8_MAXIMUM",
        check=_PARAMETERS,
    ),
    Mutant(
        name="scale-of-all-channels",
        file="compiler/quantise/parameter.py",
        old="-1)).max(axis=1)",
        new="-1)).max()",
        check=_PARAMETERS,
    ),
    Mutant(
        name="scale-word-coarser",
        file="compiler/quantise/parameter.py",
        old="is_better = errors[1] < errors[0]",
        new="is_better = errors[1] > errors[0]",
        check=_PARAMETERS,
    ),
    Mutant(
        name="zero-point-in-no-bias",
        file="compiler/quantise/parameter.py",
        old="return Requantisation(whole, about_zero.words(), 0)",
        new="return Requantisation(bias, about_zero.words(), 0)",
        check=_PARAMETERS,
    ),
    Mutant(
        name="zero-point-in-the-bias-where-that-is-coarser",
        file="compiler/quantise/parameter.py",
        old="error = about_zero.error + about_zero.scale / 4",
        new="error = about_zero.error",
        check=_PARAMETERS,
    ),
    Mutant(
        name="zero-point-beyond-the-bias",
        file="compiler/quantise/parameter.py",
        old="if np.abs(whole).max() > _BIAS_LIMIT or",
        new="if",
        check=_PARAMETERS,
    ),
    Mutant(
        name="zero-point-of-sums",
        file="compiler/quantise/lower_linear.py",
        old="- zero_point * sums",
        new="+ zero_point * sums",
        check=_QUANTISE,
    ),
    Mutant(
        name="residual-zero-point",
        file="compiler/quantise/lower_linear.py",
        old="bias -= residual",
        new="bias += residual",
        check=_QUANTISE,
    ),
    Mutant(
        name="residual-factor-rounds-down",
        file="compiler/quantise/parameter.py",
        old="factor = np.rint(residual.scale / unit)",
        new="factor = np.floor(residual.scale / unit)",
        check=_PARAMETERS,
    ),
    Mutant(
        name="relu-bound",
        file="compiler/quantise/parameter.py",
        old="np.float32(self.scale)) + self.zero_point",
        new="np.float32(self.scale)) - self.zero_point",
        check=_QUANTISE,
    ),
    Mutant(
        name="average-counts-padding",
        file="compiler/quantise/lower_pointwise.py",
        old="(size if counted else count)",
        new="(count if counted else size)",
        check=_QUANTISE,
    ),
    Mutant(
        name="bias-beyond-its-scale",
        file="compiler/quantise/parameter.py",
        old="np.maximum(symmetric_scales(weight), of_bias)",
        new="symmetric_scales(weight)",
        check=_QUANTISE,
    ),
    Mutant(
        name="pooling-of-what-others-read",
        file="compiler/quantise/fusion.py",
        old="return single and pair and",
        new="return pair and",
        check=_QUANTISE,
    ),
    Mutant(
        name="norm-of-a-bias",
        file="compiler/quantise/recognise_linear.py",
        old="real * scale + _finite(offset)",
        new="real + _finite(offset)",
        check=_RECOGNISE,
    ),
)

_LOOPS = (
    Mutant(
        name="fold-identity",
        file="compiler/tir/reducer.py",
        old="ends.max if op is BinaryOp.MIN",
        new="ends.max if op is BinaryOp.MAX",
        check=suite("compiler/te/test_compute.py"),
    ),
    Mutant(
        name="minimum-decided-early",
        file="compiler/tir/simplify.py",
        old="    if high <= 0:\n        return smaller",
        new="    if high <= 1:\n        return smaller",
        check=_SIMPLIFY,
    ),
    Mutant(
        name="quotient-of-the-divisor",
        file="compiler/tir/simplify.py",
        old="upper(small.expr(), domain) < unit",
        new="upper(small.expr(), domain) <= unit",
        check=_SIMPLIFY,
    ),
    Mutant(
        name="remainder-merged-wrongly",
        file="compiler/tir/simplify.py",
        old="== coefficient * divisor:",
        new="is not None:",
        check=_SIMPLIFY,
    ),
    Mutant(
        name="bound-of-a-loop",
        file="compiler/tir/bound.py",
        old="Affine((), -1)).scaled(coefficient)",
        new="Affine((), -2)).scaled(coefficient)",
        check=_SIMPLIFY,
    ),
    Mutant(
        name="interpreter-init",
        file="compiler/tir/interpret.py",
        old="first = all(not inside",
        new="first = any(not inside",
        check=_INTERPRET,
    ),
    Mutant(
        name="interpreter-stores-at-once",
        file="compiler/tir/grid.py",
        old="if not _is_injective(index, target.shape, kept):",
        new="if not index:",
        check=_INTERPRET,
    ),
    Mutant(
        name="split-tail",
        file="compiler/schedule/split.py",
        old="return trips, minimum(self.factor, extent - self.factor * Var(self.outer))",
        new="return trips, minimum(self.factor, extent)",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="region-end",
        file="compiler/schedule/region.py",
        old="simplify(minimum(high, size - 1), outer)",
        new="simplify(minimum(high, size - 2), outer)",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="region-begin",
        file="compiler/schedule/fit.py",
        old="else index - item.low",
        new="else index",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="region-of-remainders",
        file="compiler/schedule/region.py",
        old="if is_zero(ends[0].expr() // divisor - ends[1].expr() // divisor, domain):",
        new="if True:",
        check=_SIMPLIFY,
    ),
    Mutant(
        name="attached-to-what-was-before",
        file="compiler/schedule/reverse_compute_at.py",
        old="lower(ends[0] - item.low, outer) < 0:",
        new="lower(ends[0] - item.low, outer) < -1:",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="versions-lost",
        file="compiler/schedule/buffer_depth.py",
        old="depth=self.depth)",
        new="depth=1)",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="copy-not-read",
        file="compiler/schedule/cache_read.py",
        old="{id(block): reading}",
        new="{id(block): block}",
        check=_PRIMITIVES,
    ),
)

MUTANTS = (*_NETWORKS, *_INTEGERS, *_LOOPS)
"""From the file of a model down to scheduled loops."""
