"""The networks that the onnx package carries, with weights.

Theirs are made by fill operators, and would give every output one number, so each is filled with random
numbers that keep activations near 1.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
SIZES = (1, 3, 48, 192)
"""For axes of inputs that a model leaves open."""


def light_models() -> list[Path]:
    """The networks of the onnx package."""
    return sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def loaded(path: Path) -> Any:
    """The model with known sizes, and random weights where operators made them."""
    model = onnx.load(path)
    for value in model.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_value <= 0:
                size.dim_value = SIZES[axis]
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            (name,) = node.output
            array = _weights(shapes[node.input[0]], name)
            made = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
            node.CopyFrom(made)
    return model


def _weights(shape: Array, name: str) -> Array:
    rng = np.random.default_rng(list(name.encode()))
    sizes = tuple(map(int, shape))
    if len(sizes) < 2:
        # Factors, means and variances of a batch norm among them.
        return rng.uniform(0.5, 1.5, sizes).astype(np.float32)
    return (rng.normal(size=sizes) * np.sqrt(2 / prod(sizes[1:]))).astype(np.float32)
