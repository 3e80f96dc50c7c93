"""Compiled models on devices give numpy's numbers, sample by sample, and refuse what does not fit."""

from dataclasses import replace

import numpy as np
import pytest

import network
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish, Matrix, Nop
from tilewright.isa.model import Layer
from tilewright.runtime.device import Environment
from tilewright.runtime.loader import LoadError
from tilewright.runtime.model_input import InputError
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice


@pytest.fixture(scope="module")
def device():
    return SimDevice(network.CONFIG)


@pytest.fixture(scope="module")
def runner(device):
    return ModelRunner(network.make_model(), device)


def samples(count, seed=0):
    return np.random.default_rng(seed).normal(0, 30, (count, 5, 2, 3)).astype(np.float32)


def test_samples_give_numpys_numbers(runner):
    x = samples(7)
    result = runner.run({"x": x})
    assert result.samples == 7
    assert result.outputs["y"].dtype == np.float32
    assert len(np.unique(result.outputs["y"])) > 20
    assert np.array_equal(result.outputs["y"], network.expected(x))


def test_one_sample_needs_no_batch_axis(runner):
    x = samples(1)
    assert np.array_equal(runner.run({"x": x[0]}).outputs["y"], network.expected(x))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8, np.uint8, np.int64])
def test_numbers_of_any_type_that_float32_holds(runner, dtype):
    x = np.abs(samples(2)).astype(dtype)
    assert np.array_equal(runner.run({"x": x}).outputs["y"], network.expected(x))


def test_cycles_are_those_of_the_device_and_equal_for_every_sample(runner, device):
    model = network.make_model()
    result = runner.run({"x": samples(3)})
    alone = device.run(model.executable, {0: model.constants, 1: bytes(64 + 48)})
    assert (result.cycles, result.first.counters) == (alone.cycles, alone.counters)


def test_time_is_found_once(device, monkeypatch):
    calls = []
    simulator = device._simulator
    monkeypatch.setattr(
        simulator,
        "time",
        lambda *args, **named: calls.append(1) or type(simulator).time(simulator, *args, **named),
    )
    ModelRunner(network.make_model(), device).run({"x": samples(4)})
    assert calls == [1]


def test_progress_counts_samples(runner):
    seen = []
    runner.run({"x": samples(3)}, lambda done, count: seen.append((done, count)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_cpus_part_is_told(runner):
    result = runner.run({"x": samples(2)})
    assert result.host.keys() == {"quantise", "dequantise"}
    assert 0 < sum(result.host.values()) < result.seconds


def test_layers_share_the_cycles(runner):
    result = runner.run({"x": samples(1)})
    first, second = result.layers
    assert [profile.layer.name for profile in result.layers] == ["expand", "reduce"]
    assert first.cycles + second.cycles == int(result.first.finish.max()) + 1
    assert first.end < second.begin
    assert second.cycles == second.end - first.end
    program = network.make_model().executable.program()
    place = max(index for index, each in enumerate(program) if isinstance(each, Matrix))
    matrix_cycles = result.first.finish[place] + 1 - result.first.start[place]
    assert second.utilization == pytest.approx(6 * 3 * 6 / (matrix_cycles * 16))


def test_a_layer_without_instructions_that_ran_is_left_out(device):
    model = network.make_model()
    *layers, last = model.layers
    model = replace(model, layers=(*layers, last, Layer("empty", "flatten", last.first + last.count, 0, 0)))
    assert len(ModelRunner(model, device).run({"x": samples(1)}).layers) == 2


def test_latency_costs_cycles(device):
    x = {"x": samples(1)}
    fast, slow = (ModelRunner(network.make_model(), device, Environment(latency=n)).run(x) for n in (1, 100))
    assert slow.cycles > fast.cycles + 4 * 99
    assert np.array_equal(fast.outputs["y"], slow.outputs["y"])


@pytest.mark.slow
def test_the_gates_say_the_same(runner):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    x = samples(3)
    one, two = (
        runner.run({"x": x}),
        ModelRunner(network.make_model(), RtlDevice(network.CONFIG)).run({"x": x}),
    )
    assert np.array_equal(one.outputs["y"], two.outputs["y"])
    assert (one.cycles, one.first.counters, one.layers) == (two.cycles, two.first.counters, two.layers)


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ({}, ["input 'x' must be given: the model takes x (5×2×3)"]),
        ({"X": samples(1)}, ["'X' must be an input of the model: x (5×2×3)", "input 'x' must be given"]),
        ({"x": samples(1)[:, :4]}, ["input 'x' must be 5×2×3, or samples of that, not 1×4×2×3"]),
        ({"x": samples(0)}, ["or samples of that, not 0×5×2×3"]),
        ({"x": 3.0}, ["not one number"]),
        ({"x": np.full((5, 2, 3), "a")}, ["input 'x' must be real numbers, not <U1"]),
        ({"x": np.ones((5, 2, 3), bool)}, ["must be real numbers, not bool"]),
        ({"x": np.ones((5, 2, 3), complex)}, ["must be real numbers, not complex128"]),
        ({"x": np.full((5, 2, 3), None)}, ["must be real numbers, not object"]),
        ({"x": np.full((5, 2, 3), 2**24 + 1)}, ["must be integers that float32 holds"]),
        ({"x": np.full((5, 2, 3), np.nan)}, ["must be finite numbers in float32, but 30 of 30 are not"]),
        ({"x": np.full((5, 2, 3), 1e300)}, ["must be finite numbers in float32"]),
        ({"x": np.full((4, 2, 3), np.inf)}, ["must be 5×2×3", "but 24 of 24 are not"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_every_reason(runner, given, messages):
    with pytest.raises(InputError) as error:
        runner.run(given)
    assert [message for message in messages if message not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_inputs_must_agree_in_their_number(device):
    model = network.make_model()
    other = replace(network.INPUT, name="z", offset=0)
    runner = ModelRunner(replace(model, inputs=(*model.inputs, other)), device)
    with pytest.raises(InputError, match="must have as many samples each, not x 2, z 3"):
        runner.run({"x": samples(2), "z": samples(3)})


def test_a_model_for_another_machine_is_refused():
    with pytest.raises(LoadError, match="of the device"):
        ModelRunner(network.make_model(), SimDevice(PRESETS["reference"]))


def test_a_fault_names_the_layer(device):
    model = network.make_model()
    program = [Nop(), replace(model.executable.program()[0], offset=1 << 40), Finish()]
    broken = Executable.of(program, model.config, model.executable.regions)
    model = replace(model, executable=broken, layers=(Layer("far", "qconv2d", 0, 3, 0),))
    with pytest.raises(
        TilewrightError, match=r"not to fault BUS in cycle [0-9]+ at instruction 1 of layer 'far'"
    ):
        ModelRunner(model, device, check=False).run({"x": samples(1)})
