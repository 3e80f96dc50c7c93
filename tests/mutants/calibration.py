"""Mistakes in how ranges are chosen, noise is measured, and a budget is kept."""

from tests.mutants.mutant import Mutant, suite

_HISTOGRAM = suite("compiler/quantise/test_histogram.py")
_RANGE_METHOD = suite("compiler/quantise/test_range_method.py")
_CALIBRATION = suite("compiler/quantise/test_calibration.py")
_LAYER_NOISE = suite("compiler/network/test_layer_noise.py")
_BUDGET = suite("compiler/network/test_budget.py")
_EQUALISATION = suite("compiler/quantise/test_equalisation.py")
_CORRECTION = suite("compiler/quantise/test_correction.py")
_CHOICE = suite("compiler/network/test_choice.py")
_IMPORTER = suite("compiler/frontend/onnx/test_importer.py")

MUTANTS = (
    Mutant(
        name="histogram-of-the-lower-halves",
        file="compiler/quantise/histogram.py",
        old="_UPPER = 1 if np.little_endian else 0",
        new="_UPPER = 0",
        check=_HISTOGRAM,
    ),
    Mutant(
        name="histogram-negative-bins-in-the-order-of-their-bits",
        file="compiler/quantise/histogram.py",
        old="np.arange(_BINS - 1, _POSITIVE - 1, -1)",
        new="np.arange(_POSITIVE, _BINS)",
        check=_HISTOGRAM,
    ),
    Mutant(
        name="percentiles-of-the-bins-before",
        file="compiler/quantise/histogram.py",
        old="above = np.cumsum(self.counts[::-1])[::-1] - self.counts",
        new="above = np.cumsum(self.counts[::-1])[::-1]",
        check=_HISTOGRAM,
    ),
    Mutant(
        name="ranges-what-is-outside-loses-nothing",
        file="compiler/quantise/range_method.py",
        old="error = outside + values.total",
        new="error = values.total",
        check=_RANGE_METHOD,
    ),
    Mutant(
        name="ranges-of-which-what-is-outside-is-forgotten",
        file="compiler/quantise/range_method.py",
        old="given[:, -1] += values.total - below[:, -1]",
        new="given[:, -1] += 0",
        check=_RANGE_METHOD,
    ),
    Mutant(
        name="ranges-that-lose-on-all-samples",
        file="compiler/network/choice.py",
        old="(noise := trial.share(better)) >= as_it_is.noise",
        new="(noise := 0.0) > 0",
        check=_CHOICE,
    ),
    Mutant(
        name="ranges-judged-by-the-samples-that-they-are-of",
        file="compiler/network/choice.py",
        old="halves[half - 1]",
        new="halves[half]",
        check=_CHOICE,
    ),
    Mutant(
        name="ranges-of-the-most-noise",
        file="compiler/network/choice.py",
        old="if min(shares) < _WORTH_WHILE * least:\n        least = min(shares)",
        new="if True:\n        least = max(shares)",
        check=_CHOICE,
    ),
    Mutant(
        name="ranges-of-one-method-for-all-parts",
        file="compiler/network/choice.py",
        old="for part, choose in others[:_MOST_TRIALS]:",
        new="for part, choose in others[:0]:",
        check=_CHOICE,
    ),
    Mutant(
        name="equalisation-of-one-layer-alone",
        file="compiler/quantise/equalisation.py",
        old="{1: _multiplied(pair.second, weights, divisor), 2: bias}",
        new="{1: weights, 2: bias}",
        check=_EQUALISATION,
    ),
    Mutant(
        name="equalisation-through-any-limit",
        file="compiler/quantise/equalisation.py",
        old="operator.low in (0.0, -math.inf) and operator.high == math.inf",
        new="True",
        check=_EQUALISATION,
    ),
    Mutant(
        name="equalisation-of-what-others-read",
        file="compiler/quantise/equalisation.py",
        old="if len(readers) != 1 or value in function.results:",
        new="if not readers:",
        check=_EQUALISATION,
    ),
    Mutant(
        name="equalisation-of-weights-as-they-were",
        file="compiler/quantise/equalisation.py",
        old="found = [changes.get(layer, {}).get(place) for place in (1, 2)]",
        new="found = [None, None]",
        check=_EQUALISATION,
    ),
    Mutant(
        name="correction-to-the-wrong-side",
        file="compiler/quantise/correction.py",
        old="before - mean",
        new="before + mean",
        check=_CORRECTION,
    ),
    Mutant(
        name="calibration-sums-of-the-last-samples",
        file="compiler/quantise/calibration.py",
        old="self.sums.get(value, 0.0) + total(",
        new="total(",
        check=_CALIBRATION,
    ),
    Mutant(
        name="noise-of-a-layer-behind-which-nothing-changes",
        file="compiler/network/layer_noise.py",
        old="changed = {**values, layer.value: layer.run(values)}",
        new="changed = dict(values)",
        check=_LAYER_NOISE,
    ),
    Mutant(
        name="noise-of-layers-of-a-single-result",
        file="compiler/network/layer_noise.py",
        old="sums[value] = sums[value][0] + lost, sums[value][1] + all_",
        new="sums[value] = lost, 1.0",
        check=_LAYER_NOISE,
    ),
    Mutant(
        name="budget-of-the-quietest-layers",
        file="compiler/network/mixed.py",
        old="key=lambda each: (-each.alone, each.macs)",
        new="key=lambda each: (each.alone, each.macs)",
        check=_BUDGET,
    ),
    Mutant(
        name="budget-that-is-not-searched-back",
        file="compiler/network/mixed.py",
        old="while high - low > 1:",
        new="while False:",
        check=_BUDGET,
    ),
    Mutant(
        name="budget-that-a-wrong-answer-is-within",
        file="compiler/network/budget.py",
        old="1 - agreement.same_share <= self.most_other",
        new="agreement.same_share >= self.most_other",
        check=_BUDGET,
    ),
    Mutant(
        name="budget-that-leaves-nothing-in-floats",
        file="compiler/network/quantised.py",
        old="return with_floats(layers_in_floats(layers, budget, before, measure))",
        new="return whole",
        check=suite("compiler/network/test_quantised.py"),
    ),
    Mutant(
        name="range-of-the-last-data",
        file="compiler/quantise/range_method.py",
        old="max(self.high, other.high)",
        new="self.high",
        check=_CALIBRATION,
    ),
    Mutant(
        name="budget-answers-along-one-axis-alone",
        file="compiler/network/budget.py",
        old="axis=-1 if array.ndim <= _SEQUENCE_RANK else 1",
        new="axis=1",
        check=_BUDGET,
    ),
    Mutant(
        name="budget-the-best-output-counts",
        file="compiler/network/budget.py",
        old="np.minimum.reduce(same)",
        new="np.maximum.reduce(same)",
        check=_BUDGET,
    ),
    Mutant(
        name="importer-forgets-the-numbers-of-sizes",
        file="compiler/frontend/onnx/importer.py",
        old="return self.sizes.get(str(size), size)",
        new="return size",
        check=_IMPORTER,
    ),
)
