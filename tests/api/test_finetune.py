"""Training for integers: it helps, goes on where it was ended, and refuses what it cannot do."""

import dataclasses

import numpy as np
import onnx
import pytest
from tests.onnx_network import OnnxNetwork
from tests.trained_network import CONFIG, attention, inputs, layers, tokens, with_host

import tilewright
from tilewright.api.error import PackageError
from tilewright.api.finetune import FinetuneOptions, Finetuning, finetune
from tilewright.compiler.finetune.error import FinetuneError
from tilewright.compiler.frontend.export import write_onnx
from tilewright.compiler.ir.error import IrError
from tilewright.runtime.model_input import InputError

X, HELD_OUT = inputs(64), inputs(48, seed=9)
OPTIONS = FinetuneOptions(epochs=6, batch=16, learning_rate=1e-3, ranges="min-max")


def spread():
    """A residual whose channels are of sizes that differ by up to 2^10: one scale suits few of them."""
    rng, made = np.random.default_rng(3), OnnxNetwork({"x": (1, 3, 8, 8)})
    sizes = 2.0 ** np.round(rng.uniform(-5, 5, 8))
    scaled = sizes[:, None, None, None]
    x = made.add("Conv", "x", scaled * rng.normal(0, 0.3, (8, 3, 3, 3)), pads=[1] * 4)
    y = made.add(
        "Clip", made.add("Conv", x, rng.normal(0, 0.4, (8, 8, 1, 1)) / sizes[:, None, None]), 0.0, 6.0
    )
    x = made.add("Add", x, made.add("Conv", y, scaled * rng.normal(0, 0.4, (8, 8, 1, 1))))
    x = made.add("Relu", made.add("Conv", x, rng.normal(0, 0.4, (8, 8, 1, 1)) / sizes[:, None, None]))
    x = made.add("Flatten", made.add("GlobalAveragePool", x))
    return made.model(made.add("Gemm", x, rng.normal(0, 0.5, (4, 8)), rng.normal(0, 0.1, 4), transB=1))


def training(model=None, data=X, labels=None, options=OPTIONS, **further):
    return Finetuning(model or spread(), {"x": data}, labels, config=CONFIG, options=options, **further)


@pytest.fixture(scope="module")
def trained():
    found = training(judge={"x": HELD_OUT})
    return found, list(found.run())


def arrays(network):
    """All constants of a network, in their order."""
    return [
        literal.array
        for each in network.function.equations
        for literal in each.operator.literals
    ]  # fmt: skip


def test_integers_of_held_out_samples_come_nearer(trained):
    found, epochs = trained
    assert [each.number for each in epochs] == list(range(7))
    assert epochs[0].loss is None
    before, after = (found.measured(each) for each in (found.calibrated, found.network))
    assert after.snr_db > before.snr_db + 5
    # What the fake-quantised network was judged by is what integers do.
    assert before.snr_db == pytest.approx(epochs[0].judgement.agreement.decibels, abs=0.5)
    assert after.snr_db == pytest.approx(found.best.agreement.decibels, abs=0.5)


def test_the_best_epoch_is_kept(trained):
    found, epochs = trained
    losses = [each.judgement.loss for each in epochs]
    assert found.best.loss == min(losses)
    assert [each.is_best for each in epochs] == [
        loss < min(losses[:k], default=np.inf) for k, loss in enumerate(losses)
    ]


def test_a_rate_that_ruins_the_network_leaves_what_calibration_gives():
    found = training(options=dataclasses.replace(OPTIONS, learning_rate=0.5, epochs=2))
    epochs = list(found.run())
    assert max(each.judgement.loss for each in epochs[1:]) > epochs[0].judgement.loss
    assert not any(each.is_best for each in epochs[1:])
    for one, other in zip(arrays(found.network), arrays(found.calibrated), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_written_has_the_same_integers_on_simulator_and_cpu(trained, tmp_path):
    trained[0].save(tmp_path / "trained.onnx")
    package = tilewright.compile(tmp_path / "trained.onnx", config=CONFIG)
    simulated, host = (package.run({"x": HELD_OUT[:3]}, device=device) for device in ("sim", "cpu"))
    assert simulated.cycles
    (one,), (other,) = simulated.outputs.values(), host.outputs.values()
    np.testing.assert_array_equal(one, other)


def test_what_was_ended_goes_on_to_the_same_weights(trained, tmp_path):
    file = tmp_path / "training.npz"
    first = training(judge={"x": HELD_OUT}).run(checkpoint=file)
    for _ in range(4):
        next(first)
    again = training(judge={"x": HELD_OUT})
    assert list(again.run(checkpoint=file)) == trained[1][4:]
    for one, other in zip(arrays(again.network), arrays(trained[0].network), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.best == trained[0].best


def test_time_that_is_over_begins_no_epoch():
    assert [each.number for each in training().run(minutes=1e-9)] == [0]


@pytest.mark.slow
def test_labels_are_learnt_where_they_are_given():
    # Other classes than the network says, so that there is something to learn.
    floats = tilewright.compile(layers(), accelerator=False).run({"x": X}).outputs
    labels = (next(iter(floats.values())).argmax(1) + 1) % 4
    options = dataclasses.replace(OPTIONS, learning_rate=1e-2, epochs=20, batch=8)
    found = training(layers(), labels=labels, options=options)
    epochs = list(found.run())
    assert epochs[-1].judgement.right_share > epochs[0].judgement.right_share + 0.2
    assert found.measured(found.network).right_share == pytest.approx(found.best.right_share, abs=0.05)


@pytest.mark.parametrize(
    ("model", "data"),
    [(with_host(), X), pytest.param(attention(), tokens(64), marks=pytest.mark.slow)],
    ids=["softmax", "attention"],
)
def test_networks_with_the_host_between_are_trained(model, data):
    found = training(model, data, options=dataclasses.replace(OPTIONS, epochs=2, learning_rate=5e-5))
    epochs = list(found.run())
    assert min(each.judgement.loss for each in epochs[1:]) < epochs[0].judgement.loss
    assert found.measured(found.network).snr_db > 20


def test_the_short_form_gives_the_same_network():
    options = dataclasses.replace(OPTIONS, epochs=1)
    given = {"config": CONFIG, "options": options}
    found = training(options=options)
    assert len(list(found.run())) == 2
    for one, other in zip(arrays(finetune(spread(), {"x": X}, **given)), arrays(found.network), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": -1}, "batch must be at least 1, not -1"),
        ({"calibration_samples": 0}, "calibration_samples must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"ranges": "all"}, "ranges must be one of auto"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(changed, text):
    with pytest.raises(tilewright.TilewrightError, match=text):
        FinetuneOptions(**changed)


@pytest.mark.parametrize(
    ("data", "labels", "error", "text"),
    [
        ({"z": X}, None, InputError, "'z'"),
        ({"x": X[:, :2]}, None, InputError, "3×8×8"),
        ({"x": X[:8]}, None, PackageError, "a batch of samples, 16 or more, not 8"),
        ({"x": X[:0]}, None, tilewright.TilewrightError, "sample"),
        ({"x": X * np.float32(np.nan)}, None, InputError, "'x'"),
        (
            {"x": X},
            np.zeros(64),
            PackageError,
            r"labels must be 64 integers, one for each sample, not float64",
        ),
        ({"x": X}, np.zeros(9, int), PackageError, "labels must be 64 integers"),
        ({"x": X}, np.full(64, -1), PackageError, "labels must be classes from 0, not -1"),
        ({"x": X}, np.full(64, 4), FinetuneError, "labels must be from 0 to 3, not 4"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, labels, error, text):
    with pytest.raises(error, match=text):
        Finetuning(spread(), data, labels, config=CONFIG, options=OPTIONS)


def test_labels_are_of_all_data_or_none():
    with pytest.raises(PackageError, match="both or none of the data"):
        training(labels=np.zeros(64, int), judge={"x": HELD_OUT})


def test_labels_of_a_map_are_refused():
    made = OnnxNetwork({"x": (1, 3, 8, 8)})
    model = made.model(made.add("Conv", "x", np.ones((2, 3, 3, 3))))
    with pytest.raises(
        FinetuneError, match=r"must end in a score for each class, not in \[2, 6, 6\] a sample"
    ):
        training(model, labels=np.zeros(64, int))


def test_labels_of_scores_that_the_host_turns_round_are_refused():
    rng, made = np.random.default_rng(2), OnnxNetwork({"x": (1, 3, 8, 8)})
    scores = made.add("Flatten", made.add("Conv", "x", rng.normal(0, 0.2, (4, 3, 8, 8))))
    model = made.model(made.add("Softmax", made.add("Neg", made.add("Softmax", scores, axis=1)), axis=1))
    with pytest.raises(PackageError, match="the host makes something else of them"):
        training(model, labels=np.zeros(64, int))


def test_a_network_with_scales_is_refused(trained):
    with pytest.raises(PackageError, match="must be of floats, and this one has scales of its own"):
        training(onnx.load_from_string(write_onnx(trained[0].calibrated)))


def test_operators_without_a_derivative_are_named_at_once():
    rng, made = np.random.default_rng(2), OnnxNetwork({"x": (1, 3, 8, 8)})
    x = made.add("Conv", "x", rng.normal(0, 0.2, (4, 3, 1, 1)))
    places = made.add("Cast", made.add("Greater", x, 0.0), to=onnx.TensorProto.INT64)
    x = made.add("ScatterElements", x, places, x, axis=1, reduction="mul")
    model = made.model(made.add("Conv", x, rng.normal(0, 0.2, (4, 4, 1, 1))))
    with pytest.raises(IrError, match="has no derivative: scatter_elements must have a rule for it"):
        training(model)


def test_a_loss_that_is_no_number_ends_it():
    with pytest.raises(PackageError, match="give a lower learning rate than"):
        list(training(options=dataclasses.replace(OPTIONS, learning_rate=3e38)).run())


@pytest.mark.slow
def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "training.npz"
    options = dataclasses.replace(OPTIONS, epochs=1)
    list(training(options=options).run(checkpoint=file))
    others = (
        training(options=options, data=X + 1),
        # The same start, and other samples that judge it.
        training(options=options, judge={"x": HELD_OUT}),
        training(options=dataclasses.replace(options, seed=1)),
    )
    for other in others:
        with pytest.raises(PackageError, match="of this network and these options"):
            list(other.run(checkpoint=file))
    file.write_bytes(b"nonsense")
    with pytest.raises(PackageError, match="must be a file of training"):
        list(training(options=options).run(checkpoint=file))
