"""QDQ models keep their own scales: each integer operator computes what ONNX Runtime computes."""

import logging
from collections import Counter

import numpy as np
import onnx
import pytest
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.quantise.peer import differences, peer_integers, peer_names, values_of
from tests.compiler.quantise.share import LITE0, batches, shares
from tests.compiler.random_network import random_input
from tests.onnx_network import load
from tests.random_onnx import random_model

from tilewright.compiler.pipeline import load_onnx, quantise

NETWORKS = (11, 18, 19, 20, 23, 32, 33, 34, 45)
"""Whose tensors the peer calls after the nodes that make them."""


def quantised_by_peer(model, inputs, unsigned, folder):
    """The path of the QDQ model that ONNX Runtime makes of a model of floats."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    count = len(next(iter(inputs.values())))

    class Reader(quantization.CalibrationDataReader):
        samples = iter([{name: array[k : k + 1] for name, array in inputs.items()} for k in range(count)])

        def get_next(self):
            return next(self.samples, None)

    onnx.save(model, folder / "float.onnx")
    quantization.quantize_static(
        folder / "float.onnx",
        folder / "qdq.onnx",
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8 if unsigned else quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return folder / "qdq.onnx"


@pytest.mark.filterwarnings("ignore")
def test_random_networks_quantised_by_the_peer_have_its_integers(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    elements, wrong = Counter(), Counter()
    for seed in NETWORKS:
        rng = np.random.default_rng(seed)
        model = random_model(rng)
        inputs = random_input(rng, load(model), 32)
        path = quantised_by_peer(model, inputs, seed % 2 == 0, tmp_path)
        for equation, difference in differences(quantise(load_onnx(path)), path, inputs):
            assert difference.max() <= 1, (seed, equation)
            elements[equation.operator.name] += difference.size
            wrong[equation.operator.name] += int((difference > 0).sum())
    assert {"qconv2d", "qadd", "qmax_pool2d"} <= elements.keys()
    assert wrong["qconv2d"] <= 5e-4 * elements["qconv2d"]
    assert wrong["qadd"] <= 5e-4 * elements["qadd"]
    assert wrong["qmax_pool2d"] == 0


@pytest.mark.slow
def test_the_mnist_network_has_the_integers_of_the_peer():
    path = shared_file("models/mnist-lenet-qdq.onnx")
    named, inputs = quantise(load_onnx(path)), {"x": pictures(500)}
    seen = list(differences(named, path, inputs))
    assert len(seen) == 5
    for equation, difference in seen:
        assert difference.max() <= 1
        # The last layer has no zeros of a ReLU, which are never wrong.
        allowed = 1e-3 if equation is seen[-1][0] else 1.5e-4
        assert (difference > 0).mean() <= allowed, equation.label


@pytest.mark.slow
def test_the_mnist_network_runs_like_the_peer_from_end_to_end():
    path = shared_file("models/mnist-lenet-qdq.onnx")
    named, inputs = quantise(load_onnx(path)), {"x": pictures(1000)}
    ours, theirs = values_of(named, inputs), peer_integers(path, inputs)
    names = peer_names(named, onnx.load(path))
    layers = [each.result for each in named.function.equations if each.operator.name == "qconv2d"]
    wrong = [ours[value].ravel() != theirs[names[value]].ravel() for value in layers]
    assert len(layers) == 5
    assert np.concatenate(wrong).mean() <= 5e-4
    assert wrong[-1].mean() <= 0.025
    last = (ours[layers[-1]], theirs[names[layers[-1]]])
    answers = [values.reshape(1000, 10).argmax(axis=1) for values in last]
    assert abs((answers[0] == labels(1000)).mean() - (answers[1] == labels(1000)).mean()) <= 0.001


@pytest.mark.slow
def test_a_network_of_photos_has_the_integers_of_the_peer():
    pytest.importorskip("PIL")
    from bench.accuracy import imagenet

    path, data = shared_file(f"models/{LITE0}.onnx"), shared_file("data/imagenet_00_243.jpg").parent
    found = shares(path, batches(imagenet(data)[0][:1], 1))
    for layer in ("qconv2d", "qadd"):
        assert found.largest[layer] == 1
        assert found.equal(layer) >= 0.9995
