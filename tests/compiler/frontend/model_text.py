"""Small ONNX models for tests."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def make_model(nodes, inputs, outputs=("y",), constants=None, opset=17):
    """A model; `inputs` maps names to shapes, those of outputs are inferred."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("my.domain", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    if opset <= onnx.defs.onnx_opset_version():
        model = onnx.shape_inference.infer_shapes(model)
    for value in model.graph.output:
        if not value.type.tensor_type.HasField("shape"):
            value.CopyFrom(helper.make_tensor_value_info(value.name, FLOAT, ["unknown"]))
    return model


def save(model, folder: Path) -> Path:
    """The file of a model."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path
