"""Trains a small network on handwritten digits from scratch, on this host, and runs it on the accelerator.

    python examples/digits_training.py [--epochs 40] [--seed 0] [--config tiny]

Layers, loss, gradients and the optimiser are functions of one language (docs/ir.md), compiled for the host's
CPU. The trained network is quantised and compiled for the accelerator; the simulator's answers are the bytes
of the same integers on the CPU.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tilewright
from tilewright.api.training import Training, TrainingOptions
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.convolution import convolution
from tilewright.compiler.ops.nn.pool import max_pool

PICTURES = Path(__file__).parent / "digits" / "small.npz"
HELD_OUT = 360
"""Pictures that training does not see: every fifth."""
Floats = NDArray[np.float32]


def read_pictures() -> tuple[Floats, NDArray[np.int64]]:
    """Pictures [n, 1, 8, 8] from 0 to 1, and the digit on each."""
    with np.load(PICTURES) as arrays:
        return arrays["pictures"][:, None].astype(np.float32) / 16, arrays["labels"].astype(np.int64)


def is_held_out(count: int) -> NDArray[np.bool_]:
    """Which pictures training does not see: the same ones for every seed."""
    held_out = np.zeros(count, np.bool_)
    held_out[np.random.default_rng(2026).permutation(count)[:HELD_OUT]] = True
    return held_out


def network(seed: int) -> NamedFunction:
    """Three convolutions and a dense layer with random weights (He et al., 2015)."""
    rng, b = np.random.default_rng(seed), Builder("digits")
    x = b.parameter("x", TensorType(DType.FLOAT32, (Size.of("n"), 1, 8, 8)))

    def weights(*shape: int) -> Value:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return b.constant((scale * rng.standard_normal(shape)).astype(np.float32))

    def layer(value: Value, inputs: int, outputs: int) -> Value:
        bias = b.constant(np.zeros(outputs, np.float32))
        weight = weights(outputs, inputs, 3, 3)
        return e.relu(b, convolution(b, value, weight, bias, (1, 1), (1, 1, 1, 1), (1, 1)))

    def half(value: Value) -> Value:
        return max_pool(b, value, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))

    features = half(layer(half(layer(layer(x, 1, 16), 16, 32)), 32, 64))
    flat = e.reshape(b, features, (Size.of("n"), 256))
    scores = e.matmul(b, flat, e.transpose(b, weights(10, 256)))
    return NamedFunction(b.function(e.add(b, scores, b.constant(np.zeros(10, np.float32)))), ("x",), ("y",))


def shifted(rng: np.random.Generator, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The batch, each picture by up to one pixel elsewhere."""
    (pictures,) = batch.values()
    around = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(around[:, 0], (8, 8), axis=(1, 2))
    down, right = rng.integers(0, 3, (2, len(pictures)))
    return {"x": windows[np.arange(len(pictures)), down, right][:, None]}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", default="tiny", help="of the accelerator (default: %(default)s)")
    args = parser.parse_args()
    pictures, labels = read_pictures()
    apart = is_held_out(len(labels))
    begun = time.perf_counter()
    options = TrainingOptions(epochs=args.epochs, rate=3e-3, seed=args.seed)
    training = Training(network(args.seed), options)
    print(f"compiled in {time.perf_counter() - begun:.1f} s")
    for epoch in training.run({"x": pictures[~apart]}, labels[~apart], vary=shifted):
        if epoch.number % 10 == 0:
            print(f"epoch {epoch.number}: loss {epoch.loss:.4f}, {time.perf_counter() - begun:.1f} s")
    package = tilewright.compile(
        training.network, config=args.config, calibration={"x": pictures[~apart][:200]}
    )
    asked = {"x": pictures[apart]}
    floats = tilewright.compile(training.network, accelerator=False).run(asked, device="cpu").outputs["y"]
    simulated, host = (package.run(asked, device=device) for device in ("sim", "cpu"))
    right = labels[apart]
    for name, scores in (("floats", floats), ("integers on the simulator", simulated.outputs["y"])):
        print(f"{name}: {np.mean(scores.argmax(1) == right):.2%} of {HELD_OUT} held out are right")
    is_equal = np.array_equal(simulated.outputs["y"], host.outputs["y"])
    print(f"{simulated.cycles:,} cycles on {args.config}")
    print(f"the CPU has {'the same' if is_equal else 'OTHER'} integers")
    sys.exit(0 if is_equal else 1)


if __name__ == "__main__":
    main()
