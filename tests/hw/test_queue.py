import random
from collections import deque

import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from tilewright.hw.queue import HeadQueue, Queue

ITEM = data.StructLayout({"value": 8})


@pytest.mark.parametrize("kind", [Queue, HeadQueue])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_items_come_in_order_one_cycle_after_their_push(kind, depth):
    queue, rng = kind(ITEM, depth), random.Random(depth)

    async def bench(ctx):
        model = deque()
        for cycle in range(400):
            eager = cycle // 40 % 3
            assert (ctx.get(queue.valid), ctx.get(queue.room)) == (bool(model), len(model) < depth)
            if model:
                assert ctx.get(queue.head.value) == model[0]
            push = len(model) < depth and rng.random() < (0.5, 1.0, 0.3)[eager]
            pop = bool(model) and rng.random() < (0.5, 1.0, 0.9)[eager]
            value = rng.randrange(256)
            ctx.set(queue.push, push)
            ctx.set(queue.item.value, value)
            ctx.set(queue.pop, pop)
            await ctx.tick()
            if pop:
                model.popleft()
            if push:
                model.append(value)

    simulator = Simulator(queue)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
