"""Spaces of chains: many tilings at once are what each of them is by itself, and are looked at in no time."""

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tilewright.compiler.targets.accel import chain_tiling
from tilewright.compiler.targets.accel.bank import Demand, has_room, share
from tilewright.compiler.targets.accel.chain_tiling import choose_chain
from tilewright.compiler.targets.accel.cost.chain import LAGS, BlockedChain, tiles_of
from tilewright.compiler.targets.accel.cost.chain_bound import (
    chain_cycles,
    chain_occupancy,
    costs_of_tiles,
    instructions_of,
)
from tilewright.compiler.targets.accel.cost.chain_model import (
    chain_cycles_within,
    likely_chain_cycles,
    modelled_chain_cycles,
)
from tilewright.compiler.targets.accel.cost.chain_room import NO_ROOM, ChainRoom
from tilewright.compiler.targets.accel.cost.chain_space import ChainSpace
from tilewright.compiler.targets.accel.operator.tunable import TunableChain
from tilewright.isa.config import PRESETS
from tilewright.isa.memory import Engine, Memory

REFERENCE = PRESETS["reference"]
MACHINES = {
    "reference": REFERENCE,
    "zu3eg": PRESETS["zu3eg"],
    "8x16": PRESETS["ecp5-85f"],
    "quarter": replace(REFERENCE, activation_vectors=512, weight_vectors=2048, accumulator_vectors=256),
    "two banks": replace(REFERENCE, activation_banks=2),
    "eight banks": replace(REFERENCE, activation_banks=8, activation_vectors=256, accumulator_banks=4),
}
SQUARE = {"kernel": (3, 3), "strides": (1, 1), "before": (1, 1)}
CHAINS = {
    "residual": BlockedChain(
        in_blocks=2, blocks=9, out_blocks=2, source=(56, 56), size=(56, 56), residual=True, **SQUARE
    ),
    "strided": BlockedChain(
        in_blocks=2,
        blocks=9,
        out_blocks=2,
        source=(56, 40),
        size=(28, 20),
        kernel=(5, 3),
        strides=(2, 2),
        before=(2, 1),
    ),
    "no expansion": BlockedChain(
        in_blocks=2, blocks=2, out_blocks=1, source=(112, 112), size=(112, 112), expands=False, **SQUARE
    ),
    "many blocks": BlockedChain(
        in_blocks=10, blocks=60, out_blocks=10, source=(7, 7), size=(7, 7), residual=True, **SQUARE
    ),
    "far": BlockedChain(
        in_blocks=1,
        blocks=3,
        out_blocks=1,
        source=(11, 9),
        size=(13, 12),
        kernel=(3, 3),
        strides=(1, 1),
        dilations=(3, 2),
        before=(6, 5),
    ),
}
DEPTHS = (64, 256, 1024, 8192, 1 << 16, 1 << 18)
CASES = [(chain, machine) for chain in CHAINS for machine in MACHINES]


def drawn(space, count):
    """Columns of some points, whether they fit or not."""
    numbers = np.random.default_rng(3).permutation(space.size)[:count]
    return space.columns(space.positions(numbers))


def rows_of(columns):
    return zip(*(columns[name].tolist() for name in ("height", "width", "lag")), strict=True)


def alone(room, height, width, lag):
    """The first depths that fit, each memory asked with the whole search for the best banks."""
    if not room.may_fit(*np.array([[height], [width]]))[0]:
        return NO_ROOM
    buffers = room._buffers(*np.array([[height], [width]]))
    for number, depths in enumerate(room.depths(lag)):
        if all(placed(memory, buffers, depths, room.config) for memory in Memory):
            return number
    return NO_ROOM


def placed(memory, buffers, depths, config):
    own = [buffer for buffer in buffers if buffer.memory == memory]
    demands = [
        buffer.demand(int(buffer.vectors[0]), min(int(buffer.count[0]), getattr(depths, buffer.name)))
        for buffer in own
    ]
    names = [buffer.name for buffer in own]
    apart = [
        (names.index(a), names.index(b))
        for a, b in (("padded", "filtered"), ("residuals", "results"))
        if a in names and b in names
    ]
    return share(demands, apart, config.banks(memory), config.depth(memory)) is not None


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_many_tiles_at_once_fit_as_each_does(name, machine):
    room = ChainRoom(CHAINS[name], MACHINES[machine])
    space = ChainSpace(chain=room.chain, config=room.config).space
    columns = drawn(space, 40)
    expected = [alone(room, *row) for row in rows_of(columns)]
    for lag in LAGS:
        found = room.all_deepest(columns["height"], columns["width"], lag)
        places = columns["lag"] == lag
        assert found[places].tolist() == np.array(expected)[places].tolist()
    assert space.fits(columns).tolist() == [number != NO_ROOM for number in expected]


def test_some_tiles_fit_and_some_do_not():
    """Else the test before would say little."""
    for name in ("residual", "strided", "no expansion"):
        found = ChainRoom(CHAINS[name], MACHINES["quarter"]).all_deepest(
            *np.array([(2, 2), (4, 5), (14, 14), (28, 28)]).T, 1
        )
        assert NO_ROOM in found
        assert len(set(found.tolist())) > 1


def test_what_there_is_once_takes_room_once():
    """One tile has sums of its own: two buffers of them would not fit."""
    room = ChainRoom(CHAINS["many blocks"], replace(REFERENCE, accumulator_vectors=512))
    assert room.all_deepest(np.array([7]), np.array([7]), 1).tolist() == [alone(room, 7, 7, 1)] == [0]


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_cycles_in_closed_form_are_the_sum_over_tiles(name, machine):
    chain, config = CHAINS[name], MACHINES[machine]
    tilings = ChainSpace(chain=chain, config=config, latency_cycles=16)
    columns = drawn(tilings.space, 30)
    assert tilings.estimate(columns).tolist() == [
        summed(chain, config, height, width) for height, width, _ in rows_of(columns)
    ]


def summed(chain, config, height, width):
    """Tile by tile, engines side by side."""
    blocks, out, total = chain.blocks, chain.out_blocks, 0
    fetch = (blocks * (out * config.slices + 6) + 4 * out + 1) * 8 * 8 // config.bus_bytes
    for cost in costs_of_tiles(list(tiles_of(chain, height, width)), chain, config, 16):
        step = cost.step
        loads = step.fill + step.expand_weights + step.weights + step.vectors
        load = blocks * loads + cost.inputs + out * (cost.result_vectors + cost.residual) + fetch
        matrix = blocks * config.slices * (chain.in_blocks * step.expand + out * step.project)
        vector = blocks * (step.requantise + step.filter + 60) + out * cost.result
        total += max(load, matrix, vector, out * cost.store) + 1500
    return total


@pytest.mark.parametrize("name", CHAINS)
def test_tiles_have_the_work_of_their_results(name):
    """Whatever the tiling, every result is filtered once, and what is read twice is loaded twice."""
    chain = CHAINS[name]
    tilings = ChainSpace(chain=chain, config=REFERENCE)
    columns = {"height": np.array([1, 4, 13]), "width": np.array([3, 2, 5]), "lag": np.array([0, 1, 1])}
    features = tilings.features(columns)
    for (height, width, lag), row in zip(rows_of(columns), features, strict=True):
        tiles = list(tiles_of(chain, height, width))
        assert row[-1] == lag
        assert row[4] == pytest.approx(np.log2(len(tiles)))
        assert sum(tile.results[0] * tile.results[1] for tile in tiles) == chain.size[0] * chain.size[1]
        assert all(tile.inside[axis] <= tile.seen[axis] for tile in tiles for axis in (0, 1))


def test_a_space_is_filled_in_no_time():
    """Of the largest chain of a mobile network, with nothing known before."""
    has_room.cache_clear()
    tilings = ChainSpace(chain=CHAINS["residual"], config=REFERENCE)
    begun = time.process_time()
    every = tilings.space.all_that_fit()
    columns = tilings.space.columns(every)
    assert len(tilings.estimate(columns)) == len(tilings.features(columns)) == len(every) > 1000
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_a_model_ends_early_only_beyond_its_limit(name, machine):
    tilings = ChainSpace(chain=CHAINS[name], config=MACHINES[machine], latency_cycles=16)
    points = tilings.space.sample(np.random.default_rng(4), 3)
    for tiling in map(tilings.tiling, tilings.space.points(points)):
        cycles = modelled_chain_cycles(tiling)
        assert chain_cycles_within(tiling, cycles) == chain_cycles_within(tiling, 2 * cycles) == cycles
        assert chain_cycles_within(tiling, cycles - 1) is None
        assert chain_cycles_within(tiling, cycles // 2) is None


@pytest.mark.parametrize("name", CHAINS)
def test_the_chosen_tiling_is_the_first_of_the_best_that_are_modelled(name):
    """Whatever ends early: as if none did."""
    chain, config = CHAINS[name], MACHINES["quarter"]
    tilings = ChainSpace(chain=chain, config=config, latency_cycles=16)
    height, width = tilings._room.sizes_tried()
    order = np.argsort(chain_cycles(chain, config, height, width, 16), kind="stable")
    chosen = choose_chain(chain, config, 16)
    left, modelled = chain_tiling._MODELLED_INSTRUCTIONS, []
    for size in list(zip(height[order].tolist(), width[order].tolist(), strict=True))[:6]:
        tried = [tiling for lag in LAGS if (tiling := tilings.deepest(*size, lag)) is not None]
        left -= sum(map(instructions_of, tried))
        if left >= 0 or not modelled:
            modelled += [(modelled_chain_cycles(tiling), tiling) for tiling in tried]
    cycles, best = min(modelled, key=lambda each: each[0])
    assert chosen == replace(best, cycles=cycles)
    assert len(modelled) > 2


# --- to compare machines by ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_the_likely_tiling_is_near_the_chosen_one(name, machine):
    tunable = TunableChain(chain=CHAINS[name], config=MACHINES[machine])
    chosen, (point, cycles) = tunable.chosen(16), tunable.likely(16)
    tilings = tunable.tilings(16)
    assert tilings.space.refuse(point) is None
    assert cycles == pytest.approx(tilings.cycles(point), rel=0.05)
    assert chosen.cycles <= tilings.cycles(point) <= 1.06 * chosen.cycles
    assert chosen.cycles == tilings.cycles(chosen.point)


def test_tiles_that_are_not_modelled_cost_as_much_as_those_before():
    tilings = ChainSpace(chain=CHAINS["residual"], config=REFERENCE, latency_cycles=16)
    for height, width in ((7, 14), (8, 12), (3, 28)):
        tiling = tilings.deepest(height, width, 1)
        whole = modelled_chain_cycles(tiling)
        assert likely_chain_cycles(tiling, 10**9) == whole
        for instructions in (100, 600):
            assert likely_chain_cycles(tiling, instructions) == pytest.approx(whole, rel=0.04)


@pytest.mark.parametrize("memory", Memory)
def test_depths_beyond_the_least_make_no_difference(memory):
    field, compared = f"{memory.label}_vectors", 0
    for chain, depth in product(CHAINS.values(), DEPTHS):
        tunable = TunableChain(chain=chain, config=replace(REFERENCE, **{field: depth}))
        if tunable.machine != replace(tunable.machine, **{field: depth}):
            least = replace(tunable, config=tunable.machine)
            assert least.machine == tunable.machine
            assert least.likely(16) == tunable.likely(16)
            compared += 1
    assert compared > 2


def test_bytes_are_of_what_is_loaded_and_stored():
    """Weights that are kept are loaded once, those that are not with each tile."""
    chain, size = CHAINS["residual"], (14, 14)
    kept = ChainSpace(chain=chain, config=REFERENCE).deepest(*size, 1)
    again = ChainSpace(chain=chain, config=replace(REFERENCE, weight_vectors=256)).deepest(*size, 1)
    assert kept.depths.weights == chain.blocks > again.depths.weights
    weights = chain.blocks * (chain.in_blocks + chain.out_blocks) * REFERENCE.rows * REFERENCE.cols
    moved = [chain_occupancy(each).moved_bytes for each in (kept, again)]
    assert moved[1] - moved[0] == 15 * weights


def demand(vectors, slots, writer, reader):
    return Demand("", Memory.ACTIVATION, vectors, slots, frozenset({writer}), frozenset({reader}))


def test_there_is_room_where_banks_are_found():
    rng, engines, answers = np.random.default_rng(5), list(Engine), []
    for _ in range(150):
        demands = tuple(
            demand(int(rng.integers(20, 700)), int(rng.integers(1, 4)), *rng.choice(engines, 2))
            for _ in range(rng.integers(1, 6))
        )
        apart = frozenset({(0, 1)} if len(demands) > 1 else ())
        banks = int(rng.integers(1, 5))
        answers.append(has_room(demands, apart, banks, 1000))
        assert answers[-1] == (share(demands, apart, banks, 1000) is not None)
    assert {True, False} == set(answers)
