"""Mistakes in how attention becomes integers."""

from tests.mutants.mutant import Mutant, suite

_ATTENTION = suite("compiler/network/test_attention.py")
_EXCHANGE = suite("compiler/quantise/test_exchanged_keys.py")
_PARTS = suite("compiler/ops/nn/test_parted_softmax.py")
_KEY_BIAS = suite("compiler/passes/test_drop_key_bias.py")
_PART_SOFTMAX = suite("compiler/passes/test_part_softmax.py")
_PARTITION = suite("compiler/partition/test_partition.py")

MUTANTS = (
    Mutant(
        name="attention-fine-part-left-out",
        file="compiler/ops/nn/parted_softmax.py",
        old="fine = e.mul(b, e.sub(b, steps, coarse), float(FINE_UNITS / COARSE_STEPS))",
        new="fine = e.mul(b, e.sub(b, steps, steps), float(FINE_UNITS / COARSE_STEPS))",
        check=_PARTS,
    ),
    Mutant(
        name="attention-fine-part-of-another-unit",
        file="compiler/quantise/lower_product.py",
        old="fine_scale=int(scale_words(1 / (FINE_UNITS * factor), INT8_MAXIMUM))",
        new="fine_scale=int(scale_words(1 / FINE_UNITS, INT8_MAXIMUM))",
        check=_ATTENTION,
    ),
    Mutant(
        name="attention-parts-of-calibrated-scale",
        file="compiler/quantise/insertion.py",
        old="found[product.operands[0]] = PART_PARAMETERS",
        new="found[product.operands[0]] = QuantParams(1.0, 0)",
        check=_ATTENTION,
    ),
    Mutant(
        name="attention-softmax-that-others-read-in-parts",
        file="compiler/passes/part_softmax.py",
        old="return value not in self.function.results and len(self.function.consumers.get(value, ())) == 1",
        new="return True",
        check=_PART_SOFTMAX,
    ),
    Mutant(
        name="attention-softmax-of-any-axis-in-parts",
        file="compiler/passes/part_softmax.py",
        old="isinstance(operator, Softmax) and operator.axis == tensor.rank - 1",
        new="isinstance(operator, Softmax)",
        check=_PART_SOFTMAX,
    ),
    Mutant(
        name="attention-any-bias-of-keys-dropped",
        file="compiler/passes/drop_key_bias.py",
        old="return bool((constant == constant.take([0], axis)).all())",
        new="return True",
        check=_KEY_BIAS,
    ),
    Mutant(
        name="attention-bias-of-scaled-keys-dropped",
        file="compiler/passes/drop_key_bias.py",
        old="if factor is None or not (factor == factor.reshape(-1)[0]).all():",
        new="if factor is None:",
        check=_KEY_BIAS,
    ),
    Mutant(
        name="attention-balance-of-keys-alone",
        file="compiler/quantise/head_balance.py",
        old="return {**one.times(factors), **other.times(1 / factors)}",
        new="return {**other.times(1 / factors)}",
        check=suite("compiler/quantise/test_head_balance.py"),
    ),
    Mutant(
        name="attention-balance-without-the-bias",
        file="compiler/quantise/head_balance.py",
        old="found[self.layer.repeated] = {0: self.layer.bias * own}",
        new="found[self.layer.repeated] = {0: self.layer.bias}",
        check=suite("compiler/quantise/test_head_balance.py"),
    ),
    Mutant(
        name="attention-no-second-form",
        file="compiler/network/split.py",
        old="if further := _parted_products(quantiser.one.function, refused) - plain:",
        new="if further := frozenset[str]():",
        check=_ATTENTION,
    ),
    Mutant(
        name="attention-parts-that-overlap",
        file="compiler/passes/part_linear.py",
        old="apart = all(one[1] <= other[0] for one, other in pairwise(sorted(spans)))",
        new="apart = True",
        check=suite("compiler/passes/test_part_linear.py"),
    ),
    Mutant(
        name="attention-parts-of-the-first-columns",
        file="compiler/passes/part_linear.py",
        old="weight = linear.weight.take(range(first, last), linear.axis)",
        new="weight = linear.weight.take(range(last - first), linear.axis)",
        check=suite("compiler/passes/test_part_linear.py"),
    ),
    Mutant(
        name="attention-keys-that-others-read-exchanged",
        file="compiler/quantise/recognise_product.py",
        old="while r.is_read_once(value):",
        new="while True:",
        check=_EXCHANGE,
    ),
    Mutant(
        name="attention-input-symmetric-for-all",
        file="compiler/quantise/insertion.py",
        old="**self.symmetric_inputs} if self.is_symmetric(equation) else self.inputs",
        new="**self.symmetric_inputs}",
        check=_EXCHANGE,
    ),
    Mutant(
        name="attention-mask-in-integers-alone",
        file="compiler/partition/assign.py",
        old="    sides = _without_idle_chains(dependence, offered, sides, free, trials)\n",
        new="",
        check=_PARTITION,
    ),
)
