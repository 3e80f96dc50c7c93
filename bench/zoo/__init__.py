"""Networks as ONNX models, written as exporters write them, with seeded weights."""
