"""ONNX models in the making, by their operators; and their way through the compiler to every device.

Nothing here, nor in a test that uses no more than this, knows how the compiler represents a network.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.pipeline import compile_model, load_onnx, quantise
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import PRESETS
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.sim_device import SimDevice

TINY = PRESETS["tiny"]


@dataclass
class OnnxNetwork:
    """A model in the making.

    Members:
        inputs: names and shapes, with a batch of 1.
        opset: of the operators.
    """

    inputs: dict[str, tuple[int, ...]]
    opset: int = 21
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str | np.ndarray | float, **attributes: object) -> str:
        """Adds a node; an input that is no name is a constant. Returns the name of the result."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        result = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [result], f"n{len(self.nodes)}", **attributes))
        return result

    def constant(self, value: np.ndarray | float) -> str:
        """Adds a constant: float32, unless it is an array of integers."""
        array = np.asarray(value)
        name = f"c{len(self.constants)}"
        self.constants[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
        return name

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model with these outputs."""
        made = helper.make_graph(
            self.nodes,
            "network",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])
                for name, shape in self.inputs.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model)


def load(model):
    """The network of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        return load_onnx(path)


def meaning(network, inputs):
    """What a network answers, by the interpreter; list-like inputs are made float32."""
    return network.run(_float(inputs))


def integers(model, calibration=None):
    """The quantised network of a model."""
    return quantise(load(model), None if calibration is None else _float(calibration))


def answers(network, inputs, device, config=TINY):
    """What a quantised network answers, by name of the output.

    Args:
        network: quantised.
        inputs: by name.
        device: "interpreter", "cpu", "sim" or "rtl".
        config: of the machine.
    """
    if device == "interpreter":
        return meaning(network, inputs)
    if device == "cpu":
        return HostNetwork(network).run(_float(inputs))
    machine = (SimDevice if device == "sim" else RtlDevice)(config)
    return ModelRunner(compile_model(network, config), machine).run(_float(inputs)).outputs


def check_devices(network, inputs, devices=("cpu", "sim"), config=TINY):
    """What a quantised network answers, after these devices have given the bytes of the interpreter."""
    expected = answers(network, inputs, "interpreter")
    for device in devices:
        found = answers(network, inputs, device, config)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=f"{device} {name}")
    return expected


def check_close(model, inputs, steps=2.0, devices=("cpu", "sim"), config=TINY):
    """All devices answer alike, and what the floats answer but for some steps of int8.

    Args:
        model: of floats.
        inputs: by name; the calibration too.
        steps: of the result's range over 255.
        devices, config: as in `check_devices`.
    """
    found = check_devices(integers(model, inputs), inputs, devices, config)
    for name, value in meaning(load(model), inputs).items():
        step = (max(value.max(), 0) - min(value.min(), 0)) / 255
        np.testing.assert_allclose(found[name], value, rtol=0, atol=steps * step)


def _float(inputs):
    return {name: np.asarray(value, np.float32) for name, value in inputs.items()}
