"""Mistakes in chains of layers: loops, order, banks, spaces, prices, and which layers they are made of."""

from tests.mutants.mutant import Mutant, suite

_ACCEL = "compiler/targets/accel"
_CHAIN = suite(f"{_ACCEL}/test_chain.py")
_SPACE = suite(f"{_ACCEL}/test_chain_space.py")
_HARDWARE_COST = suite("api/test_hardware_cost.py")

MUTANTS = (
    Mutant(
        name="chain-tasks-in-the-order-of-the-program",
        file=f"{_ACCEL}/issue.py",
        old="return tasks.taken(np.lexsort([key[tasks.place] for key in self._places()]))",
        new="return tasks",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-fills-that-are-empty",
        file=f"{_ACCEL}/intrinsic/nest.py",
        old="np.broadcast_to(extent > 0, rows.count)",
        new="np.broadcast_to(extent > -1, rows.count)",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-loads-of-stages-forgotten",
        file=f"{_ACCEL}/step.py",
        old="case AllocateStep(body=body) | StageStep(body=body):",
        new="case AllocateStep(body=body):",
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
        file=f"{_ACCEL}/cost/chain_room.py",
        old="                filtered=2,\n",
        new="                filtered=1,\n",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-model-without-the-array",
        file=f"{_ACCEL}/cost/chain_model.py",
        old="stream = max(begin + rows, stream + gap) + busy",
        new="stream = max(begin + rows, stream + gap) + period",
        check=_CHAIN,
    ),
    Mutant(
        name="chain-tiles-with-the-room-of-others",
        file=f"{_ACCEL}/cost/chain_room.py",
        old="known[places] = [answers[row] for row in rows]",
        new="known[places] = [answers[row] for row in reversed(rows)]",
        check=_SPACE,
    ),
    Mutant(
        name="chain-with-more-slots-than-instances",
        file=f"{_ACCEL}/cost/chain_room.py",
        old="np.minimum(buffer.count[places], depth) for",
        new="np.full(len(places), depth) for",
        check=_SPACE,
    ),
    Mutant(
        name="chain-estimated-by-kinds-of-tiles-once",
        file=f"{_ACCEL}/cost/chain_bound.py",
        old="found: Numbers = (cycles * count)",
        new="found: Numbers = (cycles * (count > 0))",
        check=_SPACE,
    ),
    Mutant(
        name="chain-likely-by-all-that-is-modelled",
        file=f"{_ACCEL}/cost/chain_model.py",
        old="sum(closed[first:modelled])",
        new="sum(closed[:modelled])",
        check=_SPACE,
    ),
    Mutant(
        name="chain-that-fits-first",
        file=f"{_ACCEL}/chain_tiling.py",
        old="inf if best is None else best.cycles - 1",
        new="inf if best is None else 0",
        check=_SPACE,
    ),
    Mutant(
        name="chain-model-that-ends-too-early",
        file=f"{_ACCEL}/cost/chain_model.py",
        old="left = self._chain.blocks - 1 - block",
        new="left = self._chain.blocks - block",
        check=_SPACE,
    ),
    Mutant(
        name="chain-of-accumulators-that-make-a-difference",
        file=f"{_ACCEL}/cost/relevant.py",
        old='"accumulator_vectors": 2 * (chain.out_blocks * results + seen)',
        new='"accumulator_vectors": chain.out_blocks * results // 8',
        check=_SPACE,
    ),
    Mutant(
        name="chain-bytes-of-kept-weights-each-time",
        file=f"{_ACCEL}/cost/chain_bound.py",
        old="1 if getattr(depths, name) >= count else tiles",
        new="tiles",
        check=_SPACE,
    ),
    Mutant(
        name="machines-priced-layer-by-layer",
        file="api/hardware_cost.py",
        old="chained = with_chains(legal, config, (), lambda tunable: self._cost(tunable).cycles)",
        new="chained = legal",
        check=_HARDWARE_COST,
    ),
    Mutant(
        name="chain-that-does-not-fit-asked-for-again",
        file="api/hardware_cost.py",
        old="found = self._known[key] = self._found(tunable)",
        new="found = self._found(tunable)",
        check=_HARDWARE_COST,
    ),
    Mutant(
        name="chains-left-out-of-tuning",
        file="api/accel_task.py",
        old="for unit in network.layers:",
        new="for unit in (unit for unit in network.layers if not unit.before):",
        check=suite("api/test_tuning.py::test_a_chain_is_a_layer_like_any_other"),
    ),
)
"""Each makes other bytes, another order, another choice, or another price."""
