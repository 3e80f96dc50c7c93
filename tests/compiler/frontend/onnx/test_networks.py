"""Whole networks import, and agree with ONNX Runtime, before the passes and behind them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from bench.zoo.language import decoder, encoder, lstm_classifier
from bench.zoo.vision import detector, mobilenet_v2, resnet18

from onnx_runtime import peer_outputs
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.recompose import Recompose
from tilewright.compiler.passes.run import run_passes
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.passes.specialise import Specialise

PASSES = [Fold(), Simplify(), Recompose(), Simplify()]


def images(batch, size):
    return {"x": np.random.default_rng(7).standard_normal((batch, 3, size, size)).astype(np.float32)}


def sequences(batch, length):
    rng = np.random.default_rng(8)
    mask = (np.arange(length) < rng.integers(1, length + 1, (batch, 1))).astype(np.int64)
    return {
        "ids": rng.integers(0, 50, (batch, length)),
        "types": rng.integers(0, 2, (batch, length)),
        "mask": mask,
    }


def signals(time, batch):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((time, batch, 12)).astype(np.float32)
    return {"x": x, "lengths": rng.integers(1, time + 1, batch)}


def prompts(batch, length, past):
    rng = np.random.default_rng(10)
    caches = {
        f"{what}{layer}": rng.standard_normal((batch, 4, past, 8)).astype(np.float32)
        for layer in range(2)
        for what in ("keys", "values")
    }
    return {"ids": rng.integers(0, 50, (batch, length)), **caches}


NETWORKS = {
    "resnet18": (lambda: resnet18(64, 100), [images(2, 64)]),
    "mobilenet_v2": (lambda: mobilenet_v2(64, 100), [images(2, 64)]),
    "lstm": (lstm_classifier, [signals(7, 3), signals(1, 1)]),
    "encoder": (encoder, [sequences(2, 9), sequences(1, 16)]),
    "decoder": (decoder, [prompts(2, 5, 0), prompts(1, 1, 11), prompts(3, 2, 4)]),
    "detector": (detector, [images(1, 64)]),
}


def agree(module, model, inputs):
    """Compares with ONNX Runtime: 1e-4 of the largest element."""
    found = run(module, *(inputs[value.name] for value in model.graph.input))
    for ours, (name, right) in zip(found, peer_outputs(model, inputs).items(), strict=True):
        assert ours.shape == right.shape, name
        assert ours.dtype == right.dtype, name
        np.testing.assert_allclose(
            ours, right, rtol=1e-4, atol=1e-4 * np.abs(right).max(initial=0), err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_agrees_with_onnx_runtime(name):
    make, given = NETWORKS[name]
    model = make()
    module = import_model(model)
    after = run_passes(module, PASSES)
    for inputs in given:
        agree(module, model, inputs)
        agree(after, model, inputs)
        sizes = {}
        for value in module.main.parameters:
            for size, number in zip(value.type.shape, inputs[value.name].shape, strict=True):
                sizes.update({size.name: number} if not isinstance(size, int) else {})
        agree(run_passes(module, [Specialise(sizes), *PASSES]), model, inputs)


def operators(module):
    return [each.operator.name for each in module.main.equations]


def test_hand_written_layers_of_transformers_are_found():
    found = operators(run_passes(import_model(encoder()), PASSES))
    assert (found.count("layer_norm"), found.count("gelu"), found.count("softmax")) == (5, 2, 2)
    found = operators(run_passes(import_model(decoder()), PASSES))
    assert (found.count("layer_norm"), found.count("gelu"), found.count("softmax")) == (5, 2, 2)


def test_the_detector_keeps_boxes():
    model = detector()
    kept, *_ = run(import_model(model), images(1, 64)["x"])
    assert len(kept) > 3


LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


SLOW = {"light_resnet50", "light_bvlc_alexnet", "light_zfnet512", "light_vgg19"}
"""Run for eight seconds or more."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_networks_of_the_onnx_package_import_and_agree(path):
    model = onnx.load(path)
    module = import_model(model)
    main = module.main
    assert len(main.results) == len(model.graph.output)
    if path.stem in SLOW:
        return
    fixed = {each.name for each in model.graph.initializer}
    (name,) = [each.name for each in model.graph.input if each.name not in fixed]
    image = np.random.default_rng(0).standard_normal(main.parameters[0].type.numbers).astype(np.float32)
    (ours,) = run(module, image)
    (right,) = peer_outputs(model, {name: image}).values()
    np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-4 * np.abs(right).max())
