"""Packages carry the machine code of the host: compiled once, there at once."""

import numpy as np
import pytest

import tilewright
from split_network import X, save_split
from tilewright.api.file import from_bytes, to_bytes
from tilewright.compiler.targets.cpu.cache import StoredCode
from tilewright.isa.container import ExecutableError, pack, unpack


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    save_split(folder / "net.onnx")
    tilewright.compile(folder / "net.onnx", config="tiny", calibration={"x": X}).save(folder / "split.twx")
    tilewright.compile(folder / "net.onnx").save(folder / "float.twx")
    return folder


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """What is compiled, with an empty cache."""
    from tilewright.compiler.targets.cpu.host import kernel

    texts = []
    original = kernel.object_code
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        kernel, "object_code", lambda text, machine: texts.append(text) or original(text, machine)
    )
    return texts


@pytest.mark.parametrize(("name", "samples"), [("split", 3), ("float", 1)])
def test_a_package_runs_without_compiling(folder, compiled, tmp_path, name, samples):
    package = tilewright.load(folder / f"{name}.twx")
    result = package.run({"x": X[:samples]})
    assert compiled == []
    assert not list(tmp_path.rglob("*.o"))
    assert result.outputs["y"].shape == (samples, 4, 6, 5)


def test_without_the_code_it_is_compiled_anew(folder, compiled):
    package = tilewright.load(folder / "split.twx")
    expected = package.run({"x": X}).outputs["y"]
    assert compiled == []
    package = tilewright.load(folder / "split.twx")
    package.store.codes.clear()
    assert np.array_equal(package.run({"x": X}).outputs["y"], expected)
    assert compiled != []


def test_code_of_another_machine_is_kept_and_not_used(folder, compiled):
    package = tilewright.load(folder / "split.twx")
    foreign = {f"0{digest}": StoredCode("other", b"\0") for digest in package.store.codes}
    package.store.codes.clear()
    package.store.codes.update(foreign)
    package.run({"x": X[:1]})
    assert compiled != []
    again = from_bytes(to_bytes(package))
    assert foreign.items() <= again.store.codes.items()


def test_a_package_that_was_read_is_written_alike(folder):
    data = (folder / "float.twx").read_bytes()
    assert to_bytes(from_bytes(data)) == data


@pytest.mark.parametrize("change", [1, -1])
def test_an_index_that_does_not_fit_is_refused(folder, change):
    header, sections = unpack((folder / "float.twx").read_bytes())
    header["host"][0]["bytes"] += change
    with pytest.raises(ExecutableError, match="machine code"):
        from_bytes(pack(header, sections))
