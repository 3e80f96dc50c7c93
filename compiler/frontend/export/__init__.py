"""Functions of the IR as ONNX models: the way back."""

from tilewright.compiler.frontend.export.model import write_onnx

__all__ = ["write_onnx"]
