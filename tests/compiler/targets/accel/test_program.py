import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from task_list import Product, chip_buffer, global_buffer, instance, load_task, random_tasks, table_of
from tilewright.compiler.targets.accel.program import LayerSpan, ProgramError, assemble
from tilewright.compiler.targets.memory_plan import TensorLiveRange, plan_memory
from tilewright.isa.checker import CheckError, check
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import encode_program
from tilewright.isa.instruction import Finish, Load, Opcode
from tilewright.isa.memory import Memory
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel

REFERENCE = PRESETS["reference"]
PAGE_BYTES = 4096


def run(config, program, regions, result_bytes):
    """Cycles, and the bytes of the region behind those that are given."""
    code = encode_program(program.instructions)
    sizes = [*map(len, regions), result_bytes, len(code)]
    starts = np.cumsum([0, *(size + -size % PAGE_BYTES for size in sizes)]).tolist()
    dram = np.zeros(starts[-1], np.uint8)
    for start, data in zip(starts, regions, strict=False):
        dram[start : start + len(data)] = np.frombuffer(data, np.uint8)
    *bases, code_at, size = starts
    memory = MemoryModel(size_bytes=size)
    ran = Simulator(config).run(code, dram=dram, memory=memory, bases=bases, program_address=code_at)
    assert ran.fault is None
    return ran.cycles, dram[bases[-1] : bases[-1] + result_bytes].tobytes()


def test_a_product_is_right_and_keeps_the_array_busy():
    product = Product(REFERENCE, 256, 512, 512, 64)
    program = assemble(
        table_of(list(product.tasks())), REFERENCE, product.addresses(), product.region_bytes()
    )
    regions, expected = product.contents(np.random.default_rng(0))
    cycles, result = run(REFERENCE, program, regions, len(expected))
    assert result == expected
    # 97.9 % of the peak: neither tokens nor banks keep the engines from working at the same time.
    assert 256 * 512 * 512 / REFERENCE.peak_macs / cycles > 0.97


@pytest.mark.parametrize("preset", ["tiny", "ecp5-85f", "large-32"])
@pytest.mark.parametrize("sizes", [{}, {"token_capacity": 1, "queue_depth": 1}])
def test_a_product_is_right_on_every_machine(preset, sizes):
    config = replace(PRESETS[preset], **sizes)
    product = Product(config, 32, 32, 64, 16)
    program = assemble(table_of(list(product.tasks())), config, product.addresses(), product.region_bytes())
    regions, expected = product.contents(np.random.default_rng(1))
    assert run(config, program, regions, len(expected))[1] == expected


def test_layers_are_told_by_their_instructions():
    works = [Product(REFERENCE, 32, 32, 32, 32, layer) for layer in ("first", "second")]
    tasks = [task for work in works for task in work.tasks()]
    addresses = works[0].addresses() | works[1].addresses()
    program = assemble(table_of(tasks), REFERENCE, addresses, works[0].region_bytes())
    count = len(tasks) // 2
    assert program.layers == (LayerSpan("first", 0, count), LayerSpan("second", count, count))
    assert len(program.instructions) == 2 * count + 1
    assert program.instructions[-1] == Finish()


def test_the_next_layers_weights_arrive_while_the_last_ones_results_leave():
    works = [Product(REFERENCE, 32, 32, 32, 32, layer) for layer in ("first", "second")]
    addresses = {
        buffer: (base + 4 * number, 0)
        for number, work in enumerate(works)
        for buffer, (base, _) in work.addresses().items()
    }
    sizes = {base + shift: size for base, size in works[0].region_bytes().items() for shift in (0, 4)}
    program = assemble(
        table_of([task for work in works for task in work.tasks()]), REFERENCE, addresses, sizes
    )
    second = program.instructions[program.layers[1].first :]
    loads = [load for load in second if isinstance(load, Load) and load.memory == Memory.WEIGHT]
    assert [load.wait for load in loads] == [0, 0]


def test_fields_become_addresses():
    weights, outside = instance(chip_buffer("weights", Memory.WEIGHT, 2), 0, 8), global_buffer("outside")
    other = instance(weights.buffer, 1, 8)
    tasks = [load_task(used, outside, offset=64, stride_x=16) for used in (weights, other)]
    program = assemble(table_of(tasks), REFERENCE, {outside: (2, 4096)}, {2: 8192})
    assert [(load.base, load.offset, load.address) for load in program.instructions[:2]] == [
        (2, 4160, 0),
        (2, 4160, 8),
    ]


def test_activations_are_counted_in_slices():
    config = PRESETS["ecp5-85f"]
    assert config.slices == 2
    product = Product(config, 32, 32, 32, 16)
    program = assemble(table_of(list(product.tasks())), config, product.addresses(), product.region_bytes())
    matrices = [each for each in program.instructions if each.opcode == Opcode.MATRIX]
    bands = [each for each in program.instructions if each.opcode == Opcode.LOAD and each.memory == 0]
    assert {each.activation for each in matrices} == {2 * band.address for band in bands}


def test_a_buffer_without_an_address_is_named():
    product = Product(REFERENCE, 32, 32, 32, 32)
    addresses = product.addresses()
    del addresses[product.globals["b"]]
    with pytest.raises(ProgramError, match=r"layer 'product': load must name .*, not product.b"):
        assemble(table_of(list(product.tasks())), REFERENCE, addresses, product.region_bytes())


def test_tasks_that_leave_their_region_are_refused():
    product = Product(REFERENCE, 32, 32, 32, 32)
    with pytest.raises(CheckError, match="region of base register 1"):
        assemble(
            table_of(list(product.tasks())), REFERENCE, product.addresses(), product.region_bytes() | {1: 64}
        )


@pytest.mark.parametrize("seed", range(8))
def test_any_turns_of_any_buffers_are_sound(seed):
    tasks = random_tasks(random.Random(seed), 3)
    memory = {task.memory for task in tasks}
    config = replace(REFERENCE, token_capacity=2)
    program = assemble(table_of(tasks), config, dict.fromkeys(memory, (0, 0)), {0: PAGE_BYTES})
    assert check(program.instructions, config, region_bytes={0: PAGE_BYTES}).ok


# --- the memory outside ------------------------------------------------------------------------------------


def test_tensors_that_live_together_lie_apart():
    r = random.Random(4)
    for _ in range(200):
        firsts = [r.randint(0, 20) for _ in range(r.randint(0, 12))]
        tensors = [
            TensorLiveRange(str(k), r.randint(1, 5000), first, first + r.randint(0, 6))
            for k, first in enumerate(firsts)
        ]
        offsets, size_bytes = plan_memory(tensors, 256)
        assert all(offset % 256 == 0 for offset in offsets.values())
        assert size_bytes == max((offsets[each.name] + each.size_bytes for each in tensors), default=0)
        for a, b in combinations(tensors, 2):
            if a.first <= b.last and b.first <= a.last:
                low, high = sorted((a, b), key=lambda each: offsets[each.name])
                assert offsets[low.name] + low.size_bytes <= offsets[high.name]


def test_a_chain_takes_two_buffers():
    chain = [TensorLiveRange(str(layer), 1000, layer, layer + 1) for layer in range(10)]
    offsets, size_bytes = plan_memory(chain, 64)
    assert set(offsets.values()) == {0, 1024}
    assert size_bytes == 2024


def test_a_gap_is_used_where_it_is_large_enough():
    tensors = [
        TensorLiveRange("a", 3000, 0, 1),
        TensorLiveRange("b", 2000, 1, 9),
        TensorLiveRange("c", 1000, 5, 6),
    ]
    assert plan_memory(tensors, 64)[0] == {"a": 0, "b": 3008, "c": 0}
