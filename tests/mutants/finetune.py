"""Mistakes in training for integers, and in writing what was trained."""

from tests.mutants.mutant import Mutant, suite

_FAKE = suite("compiler/ops/test_fake_quantise.py")
_PRODUCT = suite("compiler/ops/test_product.py")
_OPTIMISER = suite("compiler/training/test_optimiser.py")
_NETWORK = suite("compiler/finetune/test_network.py")
_EXPORT = suite("compiler/frontend/export/test_model.py")
_BORDER = suite("compiler/network/test_border.py")

MUTANTS = (
    Mutant(
        name="fake-gradient-that-passes-outside",
        file="compiler/ops/nn/fake_quantise.py",
        old="passed = e.select(b, inside, cotangent, e.zeros_like(b, x))",
        new="passed = cotangent",
        check=_FAKE,
    ),
    Mutant(
        name="fake-scale-without-the-limits",
        file="compiler/ops/nn/fake_quantise.py",
        old="e.select(b, inside, steps, 0.0))",
        new="steps)",
        check=_FAKE,
    ),
    Mutant(
        name="fake-scale-of-unscaled-gradient",
        file="compiler/ops/nn/fake_quantise.py",
        old="return e.mul(b, total, float((elements * max(-self.low, self.high)) ** -0.5))",
        new="return total",
        check=_FAKE,
    ),
    Mutant(
        name="fake-rounding-behind-the-limits",
        file="compiler/ops/nn/fake_quantise.py",
        old="rounded = e.round(b, e.div(b, x, scale))",
        new="rounded = e.floor(b, e.add(b, e.div(b, x, scale), 0.5))",
        check=_FAKE,
    ),
    Mutant(
        name="product-defined-without-its-factor",
        file="compiler/ops/nn/product.py",
        old="e.transpose(b, e.mul(b, rows, self.factor), (0, 3, 1, 2))",
        new="e.transpose(b, rows, (0, 3, 1, 2))",
        check=_PRODUCT,
    ),
    Mutant(
        name="units-of-the-rate-alone",
        file="compiler/training/optimiser.py",
        old="return self.adam.step(b, weight, scaled, moments, e.mul(b, rate, unit), number)",
        new="return self.adam.step(b, weight, scaled, moments, rate, number)",
        check=_OPTIMISER,
    ),
    Mutant(
        name="scales-that-leave-their-limits",
        file="compiler/training/optimiser.py",
        old="return e.maximum(b, e.minimum(b, moved, b.constant(self.high)), b.constant(self.low)), after",
        new="return moved, after",
        check=_OPTIMISER,
    ),
    Mutant(
        name="noise-of-the-first-result",
        file="compiler/training/loss.py",
        old="    for share in shares[1:]:\n        total = e.add(b, total, share)\n",
        new="",
        check=_OPTIMISER,
    ),
    Mutant(
        name="trained-limits-without-the-zero-point",
        file="compiler/finetune/part.py",
        old="low, high = (limit - parameters.zero_point for limit in (INT8_MINIMUM, INT8_MAXIMUM))",
        new="low, high = INT8_MINIMUM, INT8_MAXIMUM",
        check=_NETWORK,
    ),
    Mutant(
        name="trained-scales-that-stay-behind",
        file="compiler/finetune/part.py",
        old="scale = b.constant(scales[parameters])",
        new="scale = b.constant(np.float32(parameters.scale))",
        check=_NETWORK,
    ),
    Mutant(
        name="trained-weights-without-fake-quantisation",
        file="compiler/finetune/part.py",
        old="return fake_quantise(b, weight, scale, -WEIGHT_MAXIMUM, WEIGHT_MAXIMUM), bias",
        new="return weight, bias",
        check=_NETWORK,
    ),
    Mutant(
        name="trained-biases-in-units-of-the-weights",
        file="compiler/finetune/part.py",
        old="sums = np.rint(bias / unit).astype(np.int32)",
        new="sums = np.rint(bias / scale.reshape(-1)).astype(np.int32)",
        check=_NETWORK,
    ),
    Mutant(
        name="trained-host-kernels-with-the-batch-of-one",
        file="compiler/finetune/network.py",
        old="        if batch != first:\n",
        new="        if False:\n",
        check=_NETWORK,
    ),
    Mutant(
        name="written-pads-behind-before",
        file="compiler/frontend/export/move.py",
        old="pads = (*equation.operator.low, *equation.operator.high)",
        new="pads = (*equation.operator.high, *equation.operator.low)",
        check=_EXPORT,
    ),
    Mutant(
        name="written-scales-along-another-axis",
        file="compiler/frontend/export/pointwise.py",
        old="axis = axes[0] + x.type.rank - array.ndim",
        new="axis = axes[0] + x.type.rank - array.ndim + 1",
        check=_EXPORT,
    ),
    Mutant(
        name="written-results-once",
        file="compiler/frontend/export/model.py",
        old="if not made or writer.names[value] in outputs:",
        new="if not made:",
        check=_EXPORT,
    ),
    Mutant(
        name="border-in-other-scales",
        file="compiler/network/border.py",
        old="    scale, zero = constants\n",
        new="    scale, zero = constants[0], source.producers.get(before.operands[0])\n",
        check=_BORDER,
    ),
    Mutant(
        name="border-that-is-not-quantised",
        file="compiler/network/border.py",
        old="    if not added:\n",
        new="    if True:\n",
        check=_BORDER,
    ),
    Mutant(
        name="finetune-keeps-the-last-epoch",
        file="api/finetune.py",
        old="is_best = self.best is None or judgement.loss < self.best.loss",
        new="is_best = True",
        check=suite("api/test_finetune.py::test_the_best_epoch_is_kept"),
    ),
    Mutant(
        name="finetune-resumes-without-the-best",
        file="api/finetune.py",
        old='self.epoch, best = int(told["epoch"]), dict(told["best"])',
        new='self.epoch, best = 0, dict(told["best"])',
        check=suite("api/test_finetune.py::test_what_was_ended_goes_on_to_the_same_weights"),
    ),
    Mutant(
        name="finetune-checkpoint-of-any-data",
        file="api/finetune.py",
        old="for array in (*self._start, *self._data.all, *self._judge.all):",
        new="for array in self._start:",
        check=suite("api/test_finetune.py::test_a_checkpoint_of_something_else_is_refused"),
    ),
    Mutant(
        name="finetune-judged-by-what-is-trained-on",
        file="api/finetune.py",
        old="found = self._batched(self._floats, self._judge, ())",
        new="found = self._batched(self._floats, self._data, ())",
        check=suite("api/test_finetune.py::test_integers_of_held_out_samples_come_nearer"),
    ),
    Mutant(
        name="finetune-without-time",
        file="api/finetune.py",
        old="if minutes is not None and time.monotonic() - begun > 60 * minutes:",
        new="if False:",
        check=suite("api/test_finetune.py::test_time_that_is_over_begins_no_epoch"),
    ),
    Mutant(
        name="finetune-loses-what-was-ended",
        file="cli/finetune.py",
        old="    except KeyboardInterrupt:\n        note(",
        new="    except ZeroDivisionError:\n        note(",
        check=suite("cli/test_finetune.py::test_what_ctrl_c_ended_is_written_and_goes_on_to_the_same_file"),
    ),
)
