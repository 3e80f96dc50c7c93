"""Functions with names run on any number of samples, and refuse what they cannot take by name."""

import numpy as np
import pytest
from tests.layers import BATCH

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir import named as named_module
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError, IrError, OperatorError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.parse import parse_function
from tilewright.compiler.ir.print import print_function, tensors_of
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.tensor_file import load_tensors, save_tensors
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.registry import operators

WEIGHT = np.arange(60, dtype=np.float32).reshape(20, 3) / 7


def dense(batch=BATCH):
    """y = max(x · w, 0), and its transpose's product, under names that are no identifiers."""
    b = Builder("dense")
    x = b.parameter("x", TensorType(DType.FLOAT32, (batch, 3)))
    product = e.dot(b, x, b.constant(WEIGHT), (1,), (1,))
    e.exp(b, product)
    return NamedFunction(b.function(e.relu(b, product), product), ("in:0",), ("/y", "z"))


X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.mark.parametrize("batch", [BATCH, 1])
@pytest.mark.parametrize("chunk_bytes", [1 << 27, 100])
def test_samples_are_independent_whatever_is_computed_at_once(batch, chunk_bytes, monkeypatch):
    monkeypatch.setattr(named_module, "_CHUNK_BYTES", chunk_bytes)
    found = dense(batch).run({"in:0": X})
    assert list(found) == ["/y", "z"]
    np.testing.assert_allclose(found["z"], X.astype(np.float64) @ WEIGHT.T, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found["/y"], np.maximum(found["z"], 0))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the inputs must be 'in:0', not none"),
        ({"z": np.zeros((1, 3))}, "the inputs must be 'in:0', not 'z'"),
        ({"in:0": np.zeros((1, 3))}, "input 'in:0' must be float32, not float64"),
        ({"in:0": np.zeros((1, 4), np.float32)}, "input 'in:0' must have shape (samples, 3), not (1, 4)"),
        ({"in:0": np.zeros(3, np.float32)}, "input 'in:0' must have shape (samples, 3), not (3,)"),
        (
            {"in:0": np.zeros((0, 3), np.float32)},
            "must have the same number of samples, at least one, not {'in:0': 0}",
        ),
        ({"in:0": np.float32([[0] * 3, [0, 0, np.nan]])}, "must hold numbers, but sample 1 has a NaN"),
    ],
)
def test_wrong_inputs_are_refused_by_name(inputs, message):
    with pytest.raises(EvaluationError) as caught:
        dense().run(inputs)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((), ("y", "z"), "each parameter must have a name: 1 of them, not 0"),
        (("x",), ("y",), "each result must have a name: 2 of them, not 1"),
        (("x",), ("y", "y"), "names of results must differ, not 'y', 'y'"),
    ],
)
def test_names_must_fit(inputs, outputs, message):
    with pytest.raises(IrError, match=message):
        NamedFunction(dense().function, inputs, outputs)


def test_shapes_of_a_sample_are_those_behind_the_batch():
    assert dense().sample_shapes == ({"in:0": (3,)}, {"/y": (20,), "z": (20,)})
    assert dense(1).sample_shapes == dense().sample_shapes
    with pytest.raises(
        IrError, match=r"input 'in:0' must have a batch in front, symbolic or 1, not f32\[4, 3"
    ):
        _ = dense(4).sample_shapes


def test_one_sample_has_no_symbolic_size_and_the_same_values():
    one = dense().one_sample()
    verify(one.function)
    assert one.function.result_types[0] == TensorType(DType.FLOAT32, (1, 20))
    (expected, _), (found, _) = run(dense().function, X[:1]), run(one.function, X[:1])
    np.testing.assert_array_equal(found, expected)


def test_sizes_are_specialised_throughout_and_types_inferred_anew():
    n, m = Size.of("n"), Size.of("m")
    b = Builder("f")
    x = b.parameter("x", TensorType(DType.FLOAT32, (n, m)))
    function = b.function(e.reshape(b, x, (n * m,)))
    found = specialise(function, {"m": 3})
    verify(found)
    assert found.result_types == (TensorType(DType.FLOAT32, (3 * n,)),)
    assert specialise(found, {"n": 2}).result_types == (TensorType(DType.FLOAT32, (6,)),)
    assert [value.name for value in found.parameters] == ["x"]
    with pytest.raises(IrError, match=r"a size of 'f' must be one of m, n, not 'k'"):
        specialise(function, {"k": 3})


def test_what_has_no_meaning_for_a_number_is_refused():
    b = Builder("f")
    x = b.parameter("x", TensorType(DType.FLOAT32, (Size.of("n"), 4)))
    function = b.function(e.reshape(b, x, (6, 2)))
    with pytest.raises(OperatorError, match="shape must have as many elements"):
        specialise(function, {"n": 2})


def test_what_no_result_needs_is_left_out():
    function = dense().function
    kept = pruned(function)
    verify(kept)
    assert len(function.equations) - len(kept.equations) == 1
    np.testing.assert_array_equal(run(kept, X)[0], run(function, X)[0])


def test_an_observer_is_told_of_every_result_of_an_equation():
    seen = {}
    function = dense().function
    run(function, X, observe=lambda equation, value, array: seen.update({value: array.shape}))
    assert seen.keys() == {value for each in function.equations for value in each.results}
    assert seen[function.results[0]] == (7, 20)


def test_text_and_tensors_are_the_function():
    function = dense().function
    data = save_tensors(tensors_of(function))
    assert save_tensors(tensors_of(function)) == data
    assert parse_function(print_function(function), operators(), load_tensors(data)) == function


@pytest.mark.parametrize("data", [b"", b"nonsense", save_tensors(tensors_of(dense().function))[:-30]])
def test_other_bytes_are_no_tensors(data):
    with pytest.raises(IrError, match="the tensors must be a zip of arrays and their index"):
        load_tensors(data)


def test_tensors_that_were_altered_are_refused():
    ((digest, literal),) = tensors_of(dense().function).items()
    other = save_tensors({"0" * 16: literal})
    with pytest.raises(IrError, match=f"must have that digest, not {digest}: it was altered"):
        load_tensors(other)


def test_every_operator_is_known_by_its_name():
    known = operators()
    assert {"conv", "map", "scan", "softmax", "dense", "qconv2d", "constant", "call"} <= known.keys()
    assert all(kind.name == name for name, kind in known.items())
