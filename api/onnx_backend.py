"""The interface that the onnx package asks of backends, on compiled code of the host or by the interpreter.

from tilewright import onnx_backend
outputs = onnx_backend.run_model(model, inputs)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
from onnx.backend.base import Backend, BackendRep

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.targets.cpu.host.program import HostProgram, compile_host
from tilewright.numerics.error import TilewrightError

COMPILED, INTERPRETER = "CPU", "CPU:interpreter"
DEVICES = (COMPILED, "CPU:0", INTERPRETER)
"""What models run on; the first two are the same."""


class PreparedModel(BackendRep):
    """A model that can be run.

    Args:
        model: an onnx.ModelProto.
        device: one of `DEVICES`.

    Raises:
        FrontendError: if it is not supported; but where only elements of inputs are missing, it is imported
            anew for each run, with them known.
    """

    def __init__(self, model: Any, device: str = COMPILED) -> None:
        self._model, self._is_compiled = model, device != INTERPRETER
        self._program: HostProgram | None = None
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
        if self._module is None:
            return self._run(self._imported(arrays), arrays)
        return self._run(self._module, arrays)

    def _run(self, module: Module, arrays: Sequence[Array]) -> tuple[Array, ...]:
        if not self._is_compiled:
            return run(module, *arrays)
        if module is not self._module:
            return compile_host(module).run(*arrays)
        if self._program is None:
            self._program = compile_host(module)
        return self._program.run(*arrays)

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


class TilewrightBackend(Backend):
    """As `onnx.backend.base.Backend`; the device is one of `DEVICES`."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = COMPILED, **_: Any) -> bool:
        """Whether the model can be imported, or will be once its inputs are known."""
        if not cls.supports_device(device):
            return False
        try:
            PreparedModel(model, device)
        except TilewrightError:
            return False
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = COMPILED, **_: Any) -> PreparedModel:
        """A model that can be run.

        Raises:
            TilewrightError: if there is no such device, or the model is not supported.
        """
        if not cls.supports_device(device):
            raise TilewrightError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
        return PreparedModel(model, device)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = COMPILED, **_: Any) -> tuple[Array, ...]:
        """The outputs of a model."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = COMPILED, outputs_info: Any = None, **_: Any
    ) -> tuple[Array, ...]:
        """The outputs of one node on these inputs."""
        del outputs_info
        arrays = [np.asarray(array) for array in inputs]
        return cls.run_model(_model_of(node, arrays), arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it runs there."""
        return device in DEVICES


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


is_compatible = TilewrightBackend.is_compatible
prepare = TilewrightBackend.prepare
run_model = TilewrightBackend.run_model
run_node = TilewrightBackend.run_node
supports_device = TilewrightBackend.supports_device
