"""Functions of integers become models: where their values lie, and that parts of a result meet."""

import gc
import time
from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.random_network import random_input
from tests.e2e.fuzz import check_network
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import BufferDepth, VirtualThread
from tilewright.compiler.targets.accel import compile as compile_module
from tilewright.compiler.targets.accel.compile import PASSES, LengthError, compile_function
from tilewright.compiler.targets.accel.layer_schedule import LayerPart, default_schedules
from tilewright.compiler.targets.accel.operator.layout import parameter_vectors
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale

TINY = PRESETS["tiny"]
SMALLEST = replace(
    TINY,
    activation_banks=2,
    activation_vectors=16,
    weight_vectors=16,
    accumulator_vectors=16,
    parameter_vectors=16,
)
PICTURE = (1, 5, 7, 6)
BIAS, SCALE = np.arange(5, dtype=np.int32) + 1000, pack_scale(np.full(5, 96000), np.full(5, 4))


WEIGHT = np.random.default_rng(4).integers(-60, 60, (5, 5, 3, 3)).astype(np.int8)


def layered(*nodes, inputs=("x",), shape=PICTURE, weight=None):
    """A network of nodes (result, operator, inputs…) between quantised inputs and the result's end.

    Inputs are pictures; weights w (5 channels to 5, 3 × 3), bias and scale are there.
    """
    before = [Node(f"quantise {name}", Quantise(0.1, -4), (name,), f"{name}.q") for name in inputs]
    middle = [Node(result, operator, operands, result) for result, operator, *operands in nodes]
    middle = [Node(node.name, node.operator, tuple(node.inputs), node.output) for node in middle]
    end = Node("dequantise", Dequantise(0.1, 2), (middle[-1].output,), "y")
    if weight is None:
        weight = WEIGHT
    return network(
        inputs=dict.fromkeys(inputs, shape),
        nodes=(*before, *middle, end),
        outputs=("y",),
        constants={"w": weight, "bias": BIAS, "scale": SCALE},
    )


def check(graph):
    check_network(graph, random_input(np.random.default_rng(1), graph, 2), TINY)


CONVOLUTION = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, -4, -4, -128, 127)
SUM = QAdd(64, 64, 0, int(pack_scale(128000, -1)), 0, -128, 127)
LAYER = ("w", "bias", "scale")


def test_parts_of_an_average_lie_beside_each_other():
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    scales = tuple((count, int(pack_scale(65536 + 3999 * count, -4))) for count in (4, 6, 9))
    check(layered(("r", QAveragePool2d(window, -4, 36, scales, 2, -128, 127), "x.q")))


@pytest.mark.parametrize("strides", [(2, 1), (3, 2)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 2, 1), (2, 1, 0, 0)])
def test_rows_that_no_kernel_sees_stay_outside(strides, pads):
    operator = QConv2d(strides, pads, (1, 1), 1, -4, -4, -128, 127)
    check(layered(("r", operator, "x.q", *LAYER), weight=np.ascontiguousarray(WEIGHT[:, :, :1, 1:2])))


def test_a_value_stays_until_its_last_reader():
    check(
        layered(
            ("a", CONVOLUTION, "x.q", *LAYER),
            ("b", CONVOLUTION, "a", *LAYER),
            ("c", CONVOLUTION, "b", *LAYER),
            ("r", SUM, "a", "c"),
        )
    )


def test_every_value_begins_where_bursts_do():
    graph = layered(
        ("a", CONVOLUTION, "x.q", *LAYER), ("b", SUM, "a", "z.q"), ("r", SUM, "b", "x.q"), inputs=("x", "z")
    )
    model = compile_function(graph, TINY)
    assert [each.offset for each in model.inputs] == [0, 384], "336 bytes in bursts of 64"
    parameters = parameter_vectors([BIAS, SCALE], TINY).tobytes()
    assert model.constants.index(parameters) % TINY.burst_bytes == 0


def test_a_network_in_too_many_pieces_is_refused_in_a_line(monkeypatch):
    graph = layered(("r", CONVOLUTION, "x.q", *LAYER))
    length = compile_function(graph, TINY).instructions
    # So that no instruction but the free ones is worth its while.
    monkeypatch.setattr(compile_module, "WORTH_CYCLES", 1 << 20)
    monkeypatch.setattr(compile_module, "FREE_INSTRUCTIONS", length - 1)
    compile_function(graph, TINY)
    monkeypatch.setattr(compile_module, "FREE_INSTRUCTIONS", length - 2)
    text = rf"at most {length - 2} instructions, not {length - 1} or more"
    with pytest.raises(LengthError, match=text) as refusal:
        compile_function(graph, TINY)
    assert "\n" not in str(refusal.value)


def test_instructions_that_do_much_may_be_many(monkeypatch):
    graph = layered(("r", CONVOLUTION, "x.q", *LAYER))
    monkeypatch.setattr(compile_module, "FREE_INSTRUCTIONS", 0)
    monkeypatch.setattr(compile_module, "WORTH_CYCLES", 64)
    with pytest.raises(LengthError):
        compile_function(graph, TINY)
    monkeypatch.setattr(compile_module, "WORTH_CYCLES", 1)
    compile_function(graph, TINY)
    monkeypatch.setattr(compile_module, "MOST_INSTRUCTIONS", 3)
    with pytest.raises(LengthError, match="at most 3 instructions"):
        compile_function(graph, TINY)


def test_a_machine_far_too_small_is_refused_at_once():
    graph = layered(("r", CONVOLUTION, "x.q", *LAYER), shape=(1, 5, 30000, 6))
    begun = time.perf_counter()
    with pytest.raises(LengthError, match="the memories of this machine are too small"):
        compile_function(graph, SMALLEST)
    assert time.perf_counter() - begun < 10


TWINS = layered(("a", CONVOLUTION, "x.q", *LAYER), ("r", CONVOLUTION, "a", *LAYER))
"""Two layers of one structure."""


def bare(program):
    """Kind and loops of each instruction, whatever its addresses and tokens."""
    names = ("n_x", "n_y", "n_z", "n_ci", "n_0", "n_1")
    return [(type(each), [getattr(each, name, None) for name in names]) for each in program]


def test_layers_of_one_structure_run_alike():
    check(TWINS)
    model = compile_function(TWINS, TINY)
    first, second = (
        model.executable.program()[layer.first : layer.first + layer.count] for layer in model.layers
    )
    assert bare(first) == bare(second)
    assert first != second, "their values lie elsewhere"


def test_a_schedule_is_of_its_layer_alone_though_another_has_its_structure():
    alone = compile_function(TWINS, TINY)
    schedule = default_schedules(TWINS, TINY)[LayerPart("r")]
    plain = tuple(replace(each, depth=1) if isinstance(each, BufferDepth) else each for each in schedule)
    plain = tuple(each for each in plain if not isinstance(each, VirtualThread))
    # Two tiles where one would do.
    small = tuple(
        replace(each, factor=1) if getattr(each, "loop", "") == "tile_x" else each for each in plain
    )
    given = compile_function(TWINS, TINY, schedules={LayerPart("r"): small})
    assert given.layers[0] == alone.layers[0]
    assert given.layers[1].count > alone.layers[1].count


def test_who_observes_is_told_of_every_layer():
    told = []
    compile_function(TWINS, TINY, observe=lambda layer, name, text: told.append((layer, name, bool(text))))
    passes = ("te", "lower", "schedule", "tensorise", "tasks")
    before = [(layer, name, True) for layer in "ar" for name in passes]
    assert told == [*before, ("a", "assembler", True), ("r", "assembler", True)]
    assert {name for _, name, _ in told} == set(PASSES)


def test_a_refusal_leaves_the_search_for_cycles_as_it_was(monkeypatch):
    monkeypatch.setattr(compile_module, "MOST_INSTRUCTIONS", 3)
    assert gc.isenabled()
    with pytest.raises(LengthError):
        compile_function(TWINS, TINY)
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(LengthError):
            compile_function(TWINS, TINY)
        assert not gc.isenabled()
    finally:
        gc.enable()
