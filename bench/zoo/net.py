"""Builds an ONNX model node by node."""

import numpy as np
import onnx
from onnx import TensorProto, helper

_TYPES = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}
OPSET = 17


class Net:
    """A model while it is written; values are names.

    Args:
        seed: of the weights.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self._nodes, self._constants, self._inputs, self._outputs = [], [], [], []

    def input(self, name, shape, kind="f"):
        """An input; text among the sizes is symbolic. Kinds: f (float32), i (int64), b (bool)."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[kind], shape))
        return name

    def output(self, value, name, shape, kind="f"):
        """Makes a value an output of that name."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[kind], shape))

    def constant(self, array):
        """An initialiser."""
        name = f"c{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *numbers):
        """An initialiser of int64, on one axis."""
        return self.constant(np.array(numbers, np.int64))

    def number(self, value):
        """A float32 scalar."""
        return self.constant(np.float32(value))

    def weight(self, *shape, scale=None):
        """Normal weights; by default of the variance that keeps that of activations."""
        if scale is None:
            scale = np.sqrt(1 / max(1, int(np.prod(shape[1:]))))
        return self.constant((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def __call__(self, operator, *inputs, outputs=1, **attributes):
        """The result of a node, or its results."""
        names = [f"v{len(self._nodes)}_{index}" for index in range(outputs)]
        label = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), names, label, **attributes))
        return names[0] if outputs == 1 else names

    def model(self):
        """The model, checked."""
        graph = helper.make_graph(self._nodes, "net", self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model
