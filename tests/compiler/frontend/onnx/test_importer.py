"""Models become functions with symbolic sizes; what cannot be taken is told at once, in one line."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.frontend.onnx.model import read_model
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.interpret import run


def tensor(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, constants=None, opset=17, **fields):
    made = [
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, made, **fields)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def attention_scores():
    """Heads split by Shape → Gather → Unsqueeze → Concat → Reshape, as exporters write it."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "wq"], ["q"]),
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Unsqueeze", ["batch", "axes"], ["batch1"]),
        node("Unsqueeze", ["length", "axes"], ["length1"]),
        node("Concat", ["batch1", "length1", "heads"], ["split"], axis=0),
        node("Reshape", ["q", "split"], ["q4"]),
        node("Transpose", ["q4"], ["left"], perm=[0, 2, 1, 3]),
        node("Transpose", ["q4"], ["right"], perm=[0, 2, 3, 1]),
        node("MatMul", ["left", "right"], ["scores"]),
        node("Softmax", ["scores"], ["p"], axis=-1),
        node("Concat", ["batch1", "rest"], ["flat"], axis=0),
        node("Reshape", ["p", "flat"], ["y"]),
    ]
    weights = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    constants = {
        "wq": weights, "zero": np.array(0), "one": np.array(1), "axes": np.array([0]),
        "heads": np.array([2, 4]), "rest": np.array([-1]),
    }  # fmt: skip
    return model(nodes, [tensor("x", ["batch", "seq len", 8])], [tensor("y", ["batch", "n"])], constants)


@pytest.mark.parametrize("size", [None, "?", -1])
def test_sizes_without_a_name_need_not_be_equal(size):
    module = import_model(model([helper.make_node("Neg", ["x"], ["y"])], [tensor("x", [size, size])],
                                [tensor("y", ["a", "b"])]))  # fmt: skip
    (y,) = run(module, np.ones((2, 3), np.float32))
    assert y.shape == (2, 3)


def pooled_and_joined():
    """A model that has a meaning for a height of 4 alone: what it joins must have one row."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[4, 1], strides=[4, 1]),
        helper.make_node("GlobalMaxPool", ["x"], ["g"]),
        helper.make_node("Concat", ["p", "g"], ["y"], axis=3),
    ]
    return model(nodes, [tensor("x", ["n", 3, "h", "w"])], [tensor("y", ["n", 3, 1, "v"])])


def test_a_model_that_makes_sense_for_some_sizes_alone_asks_for_numbers():
    with pytest.raises(FrontendError, match=r"may be for numbers alone: give .*--size h=NUMBER"):
        import_model(pooled_and_joined())
    module = import_model(pooled_and_joined(), sizes={"h": 4})
    assert [str(size) for size in module.main.results[0].type.shape] == ["n", "3", "1", "w+1"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"k": 3}, "must be one of n, h, w, not 'k'"), ({"h": -1}, "size h must be a number from 0, not -1")],
)
def test_numbers_for_sizes_are_checked(sizes, message):
    with pytest.raises(IrError, match=message):
        import_model(pooled_and_joined(), sizes=sizes)


def test_shape_computations_become_symbolic_sizes():
    module = import_model(attention_scores())
    assert str(module.main.parameters[0].type) == "f32[batch, seq_len, 8]"
    assert str(module.main.results[0].type) == "f32[batch, 2*seq_len*seq_len]"
    assert not {"gather", "concat", "extent"} & {each.operator.name for each in module.main.equations}


@pytest.mark.parametrize("shape", [(1, 3, 8), (2, 5, 8)])
def test_a_symbolic_model_agrees_with_onnx_runtime(shape):
    source = attention_scores()
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    session = onnxruntime.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(run(import_model(source), x)[0], session.run(None, {"x": x})[0], atol=1e-6)


def test_float16_stays_at_the_ports():
    half = TensorProto.FLOAT16
    source = model(
        [helper.make_node("Exp", ["x"], ["y"])], [tensor("x", [2], half)], [tensor("y", [2], half)]
    )
    module = import_model(source)
    assert [each.operator.name for each in module.main.equations] == ["cast", "map", "cast"]
    (y,) = run(module, np.float16([0, 1]))
    assert y.dtype == np.float16


def test_all_unsupported_nodes_are_told_at_once():
    nodes = [
        helper.make_node("Multinomial", ["x"], ["a"], name="draw"),
        helper.make_node("Exp", ["a"], ["b"], name="fine"),
        helper.make_node("StringNormalizer", ["b"], ["c"], name="behind"),
        helper.make_node("Transpose", ["x"], ["d"], perm=[0, 5], name="wrong"),
    ]
    source = model(nodes, [tensor("x", [2, 2])], [tensor("c", [2, 2]), tensor("d", [2, 2])])
    with pytest.raises(FrontendError) as error:
        import_model(source)
    text = str(error.value)
    assert all(name in text for name in ("'draw'", "'behind'", "'wrong'", "perm must be from -2 to 1, not 5"))
    assert "'fine'" not in text


def test_an_input_that_says_a_shape_must_be_known():
    source = model(
        [helper.make_node("Reshape", ["x", "s"], ["y"])],
        [tensor("x", [6]), tensor("s", [2], TensorProto.INT64)],
        [tensor("y", ["a", "b"])],
    )
    with pytest.raises(UnknownInputsError, match="the value of input 's' must be known") as error:
        import_model(source)
    assert error.value.inputs == ("s",)
    assert str(import_model(source, {"s": np.array([3, 2])}).main.results[0].type) == "f32[3, 2]"


def external(folder, **entries):
    """A model with a constant of eight bytes in a file of sixteen."""
    (folder / "data.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    source = model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [tensor("x", [2])],
        [tensor("y", [2])],
        {"w": np.zeros(2, np.float32)},
    )
    constant = source.graph.initializer[0]
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "data.bin", "offset": "8", "length": "8", **entries}.items():
        constant.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(source.SerializeToString())
    return path


def test_data_beside_the_file_is_read(tmp_path):
    (y,) = run(import_model(external(tmp_path)), np.float32([1, 1]))
    assert y.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "-5"}, "an offset from 0, not '-5'"),
        ({"offset": "abc"}, "an offset from 0, not 'abc'"),
        ({"length": "4"}, "must have 8 bytes for its shape, not 4"),
        ({"length": "800"}, "must lie inside of data.bin"),
        ({"offset": "800"}, "must lie inside of data.bin"),
        ({"location": "../data.bin"}, "must be in the folder of the model"),
        ({"location": "/etc/passwd"}, "must be in the folder of the model"),
        ({"location": "absent.bin"}, "cannot be read"),
    ],
)
def test_data_beside_the_file_are_checked(tmp_path, entries, message):
    with pytest.raises(FrontendError, match=message):
        import_model(external(tmp_path, **entries))


@pytest.mark.parametrize("source", [b"", b"no model", b"\x0a\x03abc", 3, "absent.onnx"])
def test_what_is_no_model_is_refused_in_one_line(source):
    with pytest.raises(FrontendError) as error:
        import_model(source)
    assert "\n" not in str(error.value)


def test_bytes_changed_at_random_are_taken_or_refused():
    data = attention_scores().SerializeToString()
    random = np.random.default_rng(2)
    refused = 0
    for _ in range(400):
        changed = bytearray(data)
        changed[random.integers(len(data))] = random.integers(256)
        try:
            import_model(bytes(changed))
        except FrontendError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Shape", ["x"], ["y"], start=2**62),
        helper.make_node("CumSum", ["x", "none"], ["y"]),
        helper.make_node("OneHot", ["x", "none", "x"], ["y"]),
        helper.make_node("ConvTranspose", ["x", "x"], ["y"], pads=[1]),
        helper.make_node("Resize", ["x", "", "", "none"], ["y"]),
    ],
    ids=lambda node: node.op_type,
)
def test_malformed_nodes_are_refused_or_taken(node):
    source = model(
        [node], [tensor("x", [1, 1, 2])], [tensor("y", ["a", "b"])], {"none": np.zeros(0, np.int64)}
    )
    source.graph.output[0].type.tensor_type.shape.dim.add(dim_param="n")
    try:
        import_model(source)
    except FrontendError as error:
        text = str(error)
    else:
        text = ""
    assert "\n" not in text


def test_a_sparse_constant_is_made_dense():
    values = onnx.numpy_helper.from_array(np.float32([5, 7]), "w")
    sparse = helper.make_sparse_tensor(values, onnx.numpy_helper.from_array(np.array([0, 2])), [3])
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    source = model(nodes, [tensor("x", [3])], [tensor("y", [3])], sparse_initializer=[sparse])
    assert run(import_model(source), np.zeros(3, np.float32))[0].tolist() == [5, 0, 7]


def test_functions_of_a_model_are_inlined():
    body = [helper.make_node("Mul", ["a", "a"], ["square"])]
    function = helper.make_function("own", "Square", ["a"], ["square"], body, [helper.make_opsetid("", 17)])
    graph = helper.make_graph(
        [helper.make_node("Square", ["x"], ["y"], domain="own")], "g", [tensor("x", [2])], [tensor("y", [2])]
    )
    source = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
        ir_version=8,
    )
    assert not read_model(source).functions
    assert run(import_model(source), np.float32([2, 3]))[0].tolist() == [4, 9]
