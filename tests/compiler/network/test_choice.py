"""Ranges that are chosen by measuring: what they gain, and that they never lose on the calibration data."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork

from tilewright.compiler.ir.function import Function
from tilewright.compiler.network import choice
from tilewright.compiler.network.calibrated import calibrated_network, ends_of
from tilewright.compiler.network.choice import integer_parts
from tilewright.compiler.network.split import placed_network
from tilewright.compiler.pipeline import load_onnx
from tilewright.compiler.quantise.distance import decibels, noise_share
from tilewright.compiler.quantise.range_method import CANDIDATES, RangeMethod
from tilewright.compiler.quantise.recipe import Recipe
from tilewright.isa.config import PRESETS
from tilewright.numerics.progress import unheard

RNG = np.random.default_rng(5)
SHAPE = (3, 8, 8)


def network(between=(), twice=False):
    """Two convolutions, the first of which hardly reads the last channel of x; operators between.

    `twice`: a softmax and two more behind them, which are another part.
    """
    made = OnnxNetwork({"x": (1, *SHAPE)})
    weight = RNG.normal(0, 0.5, (8, 3, 3, 3))
    weight[:, 2] *= 0.001
    x = made.add("Conv", "x", weight, pads=[1] * 4)
    for kind in between:
        x = made.add(kind, x)
    last = made.add("Conv", x, RNG.normal(0, 0.5, (4, 8, 1, 1)))
    if twice:
        x = made.add("Softmax", last, axis=1)
        for _ in range(2):
            last = x = made.add("Relu", made.add("Conv", x, RNG.normal(0, 0.5, (4, 4, 1, 1))))
    return load_onnx(made.model(last).SerializeToString())


def plain(count, seed=1):
    return {"x": np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)}


def spiky(count, seed=1):
    """A few elements of the last channel are 50 times as large as all others."""
    samples, rng = plain(count, seed), np.random.default_rng(seed)
    places = rng.choice(count * 64, 3, replace=False)
    samples["x"][places // 64, 2, places % 64 // 8, places % 8] = 50.0
    return samples


def split(named):
    return placed_network(named, PRESETS["tiny"]).named


def share(named, parts, samples):
    """The noise of integers on samples, as a share of the signal."""
    (part,) = parts.values()
    return noise_share(named.run(samples), dict(zip(named.outputs, part.run(samples).values(), strict=True)))


def quantised(named, samples, method):
    found = integer_parts(calibrated_network(split(named), samples, unheard), method, unheard)
    assert not found.refused
    return found.integers


@pytest.mark.parametrize("count", [40, 100])
def test_heavy_tails_that_nobody_needs_are_left_out(count):
    named = network(["Relu"])
    samples, fresh = spiky(count), plain(40, seed=9)
    least, auto = (
        decibels(share(named, quantised(named, samples, method), fresh))
        for method in (RangeMethod.MIN_MAX, RangeMethod.AUTO)
    )
    assert auto > least + 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("data", [plain, spiky])
def test_chosen_ranges_never_lose_on_the_calibration_data(data, seed):
    named, samples = network(["Relu"]), data(64, seed)
    auto = share(named, quantised(named, samples, RangeMethod.AUTO), samples)
    assert auto <= share(named, quantised(named, samples, RangeMethod.MIN_MAX), samples)


def test_ranges_that_are_worse_on_all_samples_are_not_taken(monkeypatch):
    named, samples = network(["Relu"]), plain(64)
    expected = quantised(named, samples, RangeMethod.MIN_MAX)
    last_is_best = iter([3.0, 2.0, 1.9, 1.0, *[1.5] * 9])
    monkeypatch.setattr(choice._Trial, "judged", lambda self, recipes: next(last_is_best))
    auto = quantised(named, samples, RangeMethod.AUTO)
    assert share(named, auto, samples) == share(named, expected, samples)


def test_every_part_of_a_network_takes_the_method_that_the_results_want():
    named, samples = network(["Softmax"]), spiky(64)
    calibrated = calibrated_network(split(named), samples, unheard)
    assert len(calibrated.parts) == 2
    trial = choice._Trial(calibrated)
    shares = [
        trial.share(integer_parts(calibrated, method, unheard).integers)
        for method in (RangeMethod.AUTO, RangeMethod.MIN_MAX, RangeMethod.MEAN_SQUARE)
    ]
    assert shares[0] <= min(shares)
    assert decibels(shares[0]) > decibels(shares[1]) + 5


def test_parts_take_ranges_of_their_own_and_all_that_refines_them(monkeypatch):
    calibrated = calibrated_network(split(network(["Relu"], twice=True)), plain(8), unheard)
    wanted = dict(zip(calibrated.parts, (CANDIDATES[3], CANDIDATES[0]), strict=True))

    def judged(self, recipes):
        right = sum(recipes[part].choose is choose for part, choose in wanted.items())
        equalised = all(each.is_equalised for each in recipes.values())
        corrected = all(each.is_corrected for each in recipes.values())
        return 0.5**right * (0.8 if equalised else 1.0) * (0.9 if corrected else 1.0)

    monkeypatch.setattr(choice._Trial, "judged", judged)
    found = choice._best_recipes(choice._Trial(calibrated), dict.fromkeys(wanted, Recipe()), unheard)
    assert found == {part: Recipe(choose, True, True) for part, choose in wanted.items()}


def test_many_samples_are_halved_by_turns():
    named = network(["Relu"])
    samples = {
        "x": np.ones((100, *SHAPE), np.float32) * np.arange(1, 101, dtype=np.float32)[:, None, None, None]
    }
    found = calibrated_network(split(named), samples, unheard)
    assert found.halves == (slice(0, 50), slice(50, 100))
    assert found.inputs["x"][:, 0, 0, 0].tolist() == [*range(1, 101, 2), *range(2, 101, 2)]
    (part,) = found.parts.values()
    odd, even = part.halves
    assert (odd.inputs["x"].max(), even.inputs["x"].min()) == (99, 2)
    (expected,) = named.run(found.inputs).values()
    (result,) = found.ends.values()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    few = calibrated_network(split(named), {"x": samples["x"][:63]}, unheard)
    (part,) = few.parts.values()
    assert part.halves == (part.all,)


def test_ranges_of_one_half_are_judged_by_the_other(monkeypatch):
    named, samples = network(["Relu"]), plain(64)
    trial = choice._Trial(calibrated_network(split(named), samples, unheard))
    seen = []
    monkeypatch.setattr(trial, "integers", lambda recipes, half: (half, {}))
    monkeypatch.setattr(trial, "share", lambda parts, places: seen.append((parts, places)) or 1.0)
    assert trial.judged({}) == 1.0
    assert seen == [(0, slice(32, 64)), (1, slice(0, 32))]


def test_noise_is_measured_where_integers_end():
    named = network(["Softmax"])
    function = split(named).function
    first, softmax, second = function.equations
    assert ends_of(function) == second.results
    without = Function("without", function.parameters, (first, softmax), softmax.results)
    assert ends_of(without) == first.results
