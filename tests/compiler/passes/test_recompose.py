"""Hand-written layers become the composites that they are, whatever form they have; what is none stays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import activation, norm
from tilewright.compiler.passes.recompose import LISTINGS, Recompose
from tilewright.compiler.passes.run import run_passes

F32 = DType.FLOAT32
B, S = Size.of("batch"), Size.of("sequence")


def rank_of(x):
    return x.type.rank


def mean(b, x, axis=-1):
    return e.mean(b, x, (axis,), True)


def layer_norm_by_pow(b, x, scale, bias, epsilon=1e-5):
    centred = e.sub(b, x, mean(b, x))
    deviation = e.sqrt(b, e.add(b, mean(b, e.pow(b, centred, 2.0)), epsilon))
    return e.add(b, e.mul(b, e.div(b, centred, deviation), scale), bias)


def layer_norm_turned(b, x, scale, bias, epsilon=1e-5):
    centred = e.add(b, e.neg(b, mean(b, x)), x)
    inverse = e.pow(b, e.add(b, epsilon, mean(b, e.mul(b, centred, centred))), -0.5)
    return e.add(b, bias, e.mul(b, scale, e.mul(b, inverse, centred)))


def rms_norm_by_hand(b, x, scale, epsilon=1e-6):
    inverse = e.reciprocal(b, e.sqrt(b, e.add(b, mean(b, e.pow(b, x, 2.0)), epsilon)))
    return e.mul(b, scale, e.mul(b, x, inverse))


def rms_norm_divided(b, x, scale, epsilon=1e-6):
    return e.div(b, e.mul(b, x, scale), e.sqrt(b, e.add(b, mean(b, e.mul(b, x, x)), epsilon)))


def gelu_of_pytorch(b, x):
    inner = e.add(b, e.erf(b, e.div(b, x, 1.4142135)), 1.0)
    return e.mul(b, e.mul(b, x, inner), 0.5)


def gelu_half_first(b, x):
    return e.mul(b, e.mul(b, 0.5, x), e.add(b, 1.0, e.erf(b, e.mul(b, x, 0.70710678))))


def gelu_by_tanh(b, x):
    cube = e.pow(b, x, 3.0)
    inner = e.mul(b, 0.7978845608, e.add(b, x, e.mul(b, 0.044715, cube)))
    return e.mul(b, 0.5, e.mul(b, x, e.add(b, 1.0, e.tanh(b, inner))))


def softmax_by_hand(b, x):
    powers = e.exp(b, e.sub(b, x, e.reduce_max(b, x, (-1,), keep=True)))
    return e.div(b, powers, e.reduce_sum(b, powers, (-1,), keep=True))


def softmax_by_reciprocal(b, x):
    powers = e.exp(b, e.sub(b, x, e.reduce_max(b, x, (-1,), keep=True)))
    return e.mul(b, e.reciprocal(b, e.reduce_sum(b, powers, (-1,), keep=True)), powers)


def log_softmax_by_hand(b, x):
    shifted = e.sub(b, x, e.reduce_max(b, x, (1,), keep=True))
    return e.sub(b, shifted, e.log(b, e.reduce_sum(b, e.exp(b, shifted), (1,), keep=True)))


def silu(b, x):
    return e.mul(b, e.sigmoid(b, x), x)


def hard_swish_of_mobilenet(b, x):
    return e.mul(b, x, e.div(b, e.minimum(b, e.maximum(b, e.add(b, x, 3.0), 0.0), 6.0), 6.0))


def hard_swish_by_slope(b, x):
    return e.mul(b, activation.hard_sigmoid(b, x, 1 / 6, 0.5), x)


def batch_norm_by_hand(b, x, scale, bias, average, variance):
    s, o, m, v = (e.reshape(b, each, (4, 1, 1)) for each in (scale, bias, average, variance))
    centred = e.sub(b, x, m)
    return e.add(b, e.mul(b, e.mul(b, centred, e.reciprocal(b, e.sqrt(b, e.add(b, v, 1e-3)))), s), o)


X, FEATURE_MAP, C = TensorType(F32, (B, S, 8)), TensorType(F32, (B, 4, 3, 3)), TensorType(F32, (4,))
W = TensorType(F32, (8,))
FORMS = [
    (layer_norm_by_pow, "layer_norm", [X, W, W]),
    (layer_norm_turned, "layer_norm", [X, W, W]),
    (layer_norm_by_pow, "layer_norm", [TensorType(F32, (5, 8)), W, W]),
    (rms_norm_by_hand, "rms_norm", [X, W]),
    (rms_norm_divided, "rms_norm", [X, W]),
    (gelu_of_pytorch, "gelu", [X]),
    (gelu_half_first, "gelu", [FEATURE_MAP]),
    (gelu_by_tanh, "gelu", [X]),
    (softmax_by_hand, "softmax", [X]),
    (softmax_by_reciprocal, "softmax", [X]),
    (log_softmax_by_hand, "log_softmax", [X]),
    (silu, "swish", [X]),
    (hard_swish_of_mobilenet, "hard_swish", [FEATURE_MAP]),
    (hard_swish_by_slope, "hard_swish", [FEATURE_MAP]),
    (batch_norm_by_hand, "batch_normalisation", [FEATURE_MAP, C, C, C, C]),
]


def module_of(form, types):
    return Module.of(trace("main", types, lambda b, *xs: [form(b, *xs)]))


def arrays_of(module, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"batch": 2, "sequence": 3}
    shapes = [value.type.evaluate(sizes).numbers for value in module.main.parameters]
    return [np.abs(rng.normal(size=shape)).astype(np.float32) + np.float32(0.1) for shape in shapes]


@pytest.mark.parametrize(("form", "name", "types"), FORMS)
def test_a_form_becomes_its_composite(form, name, types):
    module = module_of(form, types)
    after = run_passes(module, [Recompose()])
    assert [each.operator.name for each in after.main.equations] == [name]
    assert after.main.equations[0].operands == after.main.parameters
    assert Recompose().apply(after) == after
    arrays = arrays_of(module)
    np.testing.assert_allclose(run(after, *arrays)[0], run(module, *arrays)[0], rtol=2e-5, atol=1e-6)


@given(st.floats(1e-8, 0.1), st.integers(0, 2), st.integers(0, 1 << 20))
def test_numbers_and_axes_are_found(epsilon, axis, seed):
    epsilon = float(np.float32(epsilon))

    def form(b, x, scale):
        axes = tuple(range(axis, 3))
        average = e.mean(b, x, axes, True)
        centred = e.sub(b, x, average)
        deviation = e.sqrt(b, e.add(b, e.mean(b, e.mul(b, centred, centred), axes, True), epsilon))
        return e.mul(b, e.div(b, centred, deviation), scale)

    x = TensorType(F32, (2, 3, 4))
    module = module_of(form, [x, x.with_shape(x.shape[axis:])])
    after = run_passes(module, [Recompose()])
    (equation,) = after.main.equations
    assert equation.operator == norm.LayerNorm(axis, epsilon)
    arrays = arrays_of(module, seed)
    np.testing.assert_allclose(run(after, *arrays)[0], run(module, *arrays)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "name", "types"), [each for each in FORMS if each[1] not in ("batch_normalisation", "rms_norm")]
)
@pytest.mark.parametrize(
    "before",
    [
        lambda b, x: e.add(b, e.tanh(b, x), x),
        lambda b, x: e.mul(b, x, 0.25),
        lambda b, x: e.add(b, e.mul(b, x, -2.0), 0.5),
        lambda b, x: e.mul(b, e.mul(b, x, 0.5), e.tanh(b, x)),
    ],
)
def test_operands_may_be_sums_and_products(form, name, types, before):
    module = module_of(lambda b, x, *rest: form(b, before(b, x), *rest), types)
    after = run_passes(module, [Recompose()])
    names = [each.operator.name for each in after.main.equations]
    is_scaled = run(trace("f", [TensorType(F32, ())], lambda b, x: [before(b, x)]), np.float32(0))[0] == 0
    if form is not gelu_by_tanh or not is_scaled:
        # A number before x leaves the cube of the tanh form in another ratio to x: that is not looked for.
        assert names[-1] == name
        assert names.count("map") <= 3
    arrays = arrays_of(module)
    np.testing.assert_allclose(run(after, *arrays)[0], run(module, *arrays)[0], rtol=5e-5, atol=2e-6)


def test_layers_are_found_inside_of_others_and_of_regions():
    def layer(b, x, w):
        y = layer_norm_by_pow(b, e.mul(b, x, e.tanh(b, x)), w, w)
        return e.add(b, x, gelu_of_pytorch(b, y))

    def loop(b, x, w):
        return e.scan(b, [], [x], lambda inner, row: [layer(inner, row, w)])[0]

    for body, names in ((layer, ["map", "map", "layer_norm", "gelu", "map"]), (loop, ["scan"])):
        module = module_of(body, [X, W])
        after = run_passes(module, [Recompose()])
        assert [each.operator.name for each in after.main.equations] == names
        arrays = arrays_of(module)
        np.testing.assert_allclose(run(after, *arrays)[0], run(module, *arrays)[0], rtol=1e-4, atol=1e-5)
    (scan,) = after.main.equations
    assert "gelu" in [each.operator.name for each in scan.operator.body.equations]


def without_mean(b, x, scale, bias):
    deviation = e.sqrt(b, e.add(b, mean(b, e.mul(b, x, x)), 1e-5))
    return e.add(b, e.mul(b, e.div(b, e.sub(b, x, mean(b, x)), deviation), scale), bias)


def of_two(b, x, scale, bias):
    return e.add(b, layer_norm_by_pow(b, x, scale, bias), 1.0)


@pytest.mark.parametrize(
    ("form", "types"),
    [
        (without_mean, [X, W, W]),
        (lambda b, x: e.mul(b, e.mul(b, x, e.add(b, e.erf(b, e.div(b, x, 1.5)), 1.0)), 0.5), [X]),
        (
            lambda b, x, y: e.mul(b, e.mul(b, x, e.add(b, e.erf(b, e.div(b, y, math.sqrt(2))), 1.0)), 0.5),
            [X, X],
        ),
        (lambda b, x: e.div(b, e.exp(b, x), e.reduce_sum(b, e.exp(b, x), (1,), True)), [X]),
        (lambda b, x: e.mul(b, x, e.sigmoid(b, e.mul(b, x, 2.0))), [X]),
    ],
)
def test_what_only_looks_like_one_stays(form, types):
    module = module_of(form, types)
    assert run_passes(module, [Recompose()]) == module


@pytest.mark.parametrize("listing", LISTINGS)
def test_every_listed_definition_is_found(listing):
    composite = listing.make(1, float(np.float32(1e-4)))
    types = listing.operands(TensorType(F32, (2, 4, 3)), 1)
    body = listing.form or composite.define
    module = Module.of(trace("main", types, lambda b, *xs: body(b, *xs)[:1]))
    after = run_passes(module, [Recompose()])
    assert [each.operator for each in after.main.equations] == [composite]


def test_a_larger_epsilon_is_kept_as_it_is():
    module = module_of(lambda b, x, w: rms_norm_by_hand(b, x, w, 0.25), [X, W])
    (equation,) = run_passes(module, [Recompose()]).main.equations
    assert equation.operator == norm.RmsNorm(2, 0.25)
