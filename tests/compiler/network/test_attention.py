"""Attention on the accelerator: every device computes its integers alike, and near the floats."""

import pickle

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.onnx_network import OnnxNetwork

import tilewright
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.compiler.targets.accel.operator.lower import lower
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import PRESETS
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

RNG = np.random.default_rng(21)


def attention(tokens, heads, size, features=12, weighted=True, mask=True):
    """Softmax of queries with keys, times values, and weights behind it; x is a batch of tokens."""
    inputs = {"x": (1, tokens, features), **({"mask": (1, 1, 1, tokens)} if mask else {})}
    network = OnnxNetwork(inputs, opset=20)

    def part(perm):
        made = network.add("MatMul", "x", RNG.normal(0, features**-0.5, (features, heads * size)))
        made = network.add("Add", made, RNG.normal(0, 0.3, heads * size))
        split = network.add("Reshape", made, np.array([0, tokens, heads, size]))
        return network.add("Transpose", split, perm=perm)

    q, k, v = part([0, 2, 1, 3]), part([0, 2, 3, 1]), part([0, 2, 1, 3])
    scores = network.add("Div", network.add("MatMul", q, k), size**0.5)
    scores = network.add("Add", scores, "mask") if mask else scores
    y = network.add("MatMul", network.add("Softmax", scores, axis=-1), v)
    y = network.add("Reshape", network.add("Transpose", y, perm=[0, 2, 1, 3]), np.array([0, 0, heads * size]))
    y = network.add("MatMul", y, RNG.normal(0, 0.3, (heads * size, 9))) if weighted else y
    return network.model(y)


def samples_of(tokens, features=12, mask=True, count=3):
    found = {"x": RNG.normal(0, 1, (count, tokens, features)).astype(np.float32)}
    return {**found, "mask": np.full((count, 1, 1, tokens), 1e-6, np.float32)} if mask else found


def compiled(model, samples, config=PRESETS["tiny"]):
    return tilewright.compile(
        model, config=config, calibration=samples, ranges="min-max", records=None, accelerator=True
    )


def operators(package):
    return [
        unit.operator.name
        for part in package.parts.values()
        for unit in legal_network(part.integers, package.config).layers
    ]


def check_parts(package, seed):
    """Each part's integers are the same bytes by the interpreter, on the CPU and on the simulator."""
    rng = np.random.default_rng(seed)
    for part in package.parts.values():
        types = part.integers.input_types
        given = {name: rng.normal(0, 1, (1, *types[name].shape[1:])).astype(np.float32) for name in types}
        expected = part.integers.run(given)
        device = SimDevice(package.config)
        for found in (
            HostNetwork(part.integers).run(given),
            ModelRunner(part.model, device).run(given).outputs,
        ):
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value)


def noise_db(floats, found):
    return 10 * np.log10(np.square(floats).sum() / np.square(floats - found).sum())


# Compiling is slow: an example that fails is small enough as it is.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.integers(1, 23), st.integers(1, 3), st.integers(1, 7), st.sampled_from([3, 8, 12]), st.booleans(),
    st.integers(0, 1 << 30),
)  # fmt: skip
def test_any_attention_is_the_same_integers_everywhere(tokens, heads, size, features, mask, seed):
    samples = samples_of(tokens, features, mask)
    package = compiled(attention(tokens, heads, size, features, mask=mask), samples)
    names = operators(package)
    assert package.explain().share("accelerator") == 1
    if tokens > 16:
        assert names.count("qmatmul_parted") == 1
    check_parts(package, seed)


@pytest.mark.parametrize("config", ["reference", "large-32"])
def test_machines_of_any_width_hold_both_products(config):
    package = compiled(attention(20, 2, 12), samples_of(20), PRESETS[config])
    assert operators(package).count("qmatmul_parted") == operators(package).count("qdense_transposed") == 1
    check_parts(package, 5)


def test_keys_are_made_as_the_product_wants_them():
    """Nothing transposes them: the layer that makes them holds its input as weights."""
    names = operators(compiled(attention(20, 2, 5), samples_of(20)))
    assert sorted(names) == sorted(["qconv2d"] * 3 + ["qdense_transposed", "qmatmul", "qmatmul_parted"])


def test_its_layers_can_be_measured_elsewhere_and_told_apart():
    """They pass to other processes, and noise is known of each; the batch is open there."""
    model, samples = attention(20, 2, 5), samples_of(20)
    package = compiled(model, samples)
    for part in package.parts.values():
        network = legal_network(part.integers, package.config)
        for unit in network.layers:
            for each in lower(unit.operator, unit.types, network.constants_of(unit), package.config):
                again = pickle.loads(pickle.dumps(each))  # made a line before
                assert again.constants.keys() == each.constants.keys()
    found = tilewright.accuracy(model, samples, config=package.config, ranges="min-max")
    assert {"qdense_transposed", "qmatmul", "qmatmul_parted"} <= {each.operator for each in found.layers}
    assert all(each.alone_snr_db > 20 for each in found.layers)


def test_keys_of_a_layer_before_are_transposed():
    """What the host does not hand over, nobody can hand over in two orders."""
    network = OnnxNetwork({"x": (1, 6, 10)}, opset=20)
    x = network.add("Relu", network.add("MatMul", "x", RNG.normal(0, 0.3, (10, 10))))
    q, k = (network.add("MatMul", x, RNG.normal(0, 0.3, (10, 8))) for _ in range(2))
    scores = network.add("MatMul", q, network.add("Transpose", k, perm=[0, 2, 1]))
    package = compiled(network.model(scores), samples_of(6, 10, mask=False))
    assert "qmatmul_transposed" in operators(package)
    check_parts(package, 6)


def test_a_softmax_over_features_comes_in_one_part():
    """Its product reads values with tokens as channels, transposed on the chip, which two parts do not."""
    tokens, size = 6, 18
    network = OnnxNetwork({"x": (1, tokens, 10), "s": (1, 1, 5, size)}, opset=20)
    v = network.add("MatMul", "x", RNG.normal(0, 0.3, (10, size)))
    v = network.add("Reshape", v, np.array([0, tokens, 1, size]))
    v = network.add("Transpose", v, perm=[0, 2, 3, 1])
    model = network.model(network.add("MatMul", network.add("Softmax", "s", axis=-1), v), v)
    samples = {"x": samples_of(tokens, 10)["x"], "s": RNG.normal(0, 1, (3, 1, 5, size)).astype(np.float32)}
    package = compiled(model, samples)
    assert package.explain().share("accelerator") == 1
    assert {"qmatmul_transposed"} < set(operators(package))
    check_parts(package, 7)


def test_a_package_with_an_input_that_lies_twice_can_be_stored(tmp_path):
    package = compiled(attention(20, 2, 5, mask=False), samples_of(20, mask=False))
    package.save(tmp_path / "attention.twx")
    stored = tilewright.load(tmp_path / "attention.twx")
    one = samples_of(20, mask=False, count=2)
    expected = package.run(one)
    for device in ("sim", "cpu"):
        for name, value in stored.run(one, device=device).outputs.items():
            np.testing.assert_array_equal(value, expected.outputs[name])


def kinds_of_data(tokens, heads, size, kind):
    """Queries, keys and values (samples, heads, tokens, size): normal, or with peaks at tokens before."""
    normal = lambda *shape: RNG.normal(0, 1, shape)  # noqa: E731
    q, k, v = (normal(2, heads, tokens, size) for _ in range(3))
    if kind == "random":
        return q, k, v
    near = 0.8 * np.roll(k, 1, 2) + 0.3 * np.roll(k, 2, 2) + 0.6 * q
    sharpness = np.linspace(0.3, 1.3, heads)[:, None, None]
    return sharpness * near, k + 2 * normal(1, heads, 1, size), v + 0.5 * normal(1, heads, 1, size)


def products(tokens, heads, size, with_softmax=False):
    """Attention of inputs, without weights; the softmax is an output, too, if that is asked for."""
    shape = (1, heads, tokens, size)
    network = OnnxNetwork(dict.fromkeys("qkv", shape), opset=20)
    scores = network.add("MatMul", "q", network.add("Transpose", "k", perm=[0, 1, 3, 2]))
    shares = network.add("Softmax", network.add("Div", scores, size**0.5), axis=-1)
    y = network.add("MatMul", shares, "v")
    return network.model(y, shares) if with_softmax else network.model(y)


@pytest.mark.parametrize("kind", ["random", "peaked"])
def test_attention_stays_within_29_db(kind):
    """And at least 4 dB over a softmax in one part, which is what one is that others read, too."""
    tokens, heads, size = 64, 4, 32
    data = kinds_of_data(tokens, heads, size, kind)
    samples = {name: each.astype(np.float32) for name, each in zip("qkv", data, strict=True)}
    found = []
    for with_softmax in (False, True):
        model = products(tokens, heads, size, with_softmax)
        package = compiled(model, samples, PRESETS["reference"])
        floats = tilewright.compile(model, accelerator=False).run(samples).outputs
        name = next(iter(floats))
        found.append(noise_db(floats[name], package.run(samples, device="cpu").outputs[name]))
        assert ("qmatmul_parted" in operators(package)) is not with_softmax
    assert found[0] >= 29
    assert found[0] >= found[1] + 4


def test_masked_tokens_count_for_nothing_whatever_calibration_saw():
    """A mask of zeros in calibration has no range: in integers it would mask nothing."""
    tokens = 20
    network = OnnxNetwork({"x": (1, tokens, 12), "mask": (1, 1, 1, tokens)}, opset=20)
    bias = network.add("Mul", network.add("Sub", 1.0, "mask"), -10000.0)
    q, k, v = (network.add("MatMul", "x", RNG.normal(0, 0.3, (12, 8))) for _ in range(3))
    scores = network.add("MatMul", q, network.add("Transpose", k, perm=[0, 2, 1]))
    scores = network.add("Add", scores, network.add("Reshape", bias, np.array([0, 1, tokens])))
    model = network.model(network.add("MatMul", network.add("Softmax", scores, axis=-1), v))
    samples = {"x": samples_of(tokens)["x"], "mask": np.ones((3, 1, 1, tokens), np.float32)}
    package = compiled(model, samples)
    samples["mask"][..., 7:] = 0
    floats = tilewright.compile(model, accelerator=False).run(samples).outputs
    for name, value in package.run(samples).outputs.items():
        assert noise_db(floats[name], value) > 25


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
def test_attention_in_the_gates():
    samples = samples_of(18)
    package = compiled(attention(18, 2, 5), samples)
    one = {name: array[:1] for name, array in samples.items()}
    simulated, gates = package.run(one), package.run(one, device="rtl")
    assert gates.cycles == simulated.cycles
    for name, value in simulated.outputs.items():
        np.testing.assert_array_equal(gates.outputs[name], value)
