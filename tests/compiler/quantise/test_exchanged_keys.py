"""Keys are made with tokens as channels where their layer allows it; other readers keep their integers."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, check_close, integers, load

from tilewright.compiler.quantise.judge import judge
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.isa.config import PRESETS

RNG = np.random.default_rng(13)
TOKENS, FEATURES, HEADS, SIZE = 6, 10, 2, 5


def scores(bias=False, shown=False, quantised=False):
    """Products of queries and keys of x; keys may have a bias, be an output, or x come quantised."""
    network = OnnxNetwork({"x": (1, TOKENS, FEATURES)}, opset=20)
    x = "x"
    if quantised:
        network.constants["zero"] = np.asarray(np.int8(0))
        q = network.add("QuantizeLinear", x, 0.03, "zero")
        x = network.add("DequantizeLinear", q, 0.03, "zero")
    split = np.array([0, TOKENS, HEADS, SIZE])
    made = [network.add("MatMul", x, RNG.normal(0, 0.4, (FEATURES, HEADS * SIZE))) for _ in range(2)]
    if bias:
        made[1] = network.add("Add", made[1], RNG.normal(0, 2, HEADS * SIZE))
    q, k = (network.add("Reshape", each, split) for each in made)
    q, turned = (network.add("Transpose", x, perm=p) for x, p in ((q, [0, 2, 1, 3]), (k, [0, 2, 3, 1])))
    y = network.add("MatMul", q, turned)
    return network.model(y, made[1]) if shown else network.model(y)


def samples(low=-3.0):
    return {"x": np.maximum(RNG.normal(0, 1, (4, TOKENS, FEATURES)), low).astype(np.float32)}


def operators(model, given):
    return {unit.operator.name for unit in legal_network(integers(model, given), PRESETS["tiny"]).layers}


@pytest.mark.parametrize("config", ["tiny", "reference"])
def test_keys_without_a_bias_are_exchanged(config):
    given = samples()
    assert operators(scores(), given) == {"qconv2d", "qdense_transposed", "qmatmul"}
    check_close(scores(), given, steps=6, config=PRESETS[config])


@pytest.mark.parametrize("options", [{"bias": True}, {"shown": True}], ids=lambda each: next(iter(each)))
def test_others_are_transposed(options):
    model, given = scores(**options), samples()
    assert "qdense_transposed" not in operators(model, given)
    check_close(model, given, steps=6)


def test_what_has_scales_keeps_them():
    """The zero point of a network's own scale need not be 0."""
    function = load(scores(quantised=True)).one_sample().function
    assert not judge(function)


def test_who_reads_the_input_besides_has_all_of_its_integers():
    """An input without negative elements has half as many integers around 0."""
    named = integers(scores(), samples(low=0.0))
    found = {
        (each.operator.scale, each.operator.zero_point)
        for each in named.function.equations
        if each.operator.name == "quantise"
    }
    (one, other) = sorted(found)
    assert (one[1], other[1]) == (-128, 0)
    assert other[0] == pytest.approx(one[0] * 255 / 127)


def test_wide_machines_exchange_as_well():
    named = integers(scores(), samples())
    names = {unit.operator.name for unit in legal_network(named, PRESETS["large-128"]).layers}
    assert "qdense_transposed" in names
