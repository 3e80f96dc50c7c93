import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tilewright
from onnx_runtime import peer_outputs
from tilewright.api.error import PackageError
from tilewright.api.file import from_bytes, to_bytes
from tilewright.isa.container import ExecutableError, pack, unpack
from tilewright.isa.instruction import ISA_VERSION
from tilewright.numerics.error import TilewrightError
from tilewright.runtime.sim_device import SimDevice

RNG = np.random.default_rng(5)


def model(nodes, inputs, outputs, **constants):
    """An ONNX model; shapes by name, `None` for the batch."""
    ports = [
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [s or "batch" for s in shape])
            for n, shape in side
        ]
        for side in (inputs.items(), outputs.items())
    ]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "net", *ports, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def mixed():
    """Two convolutions with a softmax over channels between, which only the host has."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "limit"),
        helper.make_node("Softmax", ["r"], ["s"], "middle", axis=1),
        helper.make_node("Conv", ["s", "w2"], ["y"], "second", pads=[1, 1, 1, 1]),
    ]
    weights = {"w1": (6, 3, 3, 3), "w2": (4, 6, 3, 3)}
    arrays = {name: RNG.normal(0, 0.3, shape).astype(np.float32) for name, shape in weights.items()}
    return model(nodes, {"x": (None, 3, 6, 5)}, {"y": (None, 4, 6, 5)}, **arrays)


X = {"x": RNG.normal(0, 1, (5, 3, 6, 5)).astype(np.float32)}
MODEL = mixed()
SEVERAL = tilewright.compile(MODEL, config="tiny", calibration=X)


def test_the_time_is_that_of_a_run_and_nothing_is_computed():
    found, ran = SEVERAL.time(), SEVERAL.run(X)
    assert (found.cycles, found.outputs) == (ran.cycles, {})
    assert [each.layers for each in found.programs] == [each.layers for each in ran.programs]
    assert all(not any(each.first.regions[2]) for each in found.programs)


def test_a_network_is_split_where_the_accelerator_ends():
    assert [each.operator.target for each in SEVERAL.kernels] == ["accelerator", "cpu", "accelerator"]
    explanation = SEVERAL.explain()
    assert (explanation.programs, explanation.kernels) == (2, 3)
    assert explanation.share("accelerator") == 1
    reasons = {each.label: each.reason for each in explanation.placements}
    assert reasons["first"] == reasons["second"] == ""
    assert "there is no such operator in integers" in reasons["middle"]
    assert "middle" in str(explanation)
    assert explanation.to_json()["programs"] == 2


def test_all_devices_give_the_same_bytes_near_the_model():
    simulated, compiled = SEVERAL.run(X), SEVERAL.run(X, device="cpu")
    np.testing.assert_array_equal(simulated.outputs["y"], compiled.outputs["y"])
    expected = peer_outputs(MODEL, X)["y"]
    assert np.abs(simulated.outputs["y"] - expected).max() < 0.03
    assert simulated.samples == 5
    assert simulated.cycles == sum(each.cycles for each in simulated.programs)
    assert compiled.cycles is None


def test_programs_are_loaded_once_and_run_many_times(monkeypatch):
    loads = []
    prepare = SimDevice.prepare
    monkeypatch.setattr(SimDevice, "prepare", lambda *a, **k: loads.append(a) or prepare(*a, **k))
    loaded = SEVERAL.on("sim")
    assert len(loads) == len(SEVERAL.parts) == 2
    one, other = (loaded.run({"x": values}) for values in (X["x"][:3], X["x"][3:]))
    assert len(loads) == 2
    assert one.cycles == other.cycles
    whole = SEVERAL.run(X).outputs["y"]
    np.testing.assert_array_equal(np.concatenate([one.outputs["y"], other.outputs["y"]]), whole)


@pytest.mark.slow
def test_the_gates_give_the_same_bytes_in_as_many_cycles():
    one = {"x": X["x"][:1]}
    simulated, gates = SEVERAL.run(one), SEVERAL.run(one, device="rtl")
    np.testing.assert_array_equal(simulated.outputs["y"], gates.outputs["y"])
    assert simulated.cycles == gates.cycles


def test_progress_tells_steps_and_shares_that_rise_to_the_end():
    seen = []
    package = tilewright.compile(
        MODEL, config="tiny", calibration=X, progress=lambda text, share=None: seen.append((text, share))
    )
    package.run(X, progress=lambda text, share=None: seen.append((text, share)))
    steps = {}
    for text, share in seen:
        steps.setdefault(text if "samples" not in text else "samples", []).append(share)
    wanted = {"measuring what the parts are given", "calibrating part 2 of 2", "compiling part 1 of 2"}
    assert wanted | {"samples", "compiling for the CPU"} <= {text.rpartition(": ")[2] for text in steps}
    for text in wanted:
        shares = [share for share in steps[text] if share is not None]
        assert shares == sorted(shares)
        assert shares[-1] == 1
    assert steps["samples"].count(1) == len(package.kernels)


def test_a_package_reads_back_and_runs_alike(tmp_path):
    SEVERAL.save(tmp_path / "net.twx")
    again = tilewright.load(tmp_path / "net.twx")
    assert to_bytes(again) == (tmp_path / "net.twx").read_bytes()
    for device in ("sim", "cpu"):
        expected = SEVERAL.run(X, device=device).outputs["y"]
        np.testing.assert_array_equal(again.run(X, device=device).outputs["y"], expected)
    assert again.explain() == SEVERAL.explain()


def test_a_network_of_floats_runs_on_the_cpu_as_the_peer_has_it():
    package = tilewright.compile(MODEL)
    assert package.explain().share("accelerator") == 0
    np.testing.assert_allclose(package.run(X).outputs["y"], peer_outputs(MODEL, X)["y"], rtol=1e-4, atol=1e-6)


def test_samples_that_meet_stay_on_the_host():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv"),
        helper.make_node("ReduceMean", ["a", "first"], ["m"], "mean", keepdims=1),
        helper.make_node("Sub", ["a", "m"], ["y"], "centred"),
    ]
    w = RNG.normal(0, 1, (4, 3, 1, 1)).astype(np.float32)
    net = model(nodes, {"x": (None, 3, 2, 2)}, {"y": (None, 4, 2, 2)}, w=w, first=np.array([0]))
    x = {"x": RNG.normal(0, 1, (3, 3, 2, 2)).astype(np.float32)}
    package = tilewright.compile(net, config="tiny", calibration=x)
    assert package.explain().programs == 0
    assert (
        package.explain().placements[0].reason
        == "samples must stay apart, in the first axis, and do not in mean"
    )
    np.testing.assert_allclose(package.run(x).outputs["y"], peer_outputs(net, x)["y"], rtol=1e-4, atol=1e-6)


def test_nodes_in_which_samples_meet_are_named_once_and_by_their_names():
    # A reversed sequence with time in front is several equations of one node, some of them shared.
    rng = np.random.default_rng(5)
    weights = {"w": (2, 8, 3), "r": (2, 8, 2)}
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in weights.items()}
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["h"], "first", hidden_size=2, direction="bidirectional"),
        helper.make_node("Reshape", ["h", "shape"], ["flat"], "between"),
        helper.make_node(
            "LSTM", ["flat", "w4", "r"], ["y"], "second", hidden_size=2, direction="bidirectional"
        ),
    ]
    arrays |= {"w4": rng.normal(0, 0.3, (2, 8, 4)).astype(np.float32), "shape": np.array([0, -1, 4])}
    net = model(nodes, {"x": ("time", "batch", 3)}, {"y": ("time", 2, "batch", 2)}, **arrays)
    package = tilewright.compile(net, accelerator=True, sizes={"batch": 2})
    (reason,) = {each.reason for each in package.explain().placements}
    assert reason == "samples must stay apart, in the first axis, and do not in first, second"


def test_sizes_that_do_not_agree_are_told_in_the_words_of_the_user():
    nodes = [helper.make_node("Add", ["a", "b"], ["y"], "sum")]
    net = model(nodes, {"a": ("n", 3), "b": ("n", 3)}, {"y": ("n", 3)})
    package = tilewright.compile(net)
    given = {"a": np.ones((2, 3), np.float32), "b": np.ones((4, 3), np.float32)}
    with pytest.raises(TilewrightError, match=r"^input 'b' must have shape \(2, 3\), not \(4, 3\)$"):
        package.run(given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SEVERAL.run({}), "inputs must be 'x', not none"),
        (lambda: SEVERAL.run({"y": X["x"]}), "inputs must be 'x', not 'y'"),
        (lambda: SEVERAL.run({"x": X["x"][:, :2]}), "must have shape"),
        (lambda: SEVERAL.run({"x": np.array(["a"])}), "must be float32"),
        (lambda: SEVERAL.run(X, device="tpu"), "device must be one of sim, rtl, cpu"),
        (lambda: tilewright.compile(MODEL, accelerator=True), "must be calibrated"),
        (lambda: tilewright.compile(MODEL, config="huge"), "config must be"),
        (lambda: tilewright.compile(MODEL, sizes={"width": 3}), "width"),
        (lambda: tilewright.compile(b"no model"), "ONNX"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(TilewrightError, match=message):
        call()


@pytest.mark.parametrize("place", [12, 40, -1, -40])
def test_a_file_that_was_altered_is_refused(place):
    data = bytearray(to_bytes(SEVERAL))
    data[place] ^= 1
    with pytest.raises(ExecutableError):
        from_bytes(bytes(data))


@pytest.mark.parametrize("names", [[3], "x", [None], {"x": 1}])
def test_names_that_are_no_texts_are_refused(names):
    header, sections = unpack(to_bytes(tilewright.compile(MODEL, accelerator=False)))
    with pytest.raises(ExecutableError, match="must have a list of texts"):
        from_bytes(pack({**header, "outputs": names}, sections))


@pytest.mark.parametrize("version", [1, ISA_VERSION + 1])
def test_another_instruction_set_is_refused_with_the_remedy(version):
    header, sections = unpack(to_bytes(SEVERAL))
    refusal = f"^is for instruction set {version}, not {ISA_VERSION}: compile it again$"
    with pytest.raises(ExecutableError, match=refusal):
        from_bytes(pack({**header, "isa_version": version}, sections))


def test_calibration_chooses_ranges_as_the_user_says():
    network = model(
        [helper.make_node("Conv", ["x", "w"], ["y"], "layer")],
        {"x": (None, 3, 48, 48)},
        {"y": (None, 1, 48, 48)},
        w=np.ones((1, 3, 1, 1), np.float32),
    )
    rare = {"x": RNG.normal(0, 1, (100, 3, 48, 48)).astype(np.float32)}
    rare["x"][0, 0, 0, 0] = 12.0
    scales = {}
    for ranges in ("auto", "min-max", "percentile", "entropy", "mean-square"):
        package = tilewright.compile(network, config="tiny", calibration=rare, ranges=ranges)
        (part,) = package.parts.values()
        scales[ranges] = part.model.inputs[0].scale
    assert scales["mean-square"] < 0.7 * scales["min-max"]
    assert scales["percentile"] < 0.7 * scales["min-max"]
    assert scales["auto"] < 0.8 * scales["min-max"]
    with pytest.raises(TilewrightError, match=r"ranges must be one of auto, min-max, .*, not 'best'"):
        tilewright.compile(network, config="tiny", calibration=rare, ranges="best")


def test_the_module_says_what_it_has():
    assert set(tilewright.__all__) == set(dir(tilewright))
    with pytest.raises(AttributeError, match="it has Accuracy, Config"):
        tilewright.nothing  # noqa: B018
    assert issubclass(PackageError, TilewrightError)
