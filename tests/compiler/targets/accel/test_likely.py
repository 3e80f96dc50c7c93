"""Likely tilings compare machines: near the defaults, and blind to sizes that make no difference."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.accel.test_tunable import CASES, LAYERS, MACHINES, REFERENCE, lowered

from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import FIELD_RANGES, Config, ConfigError
from tilewright.isa.memory import Engine

LATENCY = 16


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_the_likely_point_fits_and_is_near_the_default(name, machine):
    tunable = lowered(name, MACHINES[machine]).tunable
    tilings, (point, cycles) = tunable.tilings(LATENCY), tunable.likely(LATENCY)
    assert tilings.space.refuse(point) is None
    assert cycles == pytest.approx(tilings.cycles(point), rel=0.06)
    best = tilings.cycles(tunable.default(LATENCY))
    assert 0.99 * best <= tilings.cycles(point) <= 1.3 * best


@pytest.mark.parametrize("name", LAYERS)
def test_sizes_that_make_no_difference_make_none(name):
    rng, compared = np.random.default_rng(2), 0
    for _ in range(12):
        try:
            config = _drawn(rng)
            tunable = lowered(name, config).tunable
            likely = tunable.likely(LATENCY)
        except (ConfigError, TilingError):
            continue
        least = replace(tunable, config=tunable.machine)
        assert least.likely(LATENCY).cycles == likely.cycles
        assert least.machine == tunable.machine
        compared += 1
    assert compared


@pytest.mark.parametrize("memory", ["activation", "weight", "accumulator", "parameter"])
@pytest.mark.parametrize("name", LAYERS)
def test_depths_beyond_the_least_make_no_difference(name, memory):
    field = f"{memory}_vectors"
    for depth in FIELD_RANGES[field].steps[4:12]:
        tunable = lowered(name, replace(REFERENCE, **{field: depth})).tunable
        if tunable.machine != replace(tunable.machine, **{field: depth}):
            least = replace(tunable, config=tunable.machine)
            assert least.likely(LATENCY).cycles == tunable.likely(LATENCY).cycles


def _drawn(rng: np.random.Generator) -> Config:
    """The reference with other sizes of all but the array's columns, which decide what a block is."""
    names = [name for name in FIELD_RANGES if name not in ("cols", "bus_bytes")]
    sizes = {name: int(rng.choice(FIELD_RANGES[name].steps[:9])) for name in rng.choice(names, 6)}
    return replace(REFERENCE, **sizes)


@pytest.mark.parametrize("name", LAYERS)
def test_no_engine_works_longer_than_the_layer_takes(name):
    tunable = lowered(name, REFERENCE).tunable
    tilings, point = tunable.tilings(LATENCY), tunable.default(LATENCY)
    occupancy = tilings.occupancy(point)
    busiest = occupancy.cycles(occupancy.bound)
    assert busiest == max(occupancy.cycles(engine) for engine in Engine)
    assert 0.3 * tilings.cycles(point) < busiest < 1.15 * tilings.cycles(point)
    assert occupancy.times(3).moved_bytes == 3 * occupancy.moved_bytes


def test_nothing_is_built_before_it_is_asked_for():
    found = lowered("pointwise", REFERENCE)
    assert isinstance(found.tunable.likely(LATENCY).point, Point)
    assert not {"program", "function", "constants"} & vars(found).keys()
    assert set(found.constants) == {"weight", "parameters"}
    assert "constants" in vars(found)
