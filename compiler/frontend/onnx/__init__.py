"""ONNX models as functions of the IR, one module a family of operators."""
