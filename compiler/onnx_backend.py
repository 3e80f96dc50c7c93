"""The interface that the onnx package asks of backends, on the IR's interpreter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run


class PreparedModel:
    """A model that can be run.

    Args:
        model: an onnx.ModelProto, a path, or the bytes of a file.

    Raises:
        FrontendError: if it is not supported; but where only elements of inputs are missing, it is imported
            anew for each run, with them known.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._module: Module | None = None
        self._needed: tuple[str, ...] = ()
        try:
            self._module = import_model(model)
        except UnknownInputsError as error:
            self._needed = error.inputs

    def run(self, inputs: Sequence[Array] | Mapping[str, Array], **_: Any) -> tuple[Array, ...]:
        """The outputs of the model, in its order.

        Raises:
            TilewrightError: if the inputs do not fit, or an operator has no value for them.
        """
        if isinstance(inputs, Mapping):
            inputs = [inputs[name] for name in self._names]
        arrays = [np.asarray(array) for array in inputs]
        module = self._module or self._imported(arrays)
        return run(module, *arrays)

    @property
    def _names(self) -> list[str]:
        graph = self._model.graph
        fixed = {tensor.name for tensor in graph.initializer}
        return [value.name for value in graph.input if value.name not in fixed]

    def _imported(self, arrays: Sequence[Array]) -> Module:
        given = dict(zip(self._names, arrays, strict=False))
        known: dict[str, Array] = {}
        needed = self._needed
        while True:
            known.update({name: given[name] for name in needed})
            try:
                return import_model(self._model, known)
            except UnknownInputsError as error:
                if set(error.inputs) <= set(known):
                    raise
                needed = error.inputs


class TilewrightBackend:
    """As `onnx.backend.base.Backend`."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **_: Any) -> bool:
        """Whether the model can be imported."""
        del model
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **_: Any) -> PreparedModel:
        """A model that can be run."""
        del device
        return PreparedModel(model)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **_: Any) -> tuple[Array, ...]:
        """The outputs of a model."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(cls, node: Any, inputs: Any, device: str = "CPU", **_: Any) -> tuple[Array, ...]:
        """The outputs of one node on these inputs."""
        arrays = [np.asarray(array) for array in inputs]
        return cls.run_model(_model_of(node, arrays), arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it runs there."""
        return device.split(":")[0] == "CPU"


def _model_of(node: Any, arrays: Sequence[Array]) -> Any:
    """A model of one node that takes such arrays."""
    names = [name for name in node.input if name]
    parameters = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in zip(names, arrays, strict=True)
    ]
    types = {value.name: value.type for value in parameters}
    try:
        schema = onnx.defs.get_schema(node.op_type, onnx.defs.onnx_opset_version(), node.domain)
        kinds = onnx.shape_inference.infer_node_outputs(schema, node, types)
    except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError) as error:
        raise FrontendError(f"{node.op_type} must be a node of the newest opset: {error}") from error
    results = [onnx.helper.make_value_info(name, kind) for name, kind in kinds.items()]
    graph = onnx.helper.make_graph([node], "node", parameters, results)
    return onnx.helper.make_model(graph)
