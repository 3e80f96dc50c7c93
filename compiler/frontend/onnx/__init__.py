"""ONNX models as functions of the IR, one module a family of operators."""

from tilewright.compiler.frontend.onnx import (
    control,
    indexing,
    linear,
    normalisation,
    pointwise,
    quantised,
    recurrent,
    reduction,
    resize,
    shape,
    window,
)
from tilewright.compiler.frontend.onnx.importer import import_model
from tilewright.compiler.frontend.onnx.load import load_onnx

FAMILIES = (
    control, indexing, linear, normalisation, pointwise, quantised, recurrent, reduction, resize,
    shape, window,
)  # fmt: skip
"""Modules that register converters."""
__all__ = ["FAMILIES", "import_model", "load_onnx"]
