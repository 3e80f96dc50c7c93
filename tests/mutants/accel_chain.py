"""Mistakes in chains of layers: their loops, order, banks, and which layers they are made of."""

from tests.mutants.mutant import Mutant, suite

_ACCEL = "compiler/targets/accel"
_CHAIN = suite(f"{_ACCEL}/test_chain.py")

MUTANTS = (
    Mutant(
        name="chain-tasks-in-the-order-of-the-program",
        file=f"{_ACCEL}/enumerate.py",
        old="return [task for _, task in sorted(placed, key=itemgetter(0))]",
        new="return [task for _, task in placed]",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-fills-that-are-empty",
        file=f"{_ACCEL}/enumerate.py",
        old="        if not self.is_empty(environment.variables):\n            yield",
        new="        if True:\n            yield",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-loads-of-stages-forgotten",
        file=f"{_ACCEL}/enumerate.py",
        old="case _Allocation(body=body) | _Stage(body=body):",
        new="case _Allocation(body=body):",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-products-first-in-a-step",
        file=f"{_ACCEL}/operator/chain_schedule.py",
        old='    offsets |= {"weights": 0, "vectors": 0}\n',
        new='    offsets |= {"weights": 0, "vectors": 0, "sums": lag + 1}\n',
        check=_CHAIN,
    ),
    Mutant(
        name="chain-filled-with-the-wrong-zero-point",
        file=f"{_ACCEL}/chain.py",
        old="fill=_convolution(middle).input_zero_point",
        new="fill=_convolution(middle).zero_point",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-of-what-others-read",
        file=f"{_ACCEL}/chain.py",
        old="len(function.consumers.get(value, ())) == 1 and value not in function.results",
        new="value not in function.results",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-of-layers-with-schedules",
        file=f"{_ACCEL}/chain.py",
        old=" and unit.name not in scheduled for unit in members",
        new=" for unit in members",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-taps-of-a-kernel-turned",
        file=f"{_ACCEL}/operator/chain_nest.py",
        old="first + ky * columns + kx",
        new="first + kx * rows + ky",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-bias-of-the-expansion-twice",
        file=f"{_ACCEL}/operator/chain_nest.py",
        old="first=bias",
        new="first=0",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-of-one-buffer-too-little",
        file=f"{_ACCEL}/cost/chain.py",
        old="                filtered=2,\n",
        new="                filtered=1,\n",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-model-without-the-array",
        file=f"{_ACCEL}/cost/chain_model.py",
        old="self._stream = max(begin + self._config.rows, self._stream + gap) + tiles * period",
        new="self._stream = max(begin + self._config.rows, self._stream + gap) + period",
        check=_CHAIN,
    ),
)
"""Each makes other bytes, another order, or another choice."""
