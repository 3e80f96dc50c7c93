"""The ratio of noise to signal."""

import math

import numpy as np
import pytest

from tilewright.compiler.quantise.distance import decibels, energy, noise_share


def test_a_tenth_of_the_signal_is_twenty_decibels():
    x = {"y": np.random.default_rng(0).normal(0, 1, (4, 5)).astype(np.float32)}
    assert decibels(noise_share(x, {"y": x["y"] * 1.1})) == pytest.approx(20, abs=1e-4)
    assert decibels(noise_share(x, x)) == math.inf


def test_results_count_alike_whatever_their_size_is():
    x = {"a": np.array([1000.0], np.float32), "b": np.array([1.0], np.float32)}
    found = {"a": np.array([1000.0], np.float32), "b": np.array([1.5], np.float32)}
    assert noise_share(x, found) == 0.125


def test_a_result_of_zeros_counts_by_its_error():
    zeros = {"y": np.zeros(3, np.float32)}
    assert noise_share(zeros, zeros) == 0
    assert noise_share(zeros, {"y": np.ones(3, np.float32)}) == 3


def test_sums_do_not_depend_on_the_order():
    x = np.random.default_rng(1).normal(0, 1, 10_001).astype(np.float32)
    assert energy(x) == energy(x[::-1])
    assert energy(x) == pytest.approx(float((x.astype(np.float64) ** 2).sum()), rel=1e-12)
