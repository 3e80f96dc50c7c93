"""What a file is, its contents say, whatever its name."""

import pytest

import network
from tilewright.cli.kind import Kind, kind_of
from tilewright.isa.container import MAGIC, ExecutableError


@pytest.fixture(params=["a", "a.onnx", "a.twx", "a.s"])
def path(tmp_path, request):
    return tmp_path / request.param


def test_models_and_programs_are_told_apart(path):
    model = network.make_model()
    model.save(path)
    assert kind_of(path) is Kind.MODEL
    model.executable.save(path)
    assert kind_of(path) is Kind.PROGRAM


def test_bytes_that_no_text_has_are_a_network(path):
    path.write_bytes(b"\x08\x08\x12\x07pytorch")
    assert kind_of(path) is Kind.ONNX


def test_text_is_a_program_but_under_the_name_of_a_network(path):
    path.write_text("finish\n")
    assert kind_of(path) is (Kind.ONNX if path.suffix == ".onnx" else Kind.PROGRAM)


def test_a_damaged_executable_is_refused(path):
    path.write_bytes(MAGIC + bytes(100))
    with pytest.raises(ExecutableError, match="has format 0"):
        kind_of(path)
