"""Float networks compiled for the host, beside ONNX Runtime: how near, how fast, how long they compile.

    python bench/host_networks.py [MODEL.onnx ...] [--repeats 15]

Without models, those that the onnx package carries: their weights are made by fill operators, and would give
every output one number, so each is filled with random numbers that keep activations near 1. Both run one
sample in turns in one process, with a thread for each processor; prints medians. The error is the largest
difference, relative to the largest output. Compilation is timed without stored kernels, and again with them.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from turns import median_seconds

from tilewright.cli.table import format_table
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.ir.function import Module
from tilewright.compiler.targets.cpu.host import HostProgram, compile_host

Array = NDArray[Any]
TOLERANCE = 1e-4
"""Of the largest output."""
SIZES = (1, 3, 48, 192)
"""For axes of inputs that a model leaves open."""


def light_models() -> list[Path]:
    """The networks of the onnx package."""
    return sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def loaded(path: Path) -> Any:
    """The model with known sizes, and random weights where operators made them."""
    model = onnx.load(path)
    for value in model.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_value <= 0:
                size.dim_value = SIZES[axis]
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            (name,) = node.output
            array = _weights(shapes[node.input[0]], name)
            made = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
            node.CopyFrom(made)
    return model


def _weights(shape: Array, name: str) -> Array:
    rng = np.random.default_rng(list(name.encode()))
    sizes = tuple(map(int, shape))
    if len(sizes) < 2:
        # Factors, means and variances of a batch norm among them.
        return rng.uniform(0.5, 1.5, sizes).astype(np.float32)
    return (rng.normal(size=sizes) * np.sqrt(2 / prod(sizes[1:]))).astype(np.float32)


def session_of(model: Any, threads: int) -> Any:
    """The model in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def compiled(module: Module, inputs: list[Array]) -> tuple[HostProgram, float, float]:
    """The program, and the seconds until its first results: without stored kernels, and with them."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME"), folder
        for _ in range(2):
            start = time.perf_counter()
            program = compile_host(module)
            program.run(*inputs)
            seconds.append(time.perf_counter() - start)
        os.environ.pop("XDG_CACHE_HOME") if before is None else os.environ.update(XDG_CACHE_HOME=before)
    return program, seconds[0], seconds[1]


def measured(path: Path, threads: int, repeats: int) -> tuple[str, ...]:
    """A row of the table."""
    model = loaded(path)
    session, module = session_of(model, threads), import_model(model)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=one.shape).astype(np.float32) for one in session.get_inputs()]
    feeds = {one.name: array for one, array in zip(session.get_inputs(), inputs, strict=True)}
    program, cold, warm = compiled(module, inputs)
    error = max(_differences(program.run(*inputs), session.run(None, feeds)))
    ours, theirs = median_seconds(
        [lambda: program.run(*inputs), lambda: session.run(None, feeds)], threads, repeats
    )
    mark = "" if error <= TOLERANCE else "!"
    times = f"{1e3 * ours:.2f}", f"{1e3 * theirs:.2f}", f"{theirs / ours:.2f}"
    return path.stem, f"{error:.1e}{mark}", *times, f"{cold:.1f}", f"{warm:.1f}", str(program.kernels)


def _differences(found: Any, expected: Any) -> Iterator[float]:
    for one, other in zip(found, expected, strict=True):
        yield float(np.abs(one - other).max() / max(np.abs(other).max(), 1e-30))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    threads = os.cpu_count() or 1
    rows = [measured(path, threads, options.repeats) for path in options.models or light_models()]
    head = ("network", "error", "ms", "onnxruntime ms", "speed", "compile s", "again s", "kernels")
    print(format_table(head, rows))


if __name__ == "__main__":
    main()
