"""Chains of layers on the chip: the bytes of the layers one by one, in fewer cycles."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import POINT
from tilewright.compiler.schedule import Pipeline, Split, apply
from tilewright.compiler.targets.accel.chain import with_chains
from tilewright.compiler.targets.accel.chain_tiling import choose_chain
from tilewright.compiler.targets.accel.compile import LayerError, compile_function
from tilewright.compiler.targets.accel.cost.chain import LAGS
from tilewright.compiler.targets.accel.cost.chain_room import ChainRoom
from tilewright.compiler.targets.accel.cost.chain_space import ChainSpace
from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.layer_schedule import (
    LayerPart,
    default_schedules,
    legal_network,
    lowered_parts,
    parse_schedules,
    print_schedules,
)
from tilewright.compiler.targets.accel.operator.chain_schedule import chain_schedule
from tilewright.compiler.targets.accel.tensorise import limits_of, tensorise
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import PRESETS
from tilewright.isa.memory import Engine
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.runtime.device import Environment
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

REFERENCE, TINY, NARROW = PRESETS["reference"], PRESETS["tiny"], PRESETS["ecp5-85f"]
SLIDING = replace(REFERENCE, vector_taps=3)
STARVED = replace(
    REFERENCE, activation_vectors=256, weight_vectors=512, accumulator_vectors=128, parameter_vectors=64
)
NAMES = ("expand", "filter", "project")
CHAIN = LayerPart(" + ".join(NAMES))


@dataclass(frozen=True)
class Block:
    """Sizes of a block; what lies around it in the network."""

    inputs: int
    middle: int
    outputs: int
    size: tuple[int, int]
    kernel: int = 3
    stride: int = 1
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    dilation: int = 1
    residual: bool = False
    expands: bool = True

    @property
    def part(self):
        return CHAIN if self.expands else LayerPart(" + ".join(NAMES[1:]))

    def network(self, *, further=(), outputs=("y",)):
        """The block between quantisation and dequantisation, with clamps that some results reach."""
        rng = np.random.default_rng(7)
        middle = self.middle if self.expands else self.inputs
        constants = {
            **convolution(rng, "e", (middle, self.inputs, 1, 1)),
            **convolution(rng, "f", (middle, 1, self.kernel, self.kernel)),
            **convolution(rng, "p", (self.outputs, middle, 1, 1)),
            "p factor": np.full(self.outputs, 900, np.int16),
        }
        depthwise = QConv2d((self.stride,) * 2, self.pads, (self.dilation,) * 2, middle, -9, -4, -30, 90)
        point = QConv2d((1, 1), (0,) * 4, (1, 1), 1, 3, -9, -60, 100)
        project = replace(point, input_zero_point=-4, zero_point=2, lo=-128, hi=127, residual=self.residual)
        before = (Node("expand", point, ("q", "e", "e bias", "e scale"), "wide"),) if self.expands else ()
        read = ("s", "p", "p bias", "p scale", *(("q", "p factor") if self.residual else ()))
        return network(
            inputs={"x": (1, self.inputs, *self.size)},
            nodes=(
                Node("quantise", Quantise(0.1, 3), ("x",), "q"),
                *before,
                Node("filter", depthwise, ("wide" if self.expands else "q", "f", "f bias", "f scale"), "s"),
                Node("project", project, read, "r"),
                Node("dequantise", Dequantise(0.1, 2), ("r",), "y"),
                *further,
            ),
            outputs=outputs,
            constants=constants,
        )

    def given(self):
        return {"x": np.random.default_rng(2).normal(0, 5, (1, self.inputs, *self.size)).astype(np.float32)}


def convolution(rng, name, shape):
    """Weights that differ in every tap, and scales by which results fill their range."""
    factors = rng.uniform(0.01, 0.02, shape[0]) / np.sqrt(np.prod(shape[1:]))
    words = np.array([int(pack_scale(*quantise_multiplier(factor))) for factor in factors])
    return {
        name: rng.integers(-127, 128, shape).astype(np.int8),
        f"{name} bias": rng.integers(-3000, 3000, shape[0]).astype(np.int32),
        f"{name} scale": words.astype(np.int32),
    }


WIDE = Block(32, 192, 32, (14, 14))
BLOCKS = {
    "plain": Block(20, 40, 12, (9, 7)),
    "residual": Block(12, 24, 12, (8, 9), residual=True),
    "strided": Block(8, 20, 24, (9, 10), stride=2),
    "wide kernel": Block(8, 12, 8, (9, 9), kernel=5, stride=2, pads=(2, 2, 2, 2)),
    "one side": Block(8, 12, 8, (8, 8), stride=2, pads=(0, 0, 1, 1)),
    "no border": Block(8, 12, 8, (8, 7), pads=(0, 0, 0, 0)),
    "dilated": Block(8, 12, 8, (9, 8), dilation=2, pads=(2, 2, 2, 2)),
    "much border": Block(4, 8, 4, (4, 3), pads=(5, 1, 4, 6)),
    "no expansion": Block(24, 24, 12, (9, 8), stride=2, expands=False),
    "no expansion, residual": Block(12, 12, 12, (7, 8), residual=True, expands=False),
}


def tiling(block, config, height, width, lag):
    """The deepest of these sizes."""
    (_, lowered), *_ = chained(block, config)
    found = ChainSpace(chain=lowered.tunable.chain, config=config).deepest(height, width, lag)
    assert found is not None
    return found


def chained(block, config):
    """The parts of the network whose layers are a chain."""
    network = with_chains(legal_network(block.network(), config), config, {block.part.layer})
    return [part for unit in network.layers for part in lowered_parts(network, unit, config)]


def answer(block, config, schedule, device=None):
    """The run of a chain with a schedule: its bytes must be those of the interpreter."""
    named = block.network()
    model = compile_function(named, config, schedules={block.part: schedule})
    assert [layer.name for layer in model.layers] == [block.part.layer]
    result = ModelRunner(model, device or SimDevice(config)).run(block.given())
    expected = named.run(block.given())["y"]
    assert np.array_equal(result.outputs["y"], expected)
    assert len(np.unique(expected)) > 20
    return result


# --- bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BLOCKS)
def test_a_chain_has_the_bytes_of_its_layers(case):
    block = BLOCKS[case]
    for lag, (height, width) in zip(LAGS, ((2, 3), (5, 2)), strict=True):
        answer(block, TINY, chain_schedule(tiling(block, TINY, height, width, lag)))


def test_one_tile_may_be_all():
    block = replace(BLOCKS["residual"], size=(5, 4))
    for lag in LAGS:
        answer(block, TINY, chain_schedule(tiling(block, TINY, 5, 4, lag)))


@pytest.mark.parametrize("config", [REFERENCE, NARROW, STARVED], ids=["16x16", "8x16", "starved"])
@pytest.mark.parametrize("case", ["residual", "strided", "no expansion"])
def test_on_other_machines_too(case, config):
    answer(BLOCKS[case], config, chain_schedule(tiling(BLOCKS[case], config, 3, 4, 1)))


@pytest.mark.slow
def test_gates_are_the_simulator():
    if find_toolchain() is None:
        pytest.skip("there is no Verilator")
    block = BLOCKS["residual"]
    schedule = chain_schedule(tiling(block, TINY, 4, 5, 1))
    simulated, gates = (answer(block, TINY, schedule, each(TINY)) for each in (SimDevice, RtlDevice))
    assert simulated.cycles == gates.cycles


def test_a_chain_may_end_in_a_pooling_of_another_layer():
    """What reads the result is no part of the chain."""
    further = (
        Node("pool", QMaxPool2d(POINT), ("r",), "again"),
        Node("dequantise again", Dequantise(0.1, 2), ("again",), "z"),
    )
    named = WIDE.network(further=further, outputs=("y", "z"))
    model = compile_function(named, REFERENCE)
    assert model.layers[0].name == CHAIN.layer
    result = ModelRunner(model, SimDevice(REFERENCE)).run(WIDE.given())
    expected = named.run(WIDE.given())
    assert all(np.array_equal(result.outputs[name], expected[name]) for name in "yz")


# --- order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", LAGS)
def test_what_waits_for_nothing_is_dispatched_before_products_that_wait(lag):
    """Queues are short: products of a block before the filter of the next one would keep that waiting."""
    (_, lowered), *_ = chained(WIDE, REFERENCE)
    chosen = tiling(WIDE, REFERENCE, 7, 14, lag)
    function = tensorise(apply(lowered.function, chain_schedule(chosen)), limits_of(REFERENCE))
    work = enumerated(function, "chain", REFERENCE).tasks()
    engine = {name: [] for name in ("expanded", "filtered", "sums")}
    for position, task in enumerate(work):
        written = task.operands.get("accumulator") or task.operands.get("destination")
        if written is not None and written.buffer.name in engine:
            engine[written.buffer.name].append(position)
    blocks, out = lowered.tunable.chain.blocks, lowered.tunable.chain.out_blocks
    products = engine["sums"][::out]
    for step in range(blocks - lag - 1):
        assert engine["filtered"][step + 1] < products[step] < engine["filtered"][step + 2]
        assert engine["expanded"][step + lag + 1] < products[step]
    # The next tile begins before the last products of the one before it.
    assert engine["expanded"][blocks] < products[blocks - 1]


def test_a_step_begins_with_its_loads():
    (_, lowered), *_ = chained(WIDE, REFERENCE)
    schedule = chain_schedule(tiling(WIDE, REFERENCE, 14, 14, 1))
    work = enumerated(
        tensorise(apply(lowered.function, schedule), limits_of(REFERENCE)), "chain", REFERENCE
    ).tasks()
    engines = [task.engine for task in work[: work.index(next(t for t in work if t.engine is Engine.STORE))]]
    changes = sum(a is not Engine.LOAD and b is Engine.LOAD for a, b in pairwise(engines))
    # The first step begins with them, and then each of the others, and the results.
    assert changes <= lowered.tunable.chain.blocks + 1


def test_where_nothing_lies_outside_nothing_is_filled():
    """Of nine tiles one has no border: its fills are no tasks."""
    block = replace(WIDE, size=(12, 12))
    (_, lowered), *_ = chained(block, REFERENCE)
    schedule = chain_schedule(tiling(block, REFERENCE, 4, 4, 0))
    work = enumerated(
        tensorise(apply(lowered.function, schedule), limits_of(REFERENCE)), "chain", REFERENCE
    ).tasks()
    fills = [task for task in work if task.engine is Engine.LOAD and task.memory is None]
    assert len(fills) == 8 * lowered.tunable.chain.blocks


# --- which layers ------------------------------------------------------------------------------------------


def names(named, config=REFERENCE, **options):
    return [layer.name for layer in compile_function(named, config, **options).layers]


def test_layers_are_a_chain_where_that_is_faster():
    assert names(WIDE.network()) == [CHAIN.layer]
    assert [layer.operator for layer in compile_function(WIDE.network(), REFERENCE).layers] == ["chain"]
    apart = default_schedules(WIDE.network(), REFERENCE, given=dict.fromkeys([LayerPart("filter")], ()))
    assert [part.layer for part in apart] == list(NAMES)

    def cycles(schedules):
        model = compile_function(WIDE.network(), REFERENCE, schedules=schedules)
        assert model.layers[-1].macs + sum(layer.macs for layer in model.layers[:-1]) == macs
        return ModelRunner(model, SimDevice(REFERENCE)).run(WIDE.given()).cycles

    macs = sum(layer.macs for layer in compile_function(WIDE.network(), REFERENCE).layers)
    assert cycles({}) < 0.9 * cycles(apart)


@pytest.mark.parametrize("read", ["wide", "s"])
def test_what_others_read_is_no_chain(read):
    again = Node("again", QMaxPool2d(POINT), (read,), "a")
    back = Node("back", Dequantise(0.1, 0), ("a",), "z")
    found = names(WIDE.network(further=(again, back), outputs=("y", "z")))
    # Without an expansion, the depthwise convolution and the projection still may be one.
    assert CHAIN.layer not in found
    assert (" + ".join(NAMES[1:]) in found) == (read == "wide")


def test_what_is_handed_back_is_no_chain():
    back = Node("back", Dequantise(0.1, 0), ("s",), "z")
    assert CHAIN.layer not in names(WIDE.network(further=(back,), outputs=("y", "z")))


def test_where_no_tile_fits_layers_run_one_by_one():
    small = replace(STARVED, accumulator_vectors=16, activation_vectors=64)
    (_, lowered), *_ = chained(WIDE, REFERENCE)
    with pytest.raises(TilingError, match="run its layers one by one"):
        choose_chain(replace(lowered.tunable.chain, out_blocks=20), small)
    wide = replace(WIDE, outputs=320)
    assert names(wide.network(), small) == list(NAMES)


@pytest.mark.parametrize("config", [TINY, STARVED, NARROW], ids=["tiny", "starved", "8x16"])
@pytest.mark.parametrize("case", ["residual", "no expansion"])
def test_what_is_said_to_fit_fits(case, config):
    """With the same search of banks as placement: what it refuses is never chosen."""
    block = replace(BLOCKS[case], size=(14, 12))
    (_, lowered), *_ = chained(block, config)
    chain = lowered.tunable.chain
    room = ChainRoom(chain, config)
    sizes = list(zip(*(each.tolist() for each in room.sizes_tried()), strict=True))
    assert sizes
    for height, width in sizes[:: max(1, len(sizes) // 4)]:
        for lag in LAGS:
            if room.deepest(height, width, lag) is not None:
                schedule = chain_schedule(tiling(block, config, height, width, lag))
                compile_function(block.network(), config, schedules={block.part: schedule})


# --- schedules ---------------------------------------------------------------------------------------------


def test_the_schedule_of_a_chain_is_a_section_of_its_own():
    defaults = default_schedules(WIDE.network(), REFERENCE)
    assert list(defaults) == [CHAIN]
    text = print_schedules(defaults)
    assert text.startswith('layer "expand + filter + project"\n')
    assert parse_schedules(text) == defaults
    replayed = compile_function(WIDE.network(), REFERENCE, schedules=parse_schedules(text))
    plain = compile_function(WIDE.network(), REFERENCE)
    assert replayed.to_executable().to_bytes() == plain.to_executable().to_bytes()


def test_a_changed_schedule_keeps_the_bytes():
    schedule = chain_schedule(tiling(WIDE, REFERENCE, 7, 14, 1))
    lower = tuple(
        replace(step, factor=5) if isinstance(step, Split) and step.loop == "tile_y" else step
        for step in schedule
    )
    slow = tuple(
        replace(step, offsets=(0,) * len(step.offsets), drain=0, stages=in_order(step.stages))
        if isinstance(step, Pipeline)
        else step
        for step in schedule
    )
    cycles = [answer(WIDE, REFERENCE, each).cycles for each in (schedule, lower, slow)]
    assert cycles[2] > 1.3 * cycles[0]
    assert len(set(cycles)) == 3


def in_order(stages):
    """As the loops have them."""
    order = ("expand_weights", "weights", "vectors", "expanded", "padded_fill", "padded", "filtered", "sums")
    return tuple(name for name in order if name in stages)


def test_a_layer_with_a_schedule_of_its_own_is_in_no_chain():
    own = default_schedules(WIDE.network(), REFERENCE, given=dict.fromkeys([LayerPart("filter")], ()))
    given = {LayerPart("filter"): own[LayerPart("filter")]}
    assert names(WIDE.network(), schedules=given) == list(NAMES)
    with pytest.raises(LayerError, match="schedules must be of the layers 'expand', 'filter', 'project'"):
        names(WIDE.network(), schedules={**given, CHAIN: ()})


# --- the model ---------------------------------------------------------------------------------------------

MODELLED = {
    "vector": Block(32, 192, 32, (28, 28)),
    "array": Block(96, 192, 96, (14, 14), residual=True),
    "strided": Block(16, 96, 24, (56, 56), stride=2),
    "no expansion": Block(32, 32, 16, (56, 56), expands=False),
}


@pytest.mark.parametrize("case", MODELLED)
@pytest.mark.parametrize("config", [REFERENCE, NARROW, SLIDING], ids=["16x16", "8x16", "sliding"])
def test_the_event_model_takes_as_long_as_the_machine(case, config):
    block = MODELLED[case]
    (_, lowered), *_ = chained(block, config)
    chosen = choose_chain(lowered.tunable.chain, config, 16)
    model = compile_function(block.network(), config, schedules={block.part: chain_schedule(chosen)})
    runner = ModelRunner(model, SimDevice(config), Environment(latency=16))
    assert chosen.cycles == pytest.approx(runner.run(block.given()).cycles, rel=0.05)


def test_the_space_of_a_chain_holds_its_default():
    (_, lowered), *_ = chained(WIDE, REFERENCE)
    tilings, point = lowered.tunable.tilings(), lowered.default
    columns = tilings.space.columns(tilings.space.positions_of([point]))
    assert tilings.space.refuse(point) is None
    assert tilings.estimate(columns)[0] == pytest.approx(tilings.cycles(point), rel=0.2)
    assert tilings.features(columns).shape == (1, len(lowered.tunable.feature_names))
    busy = tilings.occupancy(point)
    assert max(busy.load, busy.matrix, busy.vector, busy.store) <= tilings.cycles(point)
    assert tilings.instructions(point) <= compile_function(WIDE.network(), REFERENCE).instructions


def blocks_in_a_row(count):
    """As many blocks, each of which reads what the one before made."""
    rng = np.random.default_rng(7)
    depthwise = QConv2d((1, 1), (1,) * 4, (1, 1), 24, -9, -4, -30, 90)
    expand = QConv2d((1, 1), (0,) * 4, (1, 1), 1, 3, -9, -60, 100)
    project = replace(expand, input_zero_point=-4, zero_point=3, lo=-128, hi=127)
    nodes, constants = [Node("quantise", Quantise(0.1, 3), ("x",), "r")], {}
    before = "r"
    for number in range(count):
        for letter, shape in (("e", (24, 12, 1, 1)), ("f", (24, 1, 3, 3)), ("p", (12, 24, 1, 1))):
            constants |= convolution(rng, f"{letter}{number}", shape)
        for letter, operator, name in zip("efp", (expand, depthwise, project), NAMES, strict=True):
            key = f"{letter}{number}"
            read = (before, key, f"{key} bias", f"{key} scale")
            nodes.append(Node(f"{name}{number}", operator, read, before := f"{key} result"))
    nodes.append(Node("dequantise", Dequantise(0.1, 3), (before,), "y"))
    return network({"x": (1, 12, 30, 22)}, tuple(nodes), ("y",), constants)


def test_what_a_chain_reads_stays_until_it_runs():
    named = blocks_in_a_row(3)
    parts = {f"{' + '.join(f'{name}{number}' for name in NAMES)}" for number in range(3)}
    chains = with_chains(legal_network(named, TINY), TINY, parts)
    assert {unit.name for unit in chains.layers} == parts
    schedules = {
        part: lowered.schedule
        for unit in chains.layers
        for part, lowered in lowered_parts(chains, unit, TINY)
    }
    model = compile_function(named, TINY, schedules=schedules)
    given = {"x": np.random.default_rng(2).normal(0, 5, (1, 12, 30, 22)).astype(np.float32)}
    expected = named.run(given)["y"]
    assert len(np.unique(expected)) > 20
    assert np.array_equal(ModelRunner(model, SimDevice(TINY)).run(given).outputs["y"], expected)
