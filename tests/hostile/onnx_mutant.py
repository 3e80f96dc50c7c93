"""Small damages of ONNX models: of the bytes, or of names, shapes, types, attributes, nodes and weights."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from tests.hostile.mutate import NUMBERS, damaged_bytes

_NAMES = ("", "x", "w", "c", "y", "none", "é", "x" * 5000)
_OPERATORS = (
    *("Conv", "Relu", "Add", "Clip", "BatchNormalization", "MaxPool", "AveragePool", "Flatten", "Reshape"),
    *("Gemm", "MatMul", "Constant", "Identity", "Unsqueeze", "Pad", "Tile", "Expand", "ConstantOfShape"),
    *("QuantizeLinear", "DequantizeLinear", "Shape", "Dropout", "GlobalAveragePool", "If", "Nothing"),
)
_SIZES = tuple(number for number in NUMBERS if -(1 << 63) <= number < 1 << 63)


def damaged_model(random: Random, name: str, data: bytes) -> bytes:
    """A model with one to three parts changed; one in four has damaged bytes instead."""
    if random.random() < 0.25:
        return damaged_bytes(random, data)
    model = onnx.load_model_from_string(data)
    for _ in range(random.randint(1, 3)):
        random.choice(_DAMAGES)(random, model)
    return model.SerializeToString()


def _any_node(random: Random, model: Any) -> Any:
    nodes = model.graph.node
    return random.choice(nodes) if nodes else nodes.add()


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
    name = random.choice(
        (
            "pads",
            "strides",
            "dilations",
            "group",
            "kernel_shape",
            "auto_pad",
            "axis",
            "alpha",
            "value",
            "axes",
        )
    )
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


_DAMAGES: tuple[Callable[[Random, Any], None], ...] = (
    *(_rename, _more_names, _drop_initialiser, _reshape_initialiser, _retype_initialiser, _new_values),
    *(_external, _input_shape, _other_operator, _attribute, _attribute, _drop_node, _double_node, _new_node),
    *(_version,),
)
