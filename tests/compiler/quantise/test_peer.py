"""QDQ models keep their own scales: each integer operator computes what ONNX Runtime computes."""

import logging
from collections import Counter

import numpy as np
import onnx
import pytest
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.onnx_export import export
from tests.compiler.quantise.peer import differences, peer_integers
from tests.compiler.random_network import random_input, random_network

from tilewright.compiler.frontend.load import load_onnx
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.quantise.quantise import quantise

NETWORKS = (2, 3, 4, 5, 6, 8, 9, 31)


def quantised_by_peer(graph, inputs, unsigned, folder):
    """The path of the QDQ model that ONNX Runtime makes of a graph of floats."""
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):
        samples = iter([{"x": inputs["x"][index : index + 1]} for index in range(len(inputs["x"]))])

        def get_next(self):
            return next(self.samples, None)

    onnx.save(export(graph), folder / "float.onnx")
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
        network = random_network(rng)
        inputs = random_input(rng, network, 32)
        path = quantised_by_peer(network, inputs, seed % 2 == 0, tmp_path)
        for node, difference in differences(quantise(load_onnx(path)), path, inputs):
            assert difference.max() <= 1, (seed, node)
            elements[node.operator.name] += difference.size
            wrong[node.operator.name] += int((difference > 0).sum())
    assert {"qconv2d", "qadd", "qmax_pool2d"} <= elements.keys()
    assert wrong["qconv2d"] <= 1e-3 * elements["qconv2d"]
    assert wrong["qadd"] <= 4e-3 * elements["qadd"]
    assert wrong["qmax_pool2d"] == 0


@pytest.mark.slow
def test_the_mnist_network_has_the_integers_of_the_peer():
    path = shared_file("models/mnist-lenet-qdq.onnx")
    graph, inputs = quantise(load_onnx(path)), {"x": pictures(500)}
    seen = list(differences(graph, path, inputs))
    assert len(seen) == 5
    for node, difference in seen:
        assert difference.max() <= 1
        # The last layer has no zeros of a ReLU, which are never wrong.
        allowed = 2e-3 if node is seen[-1][0] else 1e-3
        assert (difference > 0).mean() <= allowed, node.name


@pytest.mark.slow
def test_the_mnist_network_runs_like_the_peer_from_end_to_end():
    path = shared_file("models/mnist-lenet-qdq.onnx")
    graph, inputs = quantise(load_onnx(path)), {"x": pictures(1000)}
    ours, theirs = run(graph, inputs, keep=True), peer_integers(path, inputs)
    shared = [node.output for node in graph.nodes if node.output in theirs]
    wrong = [ours[name].ravel() != theirs[name].ravel() for name in shared]
    assert len(shared) == 5
    assert np.concatenate(wrong).mean() <= 0.01
    answers = [values.reshape(1000, 10).argmax(axis=1) for values in (ours[shared[-1]], theirs[shared[-1]])]
    assert abs((answers[0] == labels(1000)).mean() - (answers[1] == labels(1000)).mean()) <= 0.001
