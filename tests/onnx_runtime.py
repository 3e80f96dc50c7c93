"""ONNX Runtime as an oracle: sessions whose integers are exact on every CPU."""

import onnxruntime

EXACT = "session.x64quantprecision"
"""On CPUs with AVX2 and no VNNI its products of uint8 by int8 saturate at int16, unless this is "1"."""


def exact_session(model, fused=True):
    """A session of one thread.

    Args:
        model: an ONNX model, or the path of one.
        fused: whether it may compute in integers what stands between quantisation and dequantisation; else
            it computes operator by operator, as the model says.
    """
    options = onnxruntime.SessionOptions()
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry(EXACT, "1")
    data = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    return onnxruntime.InferenceSession(data, options)


def peer_outputs(model, inputs, fused=True):
    """What it answers, by name of the output."""
    session = exact_session(model, fused)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))
