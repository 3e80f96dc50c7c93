"""Budgets of accuracy, and how few layers they leave in floats."""

import math

import numpy as np
import pytest

from tilewright.compiler.network.budget import AccuracyBudget, Agreement, BudgetError, parse_budget
from tilewright.compiler.network.layer_noise import LayerNoise
from tilewright.compiler.network.mixed import layers_in_floats, noisiest


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("30dB", AccuracyBudget(30.0)),
        ("12.5 db", AccuracyBudget(12.5)),
        ("1%", AccuracyBudget(most_other=0.01)),
        ("0 %", AccuracyBudget(most_other=0.0)),
    ],
)
def test_a_budget_is_decibels_or_a_share(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "30", "dB", "-3dB", "101%", "1%%", "nan dB"])
def test_other_texts_are_refused(text):
    with pytest.raises(BudgetError, match="decibels of the outputs \\(30dB\\), or the share of answers"):
        parse_budget(text)


def test_the_largest_output_counts_sample_by_sample():
    expected = {"a": np.array([[1.0, 2.0], [2.0, 1.0], [0.0, 1.0], [5.0, 0.0]], np.float32)}
    found = {"a": np.array([[1.0, 2.5], [1.0, 2.0], [0.5, 1.0], [5.0, 0.0]], np.float32)}
    agreement = Agreement.of(expected, found)
    assert agreement.same_share == 0.75
    assert agreement.decibels == pytest.approx(10 * math.log10(36 / 2.5))
    assert parse_budget("25%").holds(agreement)
    assert not parse_budget("24%").holds(agreement)
    assert parse_budget("11.5dB").holds(agreement)
    assert not parse_budget("11.6dB").holds(agreement)


def test_each_step_of_a_sequence_is_an_answer_and_each_pixel_of_a_picture():
    classes, answers = 4, np.array([[0, 3, 1], [2, 2, 0]])
    other = np.array([[0, 3, 2], [2, 2, 0]])
    one, two = (np.eye(classes, dtype=np.float32)[array] for array in (answers, other))
    assert Agreement.of({"y": one}, {"y": two}).same_share == pytest.approx(5 / 6)
    one, two = (array.transpose(0, 2, 1)[:, :, :, None] for array in (one, two))
    assert Agreement.of({"y": one}, {"y": two}).same_share == pytest.approx(5 / 6)


def test_of_several_outputs_the_worst_answer_of_a_sample_counts():
    right, wrong = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert Agreement.of({"a": right, "b": right}, {"a": right, "b": wrong}).same_share == 0.5


def additive(noises, base=0.0):
    """Layers whose noise adds up, and a measure of networks with some of them in floats."""
    layers = [LayerNoise(name, "qconv2d", 1, 0.0, noise) for name, noise in noises.items()]
    asked = []

    def measure(labels):
        asked.append(tuple(labels))
        rest = base + sum(noise for name, noise in noises.items() if name not in labels)
        return Agreement(-10 * math.log10(rest) if rest else math.inf, 1.0)

    return layers, measure, asked


@pytest.mark.parametrize("decibels", range(10, 41, 3))
@pytest.mark.parametrize("seed", range(4))
def test_as_few_of_the_noisiest_stay_in_floats_as_the_budget_allows(seed, decibels):
    rng = np.random.default_rng(seed)
    noises = {f"l{k}": float(noise) for k, noise in enumerate(10 ** rng.uniform(-5, -1, 40))}
    layers, measure, asked = additive(noises)
    budget, before = AccuracyBudget(float(decibels)), measure(())
    if budget.holds(before):
        return
    found = layers_in_floats(layers, budget, before, measure)
    assert budget.holds(measure(found))
    assert not budget.holds(measure(found[:-1]))
    assert list(found) == noisiest(layers)[: len(found)]
    assert len(asked) < 14


def test_all_layers_stay_in_floats_where_nothing_else_does():
    layers, measure, _ = additive({"a": 0.1, "b": 0.2, "c": 0.05})
    assert layers_in_floats(layers, AccuracyBudget(60.0), measure(()), measure) == ("b", "a", "c")


def test_a_budget_of_answers_is_searched_too():
    layers, _, _ = additive({f"l{k}": 1.0 / (k + 1) for k in range(20)})
    found = layers_in_floats(
        layers,
        AccuracyBudget(most_other=0.0),
        Agreement(10.0, 0.5),
        lambda labels: Agreement(20.0, 1.0 if len(labels) >= 7 else 0.9),
    )
    assert found == tuple(f"l{k}" for k in range(7))
