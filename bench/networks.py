"""What the passes do to whole networks: equations, MACs, seconds, and the distance to ONNX Runtime."""

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.zoo.language import decoder, encoder, lstm_classifier
from bench.zoo.vision import detector, mobilenet_v2, resnet18

from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.recompose import Recompose
from tilewright.compiler.passes.run import run_passes
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.passes.specialise import Specialise

NETWORKS = {
    "resnet18 (64 pixels)": lambda: resnet18(64),
    "mobilenet_v2 (64 pixels)": lambda: mobilenet_v2(64),
    "lstm classifier": lstm_classifier,
    "encoder": encoder,
    "decoder": decoder,
    "detector": detector,
}
SIZES = {"batch": 1, "sequence": 16, "length": 4, "past": 12, "time": 10}


def inputs_of(function):
    """Arrays for a function of known sizes: small indices, a normal distribution else."""
    rng = np.random.default_rng(0)
    found = {}
    for value in function.parameters:
        shape = value.type.numbers
        is_float = value.type.dtype.is_float
        found[value.name] = (
            rng.standard_normal(shape).astype(np.float32) if is_float else rng.integers(1, 2, shape)
        )
    return found


def measured(make):
    """A line of the table."""
    start = time.perf_counter()
    model = make()
    module = import_model(model)
    after_import = time.perf_counter()
    sizes = {name: SIZES[name] for name in module.main.size_names}
    passes = [Specialise(sizes), Fold(), Simplify(), Recompose(), Simplify()]
    behind = run_passes(module, passes).main
    after_passes = time.perf_counter()
    macs = sum(each.operator.macs(*(x.type for x in each.operands)) for each in behind.equations)
    inputs = inputs_of(behind)
    ours = run(behind, *inputs.values())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, inputs)
    error = max(np.abs(x - y).max() / np.abs(y).max() for x, y in zip(ours, theirs, strict=True) if y.size)
    found = Counter(each.operator.name for each in behind.equations)
    composed = sum(found[name] for name in ("layer_norm", "gelu", "softmax", "rms_norm"))
    times = f"{after_import - start:6.2f} {after_passes - after_import:6.2f}"
    count = f"{len(module.main.equations):6} {len(behind.equations):6} {composed:9}"
    return f"{count} {macs / 1e6:8.1f} {times} {error:9.1e}"


def main():
    """Prints the table."""
    print(f"{'network':26} before behind composite    MMACs import passes   error")
    for name, make in NETWORKS.items():
        print(f"{name:26} {measured(make)}")


if __name__ == "__main__":
    main()
