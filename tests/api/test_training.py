"""Training: it learns, goes on where it was ended, and refuses what it cannot do."""

import dataclasses

import numpy as np
import pytest

import tilewright
from tilewright.api.error import PackageError
from tilewright.api.training import LOSSES, Training, TrainingOptions, rate_share, train
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e

RNG = np.random.default_rng(3)
X = RNG.normal(size=(96, 2)).astype(np.float32)
LABELS = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
"""Which no dense layer alone tells."""
OPTIONS = TrainingOptions(epochs=60, batch=32, rate=0.03)


def network(batch=None, outputs=2):
    rng, b = np.random.default_rng(1), Builder("net")
    x = b.parameter("x", TensorType(DType.FLOAT32, (batch or Size.of("n"), 2)))
    for inputs, width in ((2, 16), (16, outputs)):
        weight = b.constant((rng.normal(size=(inputs, width)) / np.sqrt(inputs)).astype(np.float32))
        x = e.add(b, e.matmul(b, e.tanh(b, x), weight), b.constant(np.zeros(width, np.float32)))
    return NamedFunction(b.function(x), ("x",), ("y",))


def outputs(trained):
    return tilewright.compile(trained, accelerator=False).run({"x": X}, device="cpu").outputs["y"]


@pytest.fixture(scope="module")
def trained():
    training = Training(network(), OPTIONS)
    return training, list(training.run({"x": X}, LABELS))


def test_a_network_learns(trained):
    training, epochs = trained
    assert [epoch.number for epoch in epochs] == list(range(1, 61))
    assert epochs[-1].loss < 0.2 * epochs[0].loss
    assert np.mean(outputs(training.network).argmax(1) == LABELS) > 0.95
    assert np.mean(outputs(network()).argmax(1) == LABELS) < 0.8


def test_weights_are_there_as_they_were_and_as_they_are(trained):
    training, _ = trained
    constants = [each.array for eq in training.network.function.equations for each in eq.operator.literals]
    assert len(training.start) == len(training.weights)
    for before, after in zip(training.start, training.weights, strict=True):
        assert before.shape == after.shape
        assert not np.array_equal(before, after)
        assert any(np.array_equal(after, each) for each in constants)


def test_what_was_ended_goes_on_to_the_same_weights(trained, tmp_path):
    file = tmp_path / "training.npz"
    run = Training(network(), OPTIONS).run({"x": X}, LABELS, checkpoint=file)
    for _ in range(7):
        next(run)
    again = Training(network(), OPTIONS)
    rest = list(again.run({"x": X}, LABELS, checkpoint=file))
    assert [epoch.number for epoch in rest] == list(range(8, 61))
    assert rest == trained[1][7:]
    np.testing.assert_array_equal(outputs(again.network), outputs(trained[0].network))


def test_values_are_learnt_by_mean_square():
    options = dataclasses.replace(OPTIONS, loss="mean-square", epochs=80)
    wanted = np.tanh(X[:, :1] - X[:, 1:])
    found = outputs(train(network(outputs=1), {"x": X}, wanted, options=options))
    assert np.mean((found - wanted) ** 2) < 0.05 * wanted.var()


def test_a_batch_is_varied_by_the_seed():
    seen = []

    def vary(rng, batch):
        seen.append(rng.integers(0, 1 << 30))
        return {"x": batch["x"] + 1}

    for seed in (0, 0, 1):
        options = dataclasses.replace(OPTIONS, epochs=1, seed=seed)
        train(network(), {"x": X}, LABELS, options=options, vary=vary)
    assert seen[:3] == seen[3:6]
    assert not set(seen[:3]) & set(seen[6:])


def test_the_rate_rises_and_falls():
    shares = [rate_share(number, 200) for number in range(1, 201)]
    assert shares.index(max(shares)) == 9
    assert max(shares) == 1
    assert shares[:10] == sorted(shares[:10])
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[-1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"loss": "hinge"}, f"loss must be one of {', '.join(LOSSES)}, not 'hinge'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": -1}, "batch must be at least 1, not -1"),
        ({"rate": float("nan")}, "rate must be from 0"),
        ({"decay": -1.0}, "decay must be from 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(changed, text):
    with pytest.raises(PackageError, match=text):
        TrainingOptions(**changed)


@pytest.mark.parametrize(
    ("inputs", "target", "text"),
    [
        ({"z": X}, LABELS, "inputs must be x, not z"),
        ({"x": X[:50]}, LABELS, "as many samples, 32 or more: not 50, 96"),
        ({"x": X[:20]}, LABELS[:20], "as many samples, 32 or more: not 20"),
        ({"x": X}, LABELS + 1, "labels must be a number from 0 to 1 for each sample, not .* from 1 to 2"),
    ],
)
def test_data_that_do_not_fit_are_refused(inputs, target, text):
    with pytest.raises(PackageError, match=text):
        train(network(), inputs, target, options=OPTIONS)


def test_a_loss_that_is_no_number_ends_it():
    with pytest.raises(PackageError, match="the loss must be a number"):
        train(network(), {"x": X * np.float32(np.nan)}, LABELS, options=OPTIONS)


def test_a_batch_without_a_name_is_refused():
    with pytest.raises(PackageError, match="open batch"):
        Training(network(batch=32), OPTIONS)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "training.npz"
    Training(network(), OPTIONS).save(file)
    with pytest.raises(PackageError, match="of this network and these options"):
        Training(network(), dataclasses.replace(OPTIONS, rate=1e-3)).load(file)
    with pytest.raises(PackageError, match="of this network and these options"):
        Training(network(outputs=3), OPTIONS).load(file)
    for content in (b"", b"nonsense", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(PackageError, match="must be a file of"):
            Training(network(), OPTIONS).load(file)
