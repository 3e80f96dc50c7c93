import random
from dataclasses import replace
from itertools import combinations, product

import pytest

from task_list import Product, addresses_of, chip_buffer, global_buffer, instance, load_task, random_tasks
from tilewright.compiler.targets.accel.allocation import AllocationError
from tilewright.compiler.targets.accel.bank import Demand, fits, share
from tilewright.compiler.targets.accel.task import Task
from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Destination, Matrix, SourceA, SourceB, Store, Vector, VectorOp
from tilewright.isa.memory import Engine, Memory

REFERENCE = PRESETS["reference"]
DEPTH = REFERENCE.activation_vectors
LOAD, MATRIX, VECTOR, STORE = Engine


def demand(name, vectors, slots, writer, reader, memory=Memory.ACTIVATION):
    return Demand(name, memory, vectors, slots, frozenset([writer]), frozenset([reader]))


def shared(demands, interfering=(), banks=4, depth=DEPTH):
    chosen = share(demands, interfering, banks, depth)
    return None if chosen is None else [sorted(set(slots)) for slots in chosen]


# --- banks -------------------------------------------------------------------------------------------------


def test_buffers_of_different_engines_have_banks_of_their_own():
    demands = [
        demand("input", 900, 4, LOAD, MATRIX),
        demand("residual", 500, 2, LOAD, VECTOR),
        demand("result", 500, 2, VECTOR, STORE),
    ]
    sets = shared(demands, [(1, 2)])
    assert [len(banks) for banks in sets] == [2, 1, 1]
    assert len(set().union(*sets)) == 4


def test_instances_of_accumulators_alternate_between_banks():
    sums = demand("sums", 100, 4, MATRIX, VECTOR, Memory.ACCUMULATOR)
    assert share([sums], [], 2, 1024) == [[0, 1, 0, 1]]


def test_a_buffer_that_one_engine_fills_and_another_reads_may_take_one_bank():
    assert shared([demand("tiles", 512, 4, LOAD, MATRIX)]) == [[0]]


def test_where_banks_are_few_those_share_that_are_used_least():
    """Whoever reads a bank holds up the others for as long as it reads."""
    demands = [
        replace(demand("padded", 441, 2, VECTOR, VECTOR), writers=frozenset([LOAD, VECTOR])),
        demand("filtered", 361, 2, VECTOR, MATRIX),
        demand("result", 361, 2, VECTOR, STORE),
        demand("input", 882, 2, LOAD, MATRIX),
        demand("residual", 361, 2, LOAD, VECTOR),
    ]
    apart = [(0, 1), (2, 4)]
    used = [replace(each, traffic=9 - 8 * (each.name in ("result", "residual"))) for each in demands]
    padded, filtered, _, inputs, _ = map(set, shared(used, apart))
    assert padded.isdisjoint(filtered | inputs)
    assert filtered.isdisjoint(inputs)
    padded, filtered, _, inputs, _ = map(set, shared(demands, apart))
    assert padded & inputs or filtered & inputs


def test_what_interferes_is_separate_though_others_share():
    demands = [
        demand("input", 900, 1, LOAD, MATRIX),
        demand("residual", 900, 1, LOAD, VECTOR),
        demand("result", 1900, 1, VECTOR, STORE),
    ]
    assert shared(demands, [(1, 2)], banks=2) == [[0], [0], [1]]
    assert shared(demands, [(1, 2), (0, 1)], banks=2) is None


def test_slots_that_interfere_take_a_bank_each():
    alternating = demand("alternating", 10, 3, VECTOR, VECTOR)
    assert share([alternating], [(0, 0)], 4, DEPTH) == [[0, 1, 2]]
    assert share([replace(alternating, slots=5)], [(0, 0)], 4, DEPTH) is None


def test_a_memory_may_be_filled_to_the_last_vector():
    assert shared([demand("a", DEPTH // 64, 192, LOAD, MATRIX), demand("b", DEPTH, 1, VECTOR, STORE)]) == [
        [0, 1, 2],
        [3],
    ]
    assert fits([demand("tiles", 64, 128, LOAD, MATRIX, Memory.WEIGHT)], REFERENCE)
    assert not fits([demand("tiles", 64, 129, LOAD, MATRIX, Memory.WEIGHT)], REFERENCE)


def test_many_banks_are_shared_out_as_well():
    demands = [
        demand(name, 1500, 4, LOAD, reader)
        for name, reader in zip("abc", (MATRIX, VECTOR, STORE), strict=True)
    ]
    sets = shared([*demands, demand("d", 1500, 4, VECTOR, STORE)], banks=16)
    assert all(not set(a) & set(b) for a, b in combinations(sets, 2))


def test_operands_that_the_vector_engine_may_combine_must_fit_in_different_banks():
    pooled = [
        demand("input", DEPTH // 2 + 1, 2, LOAD, VECTOR),
        demand("output", DEPTH // 2 + 1, 2, VECTOR, STORE),
    ]
    assert fits(pooled, REFERENCE)
    assert not fits([*pooled, demand("other", DEPTH // 3, 1, LOAD, VECTOR)], REFERENCE)
    assert fits([*pooled, demand("other", DEPTH // 3, 1, LOAD, VECTOR)], REFERENCE, interfering=[(0, 1)])


def test_random_choices_keep_every_hard_rule():
    r = random.Random(3)
    for _ in range(80):
        count, banks = r.randint(1, 5), r.choice((1, 2, 4, 8))
        demands = [
            demand(
                str(k), r.randint(1, 60), r.randint(1, 6), r.choice((LOAD, VECTOR)), r.choice(list(Engine))
            )
            for k in range(count)
        ]
        interfering = {pair for pair in combinations(range(count), 2) if r.random() < 0.3}
        interfering |= {(k, k) for k in range(count) if r.random() < 0.1}
        chosen = share(demands, interfering, banks, 100)
        if chosen is not None:
            assert_sound(demands, interfering, chosen, banks)


def assert_sound(demands, interfering, chosen, banks):
    used = [0] * banks
    for wanted, slots in zip(demands, chosen, strict=True):
        assert len(slots) == wanted.slots
        for bank in slots:
            used[bank] += wanted.vectors
    assert max(used) <= 100
    for a, b in interfering:
        assert not set(chosen[a]) & set(chosen[b]) if a != b else len(set(chosen[a])) == len(chosen[a])


def exists(demands, interfering, banks):
    """Whether any banks at all would do, by trying all."""
    owners = [k for k, wanted in enumerate(demands) for _ in range(wanted.slots)]
    for guess in product(range(banks), repeat=len(owners)):
        used, sets = [0] * banks, [[] for _ in demands]
        for owner, bank in zip(owners, guess, strict=True):
            used[bank] += demands[owner].vectors
            sets[owner].append(bank)
        if max(used) <= 100 and all(set(sets[a]).isdisjoint(sets[b]) for a, b in interfering):
            return True
    return False


def test_what_fits_is_found():
    r = random.Random(1)
    for _ in range(150):
        count, banks = r.randint(1, 4), r.choice((1, 2, 3))
        demands = [
            demand(
                str(k), r.randint(5, 60), r.randint(1, 2), r.choice((LOAD, VECTOR)), r.choice(list(Engine))
            )
            for k in range(count)
        ]
        interfering = {pair for pair in combinations(range(count), 2) if r.random() < 0.3}
        if sum(wanted.slots for wanted in demands) <= 6:
            assert (share(demands, interfering, banks, 100) is not None) == exists(
                demands, interfering, banks
            )


# --- addresses ---------------------------------------------------------------------------------------------


def live_ranges(tasks):
    found = {}
    for at, task in enumerate(tasks):
        for used in task.operands.values():
            found[used] = (found.get(used, (at, at))[0], at)
    return found


def assert_disjoint(tasks, config):
    """Instances lie in one bank, those that live at the same time have no vector in common."""
    addresses, found = addresses_of(tasks, config), live_ranges(tasks)
    assert addresses.keys() == found.keys()
    for one in addresses:
        depth = config.depth(Memory[one.buffer.scope.name])
        assert addresses[one] // depth == (addresses[one] + one.vectors - 1) // depth
    for one, other in combinations(addresses, 2):
        same_memory = one.buffer.scope == other.buffer.scope
        together = found[one][0] <= found[other][1] and found[other][0] <= found[one][1]
        if same_memory and together:
            assert (
                addresses[one] + one.vectors <= addresses[other]
                or addresses[other] + other.vectors <= addresses[one]
            )
    return addresses


@pytest.mark.parametrize("seed", range(10))
def test_instances_that_live_together_have_no_vector_in_common(seed):
    assert_disjoint(random_tasks(random.Random(seed), 4), REFERENCE)


def test_the_instances_of_a_buffer_alternate():
    work = Product(REFERENCE, 32, 64, 64, 32)
    tasks = list(work.tasks())
    addresses = assert_disjoint(tasks, REFERENCE)
    sums = [addresses[used] for used in live_ranges(tasks) if used.buffer is work.buffers["sums"]]
    assert sums == [0, 1024, 0, 1024]


def test_the_next_layer_begins_where_the_last_one_ended():
    first, second = (Product(REFERENCE, 32, 64, 32, 32, layer) for layer in ("first", "second"))
    tasks = [*first.tasks(), *second.tasks()]
    addresses = addresses_of(tasks, REFERENCE)
    weights = [addresses[used] for used in live_ranges(tasks) if used.buffer.scope == "weight"]
    assert weights == [0, 64, 128, 192]


def test_the_next_layer_keeps_the_banks_of_those_in_the_same_role():
    first, second = (Product(REFERENCE, 32, 64, 32, 32, layer) for layer in ("first", "second"))
    addresses = addresses_of([*first.tasks(), *second.tasks()], REFERENCE)
    banks = {
        (used.buffer.name): address // DEPTH
        for used, address in addresses.items()
        if used.buffer.scope == "activation"
    }
    assert banks["first.band"] == banks["second.band"] != banks["first.results"] == banks["second.results"]


def test_a_layer_that_fills_the_memory_starts_anew():
    first, second = (chip_buffer(name, Memory.WEIGHT) for name in ("first", "second"))
    outside, whole = global_buffer("outside"), REFERENCE.weight_vectors
    used = [instance(first, 0, 100), instance(second, 0, whole)]
    assert list(addresses_of([load_task(one, outside) for one in used], REFERENCE).values()) == [0, 0]


def test_a_layer_that_would_meet_itself_round_the_end_starts_anew():
    outside, whole = global_buffer("outside"), REFERENCE.weight_vectors
    first, long, short = (
        instance(chip_buffer(name, Memory.WEIGHT), 0, vectors)
        for name, vectors in (("first", 100), ("long", whole - 190), ("short", 190))
    )
    tasks = [load_task(used, outside) for used in (first, long, short, long)]
    addresses = assert_disjoint(tasks, REFERENCE)
    assert (addresses[long], addresses[short]) == (0, whole - 190)


def test_parts_that_follow_each_other_share_memory():
    outside = global_buffer("outside")
    used = [instance(chip_buffer(str(k), Memory.PARAMETER), 0, 400) for k in range(3)]
    tasks = [load_task(one, outside) for one in used]
    assert len(addresses_of(tasks, REFERENCE)) == 3
    with pytest.raises(AllocationError, match=r"2 1 x 400: use smaller tiles or smaller depths"):
        addresses_of([*tasks, *tasks], REFERENCE)


def added(a, b, destination):
    vector = Vector(
        op=VectorOp.ADD, a_from=SourceA.ACTIVATION, b_from=SourceB.ACTIVATION, to=Destination.ACTIVATION
    )
    return Task("sum", vector, {"a": a, "b": b, "destination": destination}, None)


def test_operands_of_a_vector_instruction_lie_in_different_banks():
    a, b, c = (instance(chip_buffer(name, Memory.ACTIVATION), 0, 4) for name in "abc")
    addresses = addresses_of([added(a, b, c)], REFERENCE)
    assert len({addresses[used] // DEPTH for used in (a, b, c)}) == 3
    few = replace(REFERENCE, activation_banks=2)
    in_place = addresses_of([added(a, b, a)], few)
    assert in_place[a] // DEPTH != in_place[b] // DEPTH
    with pytest.raises(AllocationError, match="operands of one vector instruction in different ones"):
        addresses_of([added(a, b, c)], few)


def test_instances_of_one_buffer_that_meet_lie_in_different_banks():
    buffer = chip_buffer("alternating", Memory.ACTIVATION, 3)
    a, b, c = (instance(buffer, number, 4) for number in range(3))
    addresses = addresses_of([added(a, b, c)], REFERENCE)
    assert len({addresses[used] // DEPTH for used in (a, b, c)}) == 3


def test_more_instances_than_the_depth_are_refused():
    buffer, outside = chip_buffer("narrow", Memory.WEIGHT, 1), global_buffer("outside")
    a, b = (instance(buffer, number, 4) for number in range(2))
    matrix = Task("layer", Matrix(), {"weight": a}, None)
    with pytest.raises(
        AllocationError, match="more than 1 instances of buffer 'narrow' live at the same time"
    ):
        addresses_of([load_task(a, outside), load_task(b, outside), matrix], REFERENCE)


def test_instances_that_one_instruction_names_need_a_slot_each():
    buffer, outside = chip_buffer("narrow", Memory.WEIGHT, 1), global_buffer("outside")
    a, b = (instance(buffer, number, 4) for number in range(2))
    both = Task("layer", Matrix(), {"weight": a, "activation": b}, None)
    with pytest.raises(
        AllocationError, match="more than 1 instances of buffer 'narrow' live at the same time"
    ):
        addresses_of([load_task(a, outside), both], REFERENCE)


def test_a_slot_larger_than_a_bank_is_refused():
    large = instance(chip_buffer("large", Memory.ACCUMULATOR), 0, REFERENCE.accumulator_vectors + 1)
    with pytest.raises(
        AllocationError, match=r"layer 'layer': .*2 banks of 1024 vectors.* not large 1 x 1025"
    ):
        addresses_of(
            [Task("layer", Store(bytes=16), {"address": large}, global_buffer("outside"))], REFERENCE
        )
