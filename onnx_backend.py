"""Tilewright as a backend of the onnx package: `prepare`, `run_model`, `run_node`, `supports_device`.

    from tilewright import onnx_backend
    outputs = onnx_backend.run_model(model, inputs)

Models run as compiled code of the host; on device "CPU:interpreter" by the interpreter.
"""

from tilewright.api.onnx_backend import (
    DEVICES,
    PreparedModel,
    TilewrightBackend,
    is_compatible,
    prepare,
    run_model,
    run_node,
    supports_device,
)

__all__ = [
    "DEVICES",
    "PreparedModel",
    "TilewrightBackend",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]
