"""Small damages of ONNX models: of the bytes, or of names, shapes, types, attributes, nodes and weights."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper
from tests.hostile.mutate import NUMBERS, damaged_bytes

_SHAPES = """
<ir_version: 8, opset_import: ["" : 18]>
shapes (float[n, 3, 4] x, bool c) => (float[n, k] y, float[a, b] z, float[u, v] sums)
<int64[1] one = {1}, int64[1] two = {2}, int64 zero = {0}, int64 trips = {3}, float s = {0.02}, int8 p = {3},
 float[1, 2, 4] w = {0.5, 0, 1, 2, 3, -1, 0.25, 1}, float[1, 2, 2] r = {0.25, 1, 0, -1}, int64[1] end = {2}>
{
    start = Constant <value_ints: ints = [0]> ()
    minus = Constant <value_ints: ints = [-1]> ()
    shape = Shape (x)
    n = Gather <axis: int = 0> (shape, zero)
    rows = Unsqueeze (n, start)
    target = Concat <axis: int = 0> (rows, minus)
    flat = Reshape (x, target)
    q = QuantizeLinear (flat, s, p)
    d = DequantizeLinear (q, s, p)
    soft = Softmax <axis: int = 1> (d)
    top, index = TopK (soft, two)
    sums = ReduceMean <keepdims: int = 1> (soft, one)
    y = If (c) <
        then_branch = left () => (float[n, k] t) { t = Add (top, sums) },
        else_branch = right () => (float[n, k] e) { e = Mul (top, sums) }
    >
    x3 = Transpose <perm: ints = [1, 0, 2]> (x)
    h, last = RNN <hidden_size: int = 2> (x3, w, r)
    squeezed = Squeeze (last, start)
    part = Slice (squeezed, start, end, one)
    z = Loop (trips, , part) <
        body = step (int64 i, bool go, float[a, b] v) => (bool more, float[a, b] next)
            { more = Identity (go) next = Tanh (v) }
    >
}
"""
_NAMES = ("", "x", "w", "c", "y", "none", "é", "x" * 5000)
_OPERATORS = (
    *("Conv", "Relu", "Add", "Clip", "BatchNormalization", "MaxPool", "AveragePool", "Flatten", "Reshape"),
    *("Gemm", "MatMul", "Constant", "Identity", "Unsqueeze", "Pad", "Tile", "Expand", "ConstantOfShape"),
    *("QuantizeLinear", "DequantizeLinear", "Shape", "Dropout", "GlobalAveragePool", "If", "Nothing"),
    *(
        "Softmax",
        "Transpose",
        "Concat",
        "Gather",
        "Slice",
        "Squeeze",
        "TopK",
        "RNN",
        "LSTM",
        "GRU",
        "Loop",
        "Scan",
    ),
    *(
        "Resize",
        "ReduceSum",
        "ReduceMean",
        "Where",
        "Cast",
        "CastLike",
        "Range",
        "OneHot",
        "Split",
        "NonZero",
    ),
    *(
        "GatherND",
        "ScatterND",
        "GatherElements",
        "CumSum",
        "Einsum",
        "LayerNormalization",
        "ConvTranspose",
        "Pow",
    ),
    *(
        "Size",
        "Trilu",
        "DepthToSpace",
        "SequenceConstruct",
        "SequenceAt",
        "QLinearConv",
        "QLinearMatMul",
        "LRN",
    ),
    *(
        "MatMulInteger",
        "ConvInteger",
        "ReduceMax",
        "ArgMax",
        "EyeLike",
        "Mod",
        "BitShift",
        "Div",
        "Sqrt",
        "Sum",
    ),
)
_ATTRIBUTES = (
    *("pads", "strides", "dilations", "group", "kernel_shape", "auto_pad", "axis", "alpha", "value", "axes"),
    *("perm", "to", "equation", "hidden_size", "direction", "mode", "keepdims", "num_outputs", "value_ints"),
    *("output_dtype", "block_size", "activations", "body", "scan_input_axes", "num_scan_inputs", "blocksize"),
)
_BY_OPERANDS = {
    1: (
        *(
            "Relu",
            "Neg",
            "Identity",
            "Shape",
            "Size",
            "Flatten",
            "Squeeze",
            "Transpose",
            "Softmax",
            "ReduceSum",
        ),
        *("Exp", "Not", "NonZero", "GlobalAveragePool", "ReduceMax", "ArgMax", "Unsqueeze", "Sum", "Concat"),
        *("ConstantOfShape", "DynamicQuantizeLinear", "Hardmax", "LogSoftmax", "LpNormalization", "Trilu"),
        *(
            "SequenceConstruct",
            "SequenceLength",
            "Optional",
            "Abs",
            "Einsum",
            "DepthToSpace",
            "IsNaN",
            "Dropout",
        ),
    ),
    2: (
        *(
            "Add",
            "MatMul",
            "Pow",
            "Div",
            "Mod",
            "Equal",
            "And",
            "Reshape",
            "Expand",
            "Tile",
            "Gather",
            "Squeeze",
        ),
        *(
            "Unsqueeze",
            "TopK",
            "Concat",
            "GatherND",
            "GatherElements",
            "CumSum",
            "Conv",
            "ConvTranspose",
            "Pad",
        ),
        *(
            "Resize",
            "Upsample",
            "OneHot",
            "Split",
            "MatMulInteger",
            "ConvInteger",
            "PRelu",
            "ReduceSum",
            "Max",
        ),
        *(
            "QuantizeLinear",
            "DequantizeLinear",
            "BitShift",
            "Gemm",
            "Clip",
            "CastLike",
            "SequenceAt",
            "Slice",
        ),
        *("GridSample", "LayerNormalization", "Compress", "ReduceMean", "Where", "Trilu"),
    ),
    3: (
        *("Where", "Gemm", "Conv", "Clip", "Range", "OneHot", "Pad", "ScatterND", "ScatterElements", "Slice"),
        *(
            "QuantizeLinear",
            "DequantizeLinear",
            "RNN",
            "LSTM",
            "GRU",
            "Resize",
            "InstanceNormalization",
            "Loop",
        ),
        *("LayerNormalization", "Sum", "Concat", "Add", "Scan", "GroupNormalization", "ReverseSequence"),
    ),
    4: ("Slice", "Resize", "RNN", "LSTM", "GRU", "Pad", "Concat", "MatMulInteger", "Loop", "Einsum"),
}
"""Operators that can have so many operands."""
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, float("nan"), float("inf"), -float("inf"))
_SIZES = tuple(number for number in NUMBERS if -(1 << 63) <= number < 1 << 63)


def shape_network() -> Any:
    """A network whose shapes are computed: recurrence, a branch, a loop, folds, gathers, quantised parts."""
    return onnx.parser.parse_model(_SHAPES)


def damaged_model(random: Random, name: str, data: bytes) -> bytes:
    """A model with one to three parts changed; one in four has damaged bytes instead."""
    if random.random() < 0.25:
        return damaged_bytes(random, data)
    model = onnx.load_model_from_string(data)
    damages = _SOUND_DAMAGES if random.random() < 0.6 else _DAMAGES
    for _ in range(random.randint(1, 3)):
        random.choice(damages)(random, model)
    return model.SerializeToString()


def _any_node(random: Random, model: Any) -> Any:
    nodes = _nodes(model.graph)
    return random.choice(nodes) if nodes else model.graph.node.add()


def _nodes(graph: Any) -> list[Any]:
    """All nodes, those of the graphs inside as well."""
    inner = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    return [*graph.node, *(node for each in inner for node in _nodes(each))]


def _rename(random: Random, model: Any) -> None:
    node = _any_node(random, model)
    names = random.choice((node.input, node.output))
    if names:
        names[random.randrange(len(names))] = random.choice(_NAMES)


def _more_names(random: Random, model: Any) -> None:
    node = _any_node(random, model)
    names = random.choice((node.input, node.output))
    if random.random() < 0.5:
        names.append(random.choice(_NAMES))
    elif names:
        names.pop()


def _drop_initialiser(random: Random, model: Any) -> None:
    if model.graph.initializer:
        model.graph.initializer.pop(random.randrange(len(model.graph.initializer)))


def _initialiser(random: Random, model: Any) -> Any:
    tensors = model.graph.initializer
    return random.choice(tensors) if tensors else tensors.add()


def _reshape_initialiser(random: Random, model: Any) -> None:
    tensor = _initialiser(random, model)
    choice = random.random()
    if choice < 0.5 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(_SIZES)
    elif choice < 0.75:
        tensor.dims.append(random.choice(_SIZES))
    elif tensor.dims:
        tensor.dims.pop()


def _retype_initialiser(random: Random, model: Any) -> None:
    _initialiser(random, model).data_type = random.choice((*range(25), 99))


def _new_values(random: Random, model: Any) -> None:
    """Extreme numbers, in any type and shape that numpy has."""
    tensor = _initialiser(random, model)
    value = random.choice((0, 1e-45, -1e-45, 3e38, np.inf, np.nan, 1, -1))
    shape = random.choice(((), (0,), (1,), (2,), (6, 3, 1, 1), (6,), (6, 3), (1, 1, 1, 1)))
    dtype = random.choice((np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.complex64))
    with np.errstate(all="ignore"):
        array = np.full(shape, value).astype(dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _external(random: Random, model: Any) -> None:
    tensor = _initialiser(random, model)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    numbers = ("0", "-5", "abc", "8", str(1 << 62), "")
    places = ("weights", "net.onnx", "../weights", "", "none", "zeros")
    for key, values in (("location", places), ("offset", numbers), ("length", numbers)):
        if random.random() < 0.8:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, random.choice(values)


def _input_shape(random: Random, model: Any) -> None:
    sides = [*model.graph.input, *model.graph.output]
    if not sides:
        return
    tensor = random.choice(sides).type.tensor_type
    dims = tensor.shape.dim
    choice = random.random()
    if choice < 0.2:
        tensor.elem_type = random.choice((*range(25), 99))
    elif choice < 0.6 and dims:
        dims[random.randrange(len(dims))].dim_value = random.choice(_SIZES)
    elif choice < 0.8:
        dims.add().dim_value = random.choice(_SIZES)
    elif dims:
        dims.pop()


def _other_operator(random: Random, model: Any) -> None:
    _any_node(random, model).op_type = random.choice(_OPERATORS)


def _attribute(random: Random, model: Any) -> None:
    node = _any_node(random, model)
    name = random.choice(_ATTRIBUTES)
    numbers = [random.choice(_SIZES) for _ in range(random.randrange(5))]
    value = random.choice(
        (numbers, random.choice(_SIZES), 0.5, float("nan"), "SAME_UPPER", "é", ["a"], [1.5])
    )
    if value == []:
        return
    attribute = onnx.helper.make_attribute(name, value)
    if random.random() < 0.1:
        attribute.ref_attr_name = "alpha"
    node.attribute.append(attribute)


def _drop_node(random: Random, model: Any) -> None:
    if model.graph.node:
        model.graph.node.pop(random.randrange(len(model.graph.node)))


def _double_node(random: Random, model: Any) -> None:
    model.graph.node.add().CopyFrom(_any_node(random, model))


def _new_node(random: Random, model: Any) -> None:
    names = [random.choice(_NAMES[:6]) for _ in range(3)]
    node = onnx.helper.make_node(
        random.choice(_OPERATORS), names[: random.randint(0, 3)], [random.choice("cyz")]
    )
    model.graph.node.insert(random.randint(0, len(model.graph.node)), node)


def _version(random: Random, model: Any) -> None:
    choice = random.random()
    if choice < 0.5 and model.opset_import:
        model.opset_import[0].version = random.choice(_SIZES)
    elif choice < 0.75:
        model.ir_version = random.choice(_SIZES)
    else:
        model.opset_import.add().domain = random.choice(("", "a", "ai.onnx.ml"))


# --- damages that a checker of single nodes lets pass ------------------------------------------------------


def _new_operand(random: Random, model: Any) -> None:
    """Another value of the model as operand, before or after it is computed."""
    node = _any_node(random, model)
    graph = model.graph
    names = [each.name for each in (*graph.input, *graph.initializer)]
    names += [name for each in _nodes(graph) for name in each.output]
    if node.input and names:
        node.input[random.randrange(len(node.input))] = random.choice(names)


def _same_operands(random: Random, model: Any) -> None:
    """Another operator that takes as many operands."""
    node = _any_node(random, model)
    same = [each for each in _BY_OPERANDS.get(len(node.input), ()) if each != node.op_type]
    if same:
        node.op_type = random.choice(same)
        del node.attribute[:]


def _attribute_value(random: Random, model: Any) -> None:
    """Another value of the type that an attribute has."""
    attributes = [each for node in _nodes(model.graph) for each in node.attribute]
    if not attributes:
        return
    attribute = random.choice(attributes)
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = random.choice(_SIZES)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = random.choice((0, -1, 1e-45, float("nan"), float("inf")))
    elif attribute.type == onnx.AttributeProto.INTS:
        place = random.randrange(len(attribute.ints) + 1)
        if place == len(attribute.ints):
            attribute.ints.append(random.choice(_SIZES))
        else:
            attribute.ints[place] = random.choice(_SIZES)


def _same_type(random: Random, model: Any) -> None:
    """Other elements in a constant of the same type and shape."""
    tensor = _initialiser(random, model)
    if tensor.data_type not in (onnx.TensorProto.INT64, onnx.TensorProto.FLOAT, onnx.TensorProto.INT8):
        return
    array = numpy_helper.to_array(tensor).copy()
    whole = array.dtype.kind == "i"
    numbers = [n for n in _SIZES if not whole or np.iinfo(array.dtype).min <= n <= np.iinfo(array.dtype).max]
    if array.size:
        with np.errstate(all="ignore"):
            array.flat[random.randrange(array.size)] = random.choice(numbers if whole else _FLOATS)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _opset(random: Random, model: Any) -> None:
    if model.opset_import:
        model.opset_import[0].version = random.randint(5, 28)


_DAMAGES: tuple[Callable[[Random, Any], None], ...] = (
    *(_rename, _more_names, _drop_initialiser, _reshape_initialiser, _retype_initialiser, _new_values),
    *(_external, _input_shape, _other_operator, _attribute, _attribute, _drop_node, _double_node, _new_node),
    *(_version,),
)
_SOUND_DAMAGES = (
    *(_new_operand, _new_operand, _same_operands, _same_operands, _attribute_value, _attribute_value),
    *(_same_type, _opset, _drop_node, _drop_initialiser),
)
