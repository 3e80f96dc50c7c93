"""`--float` runs any network on the CPU; `--size` names sizes; inputs and outputs have their types."""

import json

import numpy as np
import pytest
from onnx import helper

from onnx_file import X, Y, save_network
from onnx_runtime import peer_outputs
from split_network import save_nodes, save_tokens
from tilewright.cli.main import main

IDS = np.array([[1, 2, 3], [4, 5, 0]])
MASK = np.array([[True, True, False], [True, False, True]])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network of floats, one of tokens, and their inputs."""
    monkeypatch.chdir(tmp_path)
    save_network("net.onnx")
    np.savez("x.npz", x=X)
    save_tokens("tokens.onnx")
    np.savez("tokens.npz", ids=IDS, mask=MASK)
    return tmp_path


def run(*arguments):
    return main(["run", *arguments, "--output", "y.npz"])


def written():
    with np.load("y.npz") as found:
        return dict(found)


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def test_floats_need_no_calibration_and_no_machine(capsys):
    assert run("net.onnx", "--float", "--input", "x.npz", "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["device"], found["programs"], found["kernels"], found["cycles"]) == ("cpu", 0, 1, None)
    assert found["samples"] == len(X)
    np.testing.assert_allclose(written()["y"], Y, rtol=1e-5, atol=1e-6)


def test_token_ids_masks_and_other_outputs_have_their_types(capsys):
    assert run("tokens.onnx", "--float", "--input", "tokens.npz") == 0
    expected = peer_outputs("tokens.onnx", {"ids": IDS, "mask": MASK})
    found = written()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["output", "shape", "type", "least", "most"]
    assert ["twice", "2×3", "int64", "0", "10"] in lines
    assert ["absent", "2×3", "bool", "False", "True"] in lines


def test_narrow_integers_become_token_ids():
    np.savez("tokens.npz", ids=IDS.astype(np.uint8), mask=MASK.astype(np.int64))
    assert run("tokens.onnx", "--float", "--input", "tokens.npz") == 0
    assert np.array_equal(written()["twice"], IDS * 2)


def test_sizes_are_numbers_by_name(capsys):
    assert run("tokens.onnx", "--float", "--size", "length=3", "--input", "tokens.npz") == 0
    assert run("tokens.onnx", "--float", "--size", "length=4", "--input", "tokens.npz") == 1
    assert "input 'ids' must be 4, or samples of that, not 2×3" in capsys.readouterr().err
    assert main(["run", "tokens.onnx", "--float", "--size", "length=5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 1


def test_tokens_run_beside_the_accelerator_once_sizes_are_known(capsys):
    options = ["--input", "tokens.npz", "--calibrate", "tokens.npz", "--config", "tiny"]
    assert run("tokens.onnx", "--size", "length=3", *options) == 0
    assert np.array_equal(written()["twice"], IDS * 2)


def test_sizes_are_asked_for_by_name(capsys):
    assert main(["run", "tokens.onnx"]) == 1
    assert refusal(capsys) == "tokens.onnx: sizes must be known: give --input FILE, or --size length=NUMBER"
    assert main(["compile", "tokens.onnx", "-o", "t.twx"]) == 1
    message = refusal(capsys)
    assert "give --size length=NUMBER, data of such sizes, or --float for the CPU in floats" in message


def test_sizes_that_nobody_names_are_those_of_the_data(capsys):
    assert run("tokens.onnx", "--input", "tokens.npz", "--json") == 0
    out, err = capsys.readouterr()
    assert "tilewright: sizes are those of tokens.npz: length=3\n" in err
    assert np.array_equal(written()["twice"], IDS * 2)
    assert json.loads(out)["samples"] == 2


def test_a_name_must_have_one_number(capsys):
    for options in (["--size", "length=3", "--size", "length=4"], ["--input", "odd.npz"]):
        np.savez("odd.npz", ids=IDS, mask=MASK[:, :2])
        assert main(["run", "tokens.onnx", *options]) == 1
        message = refusal(capsys)
        assert "length" in message
        assert ("length is 3 already" in message) or ("not 3 in input 'ids' and 2 in 'mask'" in message)


def test_samples_are_the_batch_of_the_outputs_wherever_inputs_have_it(capsys):
    nodes = [helper.make_node("ReduceSum", ["x", "first"], ["y"], keepdims=0)]
    ports = {"x": ("f", ("time", "batch", 3))}, {"y": ("f", ("batch", 3))}
    save_nodes("sums.onnx", nodes, *ports, {"first": np.array([0])})
    np.save("sums.npy", np.ones((7, 2, 3), np.float32))
    assert run("sums.onnx", "--float", "--input", "sums.npy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 2


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_half_precision_and_an_open_batch_run_on_accelerator_and_cpu(dtype, capsys):
    w = np.random.default_rng(4).normal(0, 0.3, (6, 3, 3, 3)).astype(np.float16)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1, 1, 1])]
    save_nodes("half.onnx", nodes, {"x": ("h", ("n", 3, 5, 5))}, {"y": ("h", ("n", 6, 5, 5))}, {"w": w})
    x = np.random.default_rng(5).normal(0, 1, (4, 3, 5, 5)).astype(dtype)
    np.save("half.npy", x)
    (expected,) = peer_outputs("half.onnx", {"x": x.astype(np.float16)}).values()
    for options, programs, most in ((["--config", "tiny"], 1, 0.1), (["--float"], 0, 0.01)):
        assert run("half.onnx", "--input", "half.npy", "--json", *options) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["samples"], found["programs"]) == (4, programs)
        assert written()["y"].dtype == np.float16
        assert np.abs(written()["y"].astype(np.float32) - expected).max() < most


def test_zeros_on_the_cpu_are_said_to_be_zeros_and_no_more(capsys):
    assert main(["run", "net.onnx", "--float"]) == 0
    assert capsys.readouterr().err == "tilewright: without --input FILE one sample of zeros is run\n"


def test_a_network_without_inputs_runs_on_the_cpu(capsys):
    nodes = [helper.make_node("Add", ["c", "c"], ["y"])]
    save_nodes("none.onnx", nodes, {}, {"y": ("f", (2,))}, {"c": np.float32([1, 2])})
    assert main(["run", "none.onnx", "--output", "y.npz", "--input", "x.npz"]) == 1
    assert "'x' must be an input of the model" in refusal(capsys)
    assert main(["run", "none.onnx"]) == 0
    assert "nothing of it runs on the accelerator" in capsys.readouterr().err


def test_networks_without_a_batch_run_on_whole_arrays(capsys):
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("ReduceSum", ["c"], ["y"], keepdims=0),
    ]
    save_nodes("two.onnx", nodes, {"a": ("f", (2, "n")), "b": ("f", ("n", 3))}, {"y": ("f", ())})
    a, b = np.float32([[1, 2], [3, 4]]), np.float32([[1, 0, 1], [0, 1, 1]])
    np.savez("two.npz", a=a, b=b)
    assert run("two.onnx", "--float", "--input", "two.npz") == 0
    assert written()["y"] == (a @ b).sum()
    assert "one number" in capsys.readouterr().out


def test_a_fixed_batch_of_one_is_run_sample_by_sample(capsys):
    save_nodes(
        "one.onnx", [helper.make_node("Exp", ["x"], ["y"])], {"x": ("f", (1, 4))}, {"y": ("f", (1, 4))}
    )
    x = np.random.default_rng(2).normal(0, 1, (7, 4)).astype(np.float32)
    np.save("many.npy", x)
    assert run("one.onnx", "--float", "--input", "many.npy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 7
    np.testing.assert_allclose(written()["y"], np.exp(x), rtol=1e-6)


def test_a_package_of_floats_runs_on_any_number_of_samples(capsys):
    assert main(["compile", "net.onnx", "--float", "-o", "net.twx"]) == 0
    for count in (1, 4):
        np.save("x.npy", X[:count])
        assert run("net.twx", "--input", "x.npy") == 0
        np.testing.assert_allclose(written()["y"], Y[:count], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.onnx", "--calibrate", "x.npz"], "--calibrate cannot be used: --float quantises nothing"),
        (["net.onnx", "--trace", "t.json"], "--trace cannot be used: the CPU, where --float runs"),
        (["net.onnx", "--ablate", "each"], "--ablate cannot be used: the CPU has no units"),
        (["net.onnx", "--size", "M=3"], "net.onnx: a size of 'net' must be one of N, not 'M'"),
        (["tokens.onnx"], "tokens.onnx: sizes must be known: give --input FILE, or --size length=NUMBER"),
        (
            ["tokens.onnx", "--input", "x.npz"],
            "'x' must be an input of the model: ids (?), mask (?); input 'ids'",
        ),
        (
            ["tokens.onnx", "--input", "half.npz"],
            "input 'ids' must be integers that int64 holds, not float64",
        ),
        (["tokens.onnx", "--input", "three.npz"], "input 'mask' must be truth values, or 0 and 1, and some"),
        (["tokens.onnx", "--input", "many.npz"], "inputs must have as many samples each, not ids 2, mask 1"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_no_file(folder, capsys, arguments, message):
    np.savez("half.npz", ids=IDS + 0.5, mask=MASK)
    np.savez("three.npz", ids=IDS, mask=IDS)
    np.savez("many.npz", ids=IDS, mask=MASK[:1])
    before = sorted(folder.iterdir())
    assert main(["run", *arguments, "--float"]) == 1
    assert message in refusal(capsys)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("option", ["3", "=3", "n=", "n=-1", "n=x"])
def test_a_size_without_its_form_is_wrong_usage(option, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["run", "net.onnx", f"--size={option}"])
    assert leaving.value.code == 2
    assert "must be NAME=NUMBER" in capsys.readouterr().err
