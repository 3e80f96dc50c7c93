"""ResNet-18's convolutions compiled for the host, beside ONNX Runtime: float32 and int8, one and two threads.

    python bench/cpu_layers.py [--layers C2,C5] [--threads 1] [--types float32,int8] [--repeats 15]

Both run in turns in one process, each in the layout that it likes best and with its weights packed before;
prints medians. float32 ends with a bias, int8 with bias, requantisation and clamp (ONNX: QLinearConv). Our
answers are compared with the operators' meaning in numpy, to the bit for int8. ONNX Runtime is measured with
its default kernels, which on CPUs with AVX2 and no VNNI saturate sums of int8 and are faster than its exact
ones (`session.x64quantprecision`).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from turns import Call, median_seconds

from tilewright.cli.table import format_table
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.quantised.convolution import ConvolutionGeometry
from tilewright.compiler.ops.quantised.requantised import finish
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layer import float_layer, integer_layer
from tilewright.compiler.targets.cpu.operator.layout import aligned, aligned_empty, starts, weight_panels
from tilewright.numerics.requantise import pack_scale, quantise_multiplier

Array = NDArray[Any]
LAYERS = {
    "C1": (224, 3, 64, 7, 2),
    "C2": (56, 64, 64, 3, 1),
    "C4": (56, 64, 128, 3, 2),
    "C5": (56, 64, 128, 1, 2),
    "C6": (28, 128, 128, 3, 1),
    "C7": (28, 128, 256, 3, 2),
    "C8": (28, 128, 256, 1, 2),
    "C9": (14, 256, 256, 3, 1),
    "C10": (14, 256, 512, 3, 2),
    "C11": (14, 256, 512, 1, 2),
    "C12": (7, 512, 512, 3, 1),
}
"""Height and width of the input, channels, outputs, kernel, stride; padding is half of the kernel."""
SCALE = 1e-3
"""Of the result of int8 layers, in units of the sums, so that few answers are clamped."""


@dataclass(frozen=True)
class Case:
    """A layer with its data: x [height, width, channels], weight [outputs, channels, kernel, kernel]."""

    sizes: ConvolutionSizes
    x: Array
    weight: Array
    bias: Array

    @staticmethod
    def of(name: str, is_float: bool) -> "Case":
        """The layer with random numbers."""
        size, channels, outputs, kernel, stride = LAYERS[name]
        half, rng = kernel // 2, np.random.default_rng(1)
        sizes = ConvolutionSizes(
            height=size,
            width=size,
            channels=channels,
            outputs=outputs,
            kernel=(kernel, kernel),
            strides=(stride, stride),
            pads=(half, half, half, half),
            is_float=is_float,
        )
        shapes = (size, size, channels), (outputs, channels, kernel, kernel)
        if is_float:
            x, weight = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
            return Case(sizes, x, weight, rng.normal(size=outputs).astype(np.float32))
        x, weight = (rng.integers(-127, 128, shape, np.int8) for shape in shapes)
        return Case(sizes, x, weight, rng.integers(-999, 999, outputs, np.int32))

    @property
    def macs(self) -> int:
        """Products of the layer."""
        return prod(self.sizes.result) * self.weight.size

    @property
    def scales(self) -> NDArray[np.int32]:
        """Of an int8 layer, packed."""
        return np.full(self.sizes.outputs, pack_scale(*quantise_multiplier(SCALE)), np.int32)

    def expected(self) -> Array:
        """What the layer means, [height, width, outputs]."""
        sizes = self.sizes
        x, bias = self.x.transpose(2, 0, 1)[None], self.bias[:, None, None]
        if sizes.is_float:
            (total,) = Conv(sizes.strides, sizes.pads, sizes.dilations).run(x, self.weight)
            result = total + bias
        else:
            total = ConvolutionGeometry(sizes.strides, sizes.pads, sizes.dilations, 1).run(x, self.weight, 0)
            result = finish(total, bias, self.scales[:, None, None], 0, -128, 127)
        return result[0].transpose(1, 2, 0)


def ours(case: Case, threads: int) -> tuple[Call, Array, float]:
    """A call, where its answer will be, and seconds to compile."""
    sizes, features = case.sizes, Features.of(HostMachine.host())
    begun = time.perf_counter()
    function = (float_layer if sizes.is_float else integer_layer)("layer", sizes, features)
    kernel = compile_function(function, contract=True, parallel=threads > 1)
    seconds = time.perf_counter() - begun
    lanes = ConvolutionSchedule.default(sizes, features).lanes
    panels = weight_panels(case.weight, sizes, lanes)
    further = [] if sizes.is_float else [starts(case.weight, lanes)]
    scales = [] if sizes.is_float else [case.scales]
    result = aligned_empty((*sizes.result, sizes.outputs), case.x.dtype)
    x = aligned(case.x.reshape(sizes.height, -1))
    return kernel.prepared(x, panels, *further, case.bias, *scales, result), result, seconds


def peer(case: Case, threads: int) -> Call:
    """A call of ONNX Runtime."""
    model = _float_model(case) if case.sizes.is_float else _integer_model(case)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), _options(threads), ["CPUExecutionProvider"]
    )
    x = case.x.transpose(2, 0, 1) if case.sizes.is_float else case.x.view(np.uint8) ^ np.uint8(128)
    given = {"x": aligned(x[None])}
    return lambda: session.run(None, given)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return options


def _float_model(case: Case) -> onnx.ModelProto:
    """A convolution in the blocked layout of ONNX Runtime: its optimiser makes it, with reorders to drop."""
    sizes = case.sizes
    node = helper.make_node(
        "Conv",
        ["x", "w", "b"],
        ["y"],
        kernel_shape=list(sizes.kernel),
        strides=list(sizes.strides),
        pads=list(sizes.pads),
    )
    plain = _model(node, case, TensorProto.FLOAT, {"w": case.weight, "b": case.bias}, channels_last=False)
    with tempfile.TemporaryDirectory() as folder:
        options = _options(1)
        options.optimized_model_filepath = str(Path(folder) / "blocked.onnx")
        onnxruntime.InferenceSession(plain.SerializeToString(), options, ["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    kept = [node for node in model.graph.node if not node.op_type.startswith("Reorder")]
    if sizes.channels % 16 == 0:
        convolution.input[0] = "x"
    convolution.output[0] = "y"
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.value_info[:]
    return model


def _integer_model(case: Case) -> onnx.ModelProto:
    sizes, outputs = case.sizes, case.sizes.outputs
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    node = helper.make_node(
        "QLinearConv",
        names,
        ["y"],
        domain="com.microsoft",
        channels_last=1,
        kernel_shape=list(sizes.kernel),
        strides=list(sizes.strides),
        pads=list(sizes.pads),
    )
    one, zero = np.array(1, np.float32), np.array(128, np.uint8)
    constants = {"xs": one, "xz": zero, "w": case.weight, "ws": np.full(outputs, SCALE, np.float32)}
    constants |= {"wz": np.zeros(outputs, np.int8), "ys": one, "yz": zero, "b": case.bias}
    return _model(node, case, TensorProto.UINT8, constants, channels_last=True)


def _model(
    node: onnx.NodeProto, case: Case, dtype: int, constants: dict[str, Array], channels_last: bool
) -> onnx.ModelProto:
    x, y = case.x.shape, (*case.sizes.result, case.sizes.outputs)
    order = (0, 1, 2) if channels_last else (2, 0, 1)
    given, taken = (
        helper.make_tensor_value_info(name, dtype, [1, *(shape[axis] for axis in order)])
        for name, shape in (("x", x), ("y", y))
    )
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([node], "layer", [given], [taken], initializers)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def measure(name: str, is_float: bool, threads: int, repeats: int) -> tuple[float, float, float, bool]:
    """Median seconds of ours and of the peer, in turns; seconds to compile; whether the answer is right."""
    case = Case.of(name, is_float)
    call, result, compile_seconds = ours(case, threads)
    other = peer(case, threads)
    mine, theirs = median_seconds([call, other], threads, repeats)
    expected = case.expected()
    right = np.allclose(result, expected, atol=1e-2) if is_float else np.array_equal(result, expected)
    return mine, theirs, compile_seconds, bool(right)


def main() -> int:
    """The command: 0 if every answer is right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", default=",".join(LAYERS), help="default: %(default)s")
    parser.add_argument("--threads", default="1,2", help="default: %(default)s")
    parser.add_argument("--types", default="float32,int8", help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    options = parser.parse_args()
    # Code from the cache would take no time to compile.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        return _tables(options)


def _tables(options: argparse.Namespace) -> int:
    fine, header = True, ["layer", "ours, us", "GOP/s", "ONNX Runtime, us", "ratio", "compile, s", "right"]
    for dtype in options.types.split(","):
        for threads in map(int, options.threads.split(",")):
            rows, ratios = [], []
            for name in options.layers.split(","):
                mine, theirs, took, right = measure(name, dtype == "float32", threads, options.repeats)
                ratios.append(theirs / mine)
                fine &= right
                speed = 2 * Case.of(name, True).macs / mine / 1e9
                row = [f"{mine * 1e6:.0f}", f"{speed:.0f}", f"{theirs * 1e6:.0f}", f"{ratios[-1]:.2f}"]
                rows.append([name, *row, f"{took:.2f}", str(right)])
            print(f"{dtype}, {threads} thread{'s' if threads > 1 else ''}")
            print(format_table(header, rows))
            print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}\n", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
