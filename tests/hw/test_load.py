"""The load engine on its bus, exact in bits and cycles against the recurrences of docs/machine.md."""

from random import Random

import pytest

from dma.bench import run_loads
from dma.draw import CONFIGS, draw_fetches, draw_jobs, draw_load, draw_world
from dma.reference import LoadReference


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random_loads_beside_fetch_are_exact(config, seed):
    random = Random(seed)
    world = draw_world(random, config)
    jobs = draw_jobs(random, world, draw_load, 10, clean=seed % 2 == 0)
    fetches = draw_fetches(random, config, 12)
    expected = LoadReference(world, jobs, fetches).run()
    assert run_loads(world, jobs, fetches) == expected
