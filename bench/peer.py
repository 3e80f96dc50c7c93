"""Networks in ONNX Runtime: its floats, and the integers that its quantiser makes of them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization as quantisation
from onnxruntime.quantization.shape_inference import quant_pre_process

Array = NDArray[Any]
EXACT = "session.x64quantprecision"
"""Without it, sums of int8 saturate on CPUs with AVX2 and no VNNI."""


class Session:
    """A model in ONNX Runtime.

    Args:
        model: what it runs.
        threads: it may take.
        exact: whether sums of int8 may not saturate, whatever the CPU has.
    """

    def __init__(self, model: onnx.ModelProto, threads: int, *, exact: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, threads
        if exact:
            options.add_session_config_entry(EXACT, "1")
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs, in the order of the model."""
        outputs: list[Array] = self._session.run(None, dict(inputs))
        return outputs


def fixed(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The model with numbers for the symbolic sizes of its inputs."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for value in found.graph.input:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_value = sizes[axis.dim_param]
    return found


class _Samples(quantisation.CalibrationDataReader):
    def __init__(self, inputs: Mapping[str, Array]) -> None:
        self._rows = iter([dict(inputs)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._rows, None)


def static_integers(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> onnx.ModelProto:
    """The model as its quantiser makes it (QDQ, uint8 and int8, weights by channel), of one sample."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "prepared.onnx", Path(folder) / "made.onnx"
        _prepare(model, source)
        quantisation.quantize_static(
            str(source),
            str(made),
            _Samples(inputs),
            per_channel=True,
            activation_type=quantisation.QuantType.QUInt8,
            weight_type=quantisation.QuantType.QInt8,
        )
        return onnx.load(made)


def dynamic_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with products of matrices in integers whose scales are found in each run."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "prepared.onnx", Path(folder) / "made.onnx"
        _prepare(model, source)
        quantisation.quantize_dynamic(str(source), str(made), per_channel=True)
        return onnx.load(made)


def _prepare(model: onnx.ModelProto, path: Path) -> None:
    """Batch norms in the weights before them, as its guide says."""
    plain = path.with_suffix(".plain.onnx")
    onnx.save(model, plain)
    quant_pre_process(str(plain), str(path), skip_symbolic_shape=True)


def decibels(expected: Array, found: Array) -> float:
    """Of a signal to its errors."""
    lost = float(((expected - found).astype(np.float64) ** 2).sum())
    return float(10 * np.log10(float((expected.astype(np.float64) ** 2).sum()) / max(lost, 1e-30)))
